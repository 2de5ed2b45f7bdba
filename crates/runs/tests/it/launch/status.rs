//! Where runs stand, and why.

use std::fs;

use sharpness_runs::{
    Attempt, AttemptEnd, Launch, Overview, ReasonKind, RunStore, Slurm, TaskPhase, TaskStatus,
};
use tempfile::{TempDir, tempdir};

use super::recorded::{RECIPE, Recorded, plan};

/// The line of `squeue` for the task of the first run.
const TASK: &str = "7|0|STATE|REASON|NODE|NAME\n";

/// A launch as job 7.
fn launched() -> (TempDir, RunStore, Recorded) {
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let slurm = Recorded::cluster(1_001);
    slurm.answer("sbatch", Ok("7\n"));
    slurm.submit(RECIPE, &store).unwrap();
    (dir, store, slurm)
}

/// Where the first run of a launch stands, after its attempts ended so with these logs, as `squeue` then answers.
fn status(ends: &[(Option<AttemptEnd>, &str)], state: &str) -> TaskStatus {
    let (_dir, store, slurm) = launched();
    let launch = Launch::of_store(&store).unwrap().remove(0);
    let log = launch.layout().log("7_0");
    for (end, text) in ends {
        let mut attempt = Attempt::begin(launch.layout(), "7_0").unwrap();
        let before = fs::read_to_string(&log).unwrap_or_default();
        fs::write(&log, format!("{before}{text}")).unwrap();
        if let Some(end) = end {
            attempt.end(launch.layout(), end.clone()).unwrap();
        }
    }
    let line = TASK.replace("NODE", "n1").replace("REASON", "Resources").replace("STATE", state);
    if !state.is_empty() {
        slurm.answer("squeue", Ok(&line));
    }
    let overview = Overview::of(&store, Slurm::new(&slurm)).unwrap();
    assert_eq!(overview.unknown, None, "Slurm answers");
    overview.status(&store, plan(RECIPE).distinct().next().unwrap())
}

fn stopped(signal: &str, then: sharpness_runs::AfterStop) -> Option<AttemptEnd> {
    Some(AttemptEnd::Stopped { signal: signal.to_owned(), then })
}

fn at(what: &str) -> String {
    format!("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-30T02:00:00{what} ***\n")
}

#[test]
fn the_queue_says_what_waits_and_what_runs() {
    let queued = status(&[], "PENDING");
    assert_eq!((queued.phase, queued.reason), (TaskPhase::Queued, None), "it waits for the first time");
    assert_eq!(queued.queue.as_deref(), Some("Resources"), "for nodes");
    let running = status(&[(None, "")], "RUNNING");
    assert_eq!((running.phase, running.queue.as_deref()), (TaskPhase::Running, Some("on n1")), "it runs");
    assert_eq!(running.last.unwrap().job.as_deref(), Some("7_0"), "as a task");
}

