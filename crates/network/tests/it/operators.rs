//! The mean loss over a data set in chunks, as an operator: what chunks and memory change, and its eigenvalues.

use std::cell::Cell;

use sharpness_curvature::{
    EigenParams, HutchinsonParams, Method, SymmetricOperator, Which, eigenpairs, trace,
};
use sharpness_kernels::Cpu;
use sharpness_network::Error;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::{Activation, Backend};
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_network::{Examples, Images};

use crate::fixture::{Golden, assert_close, signed};
use crate::tiny::{ALL, Batch, SEED, Tiny, shrunk};

type F64 = Tiny<Cpu<f64>>;

fn product<B: Backend>(operator: &mut Curvature<'_, B>) -> Vec<f64> {
    let direction: Vec<f64> = (0..operator.dim() as u64).map(|i| signed(99, i)).collect();
    let mut out = vec![f64::NAN; operator.dim()];
    operator.apply(&direction, &mut out).unwrap();
    out
}

/// The gradient, then a product.
fn vectors<B: Backend>(operator: &mut Curvature<'_, B>) -> Vec<f64> {
    [operator.gradient().to_vec(), product(operator)].concat()
}

#[track_caller]
fn assert_near(label: &str, own: &[f64], expected: &[f64], tolerance: f64) {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let distance = norm(&mut own.iter().zip(expected).map(|(a, b)| a - b));
    assert_close(label, distance, 0.0, tolerance * norm(&mut expected.iter().copied()));
}

/// Memory for a given number of linearized chunks and no more.
fn memory(tiny: &F64, chunk: usize, cached: usize) -> usize {
    Curvature::bytes(&tiny.network, 7, chunk, cached)
}

#[test]
fn neither_chunks_nor_memory_change_a_loss_without_batch_statistics() {
    for arch in [Architecture::Mlp, Architecture::CnnBn, Architecture::FixupResnet20] {
        let tiny = F64::new(Cpu::default(), &shrunk(arch, Activation::Relu), 7, BatchNorm::Running, SEED);
        for matrix in [Matrix::Hessian, Matrix::GaussNewton] {
            let mut whole = tiny.curvature(matrix, 7, ALL);
            let expected = vectors(&mut whole);
            for chunk in [1, 3, 7, 100] {
                let mut operator = tiny.curvature(matrix, chunk, ALL);
                let label = format!("{arch:?} in chunks of {chunk}");
                assert_close(&label, operator.loss(), whole.loss(), 1e-14);
                assert_close(&label, operator.accuracy(), whole.accuracy(), 0.0);
                assert_near(&label, &vectors(&mut operator), &expected, 1e-13);
            }
        }
    }
}

#[test]
fn memory_decides_what_is_kept_and_changes_no_bit() {
    for batch_norm in [BatchNorm::Running, BatchNorm::Batch] {
        let tiny =
            F64::new(Cpu::default(), &shrunk(Architecture::CnnBn, Activation::Relu), 7, batch_norm, SEED);
        let mut all = tiny.curvature(Matrix::Hessian, 2, ALL);
        assert_eq!(all.chunks(), (4, 4), "everything is kept");
        let expected = vectors(&mut all);
        let budgets = [(0, 0), (memory(&tiny, 2, 1), 1), (memory(&tiny, 2, 2), 2), (memory(&tiny, 2, 4), 4)];
        for (bytes, cached) in budgets {
            let mut operator = tiny.curvature(Matrix::Hessian, 2, bytes);
            assert_eq!(operator.chunks(), (4, cached), "{bytes} bytes");
            assert_eq!(vectors(&mut operator), expected, "{cached} chunks kept");
            assert_eq!(vectors(&mut operator), expected, "the second product");
        }
    }
}

