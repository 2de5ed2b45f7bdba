//! Styles, and the escaping of all other control characters.

use anstyle::AnsiColor;
use sharpness_runs::is_unprintable;

/// A style of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Bold,
    Red,
    Green,
    Yellow,
}

/// Ends every style.
const END: char = '\u{fdd4}';

impl Style {
    const ALL: [Self; 4] = [Self::Bold, Self::Red, Self::Green, Self::Yellow];

    /// Marks the start of the style until [`shown`] replaces it. Unicode reserves these noncharacters for internal use.
    const fn mark(self) -> char {
        match self {
            Self::Bold => '\u{fdd0}',
            Self::Red => '\u{fdd1}',
            Self::Green => '\u{fdd2}',
            Self::Yellow => '\u{fdd3}',
        }
    }

    fn codes(self) -> anstyle::Style {
        let color = match self {
            Self::Bold => None,
            Self::Red => Some(AnsiColor::Red),
            Self::Green => Some(AnsiColor::Green),
            Self::Yellow => Some(AnsiColor::Yellow),
        };
        anstyle::Style::new().bold().fg_color(color.map(Into::into))
    }
}

/// Text in a style, for [`print`](super::print()) and [`note`](super::note()) only.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{}{text}{END}", style.mark())
}

/// A text for a terminal: styles as escape sequences, all other control characters escaped, since texts contain file
/// names and quote files.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut open: Option<Style> = None;
    // A style that foreign text begins ends with that text.
    for c in text.chars().chain([END]) {
        if let Some(style) = Style::ALL.into_iter().find(|style| style.mark() == c) {
            shown.push_str(&style.codes().render().to_string());
            open = Some(style);
        } else if c == END {
            if let Some(style) = open.take() {
                shown.push_str(&style.codes().render_reset().to_string());
            }
        } else {
            push(&mut shown, c, &['\n', '\t']);
        }
    }
    shown
}

/// A text on one line, with control characters escaped: `\u{1b}`.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut escaped, c, &[]));
    escaped
}

fn push(text: &mut String, c: char, allowed: &[char]) {
    if is_unprintable(c) && !allowed.contains(&c) {
        text.extend(c.escape_unicode());
    } else {
        text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::{Style, escaped, shown, styled};

    #[test]
    fn styles_become_codes_and_foreign_codes_do_not_stay() {
        let name = "a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{2028}\u{7f}\rb\nc\td";
        let text = format!("{} {name}", styled(Style::Bold, "name"));
        let spelled = r"a\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{2028}\u{7f}\u{d}b";
        assert_eq!(
            shown(&text),
            format!("\u{1b}[1mname\u{1b}[0m {spelled}\nc\td"),
            "only our own codes are left"
        );
        assert_eq!(escaped(name), format!(r"{spelled}\u{{a}}c\u{{9}}d"), "one line");
        assert_eq!(escaped(&escaped(name)), escaped(name), "to escape twice is to escape once");
        assert_eq!(escaped("λ_max → 2/η, 鋭さ"), "λ_max → 2/η, 鋭さ", "words stay");
    }

    #[test]
    fn a_style_does_not_outlive_its_text() {
        assert_eq!(shown("a\u{fdd0}b"), "a\u{1b}[1mb\u{1b}[0m", "it ends with the text");
    }
}
