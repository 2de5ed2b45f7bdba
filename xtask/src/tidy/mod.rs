//! `cargo xtask tidy`: the rules that no compiler knows. All violations are printed, not only the first.

mod crates;
mod functions;
mod lexer;
mod links;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::step::Invocation;

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    /// Relative to the repository's root, with `/`.
    path: String,
    /// From 1.
    line: usize,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Checks every file that git tracks or would track.
///
/// # Errors
/// Git is missing, a file cannot be read, or a rule is broken.
pub(crate) fn check(root: &Path) -> Result<()> {
    let paths = files(root)?;
    let mut violations = Vec::new();
    let mut manifests = Vec::new();
    let mut checked = 0;
    for path in &paths {
        let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        let Ok(content) = String::from_utf8(bytes) else { continue };
        checked += 1;
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
        let mut found = match extension {
            Some("rs") => rust(path, &content),
            Some("py") => [text::size(path, &content), text::python_markers(&content)].concat(),
            Some("md") => links::check(root, path, &content),
            _ => Vec::new(),
        };
        if matches!(extension, Some("rs" | "py" | "md" | "toml" | "sh")) || path == ".ci/run" {
            found.extend(text::machine_paths(&content));
        }
        violations.extend(found.into_iter().map(|(line, message)| Violation {
            path: path.clone(),
            line,
            message,
        }));
        if path.ends_with("Cargo.toml") {
            manifests.push((path.clone(), content));
        }
    }
    violations.extend(crates::check(&manifests)?);
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("tidy: {} violations in {checked} files", violations.len());
    }
    println!("tidy: {checked} files, no violation");
    Ok(())
}

/// The rules for one Rust file.
fn rust(path: &str, content: &str) -> Vec<(usize, String)> {
    let lines = lexer::split(content);
    [
        text::size(path, content),
        text::rust_markers(&lines),
        text::unsafe_code(path, &lines),
        functions::check(&lines),
    ]
    .concat()
}

/// Tracked files and untracked ones that git does not ignore, relative to `root`; those deleted on disk are left out.
fn files(root: &Path) -> Result<Vec<String>> {
    let list = Invocation::new("git ls-files -z --cached --others --exclude-standard --deduplicate");
    let output = list.command(root).output().context("cannot start git")?;
    if !output.status.success() {
        bail!("`{list}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
    let present =
        names.split('\0').filter(|name| !name.is_empty() && root.join(PathBuf::from(name)).is_file());
    Ok(present.map(str::to_owned).collect())
}
