//! Leases of runs: one holder at a time, whatever processes do and however they die.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use sharpness_runs::{Error, Existing, Opened, RunDir, RunObserver, RunStatus, RunStore, complete_run};
use sharpness_training::{EpochMetrics, MeasureProgress, Observer, StepReport};
use tempfile::tempdir;

use crate::small_runs::{Content, config, digits, files, options, train};

/// The variable that makes a process of this test binary a contender for the runs in that store.
const CONTEND: &str = "SHARPNESS_TEST_CONTEND";
/// The end of the name of a lease that nobody holds.
const TOKEN: &str = "token=0123456789abcdef,renewals=3";

/// Opens the run in `dir`, if nobody else holds its lease.
fn try_open(dir: &Path) -> Option<Box<RunDir>> {
    match RunDir::open(dir, &config(), Existing::Resume, true) {
        Ok(Opened::Open(run)) => Some(run),
        Ok(Opened::Finished(_)) => panic!("{} is not done", dir.display()),
        Err(Error::RunLocked { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The name of the lease of a run that this process holds.
fn name(dir: &Path) -> String {
    let names: Vec<_> =
        fs::read_dir(dir.join(".lease")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "one lease: {names:?}");
    names[0].to_str().unwrap().to_owned()
}

/// The name of a lease of this process in `dir`, which it has released, but for its token.
fn own_name(dir: &Path) -> String {
    let held = try_open(dir).expect("a free run");
    let name = name(dir);
    drop(held);
    format!("{}{TOKEN}", name.split_once("token=").unwrap().0)
}

/// Leaves a lease that was renewed for the last time `age` ago.
fn leave(dir: &Path, name: &str, age: Duration) {
    let lease = dir.join(".lease");
    fs::create_dir_all(&lease).unwrap();
    fs::write(lease.join(name), "").unwrap();
    set_age(&lease, age);
}

fn set_age(lease: &Path, age: Duration) {
    let open = File::open(lease).unwrap();
    let now = open.metadata().unwrap().modified().unwrap();
    open.set_modified(now - age).unwrap();
}

fn of_another_machine(name: &str) -> String {
    let (before, after) = name.split_once("boot=").unwrap();
    format!("{before}boot=another,{}", after.split_once(',').unwrap().1)
}

/// A lease as others leave it before a round of contenders: none, empty, dead on this machine, expired.
fn prepare(dir: &Path, own: &str, round: usize) {
    fs::create_dir_all(dir).unwrap();
    match round % 4 {
        0 => {}
        1 => fs::create_dir(dir.join(".lease")).unwrap(),
        2 => leave(dir, own, Duration::ZERO),
        _ => leave(dir, &of_another_machine(own), Duration::from_secs(3600)),
    }
}

#[test]
fn of_many_threads_one_takes_a_lease() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 1000;
    let folder = tempdir().unwrap();
    let own = own_name(&folder.path().join("own"));
    let (start, end) = (Barrier::new(THREADS), Barrier::new(THREADS));
    let wins = Mutex::new(vec![0; ROUNDS]);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (folder, own, start, end, wins) = (&folder, &own, &start, &end, &wins);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let dir = folder.path().join(round.to_string());
                    if thread == 0 {
                        prepare(&dir, own, round);
                    }
                    start.wait();
                    let run = try_open(&dir);
                    wins.lock().unwrap()[round] += usize::from(run.is_some());
                    end.wait();
                    // Whoever holds it until then releases it.
                    drop(run);
                }
            });
        }
    });
    let wins = wins.into_inner().unwrap();
    assert_eq!(wins, vec![1; ROUNDS], "who took each lease");
}

