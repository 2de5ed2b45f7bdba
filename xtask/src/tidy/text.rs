//! Rules for the text of single files. Each returns (line from 1, message).

use super::lexer::Line;

const MAX_LINES: usize = 600;

/// How many lines above an `unsafe` its reason may begin, not counting comments and attributes that follow each other.
const SAFETY_DISTANCE: usize = 3;

/// The only places for `unsafe`: kernels, and a test whose allocator counts.
const UNSAFE_HOMES: [&str; 2] = ["crates/kernels/src/", "crates/training/tests/allocations.rs"];

/// Words in comments that put work off to nobody.
const MARKERS: [&str; 3] = ["FIXME", "TODO", "XXX"];

/// A file of code has at most [`MAX_LINES`] lines, tests included.
pub(super) fn size(path: &str, content: &str) -> Vec<(usize, String)> {
    let lines = content.lines().count();
    let message = || format!("{path} has {lines} lines; split it by subject: {MAX_LINES} are allowed");
    if lines > MAX_LINES { vec![(MAX_LINES + 1, message())] } else { Vec::new() }
}

/// No unfinished, debugging or switched-off code, and no comment that promises work.
pub(super) fn rust_markers(lines: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        for text in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"] {
            if line.code.contains(text) {
                found.push((index + 1, format!("`{text}` stays out of commits")));
            }
        }
        found.extend(markers(index, &line.comment));
    }
    found
}

/// No comment in a Python file promises work.
pub(super) fn python_markers(content: &str) -> Vec<(usize, String)> {
    let comments = content.lines().map(|line| line.split_once('#').map_or("", |(_, comment)| comment));
    comments.enumerate().flat_map(|(index, comment)| markers(index, comment)).collect()
}

fn markers(index: usize, comment: &str) -> Vec<(usize, String)> {
    let named = MARKERS.iter().filter(|marker| has_word(comment, marker));
    named.map(|marker| (index + 1, format!("{marker} in a comment: do it now, or file an issue"))).collect()
}

/// `unsafe` only where it is allowed, and never without its reason.
pub(super) fn unsafe_code(path: &str, lines: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if !has_word(&line.code, "unsafe") {
            continue;
        }
        if !UNSAFE_HOMES.iter().any(|home| path.starts_with(home)) {
            found.push((index + 1, format!("`unsafe` is allowed in {} only", UNSAFE_HOMES.join(" and "))));
        }
        let next = line.code.split_once("unsafe").map_or("", |(_, after)| after.trim_start());
        let is_type = next.strip_prefix("fn").is_some_and(|after| after.trim_start().starts_with('('));
        if !is_type && !has_reason(lines, index) {
            let message =
                "`unsafe` needs a comment `// SAFETY: …` above it (or `# Safety` in the docs of a fn)";
            found.push((index + 1, message.to_owned()));
        }
    }
    found
}

/// Whether a comment at or above line `index` states why it is sound.
fn has_reason(lines: &[Line], index: usize) -> bool {
    let states = |line: &Line| line.comment.contains("SAFETY:") || line.comment.contains("# Safety");
    if states(&lines[index]) {
        return true;
    }
    let mut distance = 0;
    for line in lines[..index].iter().rev() {
        if states(line) {
            return true;
        }
        let code = line.code.trim();
        let is_heading = code.starts_with("#[") || (code.is_empty() && !line.comment.is_empty());
        distance += usize::from(!is_heading);
        if distance >= SAFETY_DISTANCE {
            return false;
        }
    }
    false
}

/// No path of somebody's own machine.
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
                found.push((index + 1, format!("`{folder}…` is a path of one machine")));
            }
        }
    }
    found
}

/// Whether `word` occurs in `text` with no letter, digit or `_` beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(position, _)| {
        !text[..position].ends_with(is_part) && !text[position + word.len()..].starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::super::lexer::split;
    use super::*;

    fn line_numbers(found: &[(usize, String)]) -> Vec<usize> {
        found.iter().map(|&(line, _)| line).collect()
    }

    #[test]
    fn a_file_may_have_six_hundred_lines_and_not_one_more() {
        assert_eq!(size("a.rs", &"x\n".repeat(600)), [], "600 lines are allowed");
        assert_eq!(
            line_numbers(&size("a.rs", &"x\n".repeat(601))),
            [601],
            "the first line too many is named"
        );
    }

    #[test]
    fn unfinished_code_is_found_and_its_mention_is_not() {
        let source = "todo!();\n// todo!() and \"dbg!()\"\nlet s = \"dbg!(x) XXX\";\n#[ignore]\n// XXXL\n/* FIXME */\n";
        assert_eq!(
            line_numbers(&rust_markers(&split(source))),
            [1, 4, 6],
            "code and comments are told apart"
        );
        assert_eq!(line_numbers(&python_markers("x = 1\ny = 2  # TODO later\n")), [2], "comments only");
    }

    #[test]
    fn unsafe_is_at_home_in_kernels_only() {
        let lines = split("// SAFETY: the pointer is valid.\nunsafe { f() }\n#![deny(unsafe_code)]\n");
        assert_eq!(unsafe_code("crates/kernels/src/simd.rs", &lines), [], "at home, with its reason");
        assert_eq!(
            line_numbers(&unsafe_code("crates/kernels/tests/it/main.rs", &lines)),
            [2],
            "a test is not home"
        );
    }

    #[test]
    fn unsafe_has_its_reason_close_by() {
        let home = "crates/kernels/src/a.rs";
        let sound = [
            "/// # Safety\n/// One.\n/// Two.\n/// Three.\n#[inline]\npub unsafe fn f() {}\n",
            "// SAFETY: long\n// reason\nlet x =\n    call(\n        unsafe { f() });\n",
            "type F = unsafe fn(u8);\n",
        ];
        for source in sound {
            assert_eq!(unsafe_code(home, &split(source)), [], "{source}");
        }
        let unsound = [
            "unsafe impl Send for T {}\n",
            "// SAFETY: far away\na();\nb();\nc();\nunsafe { f() }\n",
            "unsafe fn f() {}",
        ];
        for source in unsound {
            assert_eq!(unsafe_code(home, &split(source)).len(), 1, "{source}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_and_relative_ones_are_not() {
        let content = ["/home", "/me/x\n../work/x\nhttps://a.b/work/x\n\"/root", "/y\"\n"].join("");
        let content = content.replace("/home", "see /home");
        assert_eq!(line_numbers(&machine_paths(&content)), [1, 4], "{content}");
    }
}
