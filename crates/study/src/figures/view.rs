//! A view of the loss: lines over one coordinate, or a map over two. As SVG, PNG, and a page for the mouse and the keyboard.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sharpness_runs::write_file;

use super::contours::{Grid, Polyline};
use super::{lines, map, output};
use crate::{Error, Result};

/// Contour lines of a map.
const LEVELS: usize = 9;
/// The ratio of the largest to the smallest positive number from which a scale is logarithmic.
const LOG_RATIO: f64 = 50.0;
const SCRIPT: &str = include_str!("view.js");
const STYLE: &str = include_str!("view.css");

/// What is shown, and what is said about it.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The title.
    pub title: String,
    /// Sentences below.
    pub notes: Vec<String>,
    /// The numbers.
    pub content: Content,
}

/// The numbers of a view.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Content {
    /// Over one coordinate.
    Lines(Lines),
    /// Over two.
    Map(Map),
}

/// Series over one coordinate.
#[derive(Clone, Debug, Serialize)]
pub struct Lines {
    /// What the coordinate measures.
    pub x: String,
    /// The places.
    pub places: Vec<f64>,
    /// The panels, from top to bottom.
    pub panels: Vec<Panel>,
}

/// A panel of [`Lines`].
#[derive(Clone, Debug, Serialize)]
pub struct Panel {
    /// What its numbers are.
    pub name: String,
    /// Whether they are losses, whose scale may be logarithmic.
    pub is_loss: bool,
    /// Its series.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Whether it is computed from others: dashed, and cut where it leaves their range.
    pub is_prediction: bool,
    /// Its numbers, one for each place; unset where there is none.
    pub values: Vec<Option<f64>>,
}

/// Losses over two coordinates.
#[derive(Clone, Debug, Serialize)]
pub struct Map {
    /// What the coordinates measure.
    pub names: [String; 2],
    /// The coordinates along each axis.
    pub axes: [Vec<f64>; 2],
    /// The loss at each point; the first coordinate changes fastest.
    pub loss: Vec<Option<f64>>,
    /// The accuracy.
    pub accuracy: Vec<f64>,
    /// The predicted loss.
    pub predicted: Vec<f64>,
    /// Whether colours are of the logarithm by default.
    pub is_log: bool,
    /// The contour lines of both.
    pub(super) contours: Vec<Contour>,
}

/// The contour lines at a level.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Contour {
    pub(super) level: f64,
    pub(super) loss: Vec<Polyline>,
    pub(super) predicted: Vec<Polyline>,
}

impl Map {
    /// A map of losses over two axes.
    pub fn new(
        names: [String; 2],
        axes: [Vec<f64>; 2],
        (loss, accuracy, predicted): (Vec<Option<f64>>, Vec<f64>, Vec<f64>),
    ) -> Self {
        let (low, high) = range(loss.iter().flatten().copied());
        let is_log = is_log(loss.iter().flatten().copied());
        let level = |i: usize| {
            let share = i as f64 / (LEVELS + 1) as f64;
            if is_log { low * (high / low).powf(share) } else { low + share * (high - low) }
        };
        let known: Vec<Option<f64>> = predicted.iter().map(|value| Some(*value)).collect();
        let [x, y] = &axes;
        let lines = |values: &[Option<f64>], level| Grid { axes: [x, y], values }.contour(level);
        let contour = |level| Contour { level, loss: lines(&loss, level), predicted: lines(&known, level) };
        let levels = if low < high { LEVELS } else { 0 };
        let contours = (1..=levels).map(level).map(contour).collect();
        Self { names, axes, loss, accuracy, predicted, is_log, contours }
    }
}

/// The smallest and the largest number; infinite if there is none.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Whether these numbers are better shown on a logarithmic scale.
pub(super) fn is_log(values: impl IntoIterator<Item = f64>) -> bool {
    let (low, high) = range(values);
    low > 0.0 && high > LOG_RATIO * low
}

impl View {
    /// The picture as SVG.
    pub fn svg(&self) -> String {
        match &self.content {
            Content::Lines(content) => lines::svg(&self.title, content),
            Content::Map(content) => map::svg(&self.title, content),
        }
    }

    /// One page of HTML that loads nothing: the numbers under the mouse or a cursor that the arrow keys move, and switches for the logarithmic scale
    /// and the prediction.
    ///
    /// # Errors
    /// [`Error::Picture`] if the numbers cannot be written.
    pub fn html(&self) -> Result<String> {
        let data = serde_json::to_string(self).map_err(|e| Error::Picture(e.to_string()))?;
        // In strings alone, where JSON allows numeric escapes: nothing may end the script.
        let data = data.replace('<', "\\u003c");
        let colours = map::stops();
        let page = maud::html! {
            (maud::DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy"
                        content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (maud::PreEscaped(STYLE)) }
                }
                body {
                    h1 { (self.title) }
                    fieldset {
                        legend { "Show" }
                        label { input type="checkbox" id="log"; " loss on a logarithmic scale" }
                        label { input type="checkbox" id="prediction" checked; " prediction" }
                    }
                    p.hint { "Move the mouse over the plot, or focus it and press the arrow keys, Home or End." }
                    output id="readout" aria-live="polite" { }
                    div id="plot" { }
                    ul { @for note in &self.notes { li { (note) } } }
                    noscript { p { "This page needs JavaScript; the picture is beside it as SVG and PNG, the numbers as CSV and JSON." } }
                    script id="data" type="application/json" { (maud::PreEscaped(data)) }
                    script id="colours" type="application/json" { (maud::PreEscaped(colours)) }
                    script { (maud::PreEscaped(SCRIPT)) }
                }
            }
        };
        Ok(page.into_string())
    }

    /// Writes `NAME.svg`, `NAME.png`, `NAME.html`, and `table` and `document` as `NAME.csv` and `NAME.json` into a directory. Returns their paths.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written; [`Error::Picture`] if the picture cannot be drawn.
    pub fn write(&self, dir: &Path, name: &str, table: &str, document: &str) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let svg = self.svg();
        let files = [
            ("csv", table.as_bytes().to_vec()),
            ("json", document.as_bytes().to_vec()),
            ("png", output::png(&svg)?),
            ("svg", svg.into_bytes()),
            ("html", self.html()?.into_bytes()),
        ];
        let mut paths = Vec::new();
        for (ending, content) in files {
            let path = dir.join(format!("{name}.{ending}"));
            write_file(&path, &content)?;
            paths.push(path);
        }
        Ok(paths)
    }
}
