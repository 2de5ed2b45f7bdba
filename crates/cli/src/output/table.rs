//! Tables of text with aligned columns.

use std::fmt::Write as _;

use super::{Style, escaped, styled};

/// The alignment of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of texts under bold headings.
pub(crate) struct Table<const N: usize> {
    align: [Align; N],
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) const fn new(columns: [(&'static str, Align); N]) -> Self {
        let mut align = [Align::Left; N];
        let mut headings = [""; N];
        let mut i = 0;
        while i < N {
            (headings[i], align[i]) = columns[i];
            i += 1;
        }
        Self { align, headings, rows: Vec::new() }
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| escaped(&cell)));
    }

    /// All rows as text.
    pub(crate) fn render(&self) -> String {
        let mut widths = self.headings.map(|heading| heading.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = format!("{}\n", styled(Style::Bold, &self.line(&widths, &self.headings)));
        for row in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", self.line(&widths, row));
        }
        text
    }

    fn line(&self, widths: &[usize; N], cells: &[impl AsRef<str>; N]) -> String {
        let mut line = String::new();
        for ((cell, &width), align) in cells.iter().zip(widths).zip(self.align) {
            let cell = cell.as_ref();
            // Writing to a string cannot fail.
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        line.truncate(line.trim_end().len());
        line
    }
}
