//! The project's own checks: `cargo xtask test` is what a change must pass.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of this program is for a terminal"
)]

mod dependencies;
mod faults;
mod golden;
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
usage: cargo xtask COMMAND

  test           everything that a change must pass, in turn; what needs a missing tool or data set is skipped
  ci             the same, as the build machines run it: a missing tool or data set is a failure
  dependencies   licences, sources and advisories of the crates that we use
  tidy           the rules that no compiler knows: sizes, safety comments, links, dependencies between our crates
  slow           the real training runs, and all faults (minutes)
  faults         a fault in every system call of a sweep, one at a time; needs target/release/sharpness and strace
  golden [ARG]…  writes the golden files anew with golden/generate.py, which gets the arguments";

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
        ["slow"] => slow::run(&root),
        ["faults"] => faults::check(&root),
        ["golden", rest @ ..] => golden::generate(&root, rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("a command is missing\n\n{USAGE}"),
        other => bail!("unknown command '{}'\n\n{USAGE}", other.join(" ")),
    }
}

/// The folder above this crate's.
fn repository_root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).context("the folder of xtask has no parent")
}
