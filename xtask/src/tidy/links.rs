//! Relative links in Markdown must lead to files in the repository.

use std::path::{Component, Path, PathBuf};

/// Checks the links of the Markdown file at `path`, relative to `root`, outside of code.
pub(super) fn check(root: &Path, path: &str, content: &str) -> Vec<(usize, String)> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in content.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        for target in targets(&without_code(line)) {
            let Some(file) = relative_file(target) else { continue };
            match inside(&folder.join(file)) {
                Some(inner) if root.join(&inner).exists() => {}
                Some(inner) => found
                    .push((index + 1, format!("broken link to {target}: there is no {}", inner.display()))),
                None => found.push((index + 1, format!("the link to {target} leads out of the repository"))),
            }
        }
    }
    found
}

/// The line without code spans.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The targets of `[text](target "title")` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let inline =
        line.match_indices("](").filter_map(|(position, _)| line[position + 2..].split([')', ' ']).next());
    let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let definition = definition.and_then(|(_, target)| target.split_whitespace().next());
    inline.chain(definition).map(|target| target.trim_matches(['<', '>'])).collect()
}

/// The file of a relative link, or `None` for a URL or an anchor in the same file.
fn relative_file(target: &str) -> Option<&str> {
    let file = target.split(['#', '?']).next().unwrap_or_default();
    (!file.is_empty() && !file.contains(':')).then_some(file)
}

/// The path with `.` and `..` resolved, or `None` if it leaves the repository.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inner.push(name),
            Component::CurDir => {}
            Component::ParentDir if inner.pop() => {}
            _ => return None,
        }
    }
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines with broken links in a Markdown file in this crate's `src`.
    fn broken(content: &str) -> Vec<usize> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        check(root, "src/page.md", content).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn links_are_relative_to_their_file() {
        let good = "[a](main.rs) [b](../Cargo.toml#dependencies)\n![c](./tidy/ \"title\")\n[d]: <main.rs>\n";
        assert_eq!(broken(good), [0; 0], "files, folders, anchors, titles and definitions");
        assert_eq!(broken("[a](main.rs)\n[b](Cargo.toml)\n\n[c]: nothing.md\n"), [2, 4], "no such files");
    }

    #[test]
    fn links_do_not_leave_the_repository() {
        assert_eq!(broken("[a](../../Cargo.toml)\n[b](/etc)\n"), [1, 2], "above the root, and absolute");
    }

    #[test]
    fn urls_and_code_are_not_checked() {
        let content =
            "[a](https://example.org/x) [b](#here)\n`[c](none.md)`\n```\n[d](none.md)\n```\n[e](none.md)\n";
        assert_eq!(broken(content), [6], "only the last line is a link to a file");
    }
}
