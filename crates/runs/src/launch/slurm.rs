//! Slurm, by its programs: `scontrol`, `sbatch`, `squeue` and, if the cluster keeps accounts, `sacct`.

use std::io::ErrorKind;
use std::path::Path;

use super::commands::Commands;
use super::job_state::JobState;
use crate::{Error, Result};

/// The fields of `squeue`; the name comes last.
const QUEUE_FIELDS: &str = "%F|%K|%T|%r|%N|%j";

/// Slurm as the programs of this machine see it.
#[derive(Clone, Copy)]
pub struct Slurm<'a> {
    commands: &'a dyn Commands,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The most tasks of an array.
    pub most_tasks: usize,
}

/// A task of an array that Slurm remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedTask {
    /// The identifier of the array.
    pub job: String,
    /// The index of the task in it.
    pub index: usize,
    /// Its state.
    pub state: JobState,
    /// Why it waits, in Slurm's word; empty if it does not.
    pub reason: String,
    /// The nodes that it has; empty if it has none.
    pub nodes: String,
    /// The name of the job.
    pub name: String,
}

impl<'a> Slurm<'a> {
    /// Slurm by these programs.
    pub fn new(commands: &'a dyn Commands) -> Self {
        Self { commands }
    }

    /// The cluster that this machine belongs to.
    ///
    /// # Errors
    /// [`Error::Slurm`] if Slurm is not installed or does not answer.
    pub fn cluster(self) -> Result<Cluster> {
        let text = self.ask("scontrol", &["show", "config"], None)?;
        let value = |key: &str| {
            let line =
                text.lines().find(|line| line.split('=').next().is_some_and(|name| name.trim() == key));
            line.and_then(|line| line.split_once('=')).map(|(_, value)| value.trim().to_owned())
        };
        let size = value("MaxArraySize").and_then(|size| size.parse().ok()).unwrap_or(1_001_usize);
        // The largest index of a task is one less.
        Ok(Cluster { name: value("ClusterName").unwrap_or_default(), most_tasks: size.max(2) })
    }

    /// Submits a batch script, and returns the identifier of the job.
    ///
    /// # Errors
    /// [`Error::Slurm`] if Slurm refuses it.
    pub(super) fn submit(self, dir: &Path, arguments: &[&str]) -> Result<String> {
        let arguments = [&["--parsable"], arguments].concat();
        let text = self.ask("sbatch", &arguments, Some(dir))?;
        // The name of the cluster may follow.
        let job = text.trim().split(';').next().unwrap_or_default();
        if !job.is_empty() && job.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(job.to_owned())
        } else {
            Err(Error::Slurm { program: "sbatch".to_owned(), problem: format!("it answered {text:?}") })
        }
    }

    /// The tasks of jobs with these names that wait, run, or ended minutes ago.
    ///
    /// # Errors
    /// [`Error::Slurm`] if Slurm is not installed or does not answer.
    pub fn tasks(self, names: &[String]) -> Result<Vec<QueuedTask>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (names, format) = (format!("--name={}", names.join(",")), format!("--format={QUEUE_FIELDS}"));
        let text = self.ask("squeue", &["--array", "--noheader", "--states=all", &names, &format], None)?;
        text.lines().filter(|line| !line.trim().is_empty()).map(task_of_line).collect()
    }

    /// The states of all tasks of these jobs, from Slurm's accounts: the identifier of the array, the index, and the state. Empty if the
    /// cluster keeps none.
    pub(super) fn accounts(self, jobs: &[String]) -> Vec<(String, usize, JobState)> {
        if jobs.is_empty() {
            return Vec::new();
        }
        let jobs = format!("--jobs={}", jobs.join(","));
        let arguments =
            ["--allocations", "--array", "--noheader", "--parsable2", "--format=JobID,State", &jobs];
        // Many clusters keep no accounts, which `sacct` calls an error.
        let text = self.ask("sacct", &arguments, None).unwrap_or_default();
        let task = |line: &str| {
            let (id, state) = line.split_once('|')?;
            let (job, index) = id.split_once('_')?;
            Some((job.to_owned(), index.parse().ok()?, JobState::parse(state)?))
        };
        text.lines().filter_map(task).collect()
    }

    /// The state of a task such as `4711_3`, in Slurm's word.
    ///
    /// # Errors
    /// [`Error::Slurm`] if Slurm does not answer or no longer knows it.
    pub fn state(self, task: &str) -> Result<String> {
        let text = self.ask("scontrol", &["--oneliner", "show", "job", task], None)?;
        let state = text.split_whitespace().find_map(|word| word.strip_prefix("JobState="));
        state.map(str::to_owned).ok_or_else(|| Error::Slurm {
            program: "scontrol".to_owned(),
            problem: format!("it answered {text:?}"),
        })
    }

    /// Requeues a task such as `4711_3`.
    ///
    /// # Errors
    /// [`Error::Slurm`] if Slurm refuses.
    pub fn requeue(self, task: &str) -> Result<()> {
        self.ask("scontrol", &["requeue", task], None).map(drop)
    }

    /// What a program prints.
    fn ask(self, program: &str, arguments: &[&str], dir: Option<&Path>) -> Result<String> {
        let failed = |problem: String| Error::Slurm { program: program.to_owned(), problem };
        let output = self.commands.run(program, arguments, dir).map_err(|error| {
            failed(if error.kind() == ErrorKind::NotFound {
                "it is not installed here; run this on a machine from which jobs are submitted".to_owned()
            } else {
                error.to_string()
            })
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(failed(if message.is_empty() { output.status.to_string() } else { message }))
    }
}

/// A task from a line of `squeue`.
fn task_of_line(line: &str) -> Result<QueuedTask> {
    let fields: Vec<&str> = line.splitn(6, '|').map(str::trim).collect();
    let wrong = || Error::Slurm { program: "squeue".to_owned(), problem: format!("it answered {line:?}") };
    let [job, index, state, reason, nodes, name] = fields[..] else { return Err(wrong()) };
    let (Ok(index), Some(state)) = (index.parse(), JobState::parse(state)) else { return Err(wrong()) };
    let reason = if reason == "None" { "" } else { reason };
    let owned = str::to_owned;
    Ok(QueuedTask {
        job: owned(job),
        index,
        state,
        reason: owned(reason),
        nodes: owned(nodes),
        name: owned(name),
    })
}
