//! Executes the runs of a plan, several at once.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sharpness_data::{Dataset, DatasetName, Standardization, Standardized};
use sharpness_network::Ranks;
use sharpness_training::{Budget, Work, check_memory};

use crate::recipes::{Plan, PlannedRun};
use crate::report::Report;
use crate::run::{Completion, RunObserver, RunOptions, complete_run};
use crate::store::{CheckpointEvery, Existing, RunStatus, RunStore};
use crate::trackers::Trackers;
use crate::{Error, Result};

/// How long to wait before checking again a run that another process is executing. Longer after many checks, since each asks
/// the file server.
const PAUSE: Duration = Duration::from_millis(500);
const CHECKS: usize = 10;
const LONGEST_PAUSE: u32 = 8;

/// Loads a data set.
pub(super) type Load<'a> = dyn Fn(DatasetName) -> sharpness_data::Result<Dataset> + Sync + 'a;

/// Runs are kept and measured.
const RUN: Work<'_> = Work::Run { is_kept: true, is_measured: true };

/// The runs to execute, and how.
pub struct Sweep<'a> {
    /// The runs.
    pub plan: &'a Plan,
    /// Where they are kept.
    pub store: &'a RunStore,
    /// How many runs are executed at once.
    pub jobs: usize,
    /// The threads that they share. With one job, it works on the current rayon pool instead.
    pub threads: usize,
    /// The memory of the process, which they share.
    pub budget: Budget,
    /// Whether to retry failed runs.
    pub retry_failed: bool,
    /// When to write checkpoints.
    pub checkpoint_every: CheckpointEvery,
    /// Where data sets come from.
    pub load: &'a Load<'a>,
    /// What shows the runs while they are executed.
    pub trackers: &'a Trackers,
}

/// How a run of a sweep ended.
#[derive(Clone, Debug)]
pub enum RunEnd {
    /// It is done now.
    Done(Box<Report>),
    /// It was done before.
    Known(Box<Report>),
    /// Another process finished it in the meantime.
    Elsewhere(Box<Report>),
    /// Its configuration cannot be trained or measured, for this reason; it is retried only on request.
    Failed(String),
    /// It failed for another reason, such as a full disk or missing data; the next sweep retries it.
    Prevented(String),
    /// It was interrupted and saved.
    Interrupted,
}

/// An observer of a sweep. Concurrent runs call it from several threads.
pub trait SweepObserver: Sync {
    /// A run starts or resumes; the returned observer watches it.
    fn begin<'o>(&'o self, run: &'o PlannedRun) -> Box<dyn RunObserver + 'o>;
    /// Another process is executing a run. The sweep waits for it, and takes over if that process ends without a
    /// result.
    fn wait(&self, run: &PlannedRun);
    /// A run ended. Called once per run, even if several blocks share it.
    fn end(&self, run: &PlannedRun, end: &RunEnd);
    /// Whether to save all runs and stop.
    fn should_stop(&self) -> bool;
}

