//! `cargo xtask results`: what follows from the committed tables of runs: figures, verdicts and results/README.md.

use std::path::Path;

use anyhow::Result;

use crate::step::Invocation;

/// Rewrites what is stale, or with `arguments` of `--check` fails if anything is.
///
/// # Errors
/// The program cannot be built, a table cannot be read, or the check fails.
pub(crate) fn derive(root: &Path, arguments: &[&str]) -> Result<()> {
    Invocation::new("cargo build --quiet -p sharpness-cli").run(root)?;
    Invocation::new("python3 results/page.py target/debug/sharpness").with_arguments(arguments).run(root)
}
