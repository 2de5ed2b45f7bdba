//! How far λ_max of the runs of a plan moves with the examples that it is measured on.

use sharpness_kernels::Cpu;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::execute::{DataCache, Load, all_fit, data_bytes};
use super::{Plan, PlannedRun};
use crate::config::Precision;
use crate::measures::{Budget, MeasureProgress, SubsetSize, subset_sizes};
use crate::store::{RunStatus, RunStore};
use crate::{Error, Result, Work, check_memory, network};

/// What is measured, and on what.
pub struct CompareExamples<'a> {
    /// The runs: those that are done and have the smallest seed.
    pub plan: &'a Plan,
    /// Where they are kept, and where the result is: beside each run.
    pub store: &'a RunStore,
    /// The numbers of examples; those that are larger than a run's training set stand for all of it.
    pub sizes: &'a [usize],
    /// The memory of the process.
    pub budget: Budget,
    /// Where data sets come from.
    pub load: &'a Load<'a>,
}

impl CompareExamples<'_> {
    /// Measures the runs for which these numbers of examples are not known. `observer` hears which run is measured, from 1, and how
    /// many there are.
    ///
    /// # Errors
    /// Those of [`subset_sizes`]; if weights cannot be read, or results not written.
    pub fn run(
        &self,
        observer: &mut dyn FnMut((usize, usize), &MeasureProgress),
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        let data = DataCache::new(self.load);
        let mut runs = self.wanted()?;
        runs.retain(|run| matches!(self.store.status(&run.id), RunStatus::Done(_)));
        self.fit(&runs)?;
        for (index, run) in runs.iter().enumerate() {
            let mut observe = |progress: &MeasureProgress| observer((index + 1, runs.len()), progress);
            let method = run.config.convolution;
            let sizes = match run.config.precision {
                Precision::F32 => self.measure(Cpu::<f32>::new(method), run, &data, &mut observe, stop),
                Precision::F64 => self.measure(Cpu::<f64>::new(method), run, &data, &mut observe, stop),
            }?;
            self.store.write_subset_sizes(&run.id, &sizes)?;
        }
        Ok(())
    }

    /// Refuses the comparison if it will not fit the memory once all runs are done.
    ///
    /// # Errors
    /// [`Error::Memory`]; if what is known of the runs cannot be read.
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

    /// The runs of the smallest seed for which these numbers of examples are not known, done or not, each once.
    fn wanted(&self) -> Result<Vec<&PlannedRun>> {
        let seed = self.plan.runs.iter().map(|run| run.config.seed).min();
        let mut runs = Vec::new();
        for run in self.plan.distinct().filter(|run| Some(run.config.seed) == seed) {
            let known = match self.store.subset_sizes(&run.id) {
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

    /// The numbers of examples for a run, each once.
    fn sizes(&self, run: &PlannedRun) -> Vec<usize> {
        let data = &run.config.data;
        let available = data.train_examples.unwrap_or(data.name.train_examples());
        let mut sizes: Vec<usize> = self.sizes.iter().map(|size| *size.min(&available)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    fn measure<B: Backend>(
        &self,
        backend: B,
        run: &PlannedRun,
        data: &DataCache<'_>,
        observer: &mut dyn FnMut(&MeasureProgress),
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<SubsetSize>> {
        let network = network(&run.config, backend)?;
        let path = self.store.run(&run.id).weights();
        let weights = Weights::read(&path, &network, run.config.model.arch.name())?;
        let data = data.of(run)?;
        let (place, budget) = ((&run.config, &*data), self.budget.less(data_bytes(self.plan)));
        subset_sizes(&network, place, &weights, &self.sizes(run), budget, observer, stop)
    }
}