impl Sweep<'_> {
    /// Executes every run that is not done, and waits for those of other processes. A run that fails does not stop the
    /// others.
    ///
    /// # Errors
    /// [`Error::Threads`] if the threads cannot be started; [`Error::Io`] if the store cannot be created;
    /// [`Memory`](sharpness_training::Error::Memory) if a user set a bound on the memory and an unfinished run does not
    /// fit.
    pub fn run(&self, observer: &dyn SweepObserver) -> Result<()> {
        if self.budget.is_asked() {
            self.check_memory()?;
        }
        // One error here instead of one per run.
        fs::create_dir_all(self.store.dir()).map_err(Error::io("create", self.store.dir()))?;
        let queue: Queue<'_> = Mutex::new(self.plan.distinct().map(|run| (run, 0)).collect());
        let data = DataCache::new(self.load);
        let varied = self.trackers.varied(self.plan.distinct().map(|run| &run.config))?;
        let work = || {
            while let Some((run, checks)) = next(&queue).filter(|_| !observer.should_stop()) {
                match self.make(run, checks > 0, (&data, &varied), observer) {
                    Ok(Some(end)) => observer.end(run, &end),
                    // After a loss, the run is that of the process that took it over.
                    Ok(None) | Err(Error::RunLocked { .. } | Error::LeaseLost { .. }) => {
                        if checks > 0 {
                            pause(checks, observer);
                        } else {
                            observer.wait(run);
                        }
                        lock(&queue).push_back((run, checks + 1));
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
        on_each(&pools, &work);
        Ok(())
    }

    /// The share of the memory for a run.
    fn share(&self) -> Budget {
        self.budget.less(data_bytes(self.plan)).shared_by(self.jobs)
    }

    /// Fails if a run of the plan does not fit in memory.
    fn check_memory(&self) -> Result<()> {
        let is_done = |run: &&PlannedRun| matches!(self.store.status(&run.config), RunStatus::Done(_));
        let runs = self.plan.distinct().filter(|run| !is_done(run));
        all_fit(runs.map(|run| check_memory(&run.config, RUN, self.share())))
    }

    /// Executes a run unless it is done. Returns `None` if another process is executing it; `was_busy` says whether one
    /// was before, and `varied` what trackers compare.
    fn make(
        &self,
        run: &PlannedRun,
        was_busy: bool,
        (data, varied): (&DataCache<'_>, &BTreeSet<String>),
        observer: &dyn SweepObserver,
    ) -> Result<Option<RunEnd>> {
        let elsewhere = |report| Some(RunEnd::Elsewhere(report));
        let mut status = self.store.status(&run.config);
        // Who only reads cannot tell whether a process on another machine was killed.
        if status == RunStatus::Running && !self.store.is_taken(&run.identity.training)? {
            status = self.store.status(&run.config);
        }
        match status {
            RunStatus::Done(report) if was_busy => return Ok(elsewhere(report)),
            RunStatus::Done(report) => return Ok(Some(RunEnd::Known(report))),
            RunStatus::Running => return Ok(None),
            RunStatus::Failed(problem) if !self.retry_failed => return Ok(Some(RunEnd::Failed(problem))),
            RunStatus::Failed(_) => self.store.forget_failure(&run.identity)?,
            RunStatus::Missing | RunStatus::Started(_) | RunStatus::Damaged(_) => {}
        }
        let data = data.of(run)?;
        let out = Some(self.store.training(&run.identity.training).dir().to_owned());
        let (existing, checkpoint_every) = (Existing::Repair, self.checkpoint_every);
        let (budget, ranks) = (self.share(), Ranks::default());
        let tracked = self.store.tracked(&run.config)?;
        let options = RunOptions { out, existing, tracked, checkpoint_every, budget, ranks };
        let mut watch = observer.begin(run);
        let mut tracked = self.trackers.watch(&run.config, varied, &mut *watch)?;
        let completion = complete_run(&run.config, &data, &options, true, &mut tracked);
        tracked.end(&completion);
        Ok(match completion? {
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
        match self.store.write_failure(&run.identity, &problem) {
            Ok(()) => RunEnd::Failed(problem),
            Err(second) => RunEnd::Prevented(format!("{problem}; and {second}")),
        }
    }
}

/// Waits before a run is checked again, unless the sweep is to stop.
fn pause(checks: usize, observer: &dyn SweepObserver) {
    let pauses = u32::try_from(checks / CHECKS).unwrap_or(LONGEST_PAUSE).clamp(1, LONGEST_PAUSE);
    (0..pauses).filter(|_| !observer.should_stop()).for_each(|_| std::thread::sleep(PAUSE));
}

/// Calls `work` on a thread of each pool at once. This starts no threads, so it cannot fail.
fn on_each(pools: &[rayon::ThreadPool], work: &(impl Fn() + Sync)) {
    if let Some((pool, others)) = pools.split_first() {
        pool.in_place_scope(|scope| {
            scope.spawn(|_| work());
            on_each(others, work);
        });
    }
}

/// Bytes of all data sets of a plan.
pub(super) fn data_bytes(plan: &Plan) -> usize {
    let data = plan.runs.iter().map(|run| (run.config.data.name, run.config.data.standardize.as_str()));
    data.collect::<BTreeSet<_>>().into_iter().map(|(name, _)| name.bytes()).sum()
}

/// Checks that everything fits in memory. The error names the bound that suffices for all of it. Other errors are
/// reported when their run's turn comes.
pub(super) fn all_fit(checked: impl Iterator<Item = sharpness_training::Result<()>>) -> Result<()> {
    let checked = checked.map(|checked| checked.map_err(Error::from));
    let needed = |error: &Error| match error {
        Error::Training(sharpness_training::Error::Memory { needed_bytes, .. }) => Some(*needed_bytes),
        _ => None,
    };
    let misfits = checked.filter_map(Result::err).filter(|error| needed(error).is_some());
    misfits.max_by_key(|error| needed(error)).map_or(Ok(()), Err)
}

/// The remaining runs, and how often another process was executing them.
type Queue<'q> = Mutex<VecDeque<(&'q PlannedRun, usize)>>;

fn lock<'l, 'q>(queue: &'l Queue<'q>) -> MutexGuard<'l, VecDeque<(&'q PlannedRun, usize)>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next<'q>(queue: &Queue<'q>) -> Option<(&'q PlannedRun, usize)> {
    lock(queue).pop_front()
}

/// The data sets that runs have needed so far.
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
        // Hold the lock while loading, since other runs may need the same data set.
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
