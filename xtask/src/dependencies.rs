//! Licences, sources and advisories of all crates in `Cargo.lock`, through `cargo deny` and `deny.toml`.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::step::Invocation;
use crate::yanked;

/// Licences, bans and sources need no network. Advisories need a database that only GitHub serves: where neither it
/// nor an earlier copy can be had, the registry's index is asked for yanked versions instead, and the output says so.
///
/// # Errors
/// `cargo deny` is missing, or a crate breaks a rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    if !succeeds(root, &Invocation::new("cargo deny --version")) {
        bail!(
            "cargo-deny is not installed; install it with `cargo install cargo-deny --locked --version '^0.20'`"
        );
    }
    Invocation::new("cargo deny check --hide-inclusion-graph licenses bans sources").run(root)?;

    if succeeds(root, &Invocation::new("cargo deny fetch db")) {
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

/// Whether the command ends with status 0. Its output is dropped, and a transfer that stalls for 20 s is given up.
fn succeeds(root: &Path, invocation: &Invocation) -> bool {
    let mut command = invocation.command(root);
    command.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000").env("GIT_HTTP_LOW_SPEED_TIME", "20");
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
