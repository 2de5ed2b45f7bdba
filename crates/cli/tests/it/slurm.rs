//! Sweeps on a real Slurm: what it does to tasks, and that they come back to the same bits.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::tempdir;

use crate::launching::{awkward, states, weights};
use crate::private_slurm::{MISSING, PrivateSlurm};
use crate::program::{Ended, command, run, text};
use crate::skip::{assert_skips_are_told, skip};

/// Runs that take a moment, with momentum and dropout.
const RUNS: &str = "fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [64, 32], batch_size = 20, dropout = 0.2, \
    momentum = 0.5, learning_rate = 0.002, target_accuracy = 1.0, max_epochs = 120, examples = 100, rtol = 0.1 }\n";
/// The number of `SIGUSR1`.
const USR1: u32 = 10;

/// A recipe, its store, and the Slurm that executes it.
struct Sweep<'a> {
    slurm: &'a PrivateSlurm,
    recipe: PathBuf,
    store: PathBuf,
}

impl<'a> Sweep<'a> {
    /// A recipe with these seeds and lines of `[launch]`.
    fn new(slurm: &'a PrivateSlurm, dir: &Path, seeds: &str, launch: &str) -> Self {
        let recipe = dir.join(format!("seeds {seeds}.toml"));
        fs::write(&recipe, format!("seeds = {seeds}\n{RUNS}[launch]\n{launch}\n")).unwrap();
        Self { slurm, recipe, store: dir.join(format!("store of {seeds}")) }
    }

    fn arguments(&self) -> Vec<&str> {
        vec!["sweep", text(&self.recipe), "--store", text(&self.store), "--launch", "slurm"]
    }

    /// Submits the runs and returns the name of the first task.
    #[track_caller]
    fn submit(&self) -> String {
        let ended = self.slurm.run(&[&self.arguments()[..], &["--no-wait"]].concat());
        let job = ended.err.split(": job ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let job = job.unwrap_or_else(|| panic!("a job is submitted:\n{}", ended.err)).to_owned();
        ended.out_with(0);
        format!("{job}_0")
    }

    /// Waits for all runs.
    fn watch(&self) -> Ended {
        self.slurm.run(&self.arguments())
    }

    /// Lets a requeued task start at once, and waits for all runs.
    #[track_caller]
    fn resume(&self, task: &str) {
        // Slurm revokes the credential of a requeued job by the second, and with it that of one which starts in the same second.
        thread::sleep(Duration::from_secs(2));
        self.slurm.ask("scontrol", &["update", &format!("jobid={task}"), "starttime=now"]);
        self.watch().out_with(0);
    }

    fn status(&self) -> Value {
        self.slurm.run(&["status", text(&self.recipe), "--store", text(&self.store), "--json"]).json_with(0)
    }

    /// Waits until the first run is in a state for a reason, and returns its part of the status.
    #[track_caller]
    fn wait_for(&self, state: &str, kind: &str) -> Value {
        let mut last = Value::Null;
        self.slurm.wait(&format!("{} must be {state}: {kind}", self.store.display()), || {
            last = self.status()["runs"][0].clone();
            last["state"] == state && last["reason"]["kind"] == kind
        });
        last
    }

    /// Freezes the process of a task once it has trained an epoch, so that it cannot finish before something happens to it.
    #[track_caller]
    fn freeze(&self, task: &str) -> u32 {
        let mut found = None;
        self.slurm.wait(&format!("{task} starts"), || {
            found = process_of(&self.store, task);
            found.is_some()
        });
        let pid = found.unwrap();
        self.slurm.wait(&format!("{task} trains"), || has_trained(&self.store));
        signal("-STOP", pid);
        pid
    }
}

/// The process of a task. Another Slurm of this machine may have a task of the same name, in another store.
fn process_of(store: &Path, task: &str) -> Option<u32> {
    let wanted = [format!("\0--store\0{}\0", text(store)), format!("\0--as-task\0{task}\0")];
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        wanted.iter().all(|part| line.contains(part)).then_some(pid)
    })
}

/// Whether a run of the store has trained an epoch and is not done.
fn has_trained(store: &Path) -> bool {
    fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).any(|dir| {
        fs::metadata(dir.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0)
            && !dir.join("result.json").exists()
    })
}

fn signal(name: &str, pid: u32) {
    assert!(is_sent(name, pid), "{name} was sent to {pid}");
}

/// Sends a signal, unless the process has ended.
fn is_sent(name: &str, pid: u32) -> bool {
    Command::new("sh").args(["-c", &format!("kill {name} {pid}")]).status().unwrap().success()
}

/// Whether a signal waits for a frozen process, or has ended it before it was frozen.
fn is_pending(pid: u32, signal: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap() >> (signal - 1) & 1 == 1
}

