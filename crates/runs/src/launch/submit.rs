//! Submits the runs of a plan that nobody is going to execute yet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::record::{Launch, LaunchTask, Record, absolute, name, next_number};
use super::script::{Script, array};
use super::slurm::{Cluster, Slurm};
use super::task_status::{Overview, TaskPhase, TaskStatus};
use crate::layout::LaunchLayout;
use crate::recipes::{Plan, PlannedRun};
use crate::store::{RunStatus, RunStore};
use crate::{Error, Result, atomic};

/// `MaxArraySize` of a cluster that says nothing else.
const USUAL_ARRAY: usize = 1_001;

/// How tasks call the program.
#[derive(Clone, Debug)]
pub struct Program {
    /// The words of a shell that start it.
    pub called: String,
    /// Further flags of `sharpness sweep`, such as `--data-dir`; paths are absolute.
    pub flags: Vec<String>,
}

/// Runs to submit to Slurm.
#[derive(Clone, Copy)]
pub struct Submission<'a> {
    /// The runs.
    pub plan: &'a Plan,
    /// The file of their recipe, and its text.
    pub recipe: (&'a Path, &'a str),
    /// Where they are kept.
    pub store: &'a RunStore,
    /// How the program is called.
    pub program: &'a Program,
    /// Whether to retry runs that failed because of their settings, or ran out of memory again.
    pub retry_failed: bool,
    /// Slurm.
    pub slurm: Slurm<'a>,
}

/// What was submitted as one launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The number of the launch.
    pub launch: u32,
    /// The identifiers of its arrays.
    pub jobs: Vec<String>,
    /// The number of tasks.
    pub tasks: usize,
    /// The number of runs.
    pub runs: usize,
    /// The memory of each task in MiB, if it was raised because they ran out of it.
    pub raised_memory: Option<u64>,
}

/// Tasks that get the same memory: how much in MiB, and whether that was raised.
type Group = ((Option<u64>, bool), Vec<LaunchTask>);

