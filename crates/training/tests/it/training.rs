//! Training on the digits: convergence, divergence, micro-batches, threads and streams.

use sharpness_data::{DatasetName, Part, PartExamples};
use sharpness_network::Weights;
use sharpness_network::architectures::Architecture;
use sharpness_network::op::{BatchNorm, Dropout, Pass};
use sharpness_training::optimizers::{BnStats, SamConfig};
use sharpness_training::seeds::Purpose;
use sharpness_training::settings::{Precision, RunConfig};
use sharpness_training::{Moment, Optimizer, Outcome};

use crate::training_runs::{
    Watch, config, config_with_batch_norm, digits, momentum, network, train, train_watched,
};

fn distance(a: &Weights, b: &Weights) -> f64 {
    let squares = a.parameters.iter().zip(&b.parameters).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt() / b.parameters.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn an_mlp_reaches_99_percent_on_the_digits() {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    config.model.hidden = vec![64];
    config.training.learning_rate = 0.1;
    config.training.max_epochs = 100;
    let mut watch = Watch::default();
    let trained = train_watched(&config, &mut watch);
    let progress = &trained.state.progress;
    assert_eq!(trained.outcome, Outcome::Converged, "{progress:?}");
    assert_eq!(progress.outcome, Some(Outcome::Converged), "the state says so too");
    let last = progress.last_epoch.as_ref().unwrap();
    assert!(last.train_accuracy >= 0.99, "{last:?}");
    assert!(last.test_accuracy.unwrap() > 0.9, "{last:?}");
    let before_last = &watch.epochs[watch.epochs.len() - 2];
    assert!(before_last.train_accuracy < 0.99, "training stops at the first epoch that is good enough");
    assert_eq!(progress.epoch as usize, watch.epochs.len(), "every epoch is reported");
    assert_eq!(progress.step as usize, watch.steps.len(), "every step is reported");
}

#[test]
fn a_diverging_run_ends_at_once_with_its_last_finite_numbers() {
    let mut config = config();
    config.training.learning_rate = 1e6;
    config.training.max_epochs = 50;
    let trained = train(&config, None);
    let progress = &trained.state.progress;
    assert_eq!(trained.outcome, Outcome::Diverged, "{progress:?}");
    assert!(progress.last_batch_loss.unwrap().is_finite(), "{progress:?}");
    assert!(progress.epoch < 50, "{progress:?}");
}

#[test]
fn the_last_epoch_is_the_last() {
    let trained = train(&config(), None);
    let progress = &trained.state.progress;
    let found = (trained.outcome, progress.epoch, progress.step);
    assert_eq!(found, (Outcome::MaxEpochs, 4, 12), "{progress:?}");
    let last = progress.last_epoch.as_ref().unwrap();
    assert!(last.test_loss.is_some(), "the last epoch measures the test set whatever its size");
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    for sam in [None, Some(SamConfig { rho: 0.1, adaptive: true, m: None, bn_stats: BnStats::First })] {
        let mut config = config();
        config.precision = Precision::F64;
        config.training.sam = sam;
        let whole = train(&config, None).state.weights;
        config.training.micro_batch_size = 7;
        let parts = train(&config, None).state.weights;
        let distance = distance(&parts, &whole);
        assert!(distance < 1e-11, "micro-batches of 7 end {distance:e} away from whole batches");
    }
}

/// The mean over groups, weighted by size, of the gradients at each group's own perturbed point.
#[test]
fn sam_perturbs_each_group_on_its_own() {
    let mut config = config();
    config.precision = Precision::F64;
    config.training.optimizer = momentum(0.0);
    config.training.sam = Some(SamConfig { rho: 0.5, adaptive: false, m: None, bn_stats: BnStats::First });
    let network = network(&config);
    let start = Weights::initial(&network, 1);
    let examples = PartExamples::new(digits(), Part::Train);
    let pass = Pass { batch_norm: BatchNorm::Batch, dropout: Some(Dropout { seed: 1, step: 0 }) };
    let step = |m: Option<usize>, batch: &[u32]| {
        let mut training = config.training.clone();
        training.sam.as_mut().unwrap().m = m;
        let mut optimizer = Optimizer::new(&network, &training, &start, &[]);
        optimizer.step(&examples, batch, &Moment { step: 0, learning_rate: training.learning_rate, pass });
        optimizer.weights().parameters
    };
    let batch: Vec<u32> = (0..50).collect();
    let grouped = step(Some(20), &batch);
    let groups: Vec<Vec<f64>> = batch.chunks(20).map(|group| step(None, group)).collect();
    for (i, (own, start)) in grouped.iter().zip(&start.parameters).enumerate() {
        let moved: f64 = groups.iter().zip([0.4, 0.4, 0.2]).map(|(g, weight)| weight * (g[i] - start)).sum();
        assert!((own - start - moved).abs() < 1e-13, "parameter {i} moved by {} not {moved}", own - start);
    }
    let whole = step(None, &batch);
    assert!(
        grouped.iter().zip(&whole).any(|(a, b)| (a - b).abs() > 1e-6),
        "groups perturb otherwise than the whole batch"
    );
}

#[test]
fn one_and_two_threads_give_the_same_bits() {
    for config in [config(), config_with_batch_norm()] {
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&config, None).state.weights)
        };
        assert_eq!(with_threads(1), with_threads(2), "{}", config.model.arch.name());
    }
}

#[test]
fn the_start_depends_on_the_seed_alone() {
    let start = |config: &RunConfig| Weights::initial(&network(config), Purpose::Weights.seed(config.seed));
    let mut other = config();
    other.training.learning_rate = 0.5;
    other.training.batch_size = 25;
    other.model.dropout = 0.6;
    assert_eq!(start(&config()), start(&other), "same seed, same start");
    other.seed = 1;
    assert_ne!(start(&config()), start(&other), "another seed, another start");
}

#[test]
fn the_next_weights_are_those_of_the_next_step() {
    for config in [config(), config_with_batch_norm()] {
        // After the last step of an epoch of three, the next one begins another epoch.
        for stop_at in [1, 3, 4] {
            let here = train(&config, Some(stop_at));
            let there = train(&config, Some(stop_at + 1));
            assert_eq!(here.outcome, Outcome::Interrupted, "after step {stop_at}");
            assert_eq!(here.next, there.state.weights, "after step {stop_at}");
        }
    }
}