/// As a contender: opens each run, holds those that it took, prints them, and waits for the end of its input.
fn contend(store: &Path) {
    let mut out = std::io::stdout();
    let mut held = Vec::new();
    for round in 0.. {
        let dir = store.join(round.to_string());
        if !dir.exists() {
            break;
        }
        if let Some(run) = try_open(&dir) {
            writeln!(out, "took {round}.").unwrap();
            held.push(run);
        }
    }
    writeln!(out, "tried all.").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn of_many_processes_one_takes_each_lease() {
    if let Some(store) = std::env::var_os(CONTEND) {
        return contend(Path::new(&store));
    }
    // A process may have a thousand files open.
    const BATCHES: usize = 5;
    const ROUNDS: usize = 200;
    let folder = tempdir().unwrap();
    let own = own_name(&folder.path().join("own"));
    for batch in 0..BATCHES {
        let store = folder.path().join(batch.to_string());
        (0..ROUNDS).for_each(|round| prepare(&store.join(round.to_string()), &own, round));
        assert_eq!(winners(&store, ROUNDS), vec![1; ROUNDS], "who took each lease");
    }
}

/// How many of the processes that contend for all runs of a store took each.
fn winners(store: &Path, rounds: usize) -> Vec<usize> {
    const PROCESSES: usize = 4;
    let start = |_| {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", "leases::of_many_processes_one_takes_each_lease", "--nocapture"]);
        program.env(CONTEND, store).stdin(Stdio::piped()).stdout(Stdio::piped());
        program.spawn().unwrap()
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    let mut wins = vec![0; rounds];
    // Nobody releases a lease before all have tried for it.
    for child in &mut children {
        for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, round)) = line.split_once("took ") {
                wins[round.trim_end_matches('.').parse::<usize>().unwrap()] += 1;
            } else if line.contains("tried all") {
                break;
            }
        }
    }
    for mut child in children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "a contender ends well");
    }
    wins
}

#[test]
fn a_dead_process_of_this_machine_is_replaced_at_once_and_one_of_another_after_the_expiry() {
    let folder = tempdir().unwrap();
    let own = own_name(&folder.path().join("own"));
    let other = of_another_machine(&own);
    let without_lock = own.replace("lock=1", "lock=0");
    assert_ne!(without_lock, own, "this file system has locks");
    for (name, age, is_free) in [
        (&own, 0, true),
        (&without_lock, 0, false),
        (&without_lock, 115, false),
        (&without_lock, 125, true),
        (&other, 0, false),
        (&other, 115, false),
        (&other, 125, true),
        (&other.replace("expiry=120", "expiry=300"), 290, false),
        (&other.replace("expiry=120", "expiry=300"), 310, true),
        // What no version of this program writes.
        (&"thesis.tex".to_owned(), 115, false),
        (&"thesis.tex".to_owned(), 125, true),
    ] {
        let dir = tempdir().unwrap();
        leave(dir.path(), name, Duration::from_secs(age));
        assert_eq!(try_open(dir.path()).is_some(), is_free, "{name}, {age} s old");
    }
}