#[test]
fn tasks_come_back_from_all_that_slurm_does_to_them() {
    let Some(slurm) = PrivateSlurm::start() else { return skip(MISSING) };
    let folder = tempdir().unwrap();
    let dir = awkward(folder.path());
    let sweep = |seeds: &str, launch: &str| Sweep::new(&slurm, &dir, seeds, launch);
    let limited = &sweep("[0]", "time = \"1:00\"\nnotice = 50");
    let low = sweep("[1]", "partition = \"low\"");
    let grace = sweep("[2]", "partition = \"grace\"");
    let cancelled = sweep("[3]", "requeues = 3");
    let failing = sweep("[4]", "cores = 2");
    // Before the run, something takes 400 MB for a while.
    let hog = "head -c 400M /dev/zero | tail -c 400M | (sleep 4; cat) > /dev/null";
    // Once, before the program starts.
    let notice = "test -e noticed || { touch noticed; kill -USR1 $$; }";
    let noticed = sweep("[6]", &format!("time = \"10:00\"\nbefore = [\"{notice}\"]"));
    let large = sweep("[5]", &format!("memory = \"300M\"\nmore_memory = 2\nbefore = [\"{hog}\"]"));
    thread::scope(|scope| {
        let task = limited.submit();
        let time = scope.spawn(move || a_task_requeues_itself_before_its_time_limit(limited, &task));
        // With the one above, these fill the node.
        preempted_tasks_are_requeued_by_slurm_once(&[&low, &grace]);
        let memory = scope.spawn(|| a_task_out_of_memory_gets_more(&large));
        a_cancelled_task_stays_away(&cancelled);
        a_notice_may_come_before_the_program_starts(&noticed);
        time.join().unwrap();
        memory.join().unwrap();
    });
    a_task_outlives_its_node(&failing);
    // The same on one machine.
    let whole = dir.join("whole");
    let recipe = dir.join("all.toml");
    fs::write(&recipe, format!("seeds = [0, 1, 2, 3, 4, 5, 6]\n{RUNS}")).unwrap();
    run(&["sweep", text(&recipe), "--store", text(&whole), "--jobs", "2"]).out_with(0);
    let mut made: Vec<_> = [limited, &low, &grace, &cancelled, &noticed, &failing, &large]
        .iter()
        .flat_map(|sweep| weights(&sweep.store))
        .collect();
    made.sort();
    assert!(made == weights(&whole), "the same bits as on one machine");
}

fn a_task_requeues_itself_before_its_time_limit(sweep: &Sweep<'_>, task: &str) {
    let pid = sweep.freeze(task);
    sweep.slurm.wait("Slurm gives notice of the time limit", || is_pending(pid, USR1));
    let _ = is_sent("-CONT", pid);
    let queued = sweep.wait_for("queued", "time-limit");
    assert_eq!(queued["last_task"]["requeues"], 1, "it requeued itself: {queued}");
    // The notice comes up to a minute early, so another could come before anything else happens.
    sweep.slurm.ask("scontrol", &["update", &format!("jobid={task}"), "timelimit=10"]);
    sweep.resume(task);
    let done = &sweep.status()["runs"][0];
    assert_eq!(done["last_task"]["attempts"], 2, "it was the same task: {done}");
}

fn a_notice_may_come_before_the_program_starts(sweep: &Sweep<'_>) {
    let task = sweep.submit();
    let queued = sweep.wait_for("queued", "time-limit");
    assert_eq!(queued["last_task"]["requeues"], 1, "it requeued itself: {queued}");
    sweep.resume(&task);
    assert_eq!(sweep.status()["runs"][0]["last_task"]["attempts"], 2, "two attempts");
}

