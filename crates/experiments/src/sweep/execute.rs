//! Makes the runs of a plan, several at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Plan, PlannedRun};
use crate::data::{Dataset, DatasetName, Standardization, Standardized};
use crate::store::{CheckpointEvery, Existing, RunStatus, RunStore};
use crate::training::Observer;
use crate::{Completion, Error, Report, Result, RunOptions, complete_run};

/// How long to wait before looking again at a run that another process is making.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// Another process has made it in the meantime.
    Elsewhere(Box<Report>),
    /// Its configuration cannot be trained or measured, for this reason; it is not tried again unless asked for.
    Failed(String),
    /// Something else prevented it, such as the disk or missing data; the next sweep tries it again.
    Prevented(String),
    /// It was interrupted and saved.
    Interrupted,
}

/// Who watches a sweep. Runs that go on at once call from several threads.
pub trait SweepObserver: Sync {
    /// A run begins or is resumed; the answer watches it.
    fn begin<'o>(&'o self, run: &'o PlannedRun) -> Box<dyn Observer + 'o>;
    /// Another process is making a run. It is waited for, and made here if that process ends without a result.
    fn wait(&self, run: &PlannedRun);
    /// A run ended. Each is told once, also where several blocks share it.
    fn end(&self, run: &PlannedRun, end: &RunEnd);
    /// Whether to save all runs and stop.
    fn should_stop(&self) -> bool;
}

impl Sweep<'_> {
    /// Makes every run that is not done, and waits for those that other processes are making. A run that fails does not stop the
    /// others.
    ///
    /// # Errors
    /// [`Error::Threads`] if the threads cannot be started.
    pub fn run(&self, observer: &dyn SweepObserver) -> Result<()> {
        let queue: Queue<'_> = Mutex::new(self.plan.distinct().map(|run| (run, false)).collect());
        let data = DataCache::new(self.load);
        let work = || {
            while let Some((run, was_busy)) = next(&queue).filter(|_| !observer.should_stop()) {
                match self.make(run, was_busy, &data, observer) {
                    Ok(Some(end)) => observer.end(run, &end),
                    Ok(None) | Err(Error::RunLocked { .. }) => {
                        if was_busy {
                            std::thread::sleep(PAUSE);
                        } else {
                            observer.wait(run);
                        }
                        lock(&queue).push_back((run, true));
                    }
                    Err(error) => observer.end(run, &self.failed(run, &error)),
                }
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

    /// Makes a run if it is not done, or gives `None` if another process is making it; `was_busy` says whether one was before.
    fn make(
        &self,
        run: &PlannedRun,
        was_busy: bool,
        data: &DataCache<'_>,
        observer: &dyn SweepObserver,
    ) -> Result<Option<RunEnd>> {
        let elsewhere = |report| Some(RunEnd::Elsewhere(report));
        match self.store.status(&run.id) {
            RunStatus::Done(report) if was_busy => return Ok(elsewhere(report)),
            RunStatus::Done(report) => return Ok(Some(RunEnd::Known(report))),
            RunStatus::Running => return Ok(None),
            RunStatus::Failed(problem) if !self.retry_failed => return Ok(Some(RunEnd::Failed(problem))),
            RunStatus::Failed(_) => self.store.forget_failure(&run.id)?,
            RunStatus::Missing | RunStatus::Started(_) | RunStatus::Damaged(_) => {}
        }
        let data = data.of(run)?;
        let out = Some(self.store.run(&run.id).dir().to_owned());
        let (existing, checkpoint_every) = (Existing::Repair, self.checkpoint_every);
        let options = RunOptions { out, existing, checkpoint_every };
        let measured = (self.memory_bytes / self.jobs.max(1), true);
        let mut watch = observer.begin(run);
        Ok(match complete_run(&run.config, &data, &options, measured, &mut *watch)? {
            Completion::Made(report) => Some(RunEnd::Done(report)),
            Completion::Known(report) => elsewhere(report),
            Completion::Stopped => Some(RunEnd::Interrupted),
        })
    }

    fn failed(&self, run: &PlannedRun, error: &Error) -> RunEnd {
        let problem = error.to_string();
        if !error.is_of_configuration() {
            return RunEnd::Prevented(problem);
        }
        match self.store.write_failure(&run.id, &problem) {
            Ok(()) => RunEnd::Failed(problem),
            Err(second) => RunEnd::Prevented(format!("{problem}; and {second}")),
        }
    }
}

/// The runs that are left, and whether another process was making them.
type Queue<'q> = Mutex<VecDeque<(&'q PlannedRun, bool)>>;

fn lock<'l, 'q>(queue: &'l Queue<'q>) -> MutexGuard<'l, VecDeque<(&'q PlannedRun, bool)>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next<'q>(queue: &Queue<'q>) -> Option<(&'q PlannedRun, bool)> {
    lock(queue).pop_front()
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