/// A process is killed between two system calls; this is what it leaves after each.
#[test]
fn whatever_a_killed_process_leaves_the_lease_can_be_taken() {
    let folder = tempdir().unwrap();
    let own = own_name(&folder.path().join("own"));
    let candidate = ".lease-0123456789abcdef";
    let long_ago = Duration::from_secs(3600);
    type Leave<'a> = Box<dyn Fn(&Path) + 'a>;
    let states: [(&str, Leave<'_>); 7] = [
        ("an empty candidate", Box::new(|dir| fs::create_dir(dir.join(candidate)).unwrap())),
        (
            "a candidate",
            Box::new(|dir| {
                fs::create_dir(dir.join(candidate)).unwrap();
                fs::write(dir.join(candidate).join(&own), "").unwrap();
            }),
        ),
        ("a lease", Box::new(|dir| leave(dir, &own, Duration::ZERO))),
        ("a lease without a lock", Box::new(|dir| leave(dir, &own.replace("lock=1", "lock=0"), long_ago))),
        ("an empty lease", Box::new(|dir| fs::create_dir(dir.join(".lease")).unwrap())),
        (
            "a lease and the candidate that took it over",
            Box::new(|dir| {
                fs::create_dir(dir.join(candidate)).unwrap();
                leave(dir, &own.replace("lock=1", "lock=0"), long_ago);
            }),
        ),
        (
            "half a file",
            Box::new(|dir| {
                leave(dir, &own, Duration::ZERO);
                fs::write(dir.join("config.toml.0123456789abcdef.partial"), "seed").unwrap();
            }),
        ),
    ];
    for (what, leave) in states {
        let dir = tempdir().unwrap();
        leave(dir.path());
        let run = try_open(dir.path());
        assert!(run.is_some(), "{what} can be taken");
        let names: Vec<String> =
            files(dir.path()).into_keys().filter(|name| !name.starts_with(".lease/")).collect();
        assert_eq!(names, ["config.toml", "provenance.json"], "after {what}, leftovers are removed");
        drop(run);
        assert!(!dir.path().join(".lease").exists(), "after {what}, it is released");
    }
}

/// Takes the lease over as another machine would, as soon as the run is somewhere.
struct TakeOver {
    when: &'static str,
    dir: PathBuf,
    second: Arc<Mutex<Option<Box<RunDir>>>>,
    found: Option<Vec<String>>,
}

impl TakeOver {
    fn at(&mut self, place: &'static str) {
        if place != self.when || self.found.is_some() {
            return;
        }
        let (lease, name) = (self.dir.join(".lease"), name(&self.dir));
        fs::rename(lease.join(&name), lease.join(of_another_machine(&name))).unwrap();
        set_age(&lease, Duration::from_secs(125));
        *self.second.lock().unwrap() = try_open(&self.dir);
        self.found = Some(state(&self.dir));
    }
}

/// All files of a run with their content, but for the name of the lease.
fn state(dir: &Path) -> Vec<String> {
    let content = |(name, content): (String, Vec<u8>)| format!("{name}: {content:?}");
    files(dir).into_iter().filter(|(name, _)| !name.starts_with(".lease/")).map(content).collect()
}

impl Observer for TakeOver {
    fn on_step(&mut self, _: &StepReport) {
        self.at("step");
    }
    fn on_epoch(&mut self, _: &EpochMetrics) {
        self.at("epoch");
    }
    fn on_measure(&mut self, _: &MeasureProgress) {
        self.at("measurement");
    }
}

impl RunObserver for TakeOver {}

#[test]
fn a_process_whose_lease_was_taken_over_writes_nothing_more() {
    let whole = tempdir().unwrap();
    complete_run(&config(), digits(), &options(whole.path(), false), true, &mut ()).unwrap();
    for when in ["step", "epoch", "measurement"] {
        let dir = tempdir().unwrap();
        let second = Arc::default();
        let mut take =
            TakeOver { when, dir: dir.path().to_owned(), second: Arc::clone(&second), found: None };
        let error =
            complete_run(&config(), digits(), &options(dir.path(), false), true, &mut take).unwrap_err();
        assert!(matches!(error, Error::LeaseLost { .. }), "{when}: {error}");
        let told = format!("taken over by another process (process {} on ", std::process::id());
        assert!(error.to_string().contains(&told), "{when}: {error}");
        assert!(second.lock().unwrap().is_some(), "{when}: another process holds it");
        assert!(Some(state(dir.path())) == take.found, "{when}: nothing changed since");
        *second.lock().unwrap() = None;
        complete_run(&config(), digits(), &options(dir.path(), true), true, &mut ()).unwrap();
        assert!(Content::of(dir.path()) == Content::of(whole.path()), "{when}: the bits are the same");
    }
}

#[test]
fn a_running_run_names_its_process() {
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let own = own_name(&dir.path().join("run"));
    let status = || store.training_status("run");
    assert_eq!((status(), store.holder("run")), (RunStatus::Started(0), None), "nobody works on it");
    let held = try_open(&dir.path().join("run"));
    let told = store.holder("run").unwrap().to_string();
    assert!(
        status() == RunStatus::Running && told.starts_with(&format!("process {} on ", std::process::id()))
    );
    drop(held);
    // Who only reads cannot compare with the clock of a file server, and allows for an error of its own.
    let name = of_another_machine(&own).replace("job=", "job=1234_7");
    let run = dir.path().join("run");
    for (age, expected) in [(0, RunStatus::Running), (125, RunStatus::Running), (600, RunStatus::Started(0))]
    {
        leave(&run, &name, Duration::from_secs(age));
        assert_eq!(status(), expected, "a lease of {age} s");
        let told = store.holder("run").map(|holder| holder.to_string());
        let names_job = told.is_some_and(|told| told.ends_with(", Slurm job 1234_7"));
        assert_eq!(names_job, expected == RunStatus::Running, "a lease of {age} s");
    }
    assert_eq!(store.training_status("none"), RunStatus::Missing, "no lease");
    train(&config(), &options(&run, true), None).unwrap();
    assert_eq!(store.holder("run"), None, "it is done");
}
