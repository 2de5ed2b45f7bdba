//! `cargo xtask slow`: trainings and simulations that take too long to run for every change.

use std::path::Path;

use anyhow::Result;

use crate::faults;
use crate::step::{Action, Invocation, Missing, Step, run_all};

/// Each step's name and command.
const RUNS: &[(&str, &str)] = &[
    (
        "MLP on Fashion-MNIST",
        "cargo run --release --bin sharpness -- train --arch mlp --dataset fashion-mnist --dropout 0.1 --lr 0.1 \
         --batch-size 100 --json",
    ),
    (
        "all figures at smoke scale",
        "cargo run --release --bin sharpness -- reproduce all --scale smoke --jobs 2 --store target/smoke/runs --out target/smoke/figures",
    ),
    (
        "simulated stores of every finding",
        "cargo test --release -p sharpness-study --features simulation --lib simulation -- --nocapture",
    ),
];

/// Runs [`RUNS`], whose trainings stop at 99 % training accuracy, then injects faults and kills sweeps.
///
/// # Errors
/// A step fails.
pub(crate) fn run(root: &Path) -> Result<()> {
    let step = |&(name, line)| Step::new(name, Action::Command(Invocation::new(line)));
    let limits =
        Invocation::new("cargo test -p sharpness-cli --test it slurm::tasks_at_the_end -- --nocapture")
            .with_variable("SHARPNESS_SLOW_TESTS", "1");
    let limits = Step::new("time limits of Slurm", Action::Command(limits));
    let faults = Step::new("faults in sweeps", Action::Check(faults::check, "cargo xtask faults"));
    let kills = Step::new("kills of sweeps", Action::Command(Invocation::new("cargo xtask kills 300")));
    let tasks = Invocation::new("cargo xtask kills --slurm 300");
    let tasks = Step::new("kills of tasks of Slurm", Action::Command(tasks));
    let steps = RUNS.iter().map(step).chain([limits, faults, kills, tasks]);
    run_all(root, Missing::Fails, &steps.collect::<Vec<_>>())
}
