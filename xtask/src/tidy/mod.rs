//! `cargo xtask tidy`: rules that neither the compiler nor Clippy checks. Prints all violations, not only
//! the first.

mod architecture;
mod links;
mod text;
mod violation;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::violation::Violation;
use crate::step::Invocation;

/// Checks every file that git tracks or would track.
///
/// # Errors
/// Git is missing, a file cannot be read or parsed, or a rule is broken.
pub(crate) fn check(root: &Path) -> Result<()> {
    let files = read_files(root)?;
    let mut violations = architecture::check(&files)?;
    for (path, content) in &files {
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
        let mut found = match extension {
            Some("rs") => {
                let markers = text::markers(content, "//");
                [text::size(path, content), markers, text::attributes(path, content)].concat()
            }
            Some("py") => [text::size(path, content), text::markers(content, "#")].concat(),
            Some("md") => links::check(root, path, content),
            _ => Vec::new(),
        };
        if matches!(extension, Some("rs" | "py" | "md" | "toml" | "sh")) || path == ".ci/run" {
            found.extend(text::machine_paths(content));
        }
        violations.extend(found.into_iter().map(|(line, message)| Violation {
            path: path.clone(),
            line,
            message,
        }));
    }
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("tidy: {} violations in {} files", violations.len(), files.len());
    }
    println!("tidy: {} files, no violations", files.len());
    Ok(())
}

/// Prints the order of modules that today's arrows give the named crates, or all, in the form of
/// `architecture.toml`.
///
/// # Errors
/// Git is missing, or a file cannot be read or parsed.
pub(crate) fn print_modules(root: &Path, crates: &[&str]) -> Result<()> {
    print!("{}", architecture::propose(&read_files(root)?, crates)?);
    Ok(())
}

/// The content of all text files that git tracks or would track, by their path from `root`.
fn read_files(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for path in paths(root)? {
        let bytes = std::fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        files.extend(String::from_utf8(bytes).ok().map(|content| (path, content)));
    }
    Ok(files)
}

/// Tracked files, and untracked ones that git does not ignore, relative to `root`, except those deleted on
/// disk.
fn paths(root: &Path) -> Result<Vec<String>> {
    let list = Invocation::new("git ls-files -z --cached --others --exclude-standard --deduplicate");
    let output = list.command(root).output().context("cannot start git")?;
    if !output.status.success() {
        bail!("`{list}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let present = names.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file());
    Ok(present.map(str::to_owned).collect())
}
