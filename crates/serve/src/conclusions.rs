//! Figures and verdicts, redone when runs finish.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sharpness_runs::RunStore;
use sharpness_study::page::{Drawing, conclusions};

use crate::watcher::{Watcher, pause};

/// The shortest time between two computations.
const PAUSE: Duration = Duration::from_secs(2);
/// The share of the time that computing may take, as its inverse.
const IDLE: u32 = 10;

/// What is known from all runs.
pub(crate) struct Conclusions {
    dir: PathBuf,
    recipes: Vec<PathBuf>,
    commands: Arc<dyn Fn(&Drawing) -> String + Send + Sync>,
    known: RwLock<Value>,
}

impl Conclusions {
    pub(crate) fn new(
        store: RunStore,
        recipes: Vec<PathBuf>,
        commands: Arc<dyn Fn(&Drawing) -> String + Send + Sync>,
    ) -> Self {
        let dir = store.dir().to_owned();
        Self { dir, recipes, commands, known: RwLock::new(json!({ "version": 0 })) }
    }

    /// The sections of the page, as HTML by their names, and their version; 0 before the first is done.
    pub(crate) fn document(&self) -> Value {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Computes them again after every change of a result.
    pub(crate) fn follow(&self, watcher: &Watcher, stop: &AtomicBool) {
        let mut done = None;
        while !stop.load(Ordering::Relaxed) {
            let Some(version) = watcher.results().filter(|version| done != Some(*version)) else {
                pause(Duration::from_millis(200), stop);
                continue;
            };
            let start = Instant::now();
            // A store keeps the runs of older versions that it has read, so each look has its own.
            let found = conclusions(&RunStore::new(&self.dir), &self.recipes, &*self.commands);
            let document = match found {
                Ok(sections) => json!({ "version": version + 1, "sections": sections }),
                Err(error) => json!({ "version": version + 1, "problem": error.to_string() }),
            };
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = document;
            done = Some(version);
            watcher.tell(|news| news.conclusions = version + 1);
            pause(PAUSE.max(start.elapsed() * IDLE), stop);
        }
    }
}
