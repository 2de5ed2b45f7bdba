//! λ_max on subsets of several sizes, and the bound on the objective of SAM.

use sharpness_data::DatasetName;
use sharpness_network::Weights;
use sharpness_network::architectures::Architecture;
use sharpness_training::measures::{Measurement, SamBound, Subject, SubsetSize, subset_sizes};
use sharpness_training::settings::{MeasureConfig, Precision, RunConfig};
use sharpness_training::{Budget, Engine, Watch, trained_examples};

use crate::training_runs::{self, digits, network};

const MEMORY: Budget = Budget::of(1 << 30);

fn config() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.precision = Precision::F64;
    config.model.hidden = vec![16];
    config.measure = MeasureConfig { examples: 100, rtol: 1e-6, ..MeasureConfig::default() };
    config
}

fn measured(config: &RunConfig) -> Measurement {
    training_runs::measured(config, &Weights::initial(&network(config), 0), MEMORY)
}

#[test]
fn subsets_of_one_size_are_disjoint_and_the_first_is_that_of_a_measurement() {
    let config = config();
    let engine = &Engine { network: network(&config), double: None };
    let weights = Weights::initial(&engine.network, 0);
    let trained = &trained_examples(&config, digits().dataset()).unwrap();
    let (settings, seed) = (&config.measurement(), config.seed);
    let subject = Subject { engine, data: digits(), trained, settings, seed, budget: MEMORY };
    let sizes = subset_sizes(subject, &weights, &[100, 700, 1442], &Watch::new(&mut ()));
    let sizes: Vec<SubsetSize> = sizes.unwrap();
    let counts: Vec<(usize, usize)> =
        sizes.iter().map(|size| (size.examples, size.lambda_max.len())).collect();
    assert_eq!(counts, [(100, 4), (700, 2), (1442, 1)], "as many as there are examples for");
    let alone = measured(&config);
    let difference = (sizes[0].lambda_max[0].value / alone.lambda_max.value - 1.0).abs();
    assert!(difference < 1e-6, "the first subset is the one that is measured alone: {difference:e}");
    let mut values: Vec<f64> = sizes[0].lambda_max.iter().map(|one| one.value).collect();
    values.sort_by(f64::total_cmp);
    assert!(
        values.windows(2).all(|pair| pair[0] < pair[1]),
        "other examples have other curvature: {values:?}"
    );
    assert_eq!(sizes[2].deviation, None, "all examples are one set");
}

#[test]
fn the_bound_of_sam_is_reached_where_the_loss_is_quadratic_and_holds_for_small_radii() {
    for rho in [1e-4, 1e-2] {
        let mut config = config();
        config.measure.asked.insert("sam_bound".to_owned(), rho.into());
        let found = measured(&config);
        let bound = found.outcome::<SamBound>().unwrap();
        let expected = found.loss + rho * found.gradient_norm + 0.5 * rho * rho * found.lambda_max.value;
        assert!((bound.bound - expected).abs() < 1e-12, "the formula of appendix A.1");
        assert!(bound.maximum > found.loss, "the loss rises somewhere");
        assert!(!bound.refuted, "within ρ = {rho}: {bound:?}");
        assert!(
            bound.tightness.is_some_and(|share| share > 0.9),
            "the gradient dominates in a small ball: {bound:?}"
        );
    }
}
