//! Every choice that a run depends on. Two runs with the same choices are the same run.
//!
//! The location of data, the number of threads, and where and how often to save do not change results, so they are not
//! here.

use std::sync::LazyLock;

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_data::DatasetName;
use sharpness_kernels::ConvolutionAlgorithm;
use sharpness_network::architectures::Architecture;

use super::data::DataConfig;
use super::defaults::defaults;
use super::measure::MeasureConfig;
use super::model::ModelConfig;
use super::train::TrainingConfig;
use crate::range::{Range as _, Seed, one_of, within};

/// A training run and the measurement at its end.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Engine")]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The seed of the weights, the order of examples, dropout, the solver and --subset random
    #[arg(id = "seed", long, value_name = "S", default_value_t = 0, value_parser = Seed::parse)]
    #[serde(default, deserialize_with = "within::<_, Seed>")]
    pub seed: u64,

    /// Precision of parameters and activations
    #[arg(id = "precision", long, value_name = "P", default_value = "f32",
        value_parser = one_of([("f32", Precision::F32), ("f64", Precision::F64)]))]
    #[serde(default)]
    pub precision: Precision,

    /// How to compute convolutions: by definition, by Winograd's algorithm wherever it applies, or the fastest for each
    /// layer; results differ by rounding
    #[arg(id = "convolution", long, value_name = "METHOD", default_value = "auto", value_parser = one_of([
        ("direct", ConvolutionAlgorithm::Direct),
        ("winograd", ConvolutionAlgorithm::Winograd),
        ("auto", ConvolutionAlgorithm::Auto),
    ]))]
    #[serde(default)]
    pub convolution: ConvolutionAlgorithm,

    /// The examples.
    #[command(flatten)]
    pub data: DataConfig,

    /// The network.
    #[command(flatten)]
    pub model: ModelConfig,

    /// How it is trained.
    #[command(flatten)]
    #[serde(default)]
    pub training: TrainingConfig,

    /// What is measured at its end.
    #[command(flatten)]
    #[serde(default)]
    pub measure: MeasureConfig,
}

/// The precision of activations and parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Precision {
    #[default]
    F32,
    F64,
}

impl RunConfig {
    /// The paper's protocol for an architecture on a data set: plain SGD at η = 0.05 with batches of 100, until 99 % train
    /// accuracy.
    pub fn new(name: DatasetName, arch: Architecture) -> Self {
        static DEFAULTS: LazyLock<RunConfig> = LazyLock::new(defaults);
        let mut config = DEFAULTS.clone();
        (config.data.name, config.model.arch) = (name, arch);
        config
    }
}
