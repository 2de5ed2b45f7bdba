//! A launch on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::attempt::{Attempt, of_launch};
use crate::config_file::read_text;
use crate::json::{read_file, read_json};
use crate::layout::LaunchLayout;
use crate::provenance::seconds_since_1970;
use crate::recipes::Plan;
use crate::store::RunStore;
use crate::{Error, Result, atomic};

/// A launch: tasks that were submitted together.
#[derive(Clone, Debug)]
pub struct Launch {
    pub(super) layout: LaunchLayout,
    pub(super) number: u32,
    pub(super) record: Record,
    /// The tasks, in the order of the recipe.
    pub tasks: Vec<LaunchTask>,
}

/// A task: runs that share a training, which no two processes could execute at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchTask {
    /// The names of its runs.
    pub runs: Vec<String>,
}

/// The content of `launch.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// When it was written, in seconds since 1970.
    created: u64,
    /// The name of the cluster; empty if the tasks are processes of one machine.
    pub(super) cluster: String,
    /// The name of the file of the recipe, which may name the runs.
    #[serde(default)]
    recipe: String,
    /// The name of its jobs, unique among all stores.
    pub(super) name: String,
    /// The memory of each task, in MiB.
    pub(super) memory: Option<u64>,
    /// Whether that was raised after its tasks ran out of memory.
    pub(super) is_raised: bool,
    /// The arrays of jobs in which the tasks were submitted.
    pub(super) arrays: Vec<Array>,
}

/// Consecutive tasks that are submitted as one array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Array {
    /// The first task.
    pub(super) first: usize,
    /// The number of tasks.
    pub(super) count: usize,
    /// Its identifier; `None` until Slurm has accepted it.
    pub(super) job: Option<String>,
}

impl Launch {
    /// The launches of a store, in the order of their submission. One whose record is missing was never submitted.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be read; [`Error::DamagedRun`] if the record of a launch cannot.
    pub fn of_store(store: &RunStore) -> Result<Vec<Self>> {
        let all = numbers(store.dir())?;
        let read = all.into_iter().map(|number| Self::read(store.dir(), number));
        Ok(read.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn read(store: &Path, number: u32) -> Result<Option<Self>> {
        let layout = LaunchLayout::new(store, number);
        let (Some(record), Some(tasks)) = (read_json(&layout.record())?, read_file(&layout.tasks())?) else {
            return Ok(None);
        };
        let tasks = String::from_utf8_lossy(&tasks).lines().map(LaunchTask::of_line).collect();
        Ok(Some(Self { layout, number, record, tasks }))
    }

    /// Creates a launch that is not submitted yet.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub(super) fn create(
        store: &Path,
        recipe: (&Path, &str),
        tasks: Vec<LaunchTask>,
        record: impl FnOnce(String) -> Record,
    ) -> Result<Self> {
        let (number, layout) = claim(store)?;
        for dir in [layout.logs(), layout.attempts()] {
            fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        }
        let lines: String = tasks.iter().map(|task| format!("{}\n", task.runs.join(","))).collect();
        atomic::replace(&layout.tasks(), lines.as_bytes())?;
        atomic::replace(&layout.recipe(), recipe.1.as_bytes())?;
        let mut record = record(name(store, number));
        record.recipe = recipe.0.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let launch = Self { record, layout, number, tasks };
        launch.write()?;
        Ok(launch)
    }

    pub(super) fn write(&self) -> Result<()> {
        let path = self.layout.record();
        atomic::replace(&path, &atomic::json(&path, &self.record)?)
    }

    /// Its number in the store.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its files.
    pub fn layout(&self) -> &LaunchLayout {
        &self.layout
    }

    /// The runs of its copy of the recipe.
    ///
    /// # Errors
    /// Those of [`Plan::read`].
    pub fn plan(&self) -> Result<Plan> {
        Plan::parse(Path::new(&self.record.recipe), &read_text(&self.layout.recipe())?)
    }

    /// The attempts at its tasks, by the names of the tasks, such as `4711_3`.
    pub(super) fn attempts(&self) -> BTreeMap<String, Vec<Attempt>> {
        let mut attempts: BTreeMap<String, Vec<Attempt>> = BTreeMap::new();
        for attempt in of_launch(&self.layout) {
            attempts.entry(attempt.task.clone()).or_default().push(attempt);
        }
        attempts
    }

    /// The array that holds a task, and the index of the task in it.
    fn place(&self, task: usize) -> Option<(&Array, usize)> {
        let holds = |array: &&Array| (array.first..array.first + array.count).contains(&task);
        self.record.arrays.iter().find(holds).map(|array| (array, task - array.first))
    }

    /// The name of a task, such as `4711_3`; `None` if it was not submitted.
    pub(super) fn task_name(&self, task: usize) -> Option<String> {
        let (array, index) = self.place(task)?;
        Some(format!("{}_{index}", array.job.as_ref()?))
    }

    /// Whether its tasks are processes of one machine.
    pub(super) fn is_local(&self) -> bool {
        self.record.cluster.is_empty()
    }

    /// The name of an array's job.
    pub(super) fn job_name(&self, array: &Array) -> String {
        format!("{}-{}", self.record.name, array.first)
    }
}

impl Record {
    /// The record of a launch of `tasks` tasks, in arrays of at most `most`.
    pub(super) fn new(
        cluster: &str,
        name: String,
        memory: (Option<u64>, bool),
        tasks: usize,
        most: usize,
    ) -> Self {
        let firsts = (0..tasks).step_by(most.max(1));
        let arrays = firsts.map(|first| Array { first, count: most.min(tasks - first), job: None }).collect();
        let (memory, is_raised) = memory;
        Self {
            created: seconds_since_1970(),
            cluster: cluster.to_owned(),
            recipe: String::new(),
            name,
            memory,
            is_raised,
            arrays,
        }
    }

