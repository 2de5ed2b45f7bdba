//! Command lines of this program to suggest to users.

use std::fmt;
use std::path::Path;

use sharpness_runs::is_unprintable;

/// A command line to suggest.
pub(crate) struct Suggestion(String);

impl Suggestion {
    /// This program as it was invoked, with these arguments, which need no quotes.
    pub(crate) fn new(arguments: &str) -> Self {
        let called = std::env::args_os().next().unwrap_or_else(|| "sharpness".into());
        let by_cargo = std::env::var_os("CARGO").is_some();
        let program =
            if by_cargo { "cargo run --release --".to_owned() } else { quoted(&called.to_string_lossy()) };
        Self(format!("{program} {arguments}"))
    }

    /// Adds a flag with a path.
    pub(crate) fn with_path(self, flag: &str, path: &Path) -> Self {
        Self(format!("{} {flag} {}", self.0, quoted(&path.to_string_lossy())))
    }

    /// Adds a path.
    pub(crate) fn with_file(self, path: &Path) -> Self {
        Self(format!("{} {}", self.0, quoted(&path.to_string_lossy())))
    }

    /// Adds arguments that need no quotes.
    pub(crate) fn with(self, arguments: &str) -> Self {
        Self(format!("{} {arguments}", self.0))
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
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
    use super::quoted;

    #[test]
    fn words_with_spaces_and_quotes_survive_a_shell() {
        for (word, shell) in [
            ("runs/a-1", "runs/a-1"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("it's\u{1b}\u{9b}", r"$'it\'s\x1b\xc2\x9b'"),
        ] {
            assert_eq!(quoted(word), shell, "{word}");
        }
    }
}
