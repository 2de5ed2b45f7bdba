//! Licences, sources and advisories of all crates in `Cargo.lock`, checked by `cargo deny` with `deny.toml`.

use std::path::Path;

use anyhow::Result;

use crate::step::{Action, Invocation, Step, Tool};
use crate::yanked;

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    probe: "cargo deny --version",
    install: "`cargo install cargo-deny --locked --version '^0.20'`",
};

/// The check as a step.
pub(crate) fn step() -> Step {
    Step::new("dependencies", Action::Check(check, "cargo xtask dependencies")).with_tool(CARGO_DENY)
}

/// Checking licences, bans and sources needs no network. Advisories need a database that only GitHub serves.
/// Without it and without an earlier copy, this checks the registry's index for yanked versions instead, and
/// says so.
///
/// # Errors
/// A crate breaks a rule, or `cargo deny` cannot run.
fn check(root: &Path) -> Result<()> {
    Invocation::new("cargo deny check --hide-inclusion-graph licenses bans sources").run(root)?;

    if Invocation::new("cargo deny fetch db").succeeds(root) {
        return Invocation::new("cargo deny check advisories").run(root);
    }
    if has_database()? {
        println!("Cannot fetch the advisory database; using the copy from an earlier run.");
        return Invocation::new("cargo deny --offline check advisories").run(root);
    }
    println!(
        "Advisories were NOT checked: this machine cannot reach GitHub, which serves the RustSec database.\n\
         Checking the registry's index for yanked versions instead."
    );
    yanked::check(root)
}

/// Whether `cargo deny` has a copy of the advisory database from an earlier run.
fn has_database() -> Result<bool> {
    let Ok(databases) = std::fs::read_dir(yanked::cargo_home()?.join("advisory-dbs")) else {
        return Ok(false);
    };
    Ok(databases.flatten().any(|database| database.path().join(".git/FETCH_HEAD").is_file()))
}