#[test]
fn each_end_has_its_own_reason() {
    use sharpness_runs::AfterStop::{LeftToSlurm, Requeue, RequeuesUsedUp};
    let oom = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.\n";
    let completing = || LeftToSlurm("COMPLETING".to_owned());
    let failed = |out_of_memory| Some(AttemptEnd::Failed { problem: "why".to_owned(), out_of_memory });
    let (stop, fail) = (TaskPhase::Stopped, TaskPhase::Failed);
    for (end, log, state, phase, kind) in [
        // Slurm still remembers the job.
        (None, String::new(), "TIMEOUT", stop, ReasonKind::TimeLimit),
        (None, String::new(), "NODE_FAIL", stop, ReasonKind::NodeFailure),
        (None, String::new(), "OUT_OF_MEMORY", fail, ReasonKind::OutOfMemory),
        (stopped("SIGTERM", completing()), String::new(), "PREEMPTED", stop, ReasonKind::Preempted),
        (stopped("SIGTERM", completing()), String::new(), "CANCELLED", stop, ReasonKind::Cancelled),
        (stopped("SIGUSR1", Requeue), String::new(), "CANCELLED", stop, ReasonKind::Cancelled),
        (stopped("SIGUSR1", Requeue), String::new(), "FAILED", stop, ReasonKind::Killed),
        (stopped("SIGUSR1", RequeuesUsedUp), String::new(), "FAILED", stop, ReasonKind::TimeLimit),
        (failed(false), String::new(), "FAILED", fail, ReasonKind::RunFailed),
        (failed(true), String::new(), "FAILED", fail, ReasonKind::OutOfMemory),
        // It has forgotten the job, but the log has not.
        (None, at(" DUE TO TIME LIMIT"), "", stop, ReasonKind::TimeLimit),
        (None, at(" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"), "", stop, ReasonKind::NodeFailure),
        (stopped("SIGTERM", completing()), at(" DUE TO PREEMPTION"), "", stop, ReasonKind::Preempted),
        (stopped("SIGTERM", completing()), at(""), "", stop, ReasonKind::Cancelled),
        (None, oom.to_owned(), "", fail, ReasonKind::OutOfMemory),
        // Nothing is known.
        (None, String::new(), "", stop, ReasonKind::Killed),
        (None, String::new(), "FAILED", stop, ReasonKind::Killed),
        (stopped("SIGTERM", completing()), String::new(), "", stop, ReasonKind::Stopped),
        (stopped("SIGUSR1", Requeue), String::new(), "", stop, ReasonKind::Cancelled),
    ] {
        let status = status(&[(end.clone(), &log)], state);
        let reason = status.reason.unwrap();
        assert_eq!((status.phase, reason.kind), (phase, kind), "{end:?}, {log}, {state}: {}", reason.detail);
    }
}

#[test]
fn a_task_that_waits_again_says_what_ended_the_last_attempt() {
    use sharpness_runs::AfterStop::{LeftToSlurm, Requeue};
    let first = (None, at(" DUE TO NODE FAILURE"));
    for (end, log, kind) in [
        (stopped("SIGUSR1", Requeue), String::new(), ReasonKind::TimeLimit),
        (
            stopped("SIGTERM", LeftToSlurm("COMPLETING".to_owned())),
            at(" DUE TO PREEMPTION"),
            ReasonKind::Preempted,
        ),
        (None, at(" DUE TO NODE FAILURE"), ReasonKind::NodeFailure),
        (None, String::new(), ReasonKind::Killed),
    ] {
        let status = status(&[(first.0.clone(), &first.1), (end, &log)], "PENDING");
        assert_eq!(status.phase, TaskPhase::Queued, "{kind:?}");
        assert_eq!(status.reason.unwrap().kind, kind, "of the last of two attempts");
        assert_eq!(status.last.unwrap().attempts, 2, "attempts");
    }
}

#[test]
fn a_task_that_never_began_is_no_secret() {
    let never = status(&[], "FAILED");
    assert_eq!(never.phase, TaskPhase::Stopped, "nobody works on it");
    assert!(never.reason.unwrap().detail.contains("before the program started"), "and why");
    assert_eq!(
        status(&[], "CANCELLED").reason.unwrap().kind,
        ReasonKind::Cancelled,
        "cancelled in the queue"
    );
}

#[test]
fn without_slurm_the_store_still_tells_what_it_knows() {
    let (_dir, store, _) = launched();
    let away = Recorded::default();
    let overview = Overview::of(&store, Slurm::new(&away)).unwrap();
    assert!(overview.unknown.as_ref().unwrap().contains("not installed here"), "{:?}", overview.unknown);
    let plan = plan(RECIPE);
    let status = overview.status(&store, plan.distinct().next().unwrap());
    assert_eq!(status.phase, TaskPhase::Submitted, "no more is known");
    assert_eq!(status.queue.as_deref(), Some("to the cluster 'bench'"), "where");
}

#[test]
fn accounts_outlive_the_queue() {
    let (_dir, store, slurm) = launched();
    slurm.answer("sacct", Ok("7_0|OUT_OF_MEMORY\n7_1|CANCELLED by 1000\n7_[2-4]|PENDING\n"));
    let overview = Overview::of(&store, Slurm::new(&slurm)).unwrap();
    let plan = plan(RECIPE);
    let kinds: Vec<_> =
        plan.distinct().take(2).map(|run| overview.status(&store, run).reason.unwrap().kind).collect();
    assert_eq!(kinds, [ReasonKind::OutOfMemory, ReasonKind::Cancelled], "from sacct");
}