impl Submission<'_> {
    /// Submits every run that is neither done, nor running, nor queued: tasks that ran out of memory with more of it, if the recipe
    /// allows, and once. Processes that submit to the same store take turns.
    ///
    /// # Errors
    /// [`Error::Slurm`] if Slurm does not answer or refuses; arrays that it accepted before are kept. [`Error::Io`] if the store
    /// cannot be written; [`Error::Launch`] if a path is not text.
    pub fn submit(&self) -> Result<Vec<Submitted>> {
        let cluster = self.slurm.cluster()?;
        let all = LaunchLayout::all(self.store.dir());
        fs::create_dir_all(&all).map_err(Error::io("create", &all))?;
        let _turn = atomic::open_locked(&LaunchLayout::lock(self.store.dir()), |file| {
            // A file system without locks is no reason to stop: no run is executed twice anyway.
            let _ = file.lock();
            Ok(())
        })?;
        let overview = Overview::of(self.store, self.slurm)?;
        if let Some(problem) = &overview.unknown {
            return Err(Error::Launch(problem.clone()));
        }
        let groups = self.groups(&overview);
        groups.into_iter().map(|(memory, tasks)| self.launch(&cluster, memory, tasks)).collect()
    }

    /// The scripts that [`Self::submit`] would submit now, each with the number of its arrays. Nothing is written, and Slurm need not be
    /// installed.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be read; [`Error::Launch`] if a path is not text.
    pub fn scripts(&self) -> Result<Vec<(String, usize)>> {
        let most = self.slurm.cluster().map_or(USUAL_ARRAY, |cluster| cluster.most_tasks);
        let overview = Overview::of(self.store, self.slurm)?;
        let store = absolute(self.store.dir())?;
        let mut number = next_number(self.store.dir())?;
        let groups = self.groups(&overview).into_iter();
        let scripts = groups.map(|((memory, _), tasks)| {
            let layout = LaunchLayout::new(&store, number);
            let name = name(&store, number);
            number += 1;
            let script = self.script(&format!("{name}-0"), &layout, tasks.len().min(most), memory)?;
            Ok((script, tasks.len().div_ceil(most)))
        });
        scripts.collect()
    }

    /// The tasks to submit, by their memory.
    fn groups(&self, overview: &Overview) -> Vec<Group> {
        let memory = |run: &PlannedRun| self.memory(&overview.status(self.store, run));
        let runs = self.plan.distinct().filter_map(|run| Some((run, memory(run)?)));
        let mut groups: Vec<Group> = Vec::new();
        for (memory, task) in tasks_of(runs) {
            match groups.iter_mut().find(|(other, _)| *other == memory) {
                Some((_, tasks)) => tasks.push(task),
                None => groups.push((memory, vec![task])),
            }
        }
        groups
    }

    /// The memory with which a run is to be submitted in MiB, and whether that is raised; `None` if it is not to be submitted.
    fn memory(&self, status: &TaskStatus) -> Option<(Option<u64>, bool)> {
        let asked = (self.plan.resources.memory, false);
        match (status.phase, &status.status, &status.last) {
            (TaskPhase::Done | TaskPhase::Running | TaskPhase::Queued, ..) => None,
            _ if self.retry_failed => Some(asked),
            (_, RunStatus::Failed(_), _) => None,
            (_, _, Some(last)) if status.ran_out_of_memory() => last.memory_after(&self.plan.resources),
            _ => Some(asked),
        }
    }

    fn script(&self, name: &str, layout: &LaunchLayout, tasks: usize, memory: Option<u64>) -> Result<String> {
        let (store, dir) = (absolute(self.store.dir())?, absolute(layout.dir())?);
        let script = Script {
            name,
            dir: &dir,
            store: &store,
            flags: &self.program.flags,
            program: &self.program.called,
            tasks,
            resources: &self.plan.resources,
            memory,
        };
        Ok(script.text())
    }

    fn launch(
        &self,
        cluster: &Cluster,
        memory: (Option<u64>, bool),
        tasks: Vec<LaunchTask>,
    ) -> Result<Submitted> {
        let (count, most) = (tasks.len(), cluster.most_tasks);
        let runs = tasks.iter().map(|task| task.runs.len()).sum();
        let record = |name: String| Record::new(&cluster.name, name, memory, count, most);
        let mut launch = Launch::create(&absolute(self.store.dir())?, self.recipe, tasks, record)?;
        let first = launch.record.arrays.first().map_or(String::new(), |array| launch.job_name(array));
        let script = self.script(&first, &launch.layout, count.min(most), memory.0)?;
        atomic::replace(&launch.layout.script(), script.as_bytes())?;
        let mut jobs = Vec::new();
        for index in 0..launch.record.arrays.len() {
            let job = self.submit_array(&launch, index, jobs.last())?;
            launch.record.arrays[index].job = Some(job.clone());
            launch.write()?;
            jobs.push(job);
        }
        let raised_memory = memory.0.filter(|_| memory.1);
        Ok(Submitted { launch: launch.number, jobs, tasks: count, runs, raised_memory })
    }

    /// Submits an array of a launch. `before` is the array before it, for which it waits if the number of running tasks is limited: Slurm
    /// counts them within an array only.
    fn submit_array(&self, launch: &Launch, index: usize, before: Option<&String>) -> Result<String> {
        let part = &launch.record.arrays[index];
        let running = self.plan.resources.running;
        let mut arguments = vec![
            format!("--job-name={}", launch.job_name(part)),
            format!("--array={}", array(0..part.count, running)),
        ];
        if let (Some(before), Some(_)) = (before, running) {
            arguments.push(format!("--dependency=afterany:{before}"));
        }
        arguments.push(launch.layout.script().file_name().unwrap_or_default().to_string_lossy().into_owned());
        arguments.push(part.first.to_string());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.slurm.submit(launch.layout.dir(), &arguments)
    }
}

/// Groups runs into tasks, each with the largest of its runs' values. Runs that share a training are one task, since no two processes
/// could execute them at once.
fn tasks_of<'p, T: Ord>(runs: impl Iterator<Item = (&'p PlannedRun, T)>) -> Vec<(T, LaunchTask)> {
    let (mut tasks, mut numbers): (Vec<(T, LaunchTask)>, _) = (Vec::new(), BTreeMap::new());
    for (run, value) in runs {
        let number = *numbers.entry(&run.identity.training).or_insert(tasks.len());
        let id = run.identity.run.clone();
        match tasks.get_mut(number) {
            Some((most, task)) => {
                task.runs.push(id);
                if *most < value {
                    *most = value;
                }
            }
            None => tasks.push((value, LaunchTask { runs: vec![id] })),
        }
    }
    tasks
}

/// The tasks of a plan that nobody works on, as the store alone tells: runs that are neither done nor running, nor failed because of
/// their settings unless those are retried.
pub fn unmade_tasks(plan: &Plan, store: &RunStore, retry_failed: bool) -> Vec<LaunchTask> {
    let is_unmade = |run: &&PlannedRun| match store.status(&run.config) {
        RunStatus::Done(_) | RunStatus::Running => false,
        RunStatus::Failed(_) => retry_failed,
        RunStatus::Missing | RunStatus::Started(_) | RunStatus::Damaged(_) => true,
    };
    tasks_of(plan.distinct().filter(is_unmade).map(|run| (run, ())))
        .into_iter()
        .map(|((), task)| task)
        .collect()
}
