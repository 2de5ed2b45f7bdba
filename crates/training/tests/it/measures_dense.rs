//! Measures against dense matrices of the same networks, in double precision.

use sharpness_curvature::{DENSE_LIMIT, DenseOperator, EigenParams, Eigenpair, SymmetricOperator, dense};
use sharpness_data::{Part, PartExamples};
use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_training::measures::{
    AdaptiveHessian, BatchSharpness, Density, Diagonal, EffectiveRank, EmpiricalFisher, FisherRao,
    GaussNewton, GradientOverlap, Measure, Measurement, MonteCarloFisher, PerLayer, RelativeFlatness,
    SpectrumOutcome, Trace,
};
use sharpness_training::settings::MeasureConfig;
use toml::{Table, Value};

use crate::measures_problem::{MEMORY, Problem};

/// Standard errors by which an estimate may miss: of 100 comparisons, one in 150 runs of this file exceeds it.
const ERRORS: f64 = 4.5;

type F64 = Problem<Cpu<f64>>;

/// A network with its examples, and how its batch norm is measured.
struct Case {
    problem: F64,
    config: MeasureConfig,
    batch_norm: BatchNorm,
}

fn cases() -> Vec<Case> {
    let mlp = ModelConfig { hidden: vec![6], ..ModelConfig::new(Architecture::Mlp) };
    let cnn = ModelConfig { width_divisor: 8, ..ModelConfig::new(Architecture::CnnBn) };
    [(mlp, BatchNorm::Running), (cnn, BatchNorm::Batch)]
        .map(|(model, batch_norm)| {
            let problem = Problem::new(Cpu::default(), &model);
            let config = MeasureConfig {
                examples: 50,
                chunk: Some(25),
                rtol: 1e-7,
                max_products: 3000,
                top_k: 3,
                ..MeasureConfig::default()
            };
            Case { problem, config, batch_norm }
        })
        .into()
}

impl Case {
    fn numbers(&self) -> Vec<u32> {
        self.config.subset.indices(self.problem.train.len(), self.config.examples, 0)
    }

