//! `cargo xtask test` and `cargo xtask ci`: everything that a change must pass.

use std::path::Path;
use std::thread;

use anyhow::Result;

use crate::step::{Action, Invocation, Missing, Step, Tool, run_all};
use crate::{dependencies, mpi, python, tidy};

/// The environment variable that makes a test fail, rather than skip, if its data or program is missing
/// (`crates/data/tests/it/skip.rs`).
const REQUIRE_ALL: &str = "SHARPNESS_REQUIRE_ALL";

const RUSTFMT: Tool =
    Tool { name: "rustfmt", probe: "cargo fmt --version", install: "`rustup component add rustfmt`" };
const CLIPPY: Tool =
    Tool { name: "Clippy", probe: "cargo clippy --version", install: "`rustup component add clippy`" };
const MIRI: Tool = Tool {
    name: "Miri",
    probe: "cargo +nightly miri --version",
    install: "`rustup toolchain install nightly --component miri`",
};
/// The kernels' tests that Miri, which is some thousand times slower, runs in a minute. The portable lanes are the only ones whose
/// instructions it knows.
const MIRI_TESTS: &[&str] = &[
    "--test",
    "it",
    "--",
    "matmul::a",
    "matmul::shapes",
    "pool2d::",
    "epilogue::choices",
    "linear::a_value",
];
#[cfg(target_os = "linux")]
const SLURM: Tool = Tool { name: "Slurm", probe: "slurmctld -V", install: "`.ci/slurm install`" };
const GIT: Tool = Tool { name: "a Git checkout", probe: "git ls-files", install: "`git clone`" };

/// Runs all steps, cheapest first.
///
/// # Errors
/// A step fails. With [`Missing::Fails`], also if a tool is missing or a test would skip.
pub(crate) fn run(root: &Path, missing: Missing) -> Result<()> {
    let command = |name, line| Step::new(name, Action::Command(Invocation::new(line)));
    let documentation = Invocation::new("cargo doc --workspace --no-deps --document-private-items")
        .with_variable("RUSTDOCFLAGS", "-D warnings");
    let mut tests = Invocation::new("cargo test --workspace");
    if missing == Missing::Fails {
        tests = tests.with_variable(REQUIRE_ALL, "1");
    }
    let steps = [
        command("format", "cargo fmt --all --check").with_tool(RUSTFMT),
        Step::new("tidy", Action::Check(tidy::check, "cargo xtask tidy")).with_tool(GIT),
        dependencies::step(),
        Step::new("clippy", Action::Command(mpi::clippy(root))).with_tool(CLIPPY),
        Step::new("documentation", Action::Command(documentation)),
        Step::new("tests", Action::Command(tests)),
        #[cfg(target_os = "linux")]
        command("kills of sweeps", "cargo xtask kills 12"),
        #[cfg(target_os = "linux")]
        command("kills of tasks of Slurm", "cargo xtask kills --slurm 5").with_tool(SLURM),
        mpi::step(),
        python::step(),
        miri(),
    ];
    thread::scope(|scope| {
        if missing == Missing::Fails {
            // Downloads take minutes, in which the first steps keep the cores busy. The step itself reports what fails.
            scope.spawn(|| python::prepare(root).ok());
        }
        run_all(root, missing, &steps)
    })
}

/// Looks for undefined behaviour in the kernels that work through pointers. It is never required: a nightly toolchain is no part of
/// what builds the program.
fn miri() -> Step {
    let invocation = Invocation::new("cargo +nightly miri test -p sharpness-kernels")
        .with_arguments(MIRI_TESTS)
        .with_variable("SHARPNESS_ISA", "portable");
    Step::new("miri", Action::Command(invocation)).with_optional_tool(MIRI)
}
