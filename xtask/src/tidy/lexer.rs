//! Tells code from comments and strings, line by line: just enough of Rust's grammar for text rules.

/// One line of a source file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The line without comments; string and character literals are there as their quotes only.
    pub(super) code: String,
    /// The text of the line's comments, with their slashes and stars.
    pub(super) comment: String,
}

enum State {
    Code,
    LineComment,
    /// With its depth: block comments nest.
    BlockComment(usize),
    /// An ordinary string.
    String,
    /// A raw string, which ends in `"` and this many `#`.
    RawString(usize),
}

/// Splits a Rust source file. Line `i` of the file is item `i - 1`.
pub(super) fn split(source: &str) -> Vec<Line> {
    let mut rest = source;
    let mut state = State::Code;
    let mut lines = vec![Line::default()];
    while let Some(first) = rest.chars().next() {
        if first == '\n' {
            if matches!(state, State::LineComment) {
                state = State::Code;
            }
            lines.push(Line::default());
            rest = &rest[1..];
            continue;
        }
        let line = lines.last_mut().expect("there is always a line");
        let length = match state {
            State::Code => code(rest, line, &mut state),
            State::LineComment => {
                line.comment.push(first);
                first.len_utf8()
            }
            State::BlockComment(depth) => block_comment(rest, depth, line, &mut state),
            State::String => string(rest, line, &mut state),
            State::RawString(hashes) => raw_string(rest, hashes, line, &mut state),
        };
        rest = &rest[length..];
    }
    if source.ends_with('\n') {
        lines.pop();
    }
    lines
}

/// Reads one token's beginning; returns how many bytes it took, as the functions below do.
fn code(rest: &str, line: &mut Line, state: &mut State) -> usize {
    if rest.starts_with("//") {
        *state = State::LineComment;
        return 0;
    }
    if rest.starts_with("/*") {
        line.comment.push_str("/*");
        *state = State::BlockComment(1);
        return 2;
    }
    let first = rest.chars().next().unwrap_or_default();
    if first == '"' {
        line.code.push('"');
        *state = State::String;
        return 1;
    }
    let after_word = line.code.ends_with(|last: char| last.is_alphanumeric() || last == '_');
    if let Some(hashes) = raw_string_start(rest, after_word) {
        line.code.push_str("r\"");
        *state = State::RawString(hashes);
        return rest.find('"').map_or(1, |quote| quote + 1);
    }
    if first == '\''
        && let Some(length) = character(rest)
    {
        line.code.push_str("''");
        return length;
    }
    line.code.push(first);
    first.len_utf8()
}

/// The number of `#` if a raw string begins here. A word before it makes the `r` that word's last letter.
fn raw_string_start(rest: &str, after_word: bool) -> Option<usize> {
    let prefixed = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let without_hashes = prefixed.trim_start_matches('#');
    (!after_word && without_hashes.starts_with('"')).then_some(prefixed.len() - without_hashes.len())
}

/// The length in bytes of the character literal that begins here; none if the quote begins a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (_, _escaped) = characters.next()?;
        return characters.find(|&(_, character)| character == '\'').map(|(position, _)| position + 1);
    }
    characters.next().and_then(|(position, character)| (character == '\'').then_some(position + 1))
}

fn block_comment(rest: &str, depth: usize, line: &mut Line, state: &mut State) -> usize {
    let first = rest.chars().next().unwrap_or_default();
    if rest.starts_with("/*") {
        *state = State::BlockComment(depth + 1);
    } else if rest.starts_with("*/") {
        *state = if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
    } else {
        line.comment.push(first);
        return first.len_utf8();
    }
    line.comment.push_str(&rest[..2]);
    2
}

fn string(rest: &str, line: &mut Line, state: &mut State) -> usize {
    let mut characters = rest.chars();
    match characters.next() {
        // The end of a line after a backslash is left to the caller, which counts lines.
        Some('\\') => 1 + characters.next().filter(|&escaped| escaped != '\n').map_or(0, char::len_utf8),
        Some('"') => {
            line.code.push('"');
            *state = State::Code;
            1
        }
        first => first.map_or(0, char::len_utf8),
    }
}

fn raw_string(rest: &str, hashes: usize, line: &mut Line, state: &mut State) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    if rest.starts_with(&end) {
        line.code.push('"');
        *state = State::Code;
        return end.len();
    }
    rest.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(source: &str) -> Vec<String> {
        split(source).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn comments_are_taken_out_of_code() {
        let lines = split("let a = 1; // one\n/* two /* three */\nfour */ let b = 2;\n");
        let of = |code: &str, comment: &str| Line { code: code.into(), comment: comment.into() };
        let expected =
            [of("let a = 1; ", "// one"), of("", "/* two /* three */"), of(" let b = 2;", "four */")];
        assert_eq!(lines, expected, "comments nest and go over lines");
    }

    #[test]
    fn strings_lose_their_text_and_keep_their_lines() {
        let source = "let a = \"unsafe // \\\" {\\\nnext\";\nlet b = br##\"{ \"# {\n\"##;";
        assert_eq!(codes(source), ["let a = \"", "\";", "let b = r\"", "\";"], "quotes, escapes and hashes");
    }

    #[test]
    fn lifetimes_are_not_characters() {
        let source = "fn f<'a>(x: &'a str) -> bool { x == '{' || y == '\\'' || z == '\\u{7b}' }";
        let expected = "fn f<'a>(x: &'a str) -> bool { x == '' || y == '' || z == '' }";
        assert_eq!(codes(source), [expected], "only literals are blanked");
    }

    #[test]
    fn a_raw_identifier_is_code() {
        assert_eq!(
            codes("let r#type = for\"x\";"),
            ["let r#type = for\"\";"],
            "no string begins at r# or in a word"
        );
    }
}