    /// The record of a launch whose tasks are processes of this machine.
    pub(super) fn local(name: String, tasks: usize, job: String) -> Self {
        let mut record = Self::new("", name, (None, false), tasks, tasks);
        record.arrays.iter_mut().for_each(|array| array.job = Some(job.clone()));
        record
    }
}

impl LaunchTask {
    fn of_line(line: &str) -> Self {
        Self { runs: line.split(',').map(str::to_owned).collect() }
    }
}

/// The numbers of the launches of a store.
fn numbers(store: &Path) -> Result<Vec<u32>> {
    let dir = LaunchLayout::all(store);
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", &dir))?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<u32> = names.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The number of the next launch of a store.
pub(super) fn next_number(store: &Path) -> Result<u32> {
    Ok(numbers(store)?.last().map_or(1, |last| last.saturating_add(1)))
}

/// Creates the directory of the next launch.
fn claim(store: &Path) -> Result<(u32, LaunchLayout)> {
    let all = LaunchLayout::all(store);
    fs::create_dir_all(&all).map_err(Error::io("create", &all))?;
    loop {
        let number = next_number(store)?;
        let layout = LaunchLayout::new(store, number);
        match fs::create_dir(layout.dir()) {
            // Another process took the number.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            created => {
                return created.map(|()| (number, layout.clone())).map_err(Error::io("create", layout.dir()));
            }
        }
    }
}

/// The name of a launch, unique among all stores.
pub(super) fn name(store: &Path, number: u32) -> String {
    let digest = Sha256::digest(store.as_os_str().as_encoded_bytes());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("sharpness-{digits}-{number:04}")
}

/// The absolute path of a directory, for scripts.
///
/// # Errors
/// [`Error::Launch`] if it is not text, which a script cannot hold.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    match path.to_str() {
        Some(text) if !text.contains('\n') => Ok(path),
        _ => Err(Error::Launch(format!("the path {} is not one line of text; move it", path.display()))),
    }
}
