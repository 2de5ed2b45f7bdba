//! What is measured, and how exactly.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_data::Subset;
use sharpness_network::op::BatchNorm;
use toml::Value;

use super::bound_rtol::BoundRtol;
use super::defaults::defaults;
use crate::range::{Count, Range as _, Tolerance, one_of, optional, within};

/// What is measured, and how exactly.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Measurement")]
#[serde(default)]
pub struct MeasureConfig {
    /// Number of training examples that the measured loss averages over, or `all` [default: 5000, or all if there are
    /// fewer]
    #[arg(id = "measure.examples", long, value_name = "N", default_value = "5000", hide_default_value = true,
        value_parser = parse_examples)]
    #[serde(deserialize_with = "within::<_, Count>")]
    pub examples: usize,

    /// Which training examples to measure on: evenly strided, the first ones, or at random by the seed
    #[arg(id = "measure.subset", long, value_name = "WHICH", default_value = "every",
        value_parser = one_of(Subset::ALL.map(|choice| (choice.as_str(), choice))))]
    pub subset: Subset,

    /// Statistics of batch norm: of each chunk, differentiated through, or the running ones
    #[arg(id = "measure.bn", long, value_name = "MODE", default_value = "batch",
        value_parser = one_of([("batch", BatchNorm::Batch), ("running", BatchNorm::Running)]))]
    pub bn: BatchNorm,

    /// Examples of a chunk; with --bn batch, the batch of batch norm. The last chunk may be shorter [default: the micro-batch of
    /// the training, at most 1000; 1000 for weights of an unknown training]
    #[arg(id = "measure.chunk", long = "bn-chunk", value_name = "N", value_parser = Count::parse)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional::<_, Count>")]
    pub chunk: Option<usize>,

    /// Number of largest eigenvalues to compute
    #[arg(id = "measure.top_k", long, value_name = "K", default_value_t = 1, value_parser = Count::parse)]
    #[serde(deserialize_with = "within::<_, Count>")]
    pub top_k: usize,

    /// An eigenvalue is found when its residual is at most this fraction of it
    #[arg(id = "measure.rtol", long, value_name = "R", allow_negative_numbers = true, default_value_t = 1e-3,
        value_parser = Tolerance::parse)]
    #[serde(deserialize_with = "within::<_, Tolerance>")]
    pub rtol: f64,

    /// An eigenvalue is found only if the bound shows that nothing exceeds it by more than this fraction of it; `off` trusts the
    /// residual alone, which saves products and may miss a larger eigenvalue
    #[arg(id = "measure.bound_rtol", long, value_name = "R|off", allow_negative_numbers = true,
        default_value_t = BoundRtol(Some(0.1)))]
    pub bound_rtol: BoundRtol,

    /// Give up after this many Hessian-vector products
    #[arg(id = "measure.max_products", long, value_name = "N", default_value_t = 500, value_parser = Count::parse)]
    #[serde(deserialize_with = "within::<_, Count>")]
    pub max_products: usize,

    /// The measures besides λ_max, by name: `true`, a table of settings, or the value of the main setting alone.
    #[arg(skip)]
    #[serde(flatten)]
    pub asked: BTreeMap<String, Value>,
}

/// Examples of a measurement on everything that was trained on: the largest number that TOML has, on machines of 64 bits.
pub const ALL_EXAMPLES: usize = usize::MAX / 2;

fn parse_examples(text: &str) -> Result<usize, String> {
    if text == "all" { Ok(ALL_EXAMPLES) } else { Count::parse(text) }
}

impl MeasureConfig {
    /// The size of a chunk if it is unknown how the network was trained, and the largest that follows from a training:
    /// the authors of the paper took min(batch size, 1000).
    pub const DEFAULT_CHUNK: usize = 1000;
}

impl Default for MeasureConfig {
    /// 5,000 evenly strided examples, λ_max alone, residual below 10⁻³ of it, shown to be the largest to 10 %.
    fn default() -> Self {
        static DEFAULTS: LazyLock<MeasureConfig> = LazyLock::new(defaults);
        DEFAULTS.clone()
    }
}
