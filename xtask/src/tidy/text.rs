//! Rules for the text of single files. Each returns (line from 1, message).

/// The most lines of a source file, tests included.
const MAX_LINES: usize = 500;

/// The only places that may use `unsafe`: kernels, and a test whose allocator counts.
const UNSAFE_HOMES: [&str; 2] = ["crates/kernels/src/", "crates/training/tests/allocations.rs"];

/// Words that mark unfinished work in comments.
const MARKERS: [&str; 3] = ["FIXME", "TODO", "XXX"];

/// A source file must not exceed [`MAX_LINES`] lines.
pub(super) fn size(path: &str, content: &str) -> Vec<(usize, String)> {
    let lines = content.lines().count();
    let message = || format!("{path} has {lines} lines, more than {MAX_LINES}: split it by subject");
    if lines > MAX_LINES { vec![(MAX_LINES + 1, message())] } else { Vec::new() }
}

/// Comments must not mark unfinished work. `start` is what starts a comment.
pub(super) fn markers(content: &str, start: &str) -> Vec<(usize, String)> {
    let comments = content.lines().map(|line| line.split_once(start).map_or("", |(_, comment)| comment));
    let numbered = comments.zip(1..);
    let found = numbered.flat_map(|(comment, line)| {
        let named = MARKERS.iter().filter(move |marker| has_word(comment, marker));
        named.map(move |marker| (line, format!("{marker} in a comment: finish the work or file an issue")))
    });
    found.collect()
}

/// No test may be ignored, and only kernels may allow `unsafe_code`. Clippy requires the safety comments.
pub(super) fn attributes(path: &str, content: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (text, line) in content.lines().map(str::trim_start).zip(1..) {
        let is_attribute = text.starts_with("#[") || text.starts_with("#![");
        if is_attribute && has_word(text, "ignore") {
            found.push((line, "ignored test: make it fast, or delete it".to_owned()));
        }
        let excuses_unsafe = text.starts_with("unsafe_code") || is_attribute && has_word(text, "unsafe_code");
        if excuses_unsafe && !UNSAFE_HOMES.iter().any(|home| path.starts_with(home)) {
            found.push((line, format!("`unsafe` is allowed only in {}", UNSAFE_HOMES.join(" and "))));
        }
    }
    found
}

/// No absolute path of one machine.
pub(super) fn machine_paths(content: &str) -> Vec<(usize, String)> {
    let folders = ["/home", "/root", "/work", "/Users"].map(|folder| format!("{folder}/"));
    let mut found = Vec::new();
    for (index, line) in content.lines().enumerate() {
        for folder in &folders {
            let is_absolute = |(position, _): (usize, &str)| {
                !line[..position]
                    .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '~'))
            };
            if line.match_indices(folder).any(is_absolute) {
                found.push((index + 1, format!("`{folder}…` is a path on one machine")));
            }
        }
    }
    found
}

/// Whether `text` contains `word` as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(position, _)| {
        !text[..position].ends_with(is_part) && !text[position + word.len()..].starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_numbers(found: &[(usize, String)]) -> Vec<usize> {
        found.iter().map(|&(line, _)| line).collect()
    }

    #[test]
    fn the_first_line_beyond_the_limit_is_named() {
        assert_eq!(size("a.rs", &"x\n".repeat(MAX_LINES)), [], "at the limit");
        assert_eq!(line_numbers(&size("a.rs", &"x\n".repeat(MAX_LINES + 1))), [MAX_LINES + 1], "above it");
    }

    #[test]
    fn unfinished_work_is_found_only_in_comments() {
        let source = "let s = \"XXX\";\n# XXXL\nf();  # FIXME: later\n# do it now\n";
        assert_eq!(line_numbers(&markers(source, "#")), [3], "whole words");
        assert_eq!(line_numbers(&markers(&source.replace('#', "//"), "//")), [3], "in any language");
    }

    #[test]
    fn ignored_tests_and_unsafe_outside_kernels_are_found() {
        let source =
            "#[ignore = \"slow\"]\n#![expect(\n    unsafe_code,\n    reason = \"fast\"\n)]\nfn ignore() {}\n";
        assert_eq!(
            line_numbers(&attributes("crates/kernels/src/simd.rs", source)),
            [1],
            "kernels may use unsafe"
        );
        assert_eq!(
            line_numbers(&attributes("crates/kernels/tests/it/main.rs", source)),
            [1, 3],
            "its tests may not"
        );
    }

    #[test]
    fn absolute_paths_are_found_and_relative_ones_are_not() {
        let content = ["/home", "/me/x\n../work/x\nhttps://a.b/work/x\n\"/root", "/y\"\n"].join("");
        let content = content.replace("/home", "see /home");
        assert_eq!(line_numbers(&machine_paths(&content)), [1, 4], "{content}");
    }
}
