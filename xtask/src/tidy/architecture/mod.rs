//! The arrows between crates, and between the modules of each crate, as `xtask/architecture.toml` allows
//! them.

mod arrows;
mod manifests;
mod modules;
mod order;
mod source;
mod table;

use anyhow::{Context, Result};

use self::source::{Crate, Files, crate_name};
use self::table::Table;
use super::violation::Violation;

/// Checks all crates among the files.
///
/// # Errors
/// The table cannot be read, or a source file or a manifest is malformed.
pub(super) fn check(files: &Files) -> Result<Vec<Violation>> {
    let text = files.get(table::PATH).with_context(|| format!("{} is missing", table::PATH))?;
    let table = Table::parse(text)?;
    let folders = crate_folders(files);
    let mut found = manifests::check(files, &folders, &table)?;
    for entry in &table.crates {
        let folder = folders.iter().find(|folder| crate_name(folder) == entry.name);
        let stale = match (folder, entry.planned) {
            (None, false) => format!("there is no crate `{}`", entry.name),
            (Some(_), true) => format!("the crate `{}` exists: remove `planned`", entry.name),
            _ => continue,
        };
        found.push(Violation { path: table::PATH.to_owned(), line: 1, message: stale });
    }
    for folder in &folders {
        if let (Some(entry), Some(read)) = (table.entry(crate_name(folder)), Crate::read(folder, files)?) {
            found.extend(modules::check(&read, entry));
        }
    }
    Ok(found)
}

/// The order of modules for the named crates, or for all, as the table wants it.
///
/// # Errors
/// A source file is malformed.
pub(super) fn propose(files: &Files, names: &[&str]) -> Result<String> {
    let mut blocks = Vec::new();
    for folder in crate_folders(files) {
        let name = crate_name(&folder);
        if let Some(read) = Crate::read(&folder, files)?.filter(|_| names.is_empty() || names.contains(&name))
        {
            blocks.push(format!("# {name}\n{}\n", modules::propose(&read)));
        }
    }
    Ok(blocks.join("\n"))
}

/// The folders of crates, in the order of their paths.
fn crate_folders(files: &Files) -> Vec<String> {
    let folders = files.keys().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    folders.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