    /// Calls `work` with the operator of `matrix` on the examples with these numbers.
    fn with<T>(
        &self,
        matrix: Matrix,
        numbers: &[u32],
        work: impl FnOnce(&mut Curvature<'_, Cpu<f64>>) -> T,
    ) -> T {
        let chunks = Chunks { examples: self.config.chunk.unwrap(), memory_bytes: 1 << 28 };
        let pass = Pass { batch_norm: self.batch_norm, dropout: None };
        let (network, weights) = (&self.problem.engine.network, &self.problem.weights);
        let examples = PartExamples::new(&self.problem.data, Part::Train);
        let mut operator =
            Curvature::new(network, matrix, weights, pass, (&examples, numbers), chunks, &|| false).unwrap();
        work(&mut operator)
    }

    /// The entries of a matrix, row by row.
    fn matrix(&self, matrix: Matrix) -> Vec<Vec<f64>> {
        self.with(matrix, &self.numbers(), |operator| {
            let dim = operator.dim();
            assert!(dim <= DENSE_LIMIT, "the dense method takes dimension {dim}");
            let mut unit = vec![0.0; dim];
            let row = |j: usize| {
                let mut row = vec![0.0; dim];
                unit[j] = 1.0;
                operator.apply(&unit, &mut row).unwrap();
                unit[j] = 0.0;
                row
            };
            (0..dim).map(row).collect()
        })
    }

    fn gradient(&self) -> Vec<f64> {
        self.with(Matrix::Hessian, &self.numbers(), |operator| operator.gradient().to_vec())
    }

    fn measure(&self, asked: &[(&str, Value)]) -> Measurement {
        let asked = asked.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.problem.measure(&MeasureConfig { asked, ..self.config.clone() }, MEMORY).unwrap()
    }

    fn outcome<M: Measure>(&self) -> M::Outcome {
        self.measure(&[(M::NAME, true.into())]).outcome::<M>().unwrap()
    }
}

/// All eigenpairs, the largest first.
fn spectrum(matrix: &[Vec<f64>]) -> Vec<Eigenpair> {
    let dim = matrix.len();
    let mut operator = DenseOperator::new(dim, matrix.concat()).unwrap();
    let params = EigenParams { k: dim, max_products: dim, ..EigenParams::default() };
    dense(&mut operator, &params, &mut |_| ()).unwrap().pairs
}

fn trace(matrix: &[Vec<f64>]) -> f64 {
    matrix.iter().enumerate().map(|(i, row)| row[i]).sum()
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[track_caller]
fn assert_near(label: &str, own: f64, expected: f64, tolerance: f64) {
    let error = (own - expected).abs();
    assert!(error <= tolerance, "{label}: {own}, not {expected}, off by {error:e} (tolerance {tolerance:e})");
}

#[track_caller]
fn assert_spectrum(label: &str, outcome: &SpectrumOutcome, matrix: &[Vec<f64>]) {
    let pairs = spectrum(matrix);
    let largest = pairs[0].value;
    assert!(outcome.lambda_max.converged, "{label}: {:?}", outcome.lambda_max);
    assert_near(label, outcome.lambda_max.value, largest, 1e-9 * largest);
    let (lower, upper) = (outcome.lambda_max.lower.unwrap(), outcome.lambda_max.upper.unwrap());
    assert!(lower <= largest && largest <= upper, "{label}: {largest} in [{lower}, {upper}]");
    for (own, pair) in outcome.top.iter().zip(&pairs) {
        assert_near(label, own.value, pair.value, 1e-9 * largest);
    }
    assert!(outcome.trace.standard_error > 0.0, "{label}: the trace has an error");
    let error = outcome.trace.standard_error;
    assert_near(label, outcome.trace.value, trace(matrix), ERRORS * error);
}

#[test]
fn gauss_newton_and_fishers_have_the_spectra_of_their_matrices() {
    for case in cases() {
        let outcome = case.outcome::<GaussNewton>();
        assert_spectrum("Gauss-Newton", &outcome, &case.matrix(Matrix::GaussNewton));
        let outcome = case.outcome::<EmpiricalFisher>();
        assert_spectrum("empirical Fisher", &outcome, &case.matrix(Matrix::EmpiricalFisher));
        let outcome = case.outcome::<MonteCarloFisher>();
        assert_spectrum("Monte-Carlo Fisher", &outcome, &case.matrix(Matrix::MonteCarloFisher { seed: 0 }));
    }
}

#[test]
fn the_adaptive_hessian_is_scaled_by_the_weights() {
    for case in cases() {
        let w = &case.problem.weights.parameters;
        let scaled: Vec<Vec<f64>> = (case.matrix(Matrix::Hessian).iter().zip(w))
            .map(|(row, wi)| row.iter().zip(w).map(|(x, wj)| wi.abs() * x * wj.abs()).collect())
            .collect();
        assert_spectrum("|w| H |w|", &case.outcome::<AdaptiveHessian>(), &scaled);
    }
}

#[test]
fn layers_have_the_spectra_of_their_blocks() {
    for case in cases() {
        let matrix = case.matrix(Matrix::Hessian);
        for tensors in [false, true] {
            let table = Table::from_iter([("tensors".to_owned(), Value::from(tensors))]);
            let measured = case.measure(&[("per_layer", table.into())]);
            let outcome = measured.outcome::<PerLayer>().unwrap();
            let all = case.problem.engine.network.parameters().tensors();
            let mut covered = 0;
            for layer in &outcome.layers {
                let is_inside = |name: &str| {
                    name == layer.name
                        || name.rsplit_once('.').is_some_and(|(module, _)| module == layer.name)
                };
                let own = all.iter().filter(|tensor| is_inside(&tensor.name));
                let indices: Vec<usize> = own.flat_map(|tensor| tensor.range()).collect();
                assert_eq!(layer.parameters, indices.len(), "{}", layer.name);
                covered += indices.len();
                let block: Vec<Vec<f64>> =
                    indices.iter().map(|i| indices.iter().map(|j| matrix[*i][*j]).collect()).collect();
                let (largest, name) = (spectrum(&block)[0].value, &layer.name);
                assert_near(name, layer.lambda_max.value, largest, 1e-8 * largest.abs().max(1e-6));
                assert_near(name, layer.trace.value, trace(&block), ERRORS * layer.trace.standard_error);
                assert!(layer.lambda_max.value <= measured.lambda_max.value + 1e-9, "{name} is a block");
            }
            assert_eq!(covered, matrix.len(), "layers cover all parameters");
        }
    }
}

#[test]
fn a_pattern_chooses_layers_and_one_without_a_match_is_an_error() {
    let case = &cases()[0];
    let outcome = case.measure(&[("per_layer", "fc1".into())]).outcome::<PerLayer>().unwrap();
    assert_eq!(outcome.layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(), ["fc1"]);
    let asked = [("per_layer".to_owned(), "nothing*".into())].into();
    let error = case.problem.measure(&MeasureConfig { asked, ..case.config.clone() }, MEMORY).unwrap_err();
    assert!(error.to_string().contains("per_layer"), "{error}");
}

#[test]
fn a_density_has_the_moments_of_the_spectrum() {
    for case in cases() {
        let outcome = case.outcome::<Density>();
        let matrix = case.matrix(Matrix::Hessian);
        let values: Vec<f64> = spectrum(&matrix).iter().map(|pair| pair.value).collect();
        for nodes in &outcome.probes {
            assert_near("the sum of weights", nodes.iter().map(|node| node[1]).sum(), 1.0, 1e-10);
        }
        let dim = values.len();
        assert_near("trace", outcome.trace.value, values.iter().sum(), ERRORS * outcome.trace.standard_error);
        let frobenius = values.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert_near("norm", outcome.frobenius.value, frobenius, ERRORS * outcome.frobenius.standard_error);
        let rounding = 1e-9 * values[0];
        assert!(outcome.range[0] >= values[dim - 1] - rounding && outcome.range[1] <= values[0] + rounding);
        assert_near("largest node", outcome.range[1], values[0], 1e-6 * values[0]);
        let below = values.iter().filter(|x| **x < -1e-3 * values[0]).count() as f64 / dim as f64;
        let share = outcome.negative_share;
        assert_near("negative share", share.value, below, ERRORS * share.standard_error.max(0.01));
    }
}

#[test]
fn every_method_estimates_the_trace() {
    for case in cases() {
        let expected = trace(&case.matrix(Matrix::Hessian));
        for method in ["hutchinson", "hutch++", "xtrace"] {
            let table = Table::from_iter([
                ("method".to_owned(), Value::from(method)),
                ("probes".to_owned(), 60.into()),
            ]);
            let found = case.measure(&[("trace", table.into())]).outcome::<Trace>().unwrap();
            assert!(found.probes <= 60 && found.standard_error > 0.0, "{method}: {found:?}");
            assert_near(method, found.value, expected, ERRORS * found.standard_error);
        }
    }
}

#[test]
fn effective_ranks_are_those_of_the_spectrum() {
    for case in cases() {
        let outcome = case.outcome::<EffectiveRank>();
        let values: Vec<f64> =
            spectrum(&case.matrix(Matrix::Hessian)).iter().map(|pair| pair.value).collect();
        let (sum, squares) = (values.iter().sum::<f64>(), values.iter().map(|x| x * x).sum::<f64>());
        for (own, expected) in
            [(outcome.trace, sum / values[0]), (outcome.frobenius, squares / values[0].powi(2))]
        {
            assert_near("effective rank", own.value, expected, ERRORS * own.standard_error);
        }
    }
}

#[test]
fn the_gradient_overlaps_with_dense_eigenvectors() {
    for case in cases() {
        let outcome = case.outcome::<GradientOverlap>();
        let (pairs, gradient) = (spectrum(&case.matrix(Matrix::Hessian)), case.gradient());
        let square = dot(&gradient, &gradient);
        assert_eq!(outcome.shares.len(), 3);
        for (share, pair) in outcome.shares.iter().zip(&pairs) {
            assert_near("share", *share, dot(&pair.vector, &gradient).powi(2) / square, 1e-4);
        }
        assert_near("total", outcome.total, outcome.shares.iter().sum(), 1e-12);
    }
}

#[test]
fn the_fisher_rao_norm_is_a_quadratic_form() {
    for case in cases() {
        let outcome = case.outcome::<FisherRao>();
        let w = &case.problem.weights.parameters;
        for (own, matrix) in
            [(outcome.value, Matrix::GaussNewton), (outcome.empirical, Matrix::EmpiricalFisher)]
        {
            let product: Vec<f64> = case.matrix(matrix).iter().map(|row| dot(row, w)).collect();
            let expected = dot(w, &product).sqrt();
            assert_near("norm", own, expected, 1e-12 * expected);
        }
    }
}

#[test]
fn relative_flatness_sums_traces_of_blocks_of_rows() {
    for (case, weight) in cases().iter().zip(["fc2.weight", "classifier.weight"]) {
        let matrix = case.matrix(Matrix::Hessian);
        let outcome = case.outcome::<RelativeFlatness>();
        let tensors = case.problem.engine.network.parameters().tensors();
        let last = tensors.iter().rev().find(|tensor| tensor.shape.len() > 1).unwrap();
        assert_eq!(outcome.layer, last.name, "the last weight, such as {weight}");
        let (rows, start) = (last.shape[0], last.range().start);
        let columns = last.len() / rows;
        let w = &case.problem.weights.parameters;
        let row = |s: usize| &w[start + s * columns..][..columns];
        let mut expected = 0.0;
        for (s, t) in (0..rows).flat_map(|s| (0..rows).map(move |t| (s, t))) {
            let of = |i: usize| matrix[start + s * columns + i][start + t * columns + i];
            expected += dot(row(s), row(t)) * (0..columns).map(of).sum::<f64>();
        }
        assert_near("flatness", outcome.value, expected, ERRORS * outcome.standard_error);
        assert!(outcome.standard_error < 0.2 * expected.abs(), "{outcome:?} says little about {expected}");
    }
}

#[test]
fn the_diagonal_lies_within_its_errors() {
    for case in cases() {
        let measured = case.measure(&[("diagonal", true.into())]);
        let vector = |name: &str| {
            let found = measured.vectors.iter().find(|(own, _)| own == name);
            &found.unwrap_or_else(|| panic!("no {name}")).1
        };
        let (values, errors) = (vector("diagonal"), vector("diagonal_standard_error"));
        let matrix = case.matrix(Matrix::Hessian);
        let squares: f64 = values
            .iter()
            .zip(errors)
            .enumerate()
            .filter(|(_, (_, error))| **error > 0.0)
            .map(|(i, (value, error))| ((value - matrix[i][i]) / error).powi(2))
            .sum();
        // The mean square of a standardized error is 1, and close to it over many entries.
        let mean = squares / values.len() as f64;
        assert!((0.5..1.5).contains(&mean), "standardized errors have mean square {mean}");
        let outcome = measured.outcome::<Diagonal>().unwrap();
        assert_near("norm", outcome.norm, dot(values, values).sqrt(), 1e-12 * outcome.norm);
    }
}

#[test]
fn batches_see_the_curvature_along_their_gradients() {
    for case in cases() {
        let numbers = case.numbers();
        let of_batch = |batch: &[u32]| {
            case.with(Matrix::Hessian, batch, |operator| {
                let gradient = operator.gradient().to_vec();
                let mut product = vec![0.0; gradient.len()];
                operator.apply(&gradient, &mut product).unwrap();
                (dot(&gradient, &product), dot(&gradient, &gradient))
            })
        };
        // One batch of everything is exact.
        let table = |size: i64, batches: i64| {
            let pairs = [("batch_size", size), ("batches", batches)];
            Value::Table(pairs.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect())
        };
        let all = case.measure(&[("batch_sharpness", table(1000, 9))]).outcome::<BatchSharpness>().unwrap();
        let (curvature, square) = of_batch(&numbers);
        assert_near("all", all.value, curvature / square, 1e-9 * all.value.abs());
        assert_eq!((all.batches, all.batch_size, all.noise), (1, 50, None));
        assert_eq!(all.standard_error, None, "one batch has no error");
        // Batches of one are the examples themselves: each once in 50 batches.
        let single = case.measure(&[("batch_sharpness", table(1, 50))]).outcome::<BatchSharpness>().unwrap();
        let seen: Vec<(f64, f64)> = numbers.iter().map(|number| of_batch(&[*number])).collect();
        let above: f64 = seen.iter().map(|one| one.0).sum();
        let below: f64 = seen.iter().map(|one| one.1).sum();
        assert_near("batches of one", single.value, above / below, 1e-9 * single.value.abs());
        if case.batch_norm == BatchNorm::Running {
            let covariance = (below - 50.0 * square) / 49.0;
            assert_near("noise", single.noise.unwrap().value, covariance, 1e-9 * covariance);
            let table = table(10, 200);
            let tens = case.measure(&[("batch_sharpness", table)]).outcome::<BatchSharpness>().unwrap();
            let noise = tens.noise.unwrap();
            assert_near("noise of tens", noise.value, covariance, ERRORS * noise.standard_error);
            let scale = tens.noise_scale.unwrap();
            assert_near("scale", scale.value, covariance / square, ERRORS * scale.standard_error);
        }
    }
}

#[test]
fn measures_asked_together_give_the_same_bits_as_alone() {
    let case = &cases()[1];
    let names =
        ["trace", "frobenius", "effective_rank", "per_layer", "gauss_newton", "diagonal", "lambda_min"];
    let together = case.measure(&names.map(|name| (name, true.into())));
    for name in names {
        let alone = case.measure(&[(name, true.into())]);
        assert_eq!(alone.outcomes[name], together.outcomes[name], "{name}");
        assert!(together.costs.iter().any(|cost| cost.name == name), "the report says what {name} takes");
    }
    let (took, separate) = together.saving().unwrap();
    assert!(took < separate, "together {took} s, one by one {separate} s");
    let ranks = together.costs.iter().find(|cost| cost.name == "effective_rank").unwrap();
    assert!(ranks.alone_seconds > ranks.seconds, "the ranks take the products of the trace: {ranks:?}");
}
