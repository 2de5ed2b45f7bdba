//! Fisher matrices against outer products of the gradients of single losses, from differences of gradients under other labels alone.

use sharpness_curvature::SymmetricOperator;
use sharpness_kernels::Cpu;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Activation;
use sharpness_network::op::BatchNorm;
use sharpness_network::operators::Matrix;

use crate::tiny::{ALL, Batch, SEED, Tiny, shrunk};

const CLASSES: u32 = 3;
const EXAMPLES: usize = 3;

type F64 = Tiny<Cpu<f64>>;

/// The probabilities of an example's labels, and the gradient of its loss under each.
struct Outcomes {
    p: Vec<f64>,
    gradients: Vec<Vec<f64>>,
}

/// Relabels one example after the other. Its loss is `-ln p` of its label, and the gradient of that is affine in the label's unit
/// vector: `Σ_k p_k (∇(sum with label y) - ∇(sum with label k))`, negated.
fn outcomes(tiny: &F64) -> Vec<Outcomes> {
    let count = EXAMPLES as f64;
    let with_label = |example: usize, label: u32| {
        let mut labels = tiny.data.labels().to_vec();
        labels[example] = label;
        let data = Batch::new(tiny.data.images().to_vec(), labels);
        let operator = tiny.curvature_on(&data, Matrix::Hessian, ALL, ALL);
        (operator.loss(), operator.gradient().to_vec())
    };
    let of_example = |example| {
        let relabeled: Vec<(f64, Vec<f64>)> = (0..CLASSES).map(|label| with_label(example, label)).collect();
        let unscaled: Vec<f64> =
            relabeled.iter().map(|(loss, _)| (-count * (loss - relabeled[0].0)).exp()).collect();
        let total: f64 = unscaled.iter().sum();
        let p: Vec<f64> = unscaled.iter().map(|u| u / total).collect();
        let dim = relabeled[0].1.len();
        let gradient = |label: usize| {
            let entry = |j: usize| {
                let own = relabeled[label].1[j];
                relabeled.iter().zip(&p).map(|((_, other), p)| count * p * (own - other[j])).sum()
            };
            (0..dim).map(entry).collect()
        };
        let gradients = (0..CLASSES as usize).map(gradient).collect();
        Outcomes { p, gradients }
    };
    (0..EXAMPLES).map(of_example).collect()
}

/// `Σ w_i g_i (g_iᵀ v)`.
fn product(parts: &[(f64, &[f64])], v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; v.len()];
    for (weight, g) in parts {
        let along: f64 = g.iter().zip(v).map(|(g, v)| g * v).sum();
        out.iter_mut().zip(*g).for_each(|(out, g)| *out += weight * g * along);
    }
    out
}

/// The largest difference to a product with `matrix`, relative to its largest entry.
fn error(tiny: &F64, matrix: Matrix, chunk: usize, parts: &[(f64, &[f64])]) -> f64 {
    let mut operator = tiny.curvature(matrix, chunk, ALL);
    let v: Vec<f64> = (0..operator.dim()).map(|i| (0.7 * i as f64).sin()).collect();
    let (want, mut got) = (product(parts, &v), vec![0.0; v.len()]);
    operator.apply(&v, &mut got).unwrap();
    let largest = want.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    want.iter().zip(&got).fold(0.0, |error: f64, (x, y)| error.max((x - y).abs())) / largest
}

fn tinies() -> Vec<F64> {
    [
        (Architecture::Mlp, BatchNorm::Running),
        (Architecture::Cnn, BatchNorm::Running),
        (Architecture::CnnBn, BatchNorm::Batch),
        (Architecture::Vgg11Bn, BatchNorm::Running),
    ]
    .map(|(arch, batch_norm)| {
        Tiny::new(Cpu::default(), &shrunk(arch, Activation::Gelu), EXAMPLES as u64, batch_norm, SEED)
    })
    .into()
}

#[test]
fn the_empirical_fisher_is_the_mean_outer_product_of_gradients() {
    for tiny in tinies() {
        let outcomes = outcomes(&tiny);
        let own = outcomes.iter().zip(tiny.data.labels());
        let parts: Vec<(f64, &[f64])> =
            own.map(|(one, label)| (1.0 / EXAMPLES as f64, &*one.gradients[*label as usize])).collect();
        let error = error(&tiny, Matrix::EmpiricalFisher, ALL, &parts);
        assert!(error < 1e-8, "relative error {error:e}");
    }
}

#[test]
fn the_gauss_newton_matrix_is_the_expected_outer_product_under_the_model() {
    for tiny in tinies() {
        let outcomes = outcomes(&tiny);
        let parts: Vec<(f64, &[f64])> = outcomes
            .iter()
            .flat_map(|one| one.p.iter().zip(&one.gradients))
            .map(|(p, g)| (p / EXAMPLES as f64, &**g))
            .collect();
        let error = error(&tiny, Matrix::GaussNewton, ALL, &parts);
        assert!(error < 1e-8, "relative error {error:e}");
    }
}

#[test]
fn the_monte_carlo_fisher_takes_one_label_per_example_from_the_model() {
    for tiny in tinies() {
        let outcomes = outcomes(&tiny);
        let labels = (0..27_usize).map(|i| [i % 3, i / 3 % 3, i / 9]);
        let errors = |seed| {
            labels.clone().map(move |labels| (labels, seed)).map(|(labels, seed)| {
                let own = outcomes.iter().zip(labels);
                let parts: Vec<(f64, &[f64])> =
                    own.map(|(one, label)| (1.0 / EXAMPLES as f64, &*one.gradients[label])).collect();
                error(&tiny, Matrix::MonteCarloFisher { seed }, ALL, &parts)
            })
        };
        let found: Vec<usize> = (0..12)
            .map(|seed| errors(seed).position(|error| error < 1e-8).expect("some labels give the product"))
            .collect();
        assert!(found.iter().any(|one| *one != found[0]), "seeds draw the same labels: {found:?}");
    }
}

#[test]
fn fishers_do_not_depend_on_chunks_without_batch_statistics() {
    let tiny = &tinies()[1];
    for matrix in [Matrix::EmpiricalFisher, Matrix::MonteCarloFisher { seed: 3 }] {
        let of = |chunk, memory| {
            let mut operator = tiny.curvature(matrix, chunk, memory);
            let mut out = vec![0.0; operator.dim()];
            operator.apply(&vec![1.0; out.len()], &mut out).unwrap();
            out
        };
        let (whole, parts) = (of(ALL, ALL), of(2, 0));
        let largest = whole.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for (x, y) in whole.iter().zip(&parts) {
            assert!((x - y).abs() <= 1e-13 * largest, "{x} in one chunk, {y} in two");
        }
    }
}

#[test]
fn one_linearization_serves_all_matrices() {
    let tiny = &tinies()[2];
    let mut shared = tiny.curvature(Matrix::Hessian, ALL, ALL);
    for matrix in [Matrix::GaussNewton, Matrix::EmpiricalFisher, Matrix::Hessian] {
        shared.set_matrix(matrix);
        let mut own = tiny.curvature(matrix, ALL, ALL);
        let v: Vec<f64> = (0..own.dim()).map(|i| (0.3 * i as f64).cos()).collect();
        let (mut x, mut y) = (vec![0.0; v.len()], vec![0.0; v.len()]);
        shared.apply(&v, &mut x).unwrap();
        own.apply(&v, &mut y).unwrap();
        assert_eq!(x, y, "{matrix:?}");
    }
}
