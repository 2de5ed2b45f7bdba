//! λ_max through training against measurements from scratch.

use sharpness_experiments::claims::Cell;
use sharpness_experiments::measures::TrackedLambdaMax;
use sharpness_experiments::network::Cpu;
use sharpness_experiments::network::backend::Method;
use sharpness_experiments::{RunOptions, complete_run, measure_run, network};

use crate::training_runs::{config_with_tracking, digits, train};

#[test]
fn the_last_value_is_that_of_a_measurement_from_scratch() {
    let mut config = config_with_tracking();
    config.measure.through_training = Some(1e-4);
    let trained = train(&config, &RunOptions::default(), None).unwrap();
    let tracked: &[TrackedLambdaMax] = &trained.report.lambda_max;
    let steps: Vec<u32> = tracked.iter().map(|found| found.step).collect();
    assert_eq!(steps, [0, 3, 6, 9, 12], "before the first step and at the end of four epochs of three steps");
    assert!(tracked.iter().all(|found| found.converged), "all are found: {tracked:?}");

    config.measure.rtol = 1e-4;
    let network = network(&config, Cpu::<f32>::new(Method::Auto)).unwrap();
    let place = (&config, digits());
    let weights = &trained.state.weights;
    let alone = measure_run(&network, place, (weights, None), 1 << 30, &mut |_| {}, &|| false).unwrap();
    let (last, alone) = (tracked.last().unwrap(), alone.lambda_max);
    let difference = (last.value / alone.value - 1.0).abs();
    assert!(difference < 1e-4, "tracked {} and measured {}: {difference:e}", last.value, alone.value);
}

#[test]
fn a_measurement_that_starts_from_the_one_before_takes_fewer_products() {
    let trained = train(&config_with_tracking(), &RunOptions::default(), None).unwrap();
    let first = trained.report.lambda_max[0].products;
    let median = trained.report.median_products().unwrap();
    assert!(median < first, "{median} products (median) after a first measurement with {first}");
    let epochs = trained.state.progress.last_epoch.as_ref().unwrap();
    assert_eq!(epochs.lambda_max.as_ref(), trained.report.lambda_max.last(), "the epoch's line has it too");
}

#[test]
fn one_training_that_is_measured_twice_counts_once() {
    let mut tracked = config_with_tracking();
    tracked.training.target_accuracy = 0.3;
    let mut plain = tracked.clone();
    plain.measure.through_training = None;
    let report = |config| {
        let made = complete_run(config, digits(), &RunOptions::default(), (1 << 30, true), &mut ());
        made.unwrap().unwrap()
    };
    let reports = [report(&plain), report(&tracked)];
    assert_ne!(reports[0].id, reports[1].id, "they are two runs");
    let cells = Cell::of_runs(&reports).unwrap();
    assert_eq!(cells.len(), 1, "of one setting");
    let counts = [&cells[0].test_accuracy, &cells[0].lambda_max, &cells[0].lambda_max_in_training];
    assert_eq!(counts.map(|samples| samples.count()), [1, 1, 1], "and one training");
}
