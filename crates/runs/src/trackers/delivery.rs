//! A thread for each tracker: the training hands over points and continues at once.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::point::{Card, Point};
use super::target::TrackerTarget;
use super::tracker::{End, Failure, Tracker};

/// The time from one delivery to the next: points that come in between go together.
const PERIOD: Duration = Duration::from_secs(1);
/// The time from a failure to the next try.
const RETRY: Duration = Duration::from_secs(30);
/// The most points that wait for a tracker that fails, about 100 MB.
const MOST_WAITING: usize = 1_000_000;

/// What happens to a run.
pub(super) enum Event {
    /// It starts or resumes, with the points so far.
    Open(Arc<Card>, Vec<Point>),
    /// The run of this name has more points.
    Add(Arc<Card>, Vec<Point>),
    /// It ended.
    End(Arc<Card>, End),
}

/// What a tracker lacks at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The tracker.
    pub target: String,
    /// The number of runs of which it lacks something; unknown if it did not answer in time.
    pub runs: Option<usize>,
}

/// The trackers of a process; without any, all it is told is ignored.
#[derive(Debug, Default)]
pub struct Trackers {
    lines: Vec<Line>,
    notes: Arc<Mutex<Vec<String>>>,
}

/// The line to a tracker. The thread ends when the sender is dropped, and then answers.
#[derive(Debug)]
struct Line {
    target: String,
    events: Sender<Event>,
    /// Locked only so that runs on several threads can share the line.
    end: Mutex<Receiver<usize>>,
}

impl Trackers {
    /// Starts the trackers of some places. One whose thread cannot be started is missing; [`Self::notes`] says so.
    pub fn start(targets: &[TrackerTarget]) -> Self {
        let mut trackers = Self::default();
        for target in targets {
            let (events, received) = channel();
            let (ended, end) = channel();
            let notes = Arc::clone(&trackers.notes);
            let target = target.clone();
            let name = target.to_string();
            let work = move || {
                let mut delivery = Delivery::new(target, notes);
                delivery.run(&received);
                // Nobody listens any more if the time was up.
                let _ = ended.send(delivery.undelivered());
            };
            match thread::Builder::new().name("tracker".to_owned()).spawn(work) {
                Ok(_) => trackers.lines.push(Line { target: name, events, end: Mutex::new(end) }),
                Err(error) => {
                    lock(&trackers.notes).push(format!("cannot start the thread for {name}: {error}"))
                }
            }
        }
        trackers
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Tells all trackers.
    pub(super) fn send(&self, event: impl Fn() -> Event) {
        // A thread that is gone has a bug, which is no reason to end the run.
        self.lines.iter().for_each(|line| drop(line.events.send(event())));
    }

    /// What went wrong since the last call: a line for each tracker, the first time that it fails.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// Waits until all is delivered, but at most for `limit`, and returns what is not. A tracker that failed is tried once more.
    pub fn finish(&mut self, limit: Duration) -> Vec<Undelivered> {
        let until = Instant::now() + limit;
        // All senders are dropped before the first wait.
        let lines: Vec<_> = self.lines.drain(..).map(|line| (line.target, line.end)).collect();
        let mut undelivered = Vec::new();
        for (target, end) in lines {
            let end = end.into_inner().unwrap_or_else(PoisonError::into_inner);
            let runs = end.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
            if runs != Some(0) {
                undelivered.push(Undelivered { target, runs });
            }
        }
        undelivered
    }
}

fn lock(notes: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread of a tracker.
struct Delivery {
    target: TrackerTarget,
    notes: Arc<Mutex<Vec<String>>>,
    is_told: bool,
    /// The runs that have not ended, or of which the tracker lacks something.
    runs: BTreeMap<String, Pending>,
    /// Runs of which the rest was given up.
    lost: usize,
    /// When it may be tried again.
    next: Instant,
}

/// A run, and what waits for the tracker.
struct Pending {
    card: Arc<Card>,
    tracker: Option<Box<dyn Tracker>>,
    points: Vec<Point>,
    end: Option<End>,
    /// Whether the tracker knows that it ended.
    is_over: bool,
}

impl Delivery {
    fn new(target: TrackerTarget, notes: Arc<Mutex<Vec<String>>>) -> Self {
        Self { target, notes, is_told: false, runs: BTreeMap::new(), lost: 0, next: Instant::now() }
    }

    /// Works until the sender is dropped.
    fn run(&mut self, events: &Receiver<Event>) {
        loop {
            let event = if self.runs.values().any(Pending::has_work) {
                let left = self.next.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    self.deliver();
                    continue;
                }
                events.recv_timeout(left)
            } else {
                events.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match event {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.deliver();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Open(card, points) => {
                let id = card.id.clone();
                self.runs.insert(id, Pending { card, tracker: None, points, end: None, is_over: false });
            }
            Event::Add(card, points) => {
                if let Some(run) = self.runs.get_mut(&card.id) {
                    run.points.extend(points);
                }
            }
            Event::End(card, end) => {
                if let Some(run) = self.runs.get_mut(&card.id) {
                    run.end = Some(end);
                }
                let waiting: usize = self.runs.values().map(|run| run.points.len()).sum();
                if waiting > MOST_WAITING {
                    self.lost += usize::from(self.runs.remove(&card.id).is_some());
                }
            }
        }
    }

    /// Delivers what waits, as far as possible.
    fn deliver(&mut self) {
        let mut failed = None;
        for run in self.runs.values_mut().filter(|run| run.has_work()) {
            match run.deliver(&self.target) {
                Ok(()) => {}
                Err(Failure::Refused(reason)) => failed = Some(reason),
                Err(Failure::Unreachable(reason)) => {
                    failed = Some(reason);
                    break;
                }
            }
        }
        self.runs.retain(|_, run| !run.is_over);
        self.next = Instant::now() + if failed.is_some() { RETRY } else { PERIOD };
        if let Some(reason) = failed.filter(|_| !self.is_told) {
            self.is_told = true;
            let seconds = RETRY.as_secs();
            lock(&self.notes).push(format!(
                "{} lacks the latest numbers: {reason}; the run continues, and delivery is retried every {seconds} s",
                self.target
            ));
        }
    }

    /// The number of runs of which the tracker lacks something.
    fn undelivered(&self) -> usize {
        self.lost + self.runs.values().filter(|run| run.has_work()).count()
    }
}

impl Pending {
    /// Whether the tracker lacks something.
    fn has_work(&self) -> bool {
        self.tracker.is_none() || !self.points.is_empty() || self.end.is_some()
    }

    fn deliver(&mut self, target: &TrackerTarget) -> Result<(), Failure> {
        match &mut self.tracker {
            Some(tracker) => tracker.add(&self.points)?,
            None => self.tracker = Some((target.open)(&self.card, &self.points)?),
        }
        self.points.clear();
        if let (Some(tracker), Some(end)) = (&mut self.tracker, &self.end) {
            tracker.end(end)?;
            (self.end, self.is_over) = (None, true);
        }
        Ok(())
    }
}
