//! Words for a shell.

use crate::characters::is_unprintable;

/// A word, quoted for bash if necessary.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else if word.contains(is_unprintable) {
        format!("$'{}'", word.chars().map(spelled).collect::<String>())
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A character between `$'` and `'`.
fn spelled(c: char) -> String {
    match c {
        '\'' | '\\' => format!("\\{c}"),
        c if is_unprintable(c) => {
            c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\x{byte:02x}")).collect()
        }
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn words_with_spaces_and_quotes_survive_a_shell() {
        for (word, shell) in [
            ("runs/a-1", "runs/a-1"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("it's\u{1b}\u{9b}", r"$'it\'s\x1b\xc2\x9b'"),
        ] {
            assert_eq!(shell_word(word), shell, "{word}");
        }
    }
}
