//! The `[launch]` of a recipe.

use std::path::Path;

use sharpness_runs::Plan;

use super::recorded::{RECIPE, plan};

#[test]
fn what_a_scheduler_grants_renames_no_run() {
    let with = plan(&format!("{RECIPE}[launch]\ntime = \"1:00\"\nnotice = 10\nmemory = \"2G\"\ncores = 4\n"));
    let without = plan(RECIPE);
    let names = |plan: &Plan| plan.runs.iter().map(|run| run.identity.clone()).collect::<Vec<_>>();
    assert_eq!(names(&with), names(&without), "names depend on what is computed alone");
    assert_eq!((with.resources.time, with.resources.memory), (Some(60), Some(2_048)), "it is read");
}

#[test]
fn a_mistake_is_told_with_its_line_and_key() {
    for (lines, told) in [
        ("time = 90", "line 4: launch.time must be a time limit such as"),
        ("cores = 2\nmemory = \"many\"", "line 5: launch.memory must be a size"),
        ("cores = 0", "line 4: launch.cores must be a whole number from 1"),
        ("memry = \"1G\"", "line 4: a recipe has no 'memry'; did you mean 'memory'?"),
        ("more_memory = 2", "line 4: launch.more_memory multiplies memory, which is not set"),
        ("time = \"1:00\"", "line 3: launch.notice must be shorter than the time limit of 60 s"),
        ("sbatch = [\"--array=0-3\"]", "line 4: launch.sbatch must not set --array; set launch.running"),
        ("before = \"module load gcc\"", "line 4: launch.before must be a list of strings"),
        ("partition = \"a b\"", "line 4: launch.partition must be a name without spaces"),
    ] {
        let text = format!("{RECIPE}[launch]\n{lines}\n");
        let problem = Plan::parse(Path::new("recipe.toml"), &text).unwrap_err().to_string();
        assert!(problem.contains(&format!("recipe.toml, {told}")), "{lines}: {problem}");
    }
}
