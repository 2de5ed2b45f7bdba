//! Formats settings and numbers for people.

/// A number to four digits.
pub(super) fn number_text(number: f64) -> String {
    let magnitude = number.abs();
    if !(magnitude == 0.0 || (1e-3..1e6).contains(&magnitude)) {
        return format!("{number:.3e}").replace(".000e", "e");
    }
    let rounded: f64 = format!("{number:.3e}").parse().unwrap_or(number);
    if (rounded - number).abs() <= 1e-9 * magnitude { format!("{number}") } else { format!("{rounded}") }
}

/// The sign of a setting in formulas, or the last part of its name.
pub(super) fn symbol(key: &str) -> &str {
    match key {
        "training.learning_rate" => "η",
        "training.batch_size" => "batch",
        "training.sam.rho" => "ρ",
        "model.dropout" => "p",
        "batch_size / learning_rate" => "α",
        _ => key.rsplit('.').next().unwrap_or(key),
    }
}
