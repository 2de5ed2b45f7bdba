//! Versions in `Cargo.lock` that their authors have yanked, read from Cargo's own copy of the registry's index.
//!
//! A copy is one file per crate: 5 bytes of format, then texts that end in a zero byte: the revision, and for each
//! version its number and its record as JSON (Cargo's `sources::registry::index::cache`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::step::Invocation;

/// The bytes with which a file of the index begins: Cargo's cache version 3, index version 2.
const FORMAT: [u8; 5] = [3, 2, 0, 0, 0];

/// Brings Cargo's index up to date where the registry can be reached, then looks every locked version up in it.
///
/// # Errors
/// A version is yanked, or cannot be looked up.
pub(crate) fn check(root: &Path) -> Result<()> {
    let refresh = Invocation::new("cargo update --dry-run --quiet");
    if !refresh.command(root).output()?.status.success() {
        println!("The registry cannot be reached either; its index is read as it was when Cargo last asked.");
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
    println!("{} locked versions, none of them yanked.", locked.len());
    Ok(())
}

/// (name, version) of each crate of a `Cargo.lock` that comes from a registry.
fn locked_versions(lock: &str) -> Result<BTreeSet<(String, String)>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is not TOML")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock has no packages")?;
    let field =
        |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let registry = packages.iter().filter(|package| {
        field(package, "source")
            .is_some_and(|source| source.starts_with("registry+") || source.starts_with("sparse+"))
    });
    registry
        .map(|package| {
            field(package, "name").zip(field(package, "version")).context("a package without a name")
        })
        .collect()
}

/// The folder in which Cargo keeps what it has fetched.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => {
            Ok(std::env::home_dir().context("neither CARGO_HOME nor a home folder is known")?.join(".cargo"))
        }
    }
}

/// Cargo's copies of the indexes that it has used, one folder for each registry.
fn index_folders() -> Result<Vec<PathBuf>> {
    let index = cargo_home()?.join("registry/index");
    let entries = fs::read_dir(&index).with_context(|| format!("cannot read {}", index.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path().join(".cache"))).collect())
}

/// Whether the version is yanked; none if no index knows it.
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

/// Where an index keeps a crate: `1/a`, `2/ab`, `3/a/abc`, `ab/cd/abcdef`.
fn index_path(name: &str) -> String {
    let name = name.to_lowercase();
    match name.len() {
        length @ 0..=2 => format!("{length}/{name}"),
        3 => format!("3/{}/{name}", &name[..1]),
        _ => format!("{}/{}/{name}", &name[..2], &name[2..4]),
    }
}

/// What one file of the index says of a version.
fn yanked_in(bytes: &[u8], version: &str) -> Result<Option<bool>> {
    let Some(body) = bytes.strip_prefix(&FORMAT) else {
        bail!("an unknown format; this check reads what Cargo 1.95 writes");
    };
    let mut texts = body.split(|&byte| byte == 0).skip(1);
    while let (Some(number), Some(record)) = (texts.next(), texts.next()) {
        if number == version.as_bytes() {
            let record: serde_json::Value = serde_json::from_slice(record)?;
            return Ok(Some(
                record["yanked"].as_bool().context("the record does not say whether it is yanked")?,
            ));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_tells_yanked_versions_from_others_and_from_none() {
        let mut file = FORMAT.to_vec();
        file.extend(b"etag\x001.0.0\0{\"yanked\": true}\x001.0.1\0{\"yanked\": false}\0");
        let says = |version| yanked_in(&file, version).unwrap();
        let expected = [Some(true), Some(false), None];
        assert_eq!([says("1.0.0"), says("1.0.1"), says("1.0.2")], expected, "yanked, good, absent");
        assert!(yanked_in(b"\x09other", "1.0.0").is_err(), "a format that we do not know is not read");
    }

    #[test]
    fn crates_are_where_the_index_keeps_them() {
        let paths = ["a", "ab", "abc", "Inflector"].map(index_path);
        assert_eq!(paths, ["1/a", "2/ab", "3/a/abc", "in/fl/inflector"], "the registry's four cases");
    }

    #[test]
    fn our_own_crates_are_not_looked_up() {
        let lock = "[[package]]\nname = 'ours'\nversion = '0.1.0'\n\
                    [[package]]\nname = 'theirs'\nversion = '2.0.0'\nsource = 'registry+https://index'\n";
        let expected = BTreeSet::from([("theirs".to_owned(), "2.0.0".to_owned())]);
        assert_eq!(locked_versions(lock).unwrap(), expected, "only the registry's");
    }
}
