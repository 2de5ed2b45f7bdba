//! `cargo xtask golden`: the values from PyTorch that tests compare with.

use std::path::Path;

use anyhow::{Context, Result};

use crate::step::Invocation;

/// Runs `golden/generate.py`, the only writer of golden files, with `arguments`.
pub(crate) fn generate(root: &Path, arguments: &[&str]) -> Result<()> {
    println!(
        "golden/generate.py needs python3 with the packages torch (a CPU build is enough), numpy, scipy, mpmath and safetensors."
    );
    Invocation::new("python3 golden/generate.py").with_arguments(arguments).run(root).context(
        "the golden files were not all written; if a package is missing, install it with \
         `python3 -m pip install torch numpy scipy mpmath safetensors`",
    )
}