#[test]
fn a_block_of_vectors_has_the_products_of_each_and_linearizes_once() {
    let model = shrunk(Architecture::CnnBn, Activation::Relu);
    let tiny = F64::new(Cpu::default(), &model, 7, BatchNorm::Batch, SEED);
    for matrix in [Matrix::Hessian, Matrix::GaussNewton] {
        for cached in [0, 2, 4] {
            let reads = Cell::new(0);
            let data = Counted { data: &tiny.data, reads: &reads };
            let chunks = Chunks { examples: 2, memory_bytes: memory(&tiny, 2, cached) };
            let (network, weights) = (&tiny.network, &tiny.weights);
            let mut operator = Curvature::new(
                network,
                matrix,
                weights,
                tiny.pass,
                (&data, tiny.data.numbers()),
                chunks,
                &|| false,
            )
            .unwrap();
            assert_eq!(operator.chunks(), (4, cached), "kept chunks");
            let dim = operator.dim();
            let vectors: Vec<Vec<f64>> =
                (0..3).map(|seed| (0..dim as u64).map(|i| signed(seed, i)).collect()).collect();
            let mut block = vec![vec![f64::NAN; dim]; 3];
            reads.set(0);
            let inputs: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
            let mut outputs: Vec<&mut [f64]> = block.iter_mut().map(Vec::as_mut_slice).collect();
            operator.apply_block(&inputs, &mut outputs).unwrap();
            assert_eq!(reads.get(), 4 - cached, "each chunk that is not kept is read once for the block");
            for (vector, own) in vectors.iter().zip(&block) {
                let mut alone = vec![f64::NAN; dim];
                operator.apply(vector, &mut alone).unwrap();
                assert_eq!(own, &alone, "{matrix:?}, {cached} chunks kept");
            }
        }
    }
}

/// Counts how often chunks are read.
#[derive(Debug)]
struct Counted<'a> {
    data: &'a Batch,
    reads: &'a Cell<usize>,
}

impl Examples for Counted<'_> {
    fn images(&self) -> Images<'_> {
        self.reads.set(self.reads.get() + 1);
        Examples::images(self.data)
    }

    fn label(&self, number: u32) -> u32 {
        self.data.label(number)
    }
}

#[test]
fn the_trace_is_near_that_of_the_dense_matrix() {
    let model = shrunk(Architecture::Mlp, Activation::Gelu);
    let tiny = F64::new(Cpu::default(), &model, 7, BatchNorm::Running, SEED);
    for matrix in [Matrix::Hessian, Matrix::GaussNewton] {
        let mut operator = tiny.curvature(matrix, 3, 0);
        let k = operator.dim();
        let params = EigenParams { k, method: Method::Dense, max_products: k, ..EigenParams::default() };
        let all = eigenpairs(&mut operator, &params, &mut |_| ()).unwrap().pairs;
        let expected: f64 = all.iter().map(|pair| pair.value).sum();
        let params = HutchinsonParams { rtol: 0.15, max_probes: 1000, block: 4, seed: 1 };
        let own = trace(&mut operator, &params, &mut |_| ()).unwrap();
        assert!(own.converged, "{matrix:?}: {own:?}");
        assert_close(&format!("{matrix:?}"), own.value, expected, 3.0 * own.standard_error);
    }
}

#[test]
fn an_operator_is_the_mean_of_those_of_its_chunks() {
    for (chunk, batch_norm) in [(1, BatchNorm::Running), (3, BatchNorm::Batch)] {
        let tiny =
            F64::new(Cpu::default(), &shrunk(Architecture::CnnBn, Activation::Gelu), 6, batch_norm, SEED);
        let mut operator = tiny.curvature(Matrix::Hessian, chunk, ALL);
        let (mut mean, mut loss) = (vec![0.0; 2 * operator.dim()], 0.0);
        for start in (0..6).step_by(chunk) {
            let part = tiny.data.part(start..start + chunk);
            let chunks = Chunks { examples: chunk, memory_bytes: ALL };
            let (network, weights) = (&tiny.network, &tiny.weights);
            let mut own =
                Curvature::new(network, Matrix::Hessian, weights, tiny.pass, part.all(), chunks, &|| false)
                    .unwrap();
            let share = chunk as f64 / 6.0;
            loss += share * own.loss();
            mean.iter_mut().zip(vectors(&mut own)).for_each(|(mean, x)| *mean += share * x);
        }
        assert_close("loss", operator.loss(), loss, 1e-14);
        assert_near("vectors", &vectors(&mut operator), &mean, 1e-13);
    }
}

#[test]
fn batch_statistics_depend_on_the_chunk() {
    let model = shrunk(Architecture::CnnBn, Activation::Relu);
    let tiny = F64::new(Cpu::default(), &model, 6, BatchNorm::Batch, SEED);
    let loss = |chunk| tiny.curvature(Matrix::Hessian, chunk, ALL).loss();
    assert!((loss(3) - loss(6)).abs() > 1e-3, "chunks of 3 and of 6 have other statistics");
}

