//! What is submitted, and what is not.

use std::fs;

use sharpness_runs::{Launch, RunStore};
use tempfile::tempdir;

use super::recorded::{RECIPE, Recorded};

/// The lines of `squeue` for tasks of a job, all in one state.
fn queue(job: u32, name: &str, tasks: std::ops::Range<usize>, state: &str) -> String {
    tasks.map(|task| format!("{job}|{task}|{state}|Priority||{name}\n")).collect()
}

/// The names of the jobs of a store's first launch.
fn names(store: &RunStore) -> String {
    let script = Launch::of_store(store).unwrap()[0].layout().script();
    let script = fs::read_to_string(script).unwrap();
    script.lines().find_map(|line| line.strip_prefix("#SBATCH --job-name=")).unwrap().to_owned()
}

#[test]
fn more_tasks_than_an_array_holds_are_submitted_as_several() {
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let slurm = Recorded::cluster(2);
    slurm.answer("sbatch", Ok("41\n"));
    let submitted = slurm.submit(&format!("{RECIPE}[launch]\nrunning = 1\n"), &store).unwrap();
    assert_eq!(submitted[0].jobs, ["41", "42", "43"], "three arrays");
    let asked: Vec<String> = slurm.asked("sbatch");
    for (line, parts) in asked.iter().zip([
        &["--array=0-1%1", "-0001-0 ", "job.sh 0"][..],
        &["--array=0-1%1", "-0001-2 ", "--dependency=afterany:41", "job.sh 2"],
        &["--array=0-0%1", "-0001-4 ", "--dependency=afterany:42", "job.sh 4"],
    ]) {
        parts.iter().for_each(|part| assert!(line.contains(part), "{part} in {line}"));
    }
    let launch = &Launch::of_store(&store).unwrap()[0];
    let tasks = fs::read_to_string(launch.layout().dir().join("tasks.txt")).unwrap();
    assert_eq!(tasks.lines().count(), 5, "one run on a line: {tasks}");
    assert_eq!(launch.plan().unwrap().runs.len(), 5, "a copy of the recipe");
}

#[test]
fn queued_runs_are_not_submitted_again() {
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let slurm = Recorded::cluster(1_001);
    slurm.answer("sbatch", Ok("7;bench\n"));
    slurm.submit(RECIPE, &store).unwrap();
    let lines = queue(7, &names(&store), 0..5, "PENDING");
    slurm.answer("squeue", Ok(&lines));
    assert_eq!(slurm.submit(RECIPE, &store).unwrap(), [], "all are queued");
    let more = RECIPE.replace("[0, 1,", "[9, 0, 1,");
    slurm.answer("sbatch", Ok("8\n"));
    let submitted = slurm.submit(&more, &store).unwrap();
    assert_eq!((submitted.len(), submitted[0].runs), (1, 1), "a seed that was added later");
    let lines = queue(7, &names(&store), 0..5, "CANCELLED");
    slurm.answer("squeue", Ok(&lines));
    slurm.answer("sbatch", Ok("9\n"));
    assert_eq!(
        slurm.submit(RECIPE, &store).unwrap()[0].runs,
        5,
        "a cancelled run is submitted when it is asked for"
    );
}

#[test]
fn a_job_whose_submission_was_not_recorded_is_found_by_its_name() {
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let slurm = Recorded::cluster(1_001);
    slurm.answer("sbatch", Err("Batch job submission failed: Socket timed out on send/recv operation"));
    let problem = slurm.submit(RECIPE, &store).unwrap_err().to_string();
    assert!(
        problem.contains("Slurm's sbatch failed: sbatch: error: Batch job submission failed"),
        "{problem}"
    );
    let lines = queue(7, &names(&store), 0..5, "PENDING");
    slurm.answer("squeue", Ok(&lines));
    assert_eq!(slurm.submit(RECIPE, &store).unwrap(), [], "the job was accepted after all");
}

#[test]
fn a_task_out_of_memory_gets_more_of_it_once() {
    let dir = tempdir().unwrap();
    let store = RunStore::new(dir.path());
    let slurm = Recorded::cluster(1_001);
    let recipe = format!("{RECIPE}[launch]\nmemory = \"100M\"\nmore_memory = 1.5\n");
    slurm.answer("sbatch", Ok("7\n"));
    slurm.submit(&recipe, &store).unwrap();
    let name = names(&store);
    let first = queue(7, &name, 0..4, "PENDING") + &queue(7, &name, 4..5, "OUT_OF_MEMORY");
    slurm.answer("squeue", Ok(&first));
    let submitted = slurm.submit(&recipe, &store).unwrap();
    assert_eq!((submitted.len(), submitted[0].runs), (1, 1), "one task ran out of memory");
    assert_eq!(submitted[0].raised_memory, Some(150), "MiB");
    let script = Launch::of_store(&store).unwrap()[1].layout().script();
    let script = fs::read_to_string(script).unwrap();
    assert!(script.contains("#SBATCH --mem=150M\n"), "{script}");
    let second = name.replace("-0001-", "-0002-");
    let lines = first + &queue(8, &second, 0..1, "OUT_OF_MEMORY");
    slurm.answer("squeue", Ok(&lines));
    assert_eq!(slurm.submit(&recipe, &store).unwrap(), [], "once");
    let larger = recipe.replace("100M", "400M");
    let submitted = slurm.submit(&larger, &store).unwrap();
    assert_eq!((submitted[0].runs, submitted[0].raised_memory), (1, None), "a larger recipe tries again");
}

#[test]
fn a_machine_without_slurm_says_so() {
    let dir = tempdir().unwrap();
    let problem = Recorded::default().submit(RECIPE, &RunStore::new(dir.path())).unwrap_err().to_string();
    assert!(problem.contains("scontrol") && problem.contains("not installed here"), "{problem}");
}
