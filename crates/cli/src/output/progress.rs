//! Progress on standard error: a bar on a terminal, otherwise a line now and then.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{escaped, note};

/// How long a log waits for its next line.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// A bar on a terminal, lines elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// A bar that looks as `template` says in indicatif's language.
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

impl Drop for Progress {
    /// Takes the bar away, so that what follows stands on a line of its own.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
