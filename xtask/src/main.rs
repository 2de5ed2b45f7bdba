//! The project's own checks. A change must pass `cargo xtask test`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program writes to the terminal")]

mod dependencies;
mod faults;
mod golden;
#[cfg(target_os = "linux")]
mod kills;
mod mpi;
mod python;
mod results;
mod settings;
mod slow;
mod step;
mod test;
mod tidy;
mod yanked;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::step::{Missing, run_all};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test             run every check that a change must pass; skip those whose tool or data set is missing
  ci               the same, but fail if a tool or a data set is missing
  dependencies     check licences, sources and advisories of all dependencies
  tidy             check what neither the compiler nor Clippy does: the architecture, file sizes, links
  tidy --print-modules [CRATE]...
                   print the order of modules for xtask/architecture.toml, from the arrows that the code has
  python           install the Python package in an environment of its own, and test it
  mpi              build the program with MPI and run it on several ranks of this machine; needs MPI and libclang
  wheels           pack the Python sources and build a wheel for manylinux2014 from them; takes minutes
  slow             train real networks, simulate every finding, inject faults and kill sweeps; takes minutes
  faults           fail every system call of a sweep in turn; needs target/release/sharpness and strace
  kills [--slurm] [N [SEED]]
                   kill two sweeps of one store at N random moments (300), processes or tasks of Slurm arrays;
                   needs target/*/sharpness and Linux
  golden [ARG]...  regenerate the golden files with golden/generate.py, which receives the arguments
  results          regenerate results/README.md, figures and verdicts from the committed tables of runs
  results --check  fail if any of them is stale
  settings         regenerate docs/settings.md";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let root = repository_root()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(&root, Missing::Skips),
        ["ci"] => test::run(&root, Missing::Fails),
        ["dependencies"] => run_all(&root, Missing::Fails, &[dependencies::step()]),
        ["tidy"] => tidy::check(&root),
        ["tidy", "--print-modules", crates @ ..] => tidy::print_modules(&root, crates),
        ["python"] => python::check(&root),
        ["mpi"] => mpi::check(&root),
        ["wheels"] => python::wheels(&root),
        ["slow"] => slow::run(&root),
        ["faults"] => faults::check(&root),
        #[cfg(target_os = "linux")]
        ["kills", arguments @ ..] => kills::check(&root, arguments),
        ["golden", rest @ ..] => golden::generate(&root, rest),
        ["results"] => results::derive(&root, &[]),
        ["results", "--check"] => results::derive(&root, &["--check"]),
        ["settings"] => settings::generate(&root),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("no command given\n\n{USAGE}"),
        other => bail!("unknown command '{}'\n\n{USAGE}", other.join(" ")),
    }
}

/// The folder that contains this crate.
fn repository_root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).context("the folder of xtask has no parent")
}
