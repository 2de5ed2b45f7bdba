//! `cargo xtask settings`: regenerate the reference pages of settings and measures.

use std::path::Path;

use anyhow::Result;

use crate::step::Invocation;

/// Writes `docs/settings.md` and `docs/measures.md` by the tests that check them.
///
/// # Errors
/// The tests cannot be built or a page cannot be written.
pub(crate) fn generate(root: &Path) -> Result<()> {
    let test = Invocation::new("cargo test --quiet -p sharpness-training --test it up_to_date");
    test.with_variable("SHARPNESS_WRITE_SETTINGS", "1").run(root)
}
