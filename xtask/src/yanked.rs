//! Yanked versions in `Cargo.lock`, according to Cargo's cache of the registry's index.
//!
//! The cache has one file per crate: 5 bytes for the format, then zero-terminated texts: the revision, and
//! for each version its number and its record in JSON (Cargo's `sources::registry::index::cache`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::step::Invocation;

/// The first bytes of a cache file: Cargo's cache version 3, index version 2.
const FORMAT: [u8; 5] = [3, 2, 0, 0, 0];

/// Updates Cargo's index if the registry can be reached, then looks up every locked version.
///
/// # Errors
/// A version is yanked or cannot be found.
pub(crate) fn check(root: &Path) -> Result<()> {
    let refresh = Invocation::new("cargo update --dry-run --quiet");
    if !refresh.command(root).output()?.status.success() {
        println!("Cannot reach the registry either; using the index from its last update.");
    }
    let text = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let locked = locked_versions(&text)?;
    let folders = index_folders()?;
    let mut faults = Vec::new();
    for (name, version) in &locked {
        match is_yanked(&folders, name, version)? {
            Some(false) => {}
            Some(true) => faults.push(format!("{name} {version} is yanked; run `cargo update -p {name}`")),
            None => faults.push(format!("{name} {version} is not in the index; run `cargo fetch`")),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("{} locked versions, none yanked", locked.len());
    Ok(())
}

/// The (name, version) of each crate in a `Cargo.lock` that comes from a registry.
fn locked_versions(lock: &str) -> Result<BTreeSet<(String, String)>> {
    let lock: toml::Table = lock.parse().context("invalid TOML in Cargo.lock")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock lists no packages")?;
    let field =
        |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let registry = packages.iter().filter(|package| {
        field(package, "source")
            .is_some_and(|source| source.starts_with("registry+") || source.starts_with("sparse+"))
    });
    registry
        .map(|package| {
            field(package, "name")
                .zip(field(package, "version"))
                .context("a package in Cargo.lock has no name or version")
        })
        .collect()
}

/// The folder of Cargo's caches.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => {
            Ok(std::env::home_dir().context("neither CARGO_HOME nor a home folder is set")?.join(".cargo"))
        }
    }
}

/// The folders of Cargo's index caches, one per registry.
fn index_folders() -> Result<Vec<PathBuf>> {
    let index = cargo_home()?.join("registry/index");
    let entries = fs::read_dir(&index).with_context(|| format!("cannot read {}", index.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path().join(".cache"))).collect())
}

/// Whether the version is yanked, or `None` if no index has it.
fn is_yanked(folders: &[PathBuf], name: &str, version: &str) -> Result<Option<bool>> {
    for folder in folders {
        let path = folder.join(index_path(name));
        if let Ok(bytes) = fs::read(&path) {
            let yanked =
                yanked_in(&bytes, version).with_context(|| format!("cannot read {}", path.display()))?;
            if yanked.is_some() {
                return Ok(yanked);
            }
        }
    }
    Ok(None)
}

/// The path of a crate in an index: `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcdef`.
fn index_path(name: &str) -> String {
    let name = name.to_lowercase();
    match name.len() {
        length @ 0..=2 => format!("{length}/{name}"),
        3 => format!("3/{}/{name}", &name[..1]),
        _ => format!("{}/{}/{name}", &name[..2], &name[2..4]),
    }
}

/// Whether a cache file marks a version as yanked, or `None` if it does not list it.
fn yanked_in(bytes: &[u8], version: &str) -> Result<Option<bool>> {
    let Some(body) = bytes.strip_prefix(&FORMAT) else {
        bail!("unknown format: this check reads the cache of Cargo 1.95");
    };
    let mut texts = body.split(|&byte| byte == 0).skip(1);
    while let (Some(number), Some(record)) = (texts.next(), texts.next()) {
        if number == version.as_bytes() {
            let record: serde_json::Value = serde_json::from_slice(record)?;
            return Ok(Some(record["yanked"].as_bool().context("the record has no `yanked`")?));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yanked_available_and_unknown_versions_are_told_apart() {
        let mut file = FORMAT.to_vec();
        file.extend(b"etag\x001.0.0\0{\"yanked\": true}\x001.0.1\0{\"yanked\": false}\0");
        let says = |version| yanked_in(&file, version).unwrap();
        let expected = [Some(true), Some(false), None];
        assert_eq!([says("1.0.0"), says("1.0.1"), says("1.0.2")], expected, "yanked, available, unknown");
        assert!(yanked_in(b"\x09other", "1.0.0").is_err(), "an unknown format is an error");
    }

    #[test]
    fn index_paths_follow_the_length_of_the_name() {
        let paths = ["a", "ab", "abc", "Inflector"].map(index_path);
        assert_eq!(paths, ["1/a", "2/ab", "3/a/abc", "in/fl/inflector"], "the registry's four cases");
    }

    #[test]
    fn only_crates_of_a_registry_are_looked_up() {
        let lock = "[[package]]\nname = 'ours'\nversion = '0.1.0'\n\
                    [[package]]\nname = 'theirs'\nversion = '2.0.0'\nsource = 'registry+https://index'\n";
        let expected = BTreeSet::from([("theirs".to_owned(), "2.0.0".to_owned())]);
        assert_eq!(locked_versions(lock).unwrap(), expected, "not our own crates");
    }
}
