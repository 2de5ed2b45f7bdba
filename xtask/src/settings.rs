//! `cargo xtask settings`: regenerate the reference page of settings.

use std::path::Path;

use anyhow::Result;

use crate::step::Invocation;

/// Writes `docs/settings.md` by the test that checks it.
///
/// # Errors
/// The test cannot be built or the page cannot be written.
pub(crate) fn generate(root: &Path) -> Result<()> {
    let test = Invocation::new("cargo test --quiet -p sharpness-training --test it settings_page");
    test.with_variable("SHARPNESS_WRITE_SETTINGS", "1").run(root)
}
