//! The whole Hessian of tiny networks: symmetric, and the derivative of the gradient.

use sharpness_curvature::{DenseOperator, EigenParams, SymmetricOperator, Which, dense};
use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::{Accumulate, Activation, Device, View};
use sharpness_network::op::{BatchNorm, TapeKind};
use sharpness_network::operators::Matrix;

use crate::tiny::{ALL, SEED, Tiny, shrunk};

/// Steps of the differences. ReLU and max pooling have kinks: a difference across one is wrong, and a smaller step misses it.
const STEPS: [f64; 4] = [1e-5, 1e-6, 1e-7, 1e-8];
/// Of a column's difference to the difference quotient, against the largest entry of the matrix; rounding of the gradient over
/// the smallest step is 1e-8.
const TOLERANCE: f64 = 2e-6;

type F64 = Tiny<Cpu<f64>>;

/// The columns of a matrix.
fn columns(operator: &mut dyn SymmetricOperator) -> Vec<Vec<f64>> {
    let dim = operator.dim();
    let mut unit = vec![0.0; dim];
    let column = |j: usize| {
        let mut column = vec![f64::NAN; dim];
        unit[j] = 1.0;
        operator.apply(&unit, &mut column).unwrap();
        unit[j] = 0.0;
        column
    };
    (0..dim).map(column).collect()
}

fn largest(columns: &[Vec<f64>]) -> f64 {
    columns.iter().flatten().fold(0.0, |largest: f64, x| largest.max(x.abs()))
}

/// The gradient of the mean loss as a function of the parameters.
fn gradient_of(tiny: &F64) -> impl FnMut(&[f64]) -> Vec<f64> + '_ {
    let (network, labels) = (&tiny.network, tiny.data.labels());
    let mut tape = network.tape(labels.len(), TapeKind::Gradient);
    network.load(&mut tape, tiny.data.images(), labels, &vec![0; labels.len()]);
    let state = network.upload(&tiny.weights.state);
    let mut out = network.backend().buffer(network.parameters().len());
    let scale = 1.0 / labels.len() as f64;
    move |parameters| {
        let parameters = network.upload(parameters);
        network.gradient(&parameters, &state, &tiny.pass, &mut tape, scale, Accumulate::Set, &mut out);
        network.backend().download(View::new(&out, 0, out.len()))
    }
}

fn check(tiny: &F64) {
    let columns = columns(&mut tiny.curvature(Matrix::Hessian, ALL, ALL));
    let scale = largest(&columns);
    let first = tiny.network.parameters().tensors()[0].range();
    assert!(largest(&columns[first]) > 1e-6 * scale, "the loss depends on the first layer");
    for (j, column) in columns.iter().enumerate() {
        for (i, entry) in column.iter().enumerate().take(j) {
            let error = (entry - columns[i][j]).abs();
            assert!(error <= 1e-12 * scale, "entries ({i}, {j}) and ({j}, {i}) differ by {error:e}");
        }
    }

    let mut gradient = gradient_of(tiny);
    let mut parameters = tiny.weights.parameters.clone();
    for (j, column) in columns.iter().enumerate() {
        let mut error = |step: f64| {
            let center = parameters[j];
            parameters[j] = center + step;
            let above = gradient(&parameters);
            parameters[j] = center - step;
            let below = gradient(&parameters);
            parameters[j] = center;
            let quotients = above.iter().zip(&below).map(|(above, below)| (above - below) / (2.0 * step));
            quotients.zip(column).fold(0.0, |error: f64, (q, x)| error.max((q - x).abs())) / scale
        };
        let found = STEPS.iter().any(|step| error(*step) <= TOLERANCE);
        assert!(found, "column {j}: relative errors {:?} with steps {STEPS:?}", STEPS.map(&mut error));
    }
}