fn preempted_tasks_are_requeued_by_slurm_once(sweeps: &[&Sweep<'_>]) {
    let tasks: Vec<String> = sweeps.iter().map(|sweep| sweep.submit()).collect();
    for (sweep, task) in sweeps.iter().zip(&tasks) {
        sweep.freeze(task);
    }
    let slurm = sweeps[0].slurm;
    // Slurm continues and terminates them to make room.
    slurm
        .ask("sbatch", &["--partition=high", "--cpus-per-task=3", "--output=/dev/null", "--wrap", "sleep 2"]);
    thread::scope(|scope| {
        for (sweep, task) in sweeps.iter().zip(&tasks) {
            scope.spawn(move || {
                let queued = sweep.wait_for("queued", "preempted");
                assert_eq!(queued["last_task"]["requeues"], 0, "it did not requeue itself: {queued}");
                sweep.resume(task);
                let job = slurm.ask("scontrol", &["show", "job", task]);
                assert!(job.contains("Restarts=1 "), "Slurm requeued it once:\n{job}");
                assert_eq!(sweep.status()["runs"][0]["last_task"]["attempts"], 2, "two attempts");
            });
        }
    });
}

fn a_task_out_of_memory_gets_more(sweep: &Sweep<'_>) {
    let ended = sweep.watch();
    assert!(
        ended.err.contains("with 600 MiB of memory after running out of it"),
        "it is told:\n{}",
        ended.err
    );
    ended.out_with(0);
    let done = &sweep.status()["runs"][0];
    assert_eq!(done["last_task"]["is_raised"], true, "{done}");
}

fn a_cancelled_task_stays_away(sweep: &Sweep<'_>) {
    let watcher = sweep.slurm.with(command(&sweep.arguments()));
    let mut watcher = { watcher };
    let child = watcher.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut task = String::new();
    sweep.slurm.wait("the watcher submits", || {
        let runs = sweep.status();
        task = runs["runs"][0]["last_task"]["job"].as_str().unwrap_or_default().to_owned();
        !task.is_empty()
    });
    sweep.freeze(&task);
    signal("-INT", child.id());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "Ctrl-C ends the watcher:\n{}", ended.err);
    assert!(ended.err.contains("the jobs stay queued and running"), "and says so:\n{}", ended.err);
    assert!(ended.out.contains("--launch slurm"), "and how to watch again:\n{}", ended.out);
    assert_eq!(states(&sweep.status()), ["running"], "the job runs on");
    assert_eq!(sweep.slurm.run(&[&sweep.arguments()[..], &["--no-wait"]].concat()).code, Some(0), "again");
    let launches = sweep.store.join("launches");
    assert!(!launches.join("0002").exists(), "nothing is submitted twice");
    sweep.slurm.ask("scancel", &[&task]);
    let stopped = sweep.wait_for("stopped", "cancelled");
    assert_eq!(stopped["last_task"]["requeues"], 0, "it did not requeue itself: {stopped}");
    sweep.watch().out_with(0);
    assert!(launches.join("0002").exists(), "it is submitted when it is asked for again");
}

fn a_task_outlives_its_node(sweep: &Sweep<'_>) {
    let task = sweep.submit();
    sweep.freeze(&task);
    let slurm = sweep.slurm;
    let node = slurm.ask("sinfo", &["--noheader", "--partition=main", "--format=%n"]);
    let node = format!("nodename={}", node.trim());
    slurm.ask("scontrol", &["update", &node, "state=down", "reason=test"]);
    let queued = sweep.wait_for("queued", "node-failure");
    assert_eq!(queued["last_task"]["requeues"], 0, "Slurm requeues it: {queued}");
    let node_is =
        |state: &str| slurm.ask("sinfo", &["--noheader", "--partition=main", "--format=%t"]).trim() == state;
    slurm.wait("the node returns", || {
        // It may return by itself, and then it cannot be resumed.
        let _ =
            slurm.with(Command::new("scontrol")).args(["update", &node, "state=resume"]).output().unwrap();
        node_is("idle")
    });
    sweep.resume(&task);
}

/// Set by `cargo xtask slow`: time limits are whole minutes.
const SLOW: &str = "SHARPNESS_SLOW_TESTS";

#[test]
fn tasks_at_the_end_of_their_time_stay_stopped_until_they_are_asked_for() {
    if std::env::var_os(SLOW).is_none() {
        return;
    }
    let slurm = PrivateSlurm::start().expect(MISSING);
    let folder = tempdir().unwrap();
    let sudden = Sweep::new(&slurm, folder.path(), "[0]", "time = \"1:00\"\nnotice = 0");
    let tired = Sweep::new(&slurm, folder.path(), "[1]", "time = \"1:00\"\nnotice = 50\nrequeues = 0");
    let pid = tired.freeze(&tired.submit());
    // Slurm continues and terminates it at its limit.
    sudden.freeze(&sudden.submit());
    slurm.wait("Slurm gives notice of the time limit", || is_pending(pid, USR1));
    let _ = is_sent("-CONT", pid);
    for (sweep, detail) in [(&tired, "with no requeues left"), (&sudden, "reached its time limit")] {
        let stopped = sweep.wait_for("stopped", "time-limit");
        assert!(stopped["reason"]["detail"].as_str().unwrap().contains(detail), "{stopped}");
        assert!(stopped["epochs"].as_u64() > Some(0), "it is saved: {stopped}");
        // As long as Slurm remembers a job, and without its memory.
        sweep.slurm.run(&[&sweep.arguments()[..], &["--no-wait"]].concat()).out_with(0);
        let task = sweep.status()["runs"][0]["last_task"]["job"].as_str().unwrap().to_owned();
        slurm.ask("scontrol", &["update", &format!("jobid={task}"), "timelimit=60"]);
        sweep.watch().out_with(0);
    }
}

#[test]
fn a_test_that_needs_slurm_says_so() {
    assert_skips_are_told(&["slurm::tasks_come_back_from_all_that_slurm_does_to_them"]);
}
