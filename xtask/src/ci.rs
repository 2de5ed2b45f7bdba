//! `cargo xtask ci`: everything that a change must pass.

use std::path::Path;

use anyhow::Result;

use crate::step::{Action, Invocation, Step, run_all};
use crate::{dependencies, tidy};

/// The steps, in an order that finds cheap mistakes first.
pub(crate) fn run(root: &Path) -> Result<()> {
    let command = |name, line| Step { name, action: Action::Command(Invocation::new(line)) };
    let documentation = Invocation::new("cargo doc --workspace --no-deps --document-private-items");
    run_all(
        root,
        &[
            command("format", "cargo fmt --all --check"),
            Step { name: "tidy", action: Action::Check(tidy::check, "cargo xtask tidy") },
            Step {
                name: "dependencies",
                action: Action::Check(dependencies::check, "cargo xtask dependencies"),
            },
            command("clippy", "cargo clippy --workspace --all-targets -- -D warnings"),
            Step {
                name: "documentation",
                action: Action::Command(documentation.with_variable("RUSTDOCFLAGS", "-D warnings")),
            },
            command("tests", "cargo test --workspace"),
        ],
    )
}