#[test]
fn single_precision_is_near_double_precision() {
    let model = shrunk(Architecture::CnnBn, Activation::Gelu);
    for batch_norm in [BatchNorm::Running, BatchNorm::Batch] {
        let double = F64::new(Cpu::default(), &model, 5, batch_norm, SEED);
        let single = Tiny::new(Cpu::<f32>::default(), &model, 5, batch_norm, SEED);
        let expected = vectors(&mut double.curvature(Matrix::Hessian, 5, ALL));
        let own = vectors(&mut single.curvature(Matrix::Hessian, 5, ALL));
        assert_near("single precision", &own, &expected, 1e-5);
    }
}

#[test]
fn lanczos_finds_the_ends_of_the_dense_spectrum() {
    let model = shrunk(Architecture::Cnn, Activation::Relu);
    let tiny = F64::new(Cpu::default(), &model, 6, BatchNorm::Running, SEED);
    let mut operator = tiny.curvature(Matrix::Hessian, 4, ALL);
    for which in [Which::LargestAlgebraic, Which::SmallestAlgebraic] {
        let mut solve = |method| {
            let params =
                EigenParams { which, method, rtol: 1e-8, max_products: 1000, ..EigenParams::default() };
            eigenpairs(&mut operator, &params, &mut |_| ()).unwrap()
        };
        let (dense, lanczos) = (solve(Method::Dense), solve(Method::Lanczos));
        assert!(lanczos.converged(), "{which:?}");
        let value = dense.pairs[0].value;
        assert_close(&format!("{which:?}"), lanczos.pairs[0].value, value, 1e-12 * value.abs());
    }
}

#[test]
fn a_stop_is_heard_before_the_next_chunk() {
    let model = shrunk(Architecture::Mlp, Activation::Relu);
    let tiny = F64::new(Cpu::default(), &model, 6, BatchNorm::Running, SEED);
    let questions = Cell::new(0);
    let stop = || {
        questions.set(questions.get() + 1);
        questions.get() > 4
    };
    let chunks = Chunks { examples: 2, memory_bytes: 0 };
    let new = || {
        Curvature::new(
            &tiny.network,
            Matrix::Hessian,
            &tiny.weights,
            tiny.pass,
            tiny.data.all(),
            chunks,
            &stop,
        )
    };
    let mut operator = new().unwrap();
    let mut out = vec![0.0; operator.dim()];
    let error = operator.apply(&tiny.weights.parameters, &mut out).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::Stopped)), "{error}");
    assert_eq!(questions.get(), 5, "the second chunk of the product was not begun");
    assert!(matches!(new().err(), Some(Error::Stopped)), "linearizing asks too");
}

/// λ_max of a golden file, which PyTorch and ARPACK computed.
fn check_golden(case: &str) {
    let golden = Golden::read(case);
    let network = golden.network();
    let (images, labels) = golden.batch();
    let n = labels.len();
    let batch_norm = if golden.running() { BatchNorm::Running } else { BatchNorm::Batch };
    let pass = Pass { batch_norm, dropout: None };
    let (weights, data) = (golden.weights(&network), Batch::new(images, labels));
    let chunks = Chunks { examples: n, memory_bytes: ALL };
    let mut operator =
        Curvature::new(&network, Matrix::Hessian, &weights, pass, data.all(), chunks, &|| false).unwrap();
    // The error of the value is about the square of the residual over the gap.
    let params = EigenParams { rtol: 1e-5, ..EigenParams::default() };
    let own = eigenpairs(&mut operator, &params, &mut |_| ()).unwrap();
    assert!(own.converged(), "{case}: {} products", own.products);
    let expected = golden.0["lambda_max"]["value"].as_f64().expect("the golden file has λ_max");
    assert_close(case, own.pairs[0].value, expected, 1e-8 * expected);
    let bounds = own.spectrum_bounds.expect("Lanczos bounds the spectrum");
    assert!(bounds.upper >= expected, "{case}: the upper bound {} is below {expected}", bounds.upper);
}

#[test]
fn golden_vgg11_relu() {
    check_golden("vgg11-relu");
}

#[test]
fn golden_vgg11_gelu() {
    check_golden("vgg11-gelu");
}

#[test]
fn golden_vgg11_on_batch_statistics() {
    check_golden("vgg11-bn-batch");
}

#[test]
fn golden_vgg11_on_running_statistics() {
    check_golden("vgg11-bn-running");
}

#[test]
fn golden_fixup_resnet32() {
    check_golden("fixup-resnet32");
}

#[test]
fn golden_mlp() {
    check_golden("mlp-relu");
    check_golden("mlp-squared-error");
}

#[test]
fn golden_cnn() {
    check_golden("cnn-bn-batch");
    check_golden("cnn-bn-running");
}
