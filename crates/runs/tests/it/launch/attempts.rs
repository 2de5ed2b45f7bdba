//! What a task does when a signal stops it.

use std::fs;

use sharpness_runs::{AfterStop, Attempt, AttemptEnd, Launch, LaunchLayout, RunStore, Slurm};
use tempfile::{TempDir, tempdir};

use super::recorded::{RECIPE, Recorded};

/// A launch, and a task of it.
fn launched() -> (TempDir, Recorded, LaunchLayout) {
    let dir = tempdir().unwrap();
    let slurm = Recorded::cluster(1_001);
    slurm.answer("sbatch", Ok("7\n"));
    slurm.submit(RECIPE, &RunStore::new(dir.path())).unwrap();
    let layout = Launch::of_store(&RunStore::new(dir.path())).unwrap()[0].layout().clone();
    (dir, slurm, layout)
}

/// Begins an attempt that `SIGUSR1` stops.
fn stopped(slurm: &Recorded, layout: &LaunchLayout, most: u32) -> AfterStop {
    let mut attempt = Attempt::begin(layout, "7_3").unwrap();
    let then = attempt.stop(layout, "SIGUSR1", most, Some(Slurm::new(slurm))).unwrap();
    let end = AttemptEnd::Stopped { signal: "SIGUSR1".to_owned(), then: then.clone() };
    assert_eq!(attempt.end, Some(end), "it is recorded");
    then
}

#[test]
fn a_running_task_requeues_itself_at_most_as_often_as_allowed() {
    let (_dir, slurm, layout) = launched();
    slurm.answer(
        "scontrol --oneliner show job 7_3",
        Ok("JobId=10 ArrayJobId=7 JobState=RUNNING Reason=None\n"),
    );
    slurm.answer("scontrol requeue 7_3", Ok(""));
    for _ in 0..2 {
        slurm.asked("");
        assert_eq!(stopped(&slurm, &layout, 2), AfterStop::Requeue, "it may");
        assert_eq!(slurm.asked("scontrol requeue"), ["scontrol requeue 7_3"], "once");
    }
    assert_eq!(stopped(&slurm, &layout, 2), AfterStop::RequeuesUsedUp, "no more");
    assert_eq!(slurm.asked("scontrol requeue"), [""; 0], "Slurm is not asked");
    assert_eq!(fs::read_dir(layout.dir().join("attempts")).unwrap().count(), 3, "three attempts");
}

#[test]
fn a_task_that_slurm_is_ending_does_not_requeue_itself() {
    let (_dir, slurm, layout) = launched();
    slurm.answer("scontrol requeue", Ok(""));
    for state in ["COMPLETING", "CANCELLED", "PREEMPTED", "PENDING"] {
        let answer = format!("JobId=10 JobState={state} Reason=None\n");
        slurm.answer("scontrol --oneliner show job", Ok(&answer));
        assert_eq!(stopped(&slurm, &layout, 10), AfterStop::LeftToSlurm(state.to_owned()), "{state}");
    }
    assert_eq!(slurm.asked("scontrol requeue"), [""; 0], "it is cancelled, or Slurm requeues it");
}

#[test]
fn a_refused_requeue_is_recorded() {
    let (_dir, slurm, layout) = launched();
    slurm.answer("scontrol --oneliner show job", Ok("JobState=RUNNING\n"));
    slurm.answer("scontrol requeue", Err("Requested operation is presently disabled for job 10"));
    let AfterStop::Refused(problem) = stopped(&slurm, &layout, 10) else { panic!("it was refused") };
    assert!(problem.contains("presently disabled"), "{problem}");
}

#[test]
fn a_task_of_no_launch_is_an_error() {
    let dir = tempdir().unwrap();
    let problem = Attempt::begin(&LaunchLayout::new(dir.path(), 3), "7_3").unwrap_err().to_string();
    assert!(problem.contains("0003 has no task '7_3'"), "{problem}");
    let (_dir, _, layout) = launched();
    assert!(Attempt::begin(&layout, "../7").is_err(), "a name that is a path");
}
