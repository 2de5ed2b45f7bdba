//! The rows of the store, reread when their files change.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use sharpness_runs::{Plan, RunStore, Stamp};
use sharpness_study::page::{Board, Row};
use tokio::sync::watch;

/// The shortest time between two looks at the store.
const PAUSE: Duration = Duration::from_secs(1);
/// The share of the time that looking may take, as its inverse.
const IDLE: u32 = 10;
/// The longest time between two looks, however long the last one took: the first one reads the whole store.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Rows that are read before any is shown.
const CHUNK: usize = 512;

/// What browsers are told when something changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct News {
    /// The version of the rows.
    pub(crate) runs: u64,
    /// The version of figures and verdicts.
    pub(crate) conclusions: u64,
    /// Trainings that have not been read yet.
    pub(crate) unread: usize,
    /// Why the store cannot be read.
    pub(crate) problem: Option<String>,
}

/// Follows a store.
pub(crate) struct Watcher {
    store: RunStore,
    plans: Vec<Plan>,
    /// Distinguishes this process from those before it, whose versions mean other rows.
    instance: u64,
    known: RwLock<Known>,
    news: watch::Sender<News>,
    /// Whether the whole store has been read once.
    is_read: AtomicBool,
}

#[derive(Default)]
struct Known {
    board: Board,
    stamps: BTreeMap<String, Stamp>,
    /// The version of each row's last change.
    changed: BTreeMap<String, u64>,
    removed: BTreeMap<String, u64>,
    version: u64,
    /// The version of the last change of a result.
    results: u64,
}

impl Watcher {
    pub(crate) fn new(store: RunStore, plans: Vec<Plan>) -> Self {
        let instance = now().and_then(|time| u64::try_from(time.as_millis()).ok()).unwrap_or_default();
        Self {
            store,
            plans,
            instance,
            known: RwLock::default(),
            news: watch::Sender::new(News::default()),
            is_read: AtomicBool::new(false),
        }
    }

    pub(crate) const fn store(&self) -> &RunStore {
        &self.store
    }

    /// What changes from now on.
    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    pub(crate) fn tell(&self, change: impl FnOnce(&mut News)) {
        self.news.send_if_modified(|news| {
            let before = news.clone();
            change(news);
            *news != before
        });
    }

    /// The version of the last change of a result; none before the store has been read.
    pub(crate) fn results(&self) -> Option<u64> {
        let is_read = self.is_read.load(Ordering::Relaxed);
        is_read.then(|| self.known.read().unwrap_or_else(PoisonError::into_inner).results)
    }

    /// Whether the store has this training.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).board.rows.contains_key(id)
    }

    /// The rows that changed since version `since` of `instance`; all without one.
    pub(crate) fn rows(&self, since: Option<(u64, u64)>) -> Value {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let since = since.filter(|(instance, _)| *instance == self.instance).map(|(_, version)| version);
        let is_newer =
            |version: Option<&u64>| since.is_none_or(|since| version.is_some_and(|one| *one > since));
        let mut document = known.board.json(|row| is_newer(known.changed.get(&row.id)));
        let removed =
            known.removed.iter().filter(|(_, version)| since.is_some_and(|since| **version > since));
        let removed: Vec<&String> = removed.map(|(id, _)| id).collect();
        if let Value::Object(document) = &mut document {
            document.insert("store".to_owned(), json!(self.store.dir().display().to_string()));
            document.insert("instance".to_owned(), json!(self.instance));
            document.insert("version".to_owned(), json!(known.version));
            document.insert("whole".to_owned(), json!(since.is_none()));
            document.insert("removed".to_owned(), json!(removed));
        }
        document
    }

    /// Looks at the store again and again.
    pub(crate) fn follow(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let start = Instant::now();
            let problem = self.look(stop).err().map(|error| error.to_string());
            self.tell(|news| news.problem = problem);
            pause((start.elapsed() * IDLE).clamp(PAUSE, LONGEST_PAUSE), stop);
        }
    }

    /// Reads what changed. If the store cannot be read, what is known stays.
    fn look(&self, stop: &AtomicBool) -> sharpness_runs::Result<()> {
        let names = self.store.trainings()?;
        let is_stale = |id: &String| -> Option<(String, Stamp)> {
            let stamp = self.store.stamp(id);
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let is_known = known.stamps.get(id) == Some(&stamp);
            let was_running = known.board.rows.get(id).is_some_and(|row| row.state == "running");
            drop(known);
            let is_same = is_known && self.store.is_running(id) == was_running;
            (!is_same).then(|| (id.clone(), stamp))
        };
        let stale: Vec<(String, Stamp)> = names.par_iter().filter_map(is_stale).collect();
        self.forget(&names);
        let mut unread = stale.len();
        for chunk in stale.chunks(CHUNK) {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let read = |(id, stamp): &(String, Stamp)| {
                let mut row = Row::read(&self.store, id);
                row.set_updated(stamp.latest());
                (row, stamp.clone())
            };
            let rows: Vec<(Row, Stamp)> = chunk.par_iter().map(read).collect();
            unread -= chunk.len();
            self.learn(rows, unread);
        }
        if stale.is_empty() {
            self.learn(Vec::new(), 0);
        }
        self.is_read.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Takes the rows in.
    fn learn(&self, rows: Vec<(Row, Stamp)>, unread: usize) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut before: BTreeMap<String, Option<Row>> = BTreeMap::new();
        for (row, stamp) in rows {
            known.stamps.insert(row.id.clone(), stamp);
            before.insert(row.id.clone(), known.board.rows.get(&row.id).cloned());
            known.board.insert(row);
        }
        let estimated = known.board.rows.values().filter(|row| row.seconds_left.is_some());
        let estimated: Vec<Row> = estimated.filter(|row| !before.contains_key(&row.id)).cloned().collect();
        before.extend(estimated.into_iter().map(|row| (row.id.clone(), Some(row))));
        // Only once all is read is it known what is missing.
        if unread == 0 {
            let missing: Vec<String> = known.board.add_planned(&self.plans);
            before.extend(missing.into_iter().map(|id| (id, None)));
        }
        known.board.finish();
        let version = known.version + 1;
        let (mut has_changed, mut has_results) = (false, false);
        for (id, old) in before {
            let new = known.board.rows.get(&id);
            if new == old.as_ref() {
                continue;
            }
            has_changed = true;
            has_results |= [new, old.as_ref()].into_iter().flatten().any(|row| row.outcome.is_some());
            known.removed.remove(&id);
            known.changed.insert(id, version);
        }
        if has_changed {
            known.version = version;
        }
        if has_results {
            known.results = version;
        }
        let runs = known.version;
        drop(known);
        self.tell(|news| (news.runs, news.unread) = (runs, unread));
    }

    /// Drops rows whose directories are gone.
    fn forget(&self, names: &[String]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let gone = known.stamps.keys().filter(|id| names.binary_search(id).is_err());
        let gone: Vec<String> = gone.cloned().collect();
        if gone.is_empty() {
            return;
        }
        known.version += 1;
        known.results = known.version;
        for id in gone {
            known.stamps.remove(&id);
            known.changed.remove(&id);
            known.board.rows.remove(&id);
            let version = known.version;
            known.removed.insert(id, version);
        }
    }
}

/// Waits, but not beyond a stop.
pub(crate) fn pause(time: Duration, stop: &AtomicBool) {
    let start = Instant::now();
    while start.elapsed() < time && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50).min(time));
    }
}

#[expect(clippy::disallowed_methods, reason = "distinguishes processes; no result depends on it")]
fn now() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}
