//! Programs of Slurm that give recorded answers.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Output};
use std::sync::Mutex;

use sharpness_runs::{Commands, Plan, Program, RunStore, Slurm, Submission, Submitted};

pub(super) const RECIPE: &str = "seeds = [0, 1, 2, 3, 4]\n\
    fixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], max_epochs = 1, examples = 50 }\n";

/// Answers for each program, the last of which is repeated, and what was asked.
#[derive(Default)]
pub(super) struct Recorded {
    answers: Mutex<Vec<(&'static str, Result<String, String>)>>,
    asked: Mutex<Vec<String>>,
}

impl Recorded {
    /// A cluster whose arrays have at most `most` tasks, without accounts.
    pub(super) fn cluster(most: usize) -> Self {
        let recorded = Self::default();
        let config = format!(
            "Configuration data as of 2026-11-30T03:00:00\nClusterName             = bench\n\
             MaxArraySize            = {most}\nMaxArraySizeX = 7\n"
        );
        recorded.answer("scontrol show config", Ok(&config));
        recorded.answer("sacct", Err("Slurm accounting storage is disabled"));
        recorded.answer("squeue", Ok(""));
        recorded
    }

    /// Adds an answer to commands that start with `command`, in place of earlier ones.
    pub(super) fn answer(&self, command: &'static str, answer: Result<&str, &str>) {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        self.answers.lock().unwrap().insert(0, (command, answer));
    }

    /// The commands since the last call that start with `program`.
    pub(super) fn asked(&self, program: &str) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.into_iter().filter(|line| line.starts_with(program)).collect()
    }

    /// Submits the runs of a recipe.
    pub(super) fn submit(&self, recipe: &str, store: &RunStore) -> sharpness_runs::Result<Vec<Submitted>> {
        let plan = plan(recipe);
        let program = Program { called: "sharpness".to_owned(), flags: Vec::new() };
        let (slurm, retry_failed) = (Slurm::new(self), false);
        let recipe = (Path::new("recipe.toml"), recipe);
        Submission { plan: &plan, recipe, store, program: &program, retry_failed, slurm }.submit()
    }
}

impl Commands for Recorded {
    fn run(&self, program: &str, arguments: &[&str], _: Option<&Path>) -> io::Result<Output> {
        let line = format!("{program} {}", arguments.join(" "));
        self.asked.lock().unwrap().push(line.clone());
        let mut answers = self.answers.lock().unwrap();
        let index = answers.iter().position(|(command, _)| line.starts_with(command));
        let Some(index) = index else { return Err(io::ErrorKind::NotFound.into()) };
        let (command, answer) = answers[index].clone();
        // Each job has another number.
        if let (true, Ok(number)) =
            (command == "sbatch", answer.clone().unwrap_or_default().trim().parse::<u32>())
        {
            answers[index].1 = Ok(format!("{}\n", number + 1));
        }
        let (code, out, err) = match answer {
            Ok(out) => (0, out, String::new()),
            Err(err) => (1, String::new(), format!("{program}: error: {err}\n")),
        };
        Ok(Output { status: ExitStatus::from_raw(code << 8), stdout: out.into(), stderr: err.into() })
    }
}

pub(super) fn plan(recipe: &str) -> Plan {
    Plan::parse(Path::new("recipe.toml"), recipe).unwrap()
}
