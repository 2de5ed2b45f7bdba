//! Patterns of names.

/// Whether `pattern` matches all of `name`; each `*` stands for any text, also none.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "features.0"),
            ("features.*", "features.10"),
            ("*.weight", "a.b.weight"),
            ("a*b*c", "a-b-b-c"),
            ("fc1", "fc1"),
            ("f**1", "fc1"),
        ] {
            assert!(matches(pattern, name), "{pattern} matches {name}");
        }
        for (pattern, name) in
            [("fc1", "fc10"), ("", "a"), ("*.weight", "weight.bias"), ("ab*ba", "aba"), ("a*b*c", "ac")]
        {
            assert!(!matches(pattern, name), "{pattern} does not match {name}");
        }
    }
}
