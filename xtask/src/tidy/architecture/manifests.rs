//! Which of our crates may depend on which.

use anyhow::{Context, Result};

use super::source::{Files, crate_name};
use super::table::{self, Table};
use crate::tidy::violation::Violation;

/// Checks the manifests of the crates in `folders`. The tests of a crate may use all that are listed before it.
///
/// # Errors
/// A manifest is not TOML.
pub(super) fn check(files: &Files, folders: &[String], table: &Table) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for folder in folders {
        let (name, path) = (crate_name(folder), format!("{folder}/Cargo.toml"));
        let content = &files[&path];
        let manifest: toml::Table = content.parse().with_context(|| format!("invalid TOML in {path}"))?;
        let Some(entry) = table.entry(name) else {
            let message = format!("the crate `{name}` is missing from {}", table::PATH);
            found.push(Violation { path, line: 1, message });
            continue;
        };
        for (used, in_tests) in our_dependencies(&manifest) {
            let is_allowed = if in_tests { table.is_before(&used, name) } else { entry.uses.contains(&used) };
            if !is_allowed {
                let line =
                    content.lines().zip(1..).find(|(text, _)| text.contains(&format!("sharpness-{used}")));
                let message = format!("`{name}` may not use `{used}`, according to {}", table::PATH);
                found.push(Violation { path: path.clone(), line: line.map_or(1, |(_, line)| line), message });
            }
        }
    }
    Ok(found)
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

    const TABLE: &str = "[[crate]]\nname = 'kernels'\nuses = []\n[[crate]]\nname = 'curvature'\nuses = []\n\
        [[crate]]\nname = 'network'\nuses = ['kernels']\n[[crate]]\nname = 'cli'\nuses = ['network']\n";

    fn violations(name: &str, manifest: &str) -> Vec<String> {
        let folder = format!("crates/{name}");
        let files = Files::from([(format!("{folder}/Cargo.toml"), manifest.to_owned())]);
        let table = Table::parse(TABLE).unwrap();
        check(&files, &[folder], &table).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dependency_that_the_table_does_not_allow_is_found_at_its_line() {
        let manifest = "[dependencies]\nfaer = '1'\nsharpness-network.workspace = true\n";
        let expected = "crates/curvature/Cargo.toml:3: `curvature` may not use `network`, according to xtask/architecture.toml";
        assert_eq!(violations("curvature", manifest), [expected], "the manifest and its line are named");
        assert_eq!(violations("cli", manifest), [""; 0], "cli may");
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
    fn tests_may_use_crates_that_are_listed_before() {
        let manifest = "[dev-dependencies]\nsharpness-kernels.workspace = true\n";
        assert_eq!(violations("cli", manifest), [""; 0], "kernels is before cli");
        assert_eq!(
            violations("kernels", "[dev-dependencies]\nsharpness-cli.workspace = true\n").len(),
            1,
            "cli is not"
        );
    }

    #[test]
    fn a_crate_missing_from_the_table_is_found() {
        let expected =
            "crates/newcomer/Cargo.toml:1: the crate `newcomer` is missing from xtask/architecture.toml";
        assert_eq!(violations("newcomer", ""), [expected], "the place to edit is named");
    }
}
