//! A launch whose tasks are processes of this machine.

use std::fs::File;
use std::path::Path;

use super::attempt::{AttemptEnd, of_launch};
use super::record::{Launch, LaunchTask, Record};
use crate::layout::LaunchLayout;
use crate::store::RunStore;
use crate::{Error, Result};

/// A launch whose tasks are processes of this machine.
#[derive(Debug)]
pub struct LocalLaunch(Launch);

impl LocalLaunch {
    /// Creates it, with a copy of the recipe.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be written.
    pub fn create(store: &RunStore, recipe: (&Path, &str), tasks: Vec<LaunchTask>) -> Result<Self> {
        let count = tasks.len();
        let job = format!("p{}", std::process::id());
        let record = |name: String| Record::local(name, count, job);
        Launch::create(store.dir(), recipe, tasks, record).map(Self)
    }

    /// Its number in the store.
    pub fn number(&self) -> u32 {
        self.0.number()
    }

    /// Its files.
    pub fn layout(&self) -> &LaunchLayout {
        self.0.layout()
    }

    /// Its tasks.
    pub fn tasks(&self) -> &[LaunchTask] {
        &self.0.tasks
    }

    /// The name of a task.
    pub fn task_name(&self, task: usize) -> String {
        self.0.task_name(task).unwrap_or_default()
    }

    /// The log of a task, to be written.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn log(&self, task: usize) -> Result<File> {
        let path = self.layout().log(&self.task_name(task));
        File::options().create(true).append(true).open(&path).map_err(Error::io("create", &path))
    }

    /// Why a task failed, if it could say so.
    pub fn problem(&self, task: usize) -> Option<String> {
        let name = self.task_name(task);
        let last = of_launch(self.layout()).into_iter().rfind(|attempt| attempt.task == name)?;
        match last.end? {
            AttemptEnd::Failed { problem, .. } => Some(problem),
            AttemptEnd::Done | AttemptEnd::Stopped { .. } => None,
        }
    }
}
