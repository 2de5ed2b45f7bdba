//! Trainings and measurements have the same bits on any number of ranks.

use std::collections::BTreeMap;

use serde_json::Value;
use sharpness_network::Ranks;
use sharpness_training::measures::{AdamSharpness, BetweenIterates, Measure, Measurement, Visitor, each};
use sharpness_training::optimizers::{BnStats, SamConfig};
use sharpness_training::settings::{Precision, RunConfig};
use sharpness_training::{Budget, Outcome};

use crate::thread_ranks::on_ranks;
use crate::training_runs::{
    Trained, Watch, config, config_with_batch_norm, config_with_tracking, measured_by, train, train_shared,
};

/// The state and the next iterate, without the time.
fn content(mut trained: Trained) -> String {
    trained.state.progress.seconds = 0.0;
    let Trained { outcome, state, next } = trained;
    // The shortest digits that identify a number.
    format!("{outcome:?} {state:?} {next:?}")
}

fn check(label: &str, config: &RunConfig) {
    let expected = content(train(config, None));
    for size in 2..=7 {
        let all = on_ranks(size, |ranks| content(train_shared(config, &mut Watch::default(), ranks)));
        for (rank, own) in all.iter().enumerate() {
            assert!(*own == expected, "{label}: rank {rank} of {size}\n{own:.300}\n{expected:.300}");
        }
    }
}

/// A short training in small micro-batches.
fn short(mut config: RunConfig) -> RunConfig {
    config.training.max_epochs = 1;
    config
}

#[test]
fn trainings_have_the_same_bits_on_any_number_of_ranks() {
    let mut dropout = short(config());
    check("one micro-batch", &dropout);
    dropout.training.micro_batch_size = 7;
    check("dropout", &dropout);
    dropout.training.micro_batch_size = 1;
    check("more micro-batches than groups", &dropout);
    let mut tracked = short(config_with_tracking());
    tracked.training.micro_batch_size = 30;
    tracked.training.through_measures = vec!["batch_sharpness".to_owned()];
    check("measured through training", &tracked);
}

#[test]
fn sam_and_batch_norm_have_the_same_bits_on_any_number_of_ranks() {
    for (m, bn_stats) in [(Some(20), BnStats::First), (Some(3), BnStats::Both), (None, BnStats::Both)] {
        for precision in [Precision::F32, Precision::F64] {
            let mut config = short(config_with_batch_norm());
            config.precision = precision;
            config.training.sam = Some(SamConfig { rho: 0.05, adaptive: m.is_none(), m, bn_stats });
            check(&format!("m = {m:?}, {bn_stats:?}, {precision:?}"), &config);
        }
    }
}

#[test]
fn a_stop_on_one_rank_stops_the_training_of_all_after_the_same_step() {
    let mut config = config();
    config.training.micro_batch_size = 20;
    let all = on_ranks(3, |ranks| {
        let stop_at = (ranks.rank() == 2).then_some(4);
        train_shared(&config, &mut Watch { stop_at, ..Watch::default() }, ranks)
    });
    let steps: Vec<(Outcome, u32)> = all.iter().map(|one| (one.outcome, one.state.progress.step)).collect();
    assert_eq!(steps, [(Outcome::Interrupted, 4); 3]);
}

/// The report without times, memory and what is kept in it.
fn report(measured: &Measurement) -> Value {
    let mut report = serde_json::to_value(measured).unwrap();
    let fields = report.as_object_mut().unwrap();
    ["seconds", "costs", "memory", "cached_chunks", "ranks"]
        .iter()
        .for_each(|field| drop(fields.remove(*field)));
    report
}

/// Asks for every measure that weights have without their training.
struct Every<'a>(&'a mut BTreeMap<String, toml::Value>);

impl Visitor for Every<'_> {
    fn visit<M: Measure>(&mut self) {
        if ![BetweenIterates::NAME, AdamSharpness::NAME].contains(&M::NAME) {
            self.0.insert(M::NAME.to_owned(), true.into());
        }
    }
}

#[test]
fn measurements_have_the_same_bits_on_any_number_of_ranks() {
    for (mut config, chunk) in [(config(), 13), (config_with_batch_norm(), 16)] {
        config.measure.examples = 90;
        config.measure.chunk = Some(chunk);
        config.measure.top_k = 2;
        each(&mut Every(&mut config.measure.asked));
        let weights = train(&short(config.clone()), None).state.weights;
        let budget = Budget::of(1 << 28);
        let alone = measured_by(&config, &weights, budget, &Ranks::default());
        for size in [2, 3] {
            let all = on_ranks(size, |ranks| measured_by(&config, &weights, budget, ranks));
            for measured in all {
                assert_eq!(measured.ranks, size);
                assert_eq!(report(&measured), report(&alone), "{size} ranks");
            }
        }
    }
}
