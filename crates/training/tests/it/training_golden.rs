//! Twenty steps of each optimizer against PyTorch in double precision.

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::{Examples, Images};
use sharpness_training::optimizers::{
    AdamConfig, BnStats, Cosine, OptimizerConfig, SamConfig, ScheduleConfig, SgdConfig, Step,
};
use sharpness_training::settings::{RunConfig, TrainingConfig};
use sharpness_training::{Moment, Optimizer};

use crate::fixture::{Golden, assert_close};

/// Both sides sum in double precision in different orders, twenty times on.
const TOLERANCE: f64 = 1e-9;

/// The examples of a golden file.
#[derive(Debug)]
struct Batch {
    images: Vec<f64>,
    labels: Vec<u32>,
}

impl Examples for Batch {
    fn images(&self) -> Images<'_> {
        Images::Numbers(&self.images)
    }

    fn label(&self, number: u32) -> u32 {
        self.labels[number as usize]
    }
}

fn training(golden: &Golden) -> TrainingConfig {
    let optimizer = &golden.0["optimizer"];
    let number = |key: &str| optimizer[key].as_f64().unwrap();
    let is_perturbed = optimizer["method"] == "sam" || optimizer["method"] == "asam";
    let sam = is_perturbed.then(|| SamConfig {
        rho: number("rho"),
        adaptive: optimizer["method"] == "asam",
        m: None,
        bn_stats: if optimizer["bn_stats"] == "both" { BnStats::Both } else { BnStats::First },
    });
    let weight_decay = number("weight_decay");
    let config = if optimizer["method"] == "adam" {
        let [beta1, beta2] = [0, 1].map(|i| optimizer["betas"][i].as_f64().unwrap());
        OptimizerConfig::Adam(AdamConfig { beta1, beta2, epsilon: number("epsilon"), weight_decay })
    } else {
        let nesterov = optimizer["nesterov"].as_bool().unwrap();
        OptimizerConfig::Sgd(SgdConfig { momentum: number("momentum"), nesterov, weight_decay })
    };
    TrainingConfig {
        learning_rate: number("learning_rate"),
        optimizer: config,
        batch_size: 16,
        sam,
        ..RunConfig::new(DatasetName::Digits, Architecture::CnnBn).training
    }
}

fn check(case: &str) {
    let golden = Golden::read(case);
    let network = golden.network();
    let config = training(&golden);
    let (images, labels) = golden.batch();
    let examples = Batch { images, labels };
    let mut optimizer = Optimizer::new(&network, &config, &golden.weights(&network), &[]);
    let pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };
    for (step, expected) in (0_u32..).zip(golden.numbers("losses")) {
        let batch: Vec<u32> = (0..16).map(|j| (16 * step + j) % 64).collect();
        let loss = optimizer
            .step(&examples, &batch, &Moment { step, learning_rate: config.learning_rate, pass })
            .loss
            / 16.0;
        assert_close(&format!("loss of step {step}"), loss, expected, TOLERANCE * expected);
    }

    let weights = optimizer.weights();
    golden.assert_digest("final_parameters", &network, &weights.parameters, TOLERANCE);
    let buffers = golden.0["final_buffers"].as_object().unwrap();
    assert_eq!(buffers.len(), network.state().tensors().len(), "every running statistic is compared");
    for tensor in network.state().tensors() {
        let expected = Golden(golden.0["final_buffers"].clone()).numbers(&tensor.name);
        for (own, expected) in weights.state[tensor.range()].iter().zip(expected) {
            assert_close(&tensor.name, *own, expected, TOLERANCE * (1.0 + expected.abs()));
        }
    }
}

#[test]
fn sgd() {
    check("train-sgd");
}

#[test]
fn momentum() {
    check("train-momentum");
}

#[test]
fn nesterov() {
    check("train-nesterov");
}

#[test]
fn sam_that_moves_statistics_in_its_first_pass() {
    check("train-sam-first");
}

#[test]
fn sam_that_moves_statistics_in_both_passes() {
    check("train-sam-both");
}

#[test]
fn adaptive_sam() {
    check("train-asam");
}

#[test]
fn adam() {
    check("train-adam");
}

#[test]
fn schedules_and_warmup() {
    let golden = Golden::read("schedules");
    let number = |key: &str| golden.0[key].as_f64().unwrap();
    let whole = |key: &str| u32::try_from(golden.0[key].as_u64().unwrap()).unwrap();
    let step = Step { step_epochs: whole("step_epochs") as usize, gamma: number("gamma") };
    let cosine = Cosine { final_factor: number("final_factor") };
    let steps_per_epoch = whole("steps_per_epoch");
    for (case, schedule, warmup_steps) in [
        ("step", ScheduleConfig::Step(step.clone()), 0),
        ("cosine", ScheduleConfig::Cosine(cosine.clone()), 0),
        ("step_warmup", ScheduleConfig::Step(step), whole("warmup_steps")),
        ("cosine_warmup", ScheduleConfig::Cosine(cosine), whole("warmup_steps")),
    ] {
        let config = TrainingConfig {
            learning_rate: number("learning_rate"),
            max_epochs: whole("epochs"),
            schedule,
            warmup_steps,
            ..RunConfig::new(DatasetName::Digits, Architecture::CnnBn).training
        };
        let expected = golden.numbers(case);
        assert_eq!(expected.len(), (whole("epochs") * steps_per_epoch) as usize, "{case} has every step");
        for (step, expected) in (0_u32..).zip(expected) {
            let found = config.learning_rate_at(step / steps_per_epoch, step);
            assert_close(&format!("{case}, step {step}"), found, expected, 1e-14);
        }
    }
}
