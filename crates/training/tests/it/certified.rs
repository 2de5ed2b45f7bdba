//! A measurement that says `converged` has found λ_max, and its bounds hold it.

use sharpness_curvature::{EigenParams, Method, SymmetricOperator as _, dense};
use sharpness_data::DatasetName;
use sharpness_network::Weights;
use sharpness_network::architectures::Architecture;
use sharpness_network::op::Pass;
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_training::Budget;
use sharpness_training::measures::{LambdaMin, Measurement};
use sharpness_training::settings::{BoundRtol, Precision, RunConfig};

use crate::measures_problem::Subsample;
use crate::training_runs::{self, digits, network, train};

/// An MLP of one hidden layer on the digits, measured on 200 of them.
fn config(hidden: usize) -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![hidden];
    config.measure.examples = 200;
    config
}

fn measured(config: &RunConfig, weights: &Weights) -> Measurement {
    training_runs::measured(config, weights, Budget::of(1 << 28))
}

/// The largest eigenvalues by the dense method in double precision, the largest first.
fn truth(config: &RunConfig, weights: &Weights, k: usize) -> Vec<f64> {
    let network = network(config);
    let train = digits().dataset().train().len();
    let indices = config.measure.subset.indices(train, config.measure.examples, config.seed);
    let examples = Subsample::of(digits(), &indices);
    let chunks = Chunks { examples: 200, memory_bytes: 1 << 28 };
    let mut operator = Curvature::new(
        &network,
        Matrix::Hessian,
        weights,
        Pass::EVALUATION,
        examples.source(),
        chunks,
        &|| false,
    )
    .unwrap();
    let max_products = operator.dim();
    let params = EigenParams { k, method: Method::Dense, max_products, ..EigenParams::default() };
    dense(&mut operator, &params, &mut |_| ()).unwrap().pairs.iter().map(|pair| pair.value).collect()
}

fn initial(config: &RunConfig) -> Weights {
    Weights::initial(&network(config), 3)
}

/// Changes the tensor of this name.
fn change(config: &RunConfig, weights: &mut Weights, name: &str, change: impl Fn(usize, &mut f64)) {
    let network = network(config);
    let tensor = network.parameters().tensors().iter().find(|tensor| tensor.name == name).unwrap();
    let values = &mut weights.parameters[tensor.range()];
    values.iter_mut().enumerate().for_each(|(place, value)| change(place, value));
}

fn check(label: &str, measured: &Measurement, truth: &[f64]) {
    let eigenvalues = [&measured.lambda_max].into_iter().chain(measured.top.iter().skip(1));
    for (place, (found, truth)) in eigenvalues.zip(truth).enumerate() {
        let label = format!("{label}, λ_{}: {found:?}, truth {truth}", place + 1);
        assert!(found.converged && found.certified, "{label}");
        assert!((found.value - truth).abs() <= 1e-3 * truth.abs(), "{label}");
        assert!(found.lower.unwrap() <= *truth && *truth <= found.upper.unwrap(), "{label}");
    }
}

/// The gradient of such a network lies in the last bias, and so does what a solver that starts from it sees.
#[test]
fn a_gradient_that_is_blind_to_the_top_eigenvector_hides_nothing() {
    for (seed, shares) in
        [(0, [0.3, 0.3, 0.1]), (1, [0.25, 0.25, 0.2]), (2, [0.4, 0.4, 0.05]), (3, [0.2, 0.2, 0.3])]
    {
        for precision in [Precision::F32, Precision::F64] {
            let mut config = config(8);
            (config.seed, config.precision) = (seed, precision);
            let mut weights = initial(&config);
            weights.parameters.fill(0.0);
            let rest = (1.0 - shares.iter().sum::<f64>()) / 7.0;
            change(&config, &mut weights, "fc2.bias", |class, bias| {
                *bias = shares.get(class).unwrap_or(&rest).ln()
            });
            check(&format!("seed {seed}"), &measured(&config, &weights), &truth(&config, &weights, 1));
        }
    }
}

/// Sixteen identical hidden units: whatever distinguishes them is an eigenvector with fifteen copies.
#[test]
fn copies_of_a_repeated_eigenvalue_are_all_found() {
    let mut config = config(16);
    config.measure.top_k = 6;
    let mut weights = initial(&config);
    let row = weights.parameters[..64].to_vec();
    change(&config, &mut weights, "fc1.weight", |place, value| *value = 0.05 * row[place % 64]);
    change(&config, &mut weights, "fc1.bias", |_, value| *value = 0.02);
    change(&config, &mut weights, "fc2.weight", |place, value| *value = 0.001 * (place / 16) as f64);
    let truth = truth(&config, &weights, 6);
    assert!((truth[5] / truth[2] - 1.0).abs() < 1e-6, "else this tests nothing: {truth:?}");
    check("identical units", &measured(&config, &weights), &truth);
}

/// Single precision computes the Hessian of another softmax where it saturates.
#[test]
fn bounds_hold_where_single_precision_is_wrong() {
    for seed in 0..2 {
        let mut config = config(8);
        (config.seed, config.training.max_epochs, config.training.target_accuracy) = (seed, 3, 1.0);
        let mut weights = train(&config, None).state.weights;
        change(&config, &mut weights, "fc2.weight", |_, value| *value *= 1000.0);
        change(&config, &mut weights, "fc2.bias", |_, value| *value *= 1000.0);
        let truth = truth(&config, &weights, 1)[0];
        for bound_rtol in [BoundRtol(Some(0.1)), BoundRtol::off()] {
            config.measure.bound_rtol = bound_rtol;
            let found = measured(&config, &weights).lambda_max;
            let label = format!("seed {seed}: {found:?}, truth {truth}");
            let [below, above] = found.interval.unwrap();
            assert!(found.lower.unwrap() <= truth && truth <= found.upper.unwrap(), "{label}");
            assert!(below <= truth && truth <= above, "{label}");
            assert_eq!(found.certified, found.converged && bound_rtol != BoundRtol::off(), "{label}");
        }
    }
}

/// Without weights nothing but the bias of the last layer has curvature.
#[test]
fn an_eigenvalue_of_zero_converges_in_single_precision() {
    let mut config = config(8);
    config.measure.top_k = 20;
    config.measure.asked.insert("lambda_min".to_owned(), true.into());
    let mut weights = initial(&config);
    weights.parameters.fill(0.0);
    let found = measured(&config, &weights);
    for zero in [found.top.last().unwrap(), &found.outcome::<LambdaMin>().unwrap()] {
        assert!(zero.converged, "{zero:?}");
        assert!(zero.value.abs() < 1e-6 * found.lambda_max.value, "{zero:?}");
    }
}
