//! Tests that need what not every machine has: a data set, a browser.

use std::io::{self, Write as _};
use std::process::{Command, Output};

/// The variable that `cargo xtask ci` sets: no test may skip.
const REQUIRE_ALL: &str = "SHARPNESS_REQUIRE_ALL";

/// Says that the calling test skips because of `missing`, which also says how to get it.
///
/// # Panics
/// [`REQUIRE_ALL`] is set.
pub(crate) fn skip(missing: &str) {
    let required = std::env::var_os(REQUIRE_ALL).is_some_and(|value| !value.is_empty());
    assert!(!required, "{missing}; no test may skip where {REQUIRE_ALL} is set");
    let thread = std::thread::current();
    let line = format!("skipped {}: {missing}\n", thread.name().unwrap_or("a test"));
    // The test harness swallows what `eprintln!` prints in a test that passes.
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Runs one test of this binary on a machine that has neither data nor programs.
fn on_a_bare_machine(test: &str, require_all: &str) -> Output {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", test]).env(REQUIRE_ALL, require_all).env("PATH", "");
    // Empty folders, so that nothing is found in the user's cache.
    let home = tempfile::tempdir().unwrap();
    for variable in ["HOME", "XDG_CACHE_HOME", "SHARPNESS_DATA"] {
        program.env(variable, home.path());
    }
    program.output().unwrap()
}

/// Asserts that `tests` of this binary say why they skip, and fail where none may.
pub(crate) fn assert_skips_are_told(tests: &[&str]) {
    for test in tests {
        let skipped = on_a_bare_machine(test, "");
        let told = String::from_utf8_lossy(&skipped.stderr);
        assert!(skipped.status.success(), "{test} skips where something is missing:\n{told}");
        assert!(told.contains(&format!("skipped {test}: ")), "{test} says that it skips:\n{told}");
        let required = on_a_bare_machine(test, "1");
        let report = String::from_utf8_lossy(&required.stdout);
        assert_eq!(required.status.code(), Some(101), "{test} fails where it may not skip:\n{report}");
        assert!(report.contains(REQUIRE_ALL), "and says why:\n{report}");
    }
}
