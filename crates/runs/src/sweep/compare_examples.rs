//! How λ_max of the runs of a plan depends on the measured examples.

use std::cell::RefCell;

use sharpness_data::Standardized;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_training::measures::{Subject, SubsetSize, subset_sizes};
use sharpness_training::{
    Budget, Engine, MeasureProgress, Visitor, Watcher, Work, check_memory, trained_examples, with_engine,
};

use super::execute::{DataCache, Load, all_fit, data_bytes};
use crate::recipes::{Plan, PlannedRun};
use crate::store::{RunStatus, RunStore};
use crate::{Error, Result};

/// What to measure, and on which examples.
pub struct CompareExamples<'a> {
    /// The runs: those that are done and have the smallest seed.
    pub plan: &'a Plan,
    /// Where the runs are, and the results beside them.
    pub store: &'a RunStore,
    /// The numbers of examples; numbers above the size of a run's training set stand for all of it.
    pub sizes: &'a [usize],
    /// The memory of the process.
    pub budget: Budget,
    /// Where data sets come from.
    pub load: &'a Load<'a>,
}

impl CompareExamples<'_> {
    /// Measures the runs that lack these numbers of examples. `observer` receives the number of the run, from 1, and
    /// their count.
    ///
    /// # Errors
    /// Those of [`subset_sizes`]; if weights cannot be read, or results not written.
    pub fn run(
        &self,
        observer: &mut dyn FnMut((usize, usize), &MeasureProgress),
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        struct Watch<'a>(&'a dyn Fn(&MeasureProgress), &'a dyn Fn() -> bool);
        impl Watcher for Watch<'_> {
            fn report(&self, progress: &MeasureProgress) {
                self.0(progress);
            }
            fn should_stop(&self) -> bool {
                self.1()
            }
        }
        let data = DataCache::new(self.load);
        let mut runs = self.wanted()?;
        runs.retain(|run| matches!(self.store.status(&run.config), RunStatus::Done(_)));
        self.fit(&runs)?;
        let (observer, count) = (RefCell::new(observer), runs.len());
        for (index, run) in runs.into_iter().enumerate() {
            let observe = |progress: &MeasureProgress| observer.borrow_mut()((index + 1, count), progress);
            let data = data.of(run)?;
            let watcher = &Watch(&observe, stop);
            let sizes = with_engine(&run.config, Measure { compare: self, run, data: &data, watcher })??;
            self.store.write_subset_sizes(&run.identity.training, &sizes)?;
        }
        Ok(())
    }

    /// Fails if the comparison will not fit in memory when all runs are done.
    ///
    /// # Errors
    /// [`Memory`](sharpness_training::Error::Memory); if the records of the runs cannot be read.
    pub fn check_memory(&self) -> Result<()> {
        self.fit(&self.wanted()?)
    }

    fn fit(&self, runs: &[&PlannedRun]) -> Result<()> {
        let budget = self.budget.less(data_bytes(self.plan));
        all_fit(
            runs.iter().map(|run| {
                check_memory(&run.config, Work::Measurement { examples: &self.sizes(run) }, budget)
            }),
        )
    }

    /// The runs of the smallest seed that lack these numbers of examples, done or not, without repetition.
    fn wanted(&self) -> Result<Vec<&PlannedRun>> {
        let seed = self.plan.runs.iter().map(|run| run.config.seed).min();
        let mut runs = Vec::new();
        for run in self.plan.distinct().filter(|run| Some(run.config.seed) == seed) {
            let known = match self.store.subset_sizes(&run.identity.training) {
                Err(Error::DamagedRun { .. }) => None,
                known => known?,
            };
            let known: Option<Vec<usize>> =
                known.map(|sizes| sizes.iter().map(|size| size.examples).collect());
            if known != Some(self.sizes(run)) {
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// The numbers of examples for a run, without repetition.
    fn sizes(&self, run: &PlannedRun) -> Vec<usize> {
        let available = run.config.data.trained_examples();
        let mut sizes: Vec<usize> = self.sizes.iter().map(|size| *size.min(&available)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

/// Measures one run.
struct Measure<'a> {
    compare: &'a CompareExamples<'a>,
    run: &'a PlannedRun,
    data: &'a Standardized,
    watcher: &'a dyn Watcher,
}

impl Visitor for Measure<'_> {
    type Output = Result<Vec<SubsetSize>>;

    fn visit<B: Backend>(self, engine: &Engine<B>) -> Self::Output {
        let Self { compare, run, data, watcher } = self;
        let config = &run.config;
        let path = compare.store.training(&run.identity.training).weights();
        let weights = Weights::read(&path, &engine.network, config.model.arch.name())?;
        let trained = trained_examples(config, data.dataset())?;
        let (settings, budget) = (config.measurement(), compare.budget.less(data_bytes(compare.plan)));
        let (settings, seed) = (&settings, config.seed);
        let subject = Subject { engine, data, trained: &trained, settings, seed, budget };
        Ok(subset_sizes(subject, &weights, &compare.sizes(run), watcher)?)
    }
}
