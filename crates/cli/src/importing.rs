//! Reads weights from files, pairs their tensors with layers as the flags say, and warns if they look wrong.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sharpness_network::backend::Backend;
use sharpness_network::op::BatchNorm;
use sharpness_network::{Import, Imported, Match, Network, Origin, Pair, Rename, Weights, files};
use sharpness_runs::RunLayout;
use sharpness_training::measures::Measurement;
use sharpness_training::settings::RunConfig;

use crate::args::WeightsArgs;
use crate::output::{note, percent};

/// The largest file of pairs, in bytes.
const MOST_RENAME_BYTES: u64 = 1 << 20;

impl WeightsArgs {
    /// The file with the weights.
    pub(crate) fn path(&self) -> PathBuf {
        let of_run = |run: &PathBuf| {
            let layout = RunLayout::new(run);
            if self.between_iterates { layout.checkpoint() } else { layout.weights() }
        };
        let of_run = || self.run.as_ref().map(of_run);
        self.weights.clone().or_else(of_run).unwrap_or_default()
    }

    /// Reads the weights, and notes which tensors were paired if the names differ.
    ///
    /// # Errors
    /// A file that cannot be read, does not fit the network, or does not determine which tensor is which.
    pub(crate) fn import<B: Backend>(&self, network: &Network<B>, config: &RunConfig) -> Result<Imported> {
        let mut renames = self.rename.clone();
        renames.extend(self.renames_of_file()?);
        let matching = self.r#match.unwrap_or_default();
        let import = Import { matching, renames, statistics_optional: config.measure.bn == BatchNorm::Batch };
        let imported = Weights::import(&self.path(), network, &import, config.model.arch.name())?;
        if let Some(text) = pairs_text(&imported.origin) {
            note(&text);
        }
        Ok(imported)
    }

    fn renames_of_file(&self) -> Result<Vec<Rename>> {
        let Some(path) = &self.rename_file else { return Ok(Vec::new()) };
        let text = files::read_text(path, MOST_RENAME_BYTES)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Rename::parse_lines(&text).map_err(|problem| anyhow::anyhow!("{}, {problem}", path.display()))
    }

    /// A reason to doubt that foreign weights were imported correctly: a trained network that does no better than
    /// chance.
    pub(crate) fn doubt<B: Backend>(
        &self,
        network: &Network<B>,
        weights: &Weights,
        measured: &Measurement,
        classes: usize,
    ) -> Option<String> {
        let is_foreign = self.weights.is_some();
        if !is_foreign || !measured.is_near_chance(classes) || weights.can_be_initial(network) {
            return None;
        }
        Some(format!(
            "accuracy {} is near chance ({}), and these weights are not an initialization by this program: \
             they may be another initialization, tensors may be paired wrongly, or the training may have used other data \
             (--dataset, --standardize)",
            percent(measured.accuracy),
            percent(1.0 / classes as f64)
        ))
    }
}

/// Which tensors were paired, unless it is clear from their names.
fn pairs_text(origin: &Origin) -> Option<String> {
    let prefix = |pair: &Pair| pair.file.strip_suffix(&pair.network).map(str::to_owned);
    let first = origin.pairs.first().and_then(prefix);
    let count = origin.pairs.len();
    if let Some(first) =
        first.filter(|first| origin.pairs.iter().all(|pair| prefix(pair).as_ref() == Some(first)))
    {
        return (!first.is_empty())
            .then(|| format!("paired {count} tensors by name, without the prefix `{first}`"));
    }
    let how = match origin.matched {
        Match::Name => "by name",
        Match::Order => "by shape and number",
    };
    let pairs = origin.pairs.iter().map(|pair| format!("\n  {} -> {}", pair.file, pair.network));
    Some(format!("paired {count} tensors {how}:{}", pairs.collect::<String>()))
}
