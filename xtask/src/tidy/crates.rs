//! Which of our crates may depend on which.

use std::path::Path;

use anyhow::{Context, Result};

use super::Violation;

/// Every crate by its folder, with the crates of ours that it may depend on. A new crate gets a line here.
const ALLOWED: &[(&str, &[&str])] = &[
    ("backend", &[]),
    ("kernels", &["backend"]),
    ("curvature", &[]),
    ("network", &["backend", "curvature"]),
    ("experiments", &["network", "curvature", "kernels"]),
    ("cli", &["experiments"]),
    ("xtask", &[]),
];

/// What only the tests of a crate may use, besides all that it is built on: a backend-free crate is tested on a backend.
const IN_TESTS: &[(&str, &[&str])] = &[("network", &["kernels"])];

/// Checks all manifests, given as (path, content).
pub(super) fn check(manifests: &[(String, String)]) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for (path, content) in manifests {
        let Some(folder) = Path::new(path).parent().and_then(Path::file_name).and_then(|name| name.to_str())
        else {
            continue;
        };
        let manifest: toml::Table = content.parse().with_context(|| format!("{path} is not TOML"))?;
        let Some(allowed) = allowed(folder) else {
            let message = format!("the crate {folder} has no line in the table of xtask/src/tidy/crates.rs");
            found.push(Violation { path: path.clone(), line: 1, message });
            continue;
        };
        let mut reachable = reachable(folder);
        reachable.extend(IN_TESTS.iter().filter(|(name, _)| *name == folder).flat_map(|(_, more)| *more));
        for (dependency, in_tests) in our_dependencies(&manifest) {
            let of = dependency.as_str();
            let is_allowed = if in_tests { reachable.contains(&of) } else { allowed.contains(&of) };
            if !is_allowed {
                let lines = content.lines();
                let line = lines.zip(1..).find(|(text, _)| text.contains(&format!("sharpness-{of}")));
                let message = format!("{folder} must not depend on {of} (see ARCHITECTURE.md)");
                found.push(Violation {
                    path: path.clone(),
                    line: line.map_or(1, |(_, number)| number),
                    message,
                });
            }
        }
    }
    Ok(found)
}

fn allowed(folder: &str) -> Option<&'static [&'static str]> {
    ALLOWED.iter().find(|(name, _)| *name == folder).map(|(_, allowed)| *allowed)
}

/// The crates that a crate is built on, directly or not: its tests may use any of them.
fn reachable(folder: &str) -> Vec<&'static str> {
    let direct = allowed(folder).unwrap_or_default();
    direct.iter().flat_map(|&name| std::iter::once(name).chain(reachable(name))).collect()
}

/// (folder, whether for tests only) of each of our crates that a manifest names, for any platform.
fn our_dependencies(manifest: &toml::Table) -> Vec<(String, bool)> {
    let platforms =
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let tables = platforms.filter_map(toml::Value::as_table).chain([manifest]);
    let mut found = Vec::new();
    for table in tables {
        for (section, in_tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let entries = table.get(section).and_then(toml::Value::as_table).into_iter().flatten();
            for (key, value) in entries {
                let package = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
                found.extend(package.strip_prefix("sharpness-").map(|folder| (folder.to_owned(), in_tests)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(folder: &str, manifest: &str) -> Vec<String> {
        let manifests = [(format!("crates/{folder}/Cargo.toml"), manifest.to_owned())];
        check(&manifests).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dependency_against_the_arrows_is_found_at_its_line() {
        let manifest = "[dependencies]\nfaer = '1'\nsharpness-network.workspace = true\n";
        let expected =
            "crates/curvature/Cargo.toml:3: curvature must not depend on network (see ARCHITECTURE.md)";
        assert_eq!(violations("curvature", manifest), [expected], "the manifest and its line are named");
        assert_eq!(violations("experiments", manifest), [""; 0], "experiments may");
    }

    #[test]
    fn renamed_build_and_platform_dependencies_count() {
        let renamed = "[dependencies]\nx = { package = 'sharpness-kernels', path = '../kernels' }\n";
        let platform = "[target.'cfg(unix)'.build-dependencies]\nsharpness-kernels.workspace = true\n";
        for manifest in [renamed, platform] {
            assert_eq!(violations("cli", manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn tests_may_use_what_the_crate_is_built_on() {
        let manifest = "[dev-dependencies]\nsharpness-kernels.workspace = true\n";
        assert_eq!(violations("cli", manifest), [""; 0], "kernels is under experiments");
        assert_eq!(violations("network", manifest), [""; 0], "network is tested on it");
        assert_eq!(violations("curvature", manifest).len(), 1, "and is not under curvature");
    }

    #[test]
    fn a_crate_without_a_line_in_the_table_is_found() {
        assert!(violations("newcomer", "")[0].contains("no line in the table"), "the place to edit is named");
    }
}
