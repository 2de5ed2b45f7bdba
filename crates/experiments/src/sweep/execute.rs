//! Makes the runs of a plan, several at once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Plan, PlannedRun};
use crate::data::{Dataset, DatasetName, Standardization, Standardized};
use crate::store::{CheckpointEvery, RunStatus, RunStore};
use crate::training::Observer;
use crate::{Error, Report, Result, RunOptions, complete_run};

/// Loads a data set.
pub(super) type Load<'a> = dyn Fn(DatasetName) -> Result<Dataset> + Sync + 'a;

/// The runs to make, and how.
pub struct Sweep<'a> {
    /// The runs.
    pub plan: &'a Plan,
    /// Where they are kept.
    pub store: &'a RunStore,
    /// How many runs go on at once.
    pub jobs: usize,
    /// The threads that they share. With one job, it works on the current rayon pool instead.
    pub threads: usize,
    /// The memory that their measurements share.
    pub memory_bytes: usize,
    /// Whether to try again what could not be made before.
    pub retry_failed: bool,
    /// When checkpoints are written.
    pub checkpoint_every: CheckpointEvery,
    /// Where data sets come from.
    pub load: &'a Load<'a>,
}

/// What became of a run.
#[derive(Clone, Debug)]
pub enum RunEnd {
    /// It is done now.
    Done(Box<Report>),
    /// It had been done before.
    Known(Box<Report>),
    /// It cannot be made, now or in an earlier try, for this reason.
    Failed(String),
    /// Another process works on it.
    Elsewhere,
    /// It was interrupted and saved.
    Interrupted,
}

/// Who watches a sweep. Runs that go on at once call from several threads.
pub trait SweepObserver: Sync {
    /// A run begins or goes on; the answer watches it.
    fn begin<'o>(&'o self, run: &'o PlannedRun) -> Box<dyn Observer + 'o>;
    /// A run ended. Each is told once, also where several blocks share it.
    fn end(&self, run: &PlannedRun, end: &RunEnd);
    /// Whether to save all runs and stop.
    fn should_stop(&self) -> bool;
}

impl Sweep<'_> {
    /// Makes every run that is not done. A run that fails does not stop the others.
    ///
    /// # Errors
    /// [`Error::Threads`] if the threads cannot be started.
    pub fn run(&self, observer: &dyn SweepObserver) -> Result<()> {
        let mut seen = BTreeSet::new();
        let queue: VecDeque<&PlannedRun> = self.plan.runs.iter().filter(|run| seen.insert(&run.id)).collect();
        let (queue, data) = (Mutex::new(queue), DataCache::new(self.load));
        let work = || {
            while let Some(run) = next(&queue).filter(|_| !observer.should_stop()) {
                let end = self.make(run, &data, observer).unwrap_or_else(|error| match error {
                    Error::RunLocked { .. } => RunEnd::Elsewhere,
                    error => self.failed(run, &error),
                });
                observer.end(run, &end);
            }
        };
        if self.jobs <= 1 {
            work();
            return Ok(());
        }
        let threads = (self.threads / self.jobs).max(1);
        let pools = (0..self.jobs).map(|_| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
        let pools: Vec<rayon::ThreadPool> = pools
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| Error::Threads(error.to_string()))?;
        std::thread::scope(|scope| {
            for pool in &pools {
                scope.spawn(|| pool.install(work));
            }
        });
        Ok(())
    }

    fn make(&self, run: &PlannedRun, data: &DataCache<'_>, observer: &dyn SweepObserver) -> Result<RunEnd> {
        match self.store.status(&run.id)? {
            RunStatus::Done(report) => return Ok(RunEnd::Known(report)),
            RunStatus::Running => return Ok(RunEnd::Elsewhere),
            RunStatus::Failed(problem) if !self.retry_failed => return Ok(RunEnd::Failed(problem)),
            RunStatus::Failed(_) => self.store.forget_failure(&run.id)?,
            RunStatus::Missing | RunStatus::Started(_) => {}
        }
        let data = data.of(run)?;
        let out = Some(self.store.run(&run.id).dir().to_owned());
        let options = RunOptions { out, resume: true, checkpoint_every: self.checkpoint_every };
        let measured = (self.memory_bytes / self.jobs.max(1), true);
        let mut watch = observer.begin(run);
        let report = complete_run(&run.config, &data, &options, measured, &mut *watch)?;
        Ok(report.map_or(RunEnd::Interrupted, |report| RunEnd::Done(Box::new(report))))
    }

    fn failed(&self, run: &PlannedRun, error: &Error) -> RunEnd {
        let problem = error.to_string();
        match self.store.write_failure(&run.id, &problem) {
            Ok(()) => RunEnd::Failed(problem),
            Err(second) => RunEnd::Failed(format!("{problem}; and {second}")),
        }
    }
}

fn next<'q>(queue: &Mutex<VecDeque<&'q PlannedRun>>) -> Option<&'q PlannedRun> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Data sets that some run has needed.
pub(super) struct DataCache<'a> {
    load: &'a Load<'a>,
    loaded: Mutex<Vec<(DatasetName, Standardization, Arc<Standardized>)>>,
}

impl<'a> DataCache<'a> {
    pub(super) fn new(load: &'a Load<'a>) -> Self {
        Self { load, loaded: Mutex::default() }
    }

    pub(super) fn of(&self, run: &PlannedRun) -> Result<Arc<Standardized>> {
        let (name, standardize) = (run.config.data.name, run.config.data.standardize);
        // Others wait meanwhile, since they may need the same.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = loaded.iter().find(|(n, s, _)| (*n, *s) == (name, standardize));
        if let Some((_, _, data)) = found {
            return Ok(Arc::clone(data));
        }
        let data = Arc::new(Standardized::new((self.load)(name)?, standardize));
        loaded.push((name, standardize, Arc::clone(&data)));
        Ok(data)
    }
}
