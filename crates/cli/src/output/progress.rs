//! Progress on standard error: a bar on a terminal, otherwise an occasional line.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use console::measure_text_width;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{escaped, note};

/// The shortest time between two lines of a log.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// The fewest columns in which a shortened name is still useful.
const SHORTEST_NAME: usize = 5;

/// A bar on a terminal, lines elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// A bar with an indicatif template.
    pub(crate) fn new(template: &str) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("━╸─"))
        });
        Self { bar, last_line: Instant::now() }
    }

    /// Shows `position` of `total` and a message; without a terminal, prints the message if the last line is some seconds old.
    pub(crate) fn update(&mut self, position: u64, total: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(position);
            bar.set_message(escaped(&message()));
        } else if self.last_line.elapsed() >= LINE_PERIOD {
            self.last_line = Instant::now();
            note(&message());
        }
    }
}

/// `name: numbers` in at most `width` columns. If both do not fit, the middle of the name is left out, or all of it,
/// but never a number.
pub(crate) fn fitted(name: &str, numbers: &str, width: usize) -> String {
    let room = width.saturating_sub(measure_text_width(numbers) + 2);
    if measure_text_width(name) <= room {
        return format!("{name}: {numbers}");
    }
    if room < SHORTEST_NAME {
        return numbers.to_owned();
    }
    let part = |letters: &mut dyn Iterator<Item = char>, room: usize| {
        let mut taken = String::new();
        for letter in letters {
            if measure_text_width(&taken) + measure_text_width(letter.encode_utf8(&mut [0; 4])) > room {
                break;
            }
            taken.push(letter);
        }
        taken
    };
    let (head, tail) = (room / 2, (room - 1) / 2);
    let head = part(&mut name.chars(), head);
    let tail: String = part(&mut name.chars().rev(), tail).chars().rev().collect();
    format!("{head}…{tail}: {numbers}")
}

impl Drop for Progress {
    /// Removes the bar, so that later output starts on its own line.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shortened_in_its_middle_and_numbers_never() {
        for (name, width, line) in [
            ("bs=32 seed=0", 40, "bs=32 seed=0: loss 0.1"),
            ("bs=32 learning_rate=0.1 seed=0", 25, "bs=32 l… seed=0: loss 0.1"),
            ("bs=32 learning_rate=0.1 seed=0", 15, "bs…=0: loss 0.1"),
            ("bs=32 learning_rate=0.1 seed=0", 14, "loss 0.1"),
            ("bs=32", 3, "loss 0.1"),
            ("大きいバッチ seed=0", 22, "大きい…eed=0: loss 0.1"),
        ] {
            assert_eq!(fitted(name, "loss 0.1", width), line, "{name} in {width} columns");
        }
    }
}
