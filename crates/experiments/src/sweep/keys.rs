//! The keys of a configuration, as recipes name them.

use std::collections::BTreeMap;

use sharpness_kernels::ConvolutionAlgorithm;
use sharpness_network::architectures::Architecture;
use toml::{Table, Value};

use crate::config::{BnStats, MeasureConfig, RunConfig, SamConfig};
use crate::data::DatasetName;

/// Names at least as near to another as this (Jaro-Winkler) are offered in its place.
const NEAR: f64 = 0.75;

/// Every key that a configuration may have, such as `training.learning_rate`, with a value of its type.
#[derive(Clone, Debug)]
pub(super) struct Keys(BTreeMap<String, Value>);

impl Keys {
    pub(super) fn new() -> Self {
        let mut full = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
        full.convolution = ConvolutionAlgorithm::Direct;
        full.data.train_examples = Some(1);
        full.data.seed = Some(0);
        full.training.sam =
            Some(SamConfig { rho: 0.0, adaptive: false, m: Some(1), bn_stats: BnStats::First });
        full.measure = MeasureConfig {
            chunk: Some(1),
            trace: Some(2),
            sam_bound: Some(1.0),
            through_training: Some(1.0),
            ..full.measure
        };
        let mut keys = BTreeMap::new();
        // A configuration is always a table.
        flatten("", &Table::try_from(full).unwrap_or_default(), &mut keys);
        Self(keys)
    }

    /// The whole key that `given` names: itself, or the one that ends with it.
    ///
    /// # Errors
    /// What to say where there is none.
    pub(super) fn resolve(&self, given: &str) -> Result<String, String> {
        if self.0.contains_key(given) {
            return Ok(given.to_owned());
        }
        let end = format!(".{given}");
        if let Some(key) = self.0.keys().find(|key| key.ends_with(&end)) {
            return Ok(key.clone());
        }
        Err(format!("there is no setting '{given}'; {}", self.nearest(given)))
    }

    /// Whether the values of a key are whole numbers.
    pub(super) fn is_whole(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(Value::is_integer)
    }

    fn nearest(&self, given: &str) -> String {
        let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let near = |key: &&String| strsim::jaro_winkler(&last(given), &last(key));
        let best = self.0.keys().max_by(|a, b| near(a).total_cmp(&near(b)));
        match best.filter(|best| near(best) >= NEAR) {
            Some(best) => format!("did you mean '{}' ({best})?", last(best)),
            None => format!("there are {}", self.0.keys().cloned().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Collects the leaves of a table under their whole keys.
fn flatten(prefix: &str, table: &Table, leaves: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, leaves),
            leaf => {
                leaves.insert(key, leaf.clone());
            }
        }
    }
}
