//! A training that measured λ_max on the way also serves the runs that did not, since measuring changes none of its steps.

use std::collections::BTreeMap;

use sharpness_training::TrainState;
use sharpness_training::settings::RunConfig;

use super::config::{read_config, stored_config};
use super::metrics;
use super::run_dir::{RunDir, stored_state};
use super::runs::RunStore;
use crate::identity::Identity;
use crate::layout::RunLayout;
use crate::provenance::Provenance;
use crate::{Error, Result};

/// `config` without measurements on the way; `None` if it has none.
fn untracked(config: &RunConfig) -> Option<RunConfig> {
    let mut untracked = config.clone();
    let training = &mut untracked.training;
    training.through_training.take()?;
    training.through_every = None;
    training.through_measures.clear();
    Some(untracked)
}

impl RunStore {
    /// The finished training that took the steps of `config` and measured λ_max on the way; `None` if there is none, or if `config`
    /// itself measures on the way.
    pub(crate) fn tracked(&self, config: &RunConfig) -> Result<Option<RunLayout>> {
        if config.training.through_training.is_some() {
            return Ok(None);
        }
        let found = self.all_tracked().get(&Identity::of(config)?.training);
        Ok(found
            .into_iter()
            .flatten()
            .map(|name| self.training(name))
            .find(|layout| layout.result().exists()))
    }

    /// The trainings that measure λ_max on the way, finished or not, by the name of the training that does not.
    pub(super) fn read_tracked(&self) -> BTreeMap<String, Vec<String>> {
        let mut tracked: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in self.trainings().unwrap_or_default() {
            // What cannot be read serves no other run, and is reported when it is asked for.
            if let Ok(Some(stored)) = read_config(&self.training(&name))
                && let Some(config) = untracked(&stored.config).filter(|_| !stored.is_old)
                && let Ok(Identity { training, .. }) = Identity::of(&config)
            {
                tracked.entry(training).or_default().push(name);
            }
        }
        tracked
    }
}

impl RunDir {
    /// Takes over the epochs and the provenance of a [tracked](RunStore::tracked) training, and returns its last state, both
    /// without what was measured on the way. `dims` as in [`Self::checkpoint`].
    ///
    /// # Errors
    /// [`Error::DamagedRun`] or [`Error::Io`] if it cannot be read, or the files of this run cannot be written.
    pub(crate) fn take_over(&self, tracked: &RunLayout, dims: (usize, usize)) -> Result<TrainState> {
        let config = stored_config(tracked)?.config;
        let mut state = stored_state(tracked, &config, dims)?;
        if state.progress.outcome.is_none() {
            return Err(Error::damaged(tracked.checkpoint(), "it is not of the end".to_owned()));
        }
        state.eigenvector = None;
        state.progress.lambda_max.clear();
        if let Some(last) = &mut state.progress.last_epoch {
            last.lambda_max = None;
        }
        let mut epochs = metrics::read(&tracked.metrics(), state.progress.epoch)?;
        epochs.iter_mut().for_each(|epoch| epoch.lambda_max = None);
        self.replace(&self.layout().metrics(), &metrics::lines(&self.layout().metrics(), &epochs)?)?;
        let mut provenance = Provenance::read(&tracked.provenance())?;
        provenance.starts.extend(Provenance::read(&self.layout().provenance())?.starts);
        self.replace_json(&self.layout().provenance(), &provenance)?;
        Ok(state)
    }
}