fn check_all(arch: Architecture, batch_norm: BatchNorm, n: u64) {
    for activation in [Activation::Relu, Activation::Gelu] {
        check(&Tiny::new(Cpu::default(), &shrunk(arch, activation), n, batch_norm, SEED));
    }
}

#[test]
fn mlp() {
    check_all(Architecture::Mlp, BatchNorm::Running, 6);
}

#[test]
fn mlp_tanh() {
    let model = shrunk(Architecture::Mlp, Activation::Tanh);
    check(&Tiny::new(Cpu::default(), &model, 5, BatchNorm::Running, SEED));
}

#[test]
fn cnn() {
    check_all(Architecture::Cnn, BatchNorm::Running, 4);
}

#[test]
fn cnn_on_batch_statistics() {
    check_all(Architecture::CnnBn, BatchNorm::Batch, 4);
}

#[test]
fn cnn_on_running_statistics() {
    check_all(Architecture::CnnBn, BatchNorm::Running, 3);
}

#[test]
fn vgg11() {
    check_all(Architecture::Vgg11, BatchNorm::Running, 3);
}

#[test]
fn vgg11_on_batch_statistics() {
    check_all(Architecture::Vgg11Bn, BatchNorm::Batch, 3);
}

#[test]
fn vgg11_on_running_statistics() {
    check_all(Architecture::Vgg11Bn, BatchNorm::Running, 3);
}

#[test]
fn fixup_resnets() {
    use Architecture::{FixupResnet20, FixupResnet32, FixupResnet44, FixupResnet56};
    check_all(FixupResnet20, BatchNorm::Running, 3);
    for arch in [FixupResnet32, FixupResnet44, FixupResnet56] {
        check(&Tiny::new(Cpu::default(), &shrunk(arch, Activation::Relu), 3, BatchNorm::Running, SEED));
    }
}

#[test]
fn gauss_newton_is_the_hessian_of_a_linear_model() {
    let model = ModelConfig { hidden: Vec::new(), ..ModelConfig::new(Architecture::Mlp) };
    let tiny = F64::new(Cpu::default(), &model, 5, BatchNorm::Running, SEED);
    let hessian = columns(&mut tiny.curvature(Matrix::Hessian, ALL, ALL));
    let gauss_newton = columns(&mut tiny.curvature(Matrix::GaussNewton, ALL, ALL));
    let scale = largest(&hessian);
    for (x, y) in hessian.iter().flatten().zip(gauss_newton.iter().flatten()) {
        assert!((x - y).abs() <= 1e-14 * scale, "{x} in the Hessian, {y} in the Gauss-Newton matrix");
    }
}

#[test]
fn gauss_newton_has_no_negative_eigenvalue_where_the_hessian_has() {
    for (arch, batch_norm) in [
        (Architecture::Mlp, BatchNorm::Running),
        (Architecture::CnnBn, BatchNorm::Batch),
        (Architecture::FixupResnet20, BatchNorm::Running),
    ] {
        let tiny = F64::new(Cpu::default(), &shrunk(arch, Activation::Gelu), 5, batch_norm, SEED);
        let ends = |matrix| {
            let columns = columns(&mut tiny.curvature(matrix, ALL, ALL));
            let mut operator = DenseOperator::new(columns.len(), columns.concat()).unwrap();
            let mut end = |which| {
                let params = EigenParams { which, max_products: columns.len(), ..EigenParams::default() };
                dense(&mut operator, &params, &mut |_| ()).unwrap().pairs[0].value
            };
            (end(Which::SmallestAlgebraic), end(Which::LargestAlgebraic))
        };
        let (smallest, largest) = ends(Matrix::GaussNewton);
        assert!(smallest >= -1e-13 * largest, "{arch:?}: {smallest} beside {largest}");
        let (smallest, largest) = ends(Matrix::Hessian);
        assert!(
            smallest < -1e-3 * largest,
            "{arch:?}: the Hessian is indefinite, {smallest} beside {largest}"
        );
    }
}
