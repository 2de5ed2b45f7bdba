//! λ_max through training in what is concluded from runs.

use sharpness_data::{Dataset, DatasetName, Locations, Standardization, Standardized};
use sharpness_network::architectures::Architecture;
use sharpness_runs::{RunOptions, complete_run};
use sharpness_study::claims::{Cell, Run};
use sharpness_training::optimizers::{OptimizerConfig, SgdConfig};
use sharpness_training::settings::RunConfig;

/// A small MLP on the digits with λ_max measured through training.
fn config_with_tracking() -> RunConfig {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![16];
    config.model.dropout = 0.1;
    config.data.train_examples = Some(250);
    config.training.optimizer = OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, ..SgdConfig::default() });
    config.training.max_epochs = 4;
    config.training.through_training = Some(1e-2);
    config.measure.examples = 60;
    config
}

#[test]
fn one_training_that_is_measured_twice_counts_once() {
    let mut tracked = config_with_tracking();
    tracked.training.target_accuracy = 0.3;
    let mut plain = tracked.clone();
    tracked.training.through_every = Some("2 steps".parse().unwrap());
    tracked.training.through_measures = vec!["trace".to_owned()];
    plain.training.through_training = None;
    let digits = Dataset::load(DatasetName::Digits, &Locations::default()).unwrap();
    let digits = Standardized::new(digits, Standardization::Pixel);
    let report = |config| {
        let made = complete_run(config, &digits, &RunOptions::default(), true, &mut ());
        made.unwrap().report().unwrap()
    };
    let reports = [report(&plain), report(&tracked)];
    assert_ne!(reports[0].id, reports[1].id, "they are two runs");
    let cells = Cell::of_runs(&Run::of_reports(&reports).unwrap(), false).kept;
    assert_eq!(cells.len(), 1, "of one setting");
    let [run] = &cells[0].runs[..] else { panic!("and one training: {cells:?}") };
    assert!(run.lambda_max.is_some(), "measured at its end: {run:?}");
    assert_eq!(run.quarters.is_some(), reports[1].training.lambda_max.len() > 4, "and on its way: {run:?}");
}
