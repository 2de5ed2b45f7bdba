//! Characters that must be escaped.

/// Whether a character controls a terminal or the surrounding text, or is not allowed in XML: control characters
/// (including the end of a line and the tab), line separators, overrides of the writing direction, and noncharacters.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
        || c as u32 & 0xfffe == 0xfffe
}
