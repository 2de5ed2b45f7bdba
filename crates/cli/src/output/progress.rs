//! Progress on standard error: a bar on a terminal, otherwise an occasional line; for programs, lines of JSON.

use std::io::{IsTerminal, Write as _, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use console::measure_text_width;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::{escaped, is_silent, note};

/// The environment variable that asks for progress as lines of JSON, with the value `json`.
const VARIABLE: &str = "SHARPNESS_PROGRESS";

/// The shortest time between two lines of JSON.
const JSON_PERIOD: Duration = Duration::from_millis(200);

/// The shortest time between two lines of a log.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// The fewest columns in which a shortened name is still useful.
const SHORTEST_NAME: usize = 5;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressForm {
    /// As bars, which a terminal redraws.
    Bars,
    /// As an occasional line.
    Lines,
    /// As lines of JSON.
    Json,
    /// Not at all.
    None,
}

impl ProgressForm {
    /// What the environment asks for, or what suits standard error.
    pub(crate) fn of_process() -> Self {
        if is_silent() {
            Self::None
        } else if std::env::var_os(VARIABLE).is_some_and(|form| form == "json") {
            Self::Json
        } else if stderr().is_terminal() {
            Self::Bars
        } else {
            Self::Lines
        }
    }
}

/// Writes `{"progress": {"position": 3, "total": 10, "message": "…"}}` to standard error, unless the last such line is younger than
/// [`JSON_PERIOD`]. A `total` of 0 means that the end is not known.
pub(crate) fn progress_json(position: u64, total: u64, message: impl FnOnce() -> String) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_some_and(|last| last.elapsed() < JSON_PERIOD) {
        return;
    }
    *last = Some(Instant::now());
    let message = escaped(&message());
    let line = json!({ "progress": { "position": position, "total": total, "message": message } });
    // There is nowhere to report that standard error is not writable.
    let _ = writeln!(stderr().lock(), "{line}");
}

/// A bar on a terminal, lines elsewhere.
pub(crate) struct Progress {
    form: ProgressForm,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// A bar with an indicatif template.
    pub(crate) fn new(template: &str) -> Self {
        let form = ProgressForm::of_process();
        let bar = (form == ProgressForm::Bars).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("━╸─"))
        });
        Self { form, bar, last_line: Instant::now() }
    }

    /// Shows `position` of `total` and a message; without a terminal, prints the message if the last line is some seconds old.
    pub(crate) fn update(&mut self, position: u64, total: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(position);
            bar.set_message(escaped(&message()));
        } else if self.form == ProgressForm::Json {
            progress_json(position, total, message);
        } else if self.form == ProgressForm::Lines && self.last_line.elapsed() >= LINE_PERIOD {
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

impl Progress {
    /// Removes the bar until the next update, so that another one can be shown.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    /// Removes the bar, so that later output starts on its own line.
    fn drop(&mut self) {
        self.clear();
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
