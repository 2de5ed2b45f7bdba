//! A view of the loss: lines over one coordinate, or a map over two.

use serde::Serialize;

use super::contours::{Grid, Polyline};

/// Contour lines of a map.
const LEVELS: usize = 9;
/// The ratio of the largest to the smallest positive number from which a scale is logarithmic.
const LOG_RATIO: f64 = 50.0;

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
        let known: Vec<Option<f64>> =
            predicted.iter().map(|value| Some(*value).filter(|value| value.is_finite())).collect();
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
