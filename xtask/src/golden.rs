//! `cargo xtask golden`: regenerate the values from PyTorch that tests compare with.

use std::path::Path;

use anyhow::{Context, Result};

use crate::step::Invocation;

/// Runs `golden/generate.py`, the only program that writes golden files, with `arguments`.
///
/// # Errors
/// Python or a package is missing, or the script fails.
pub(crate) fn generate(root: &Path, arguments: &[&str]) -> Result<()> {
    println!(
        "golden/generate.py needs python3 with torch (a CPU build is enough), numpy, scipy, mpmath and safetensors."
    );
    Invocation::new("python3 golden/generate.py").with_arguments(arguments).run(root).context(
        "not all golden files were written; if a package is missing, install it with \
         `python3 -m pip install torch numpy scipy mpmath safetensors`",
    )
}
