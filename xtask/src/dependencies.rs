//! Licences, sources and advisories of all crates in `Cargo.lock`, through `cargo deny` and `deny.toml`.

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

/// Licences, bans and sources need no network. Advisories need a database that only GitHub serves: where neither it
/// nor an earlier copy can be had, the registry's index is asked for yanked versions instead, and the output says so.
///
/// # Errors
/// A crate breaks a rule, or `cargo deny` cannot be run.
fn check(root: &Path) -> Result<()> {
    Invocation::new("cargo deny check --hide-inclusion-graph licenses bans sources").run(root)?;

    if Invocation::new("cargo deny fetch db").succeeds(root) {
        return Invocation::new("cargo deny check advisories").run(root);
    }
    if has_database()? {
        println!("The advisory database cannot be fetched now; the copy from an earlier run is used.");
        return Invocation::new("cargo deny --offline check advisories").run(root);
    }
    println!(
        "Advisories were NOT checked: the RustSec database is served by GitHub, which this machine cannot reach.\n\
         Instead, the registry's index is asked whether a version in Cargo.lock has been yanked by its authors."
    );
    yanked::check(root)
}

/// Whether an earlier run has left a copy of the advisory database where `cargo deny` looks for it.
fn has_database() -> Result<bool> {
    let Ok(databases) = std::fs::read_dir(yanked::cargo_home()?.join("advisory-dbs")) else {
        return Ok(false);
    };
    Ok(databases.flatten().any(|database| database.path().join(".git/FETCH_HEAD").is_file()))
}
