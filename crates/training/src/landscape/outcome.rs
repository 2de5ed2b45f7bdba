//! The report of the loss on a line or a plane.

use serde::{Deserialize, Serialize};
use sharpness_data::Subset;

use super::Values;
use super::directions::Directions;
use super::quadratic::Quadratic;

/// The loss on a line or a plane through weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Landscape {
    /// How the directions were chosen.
    pub directions: Directions,
    /// One axis per direction.
    pub axes: Vec<Axis>,
    /// The second-order expansion at the weights, from exact products.
    pub quadratic: Quadratic,
    /// How well it predicts the loss near the weights.
    pub deviation: Deviation,
    /// The accuracy at the weights.
    pub accuracy: f64,
    /// The Euclidean norm of the weights.
    pub weights_norm: f64,
    /// The number of measured examples.
    pub examples: usize,
    /// How they were chosen from the training set.
    pub subset: Subset,
    /// The statistics that batch norm used at every point: `none`, `batch` (those of each chunk at that point) or `running` (those of the
    /// weights in the middle).
    pub batch_norm: String,
    /// Examples that shared batch statistics.
    pub batch_norm_chunk: Option<usize>,
    /// The precision of the losses: `f32` or `f64`.
    pub precision: String,
    /// The points; in two dimensions, the first coordinate changes fastest.
    pub points: Vec<LandscapePoint>,
}

/// A direction and the coordinates along it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What the coordinates measure.
    pub name: String,
    /// The coordinates, evenly spaced from `-radius` to `radius`, in multiples of the direction.
    pub coordinates: Vec<f64>,
    /// The Euclidean norm of the direction.
    pub norm: f64,
    /// `‖H d - θ d‖ / ‖d‖` with `θ = dᵀHd / ‖d‖²`: for eigenvectors, the residual of the eigenvalue `θ`.
    pub residual: f64,
}

/// A point of a [`Landscape`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LandscapePoint {
    /// Its coordinates.
    pub place: Vec<f64>,
    /// Loss and accuracy.
    #[serde(flatten)]
    pub values: Values,
    /// The prediction of the quadratic.
    pub predicted: f64,
}

/// How far the loss is from its quadratic prediction near the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deviation {
    /// Points count whose coordinates are all within this distance of the weights: a quarter of the radius, or the nearest points if they
    /// are farther away.
    pub within: f64,
    /// The number of these points.
    pub points: usize,
    /// Those whose loss is not finite; they count for nothing else here.
    pub not_finite: usize,
    /// The largest `|loss - prediction|` at them.
    pub difference: f64,
    /// The largest `|prediction - L|` at them.
    pub change: f64,
    /// `difference / change`; unset if the predicted change is below the rounding of the loss.
    pub relative: Option<f64>,
}

/// The part of the radius near the weights.
const NEAR: f64 = 0.25;
/// The rounding of a mean loss, in units of the precision.
const LOSS_ROUNDING: f64 = 8.0;

impl Deviation {
    /// The deviation of `points`, whose losses have the precision `epsilon`.
    pub(super) fn new(points: &[LandscapePoint], quadratic: &Quadratic, radius: f64, epsilon: f64) -> Self {
        let distance = |point: &LandscapePoint| point.place.iter().fold(0.0, |far: f64, c| far.max(c.abs()));
        let nearest = points.iter().map(distance).filter(|d| *d > 0.0).fold(f64::INFINITY, f64::min);
        // Coordinates are rounded.
        let within = (NEAR * radius).max(nearest);
        let near = || points.iter().filter(|point| distance(point) <= within * (1.0 + 1e-12));
        let known = || near().filter_map(|point| Some((point.values.loss?, point.predicted)));
        let difference = known().map(|(loss, predicted)| (loss - predicted).abs()).fold(0.0, f64::max);
        let change = known().map(|(_, predicted)| (predicted - quadratic.loss).abs()).fold(0.0, f64::max);
        let rounding = LOSS_ROUNDING * epsilon * quadratic.loss.abs();
        Self {
            within,
            points: near().count(),
            not_finite: near().count() - known().count(),
            difference,
            change,
            relative: (change > rounding).then(|| difference / change),
        }
    }
}

impl Landscape {
    /// Whether every eigenvector that was asked for has a residual of at most `rtol` times the largest of the eigenvalues in size.
    pub fn is_converged(&self, rtol: f64) -> bool {
        let value = |i: usize| self.quadratic.curvatures[i][i].abs() / self.axes[i].norm.powi(2);
        let largest = (0..self.axes.len()).map(value).fold(0.0, f64::max);
        self.directions != Directions::Eigenvectors
            || self.axes.iter().all(|axis| axis.residual <= rtol * largest)
    }
}
