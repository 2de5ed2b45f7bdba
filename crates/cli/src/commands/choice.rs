//! The runs of a store that a command is about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use sharpness_runs::{Filter, Identity, Plan, Report, RunStatus, RunStore};

use crate::exit::Usage;
use crate::output::note;

/// Which runs.
#[derive(Args, Debug)]
pub(super) struct Choice {
    /// The store
    #[arg(long, value_name = "DIR", default_value = "runs")]
    store: PathBuf,

    /// Only runs with this setting, such as learning_rate=0.1; repeatable
    #[arg(long = "where", value_name = "KEY=VALUE")]
    filters: Vec<String>,

    /// Only runs of this recipe; repeatable
    #[arg(long = "recipe", value_name = "FILE")]
    of_recipes: Vec<PathBuf>,
}

/// A run that is not done.
type Unfinished = (String, RunStatus);

impl Choice {
    /// The store.
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// Whether some runs may be left out.
    pub(super) fn is_filtered(&self) -> bool {
        !self.filters.is_empty() || !self.of_recipes.is_empty()
    }

    /// The runs of the recipes; none if all are wanted.
    fn planned(&self) -> Result<Option<BTreeSet<Identity>>> {
        if self.of_recipes.is_empty() {
            return Ok(None);
        }
        let mut planned = BTreeSet::new();
        for recipe in &self.of_recipes {
            planned.extend(Plan::read(recipe)?.runs.into_iter().map(|run| run.identity));
        }
        Ok(Some(planned))
    }

    /// The reports of the finished runs; prints a note for each damaged one.
    pub(super) fn reports(&self) -> Result<Vec<Report>> {
        let (reports, others) = self.runs()?;
        for (id, status) in &others {
            if let RunStatus::Damaged(problem) = status {
                note(&format!("{id} is left out: {problem}"));
            }
        }
        Ok(reports)
    }

    /// The reports of the finished runs, and the others with their status.
    pub(super) fn runs(&self) -> Result<(Vec<Report>, Vec<Unfinished>)> {
        let filters = self.filters.iter().map(|text| Filter::parse(text));
        let filters: Vec<Filter> =
            filters.collect::<Result<_, _>>().map_err(|error| Usage::new(error.to_string()))?;
        let planned = self.planned()?;
        let is_planned =
            |of: &dyn Fn(&Identity) -> bool| planned.as_ref().is_none_or(|all| all.iter().any(of));
        let store = RunStore::existing(&self.store)?;
        let (mut reports, mut others) = (Vec::new(), Vec::new());
        for id in store.trainings()? {
            if !is_planned(&|identity| identity.training == id) {
                continue;
            }
            let found = store.reports(&id);
            if found.is_empty() {
                others.push((id.clone(), store.training_status(&id)));
            }
            for report in found {
                let report = match report {
                    Ok(report) => report,
                    Err(error) => {
                        others.push((id.clone(), RunStatus::Damaged(damage(&error))));
                        continue;
                    }
                };
                let mut matches = is_planned(&|identity| identity.run == report.id);
                for filter in &filters {
                    matches &= filter.matches(&report.config)?;
                }
                if matches {
                    reports.push(report);
                }
            }
        }
        if reports.is_empty() && others.is_empty() {
            note(&format!("{} holds no runs", self.store.display()));
        }
        Ok((reports, others))
    }
}

/// Why a run cannot be read.
fn damage(error: &sharpness_runs::Error) -> String {
    match error {
        sharpness_runs::Error::DamagedRun { file, problem, .. } => {
            format!("{} is damaged: {problem}; a sweep recreates it", file.display())
        }
        error => error.to_string(),
    }
}
