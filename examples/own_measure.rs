//! A measure of your own at trained weights: the curvature along the gradient, `gᵀ H g / gᵀ g`.
//!
//! A network learns the embedded digits, by the settings of `sharpness train`. `with_engine` builds its network in the precision and on
//! the backend that the settings name, and a visitor works with it.
//!
//! Run it with `cargo run -p sharpness-examples --example own_measure`.

use sharpness_backend::Backend;
use sharpness_curvature::{EigenParams, SymmetricOperator, Which, eigenpairs};
use sharpness_data::{Dataset, DatasetName, Locations, Part, PartExamples, Standardized};
use sharpness_network::Examples;
use sharpness_network::architectures::Architecture;
use sharpness_network::op::Pass;
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_training::settings::{Precision, RunConfig};
use sharpness_training::{Budget, Engine, Job, Visitor, trained_examples, with_engine};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is found at the end of the training.
struct Found {
    along_gradient: f64,
    lambda_max: f64,
    lambda_min: f64,
}

/// `gᵀ H g / gᵀ g` for the gradient `g` of the loss at the point of `operator`. Takes one product.
fn curvature_along_gradient<B: Backend>(operator: &mut Curvature<'_, B>) -> Result<f64> {
    let gradient = operator.gradient().to_vec();
    let mut product = vec![0.0; gradient.len()];
    operator.apply(&gradient, &mut product)?;
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    Ok(dot(&gradient, &product) / dot(&gradient, &gradient))
}

/// Trains and measures on any backend.
struct TrainAndMeasure<'a> {
    config: &'a RunConfig,
    data: &'a Standardized,
}

impl Visitor for TrainAndMeasure<'_> {
    type Output = Result<Found>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Result<Found> {
        let Self { config, data } = self;
        let trained = trained_examples(config, data.dataset())?;
        let job = Job { config, engine, data, trained: &trained, budget: Budget::of_process(None) };
        let (outcome, state) = job.train(job.initial_state(), &mut (), &mut ())?;
        println!("{outcome:?} after {} epochs", state.progress.epoch);

        let examples = PartExamples::new(data, Part::Train);
        let source = (&examples as &dyn Examples, trained.as_slice());
        let chunks = Chunks { examples: 1000, memory_bytes: 256 << 20 };
        let (network, pass) = (&engine.network, Pass::EVALUATION);
        let mut hessian =
            Curvature::new(network, Matrix::Hessian, &state.weights, pass, source, chunks, &|| false)?;
        let along_gradient = curvature_along_gradient(&mut hessian)?;
        let mut extreme = |which| -> Result<f64> {
            let params = EigenParams { which, ..EigenParams::default() };
            Ok(eigenpairs(&mut hessian, &params, &mut |_| ())?.pairs[0].value)
        };
        let lambda_max = extreme(Which::LargestAlgebraic)?;
        Ok(Found { along_gradient, lambda_max, lambda_min: extreme(Which::SmallestAlgebraic)? })
    }
}

fn main() -> Result<()> {
    let digits = Dataset::load(DatasetName::Digits, &Locations::default())?;
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    (config.precision, config.model.hidden) = (Precision::F64, vec![16]);
    let data = Standardized::new(digits, config.data.standardize);

    let found = with_engine(&config, TrainAndMeasure { config: &config, data: &data })??;
    let Found { along_gradient, lambda_max, lambda_min } = found;
    println!("gᵀ H g / gᵀ g = {along_gradient:.4}, λ_max = {lambda_max:.4}, λ_min = {lambda_min:.4}");
    assert!(lambda_min <= along_gradient && along_gradient <= lambda_max, "a Rayleigh quotient lies between");
    assert!(along_gradient > 0.0, "the loss curves upwards along the gradient");
    Ok(())
}
