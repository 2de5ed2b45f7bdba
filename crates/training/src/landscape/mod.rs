//! The loss around weights, and on the way from some weights to others.
//!
//! | file | subject |
//! | --- | --- |
//! | `directions.rs` | eigenvectors, the gradient, and filter-normalized random directions |
//! | `quadratic.rs` | the second-order expansion of the loss along directions |
//! | `plane.rs` | the loss on a line or a plane through the weights |
//! | `outcome.rs` | its report |
//! | `path.rs` | loss and accuracy on the segment or a curve between two weights |
//! | `curve.rs` | the training of a curve |
//!
//! [`Plane`] and [`Path`] compute one point at a time, so that the caller can keep finished points, show progress and stop.

mod curve;
mod directions;
mod outcome;
mod path;
mod plane;
mod quadratic;

pub use curve::{CurveSettings, CurveState, train_curve};
pub use directions::Directions;
pub use outcome::{Axis, Deviation, Landscape, LandscapePoint};
pub use path::{Barrier, BetweenEnds, Path, PathPoint, barrier, bezier, places, segment};
pub use plane::{Plane, PlaneSettings};
pub use quadratic::Quadratic;

use serde::{Deserialize, Serialize};
use sharpness_network::Sums;

/// Loss and accuracy at a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// The mean loss; unset if it overflows or is not a number.
    pub loss: Option<f64>,
    /// The fraction of examples whose largest output is their label's.
    pub accuracy: f64,
}

impl Values {
    /// The means `sums`.
    const fn new(sums: Sums) -> Self {
        let loss = if sums.loss.is_finite() { Some(sums.loss) } else { None };
        Self { loss, accuracy: sums.correct }
    }

    /// Loss and accuracy; NaN stands for a loss that is not finite.
    pub fn numbers(self) -> [f64; 2] {
        [self.loss.unwrap_or(f64::NAN), self.accuracy]
    }

    /// The values with these [`Self::numbers`].
    pub const fn of_numbers([loss, accuracy]: [f64; 2]) -> Self {
        Self::new(Sums { loss, correct: accuracy })
    }
}
