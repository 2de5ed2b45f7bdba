//! What both adaptive sharpnesses share: the perturbations are relative to the weights, `δ = v ⊙ |w|`.

use serde::{Deserialize, Serialize};

use super::draws::mean;
use crate::number::{significant, with_error};

/// The shape of the perturbations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Norm {
    /// `‖v‖₂`.
    L2,
    /// The largest `|v|`.
    Linf,
}

/// Adaptive sharpness at one radius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdaptivePoint {
    /// The radius ρ.
    pub rho: f64,
    /// The mean rise of the loss. Unset if a loss is no finite number.
    pub value: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// The mean drop of the accuracy at the same points.
    pub accuracy_drop: Option<f64>,
}

/// The rises of the loss and the drops of the accuracy at the radii of a grid.
pub(super) struct Samples {
    pub(super) norm: Norm,
    /// In ascending order.
    pub(super) radii: Vec<f64>,
    /// Of each radius.
    pub(super) rises: Vec<Vec<f64>>,
    pub(super) drops: Vec<Vec<f64>>,
}

impl Samples {
    pub(super) fn new(norm: Norm, radii: &[f64]) -> Self {
        let mut radii = radii.to_vec();
        radii.sort_by(f64::total_cmp);
        let none = vec![Vec::new(); radii.len()];
        Self { norm, radii, rises: none.clone(), drops: none }
    }

    /// The points of the grid.
    pub(super) fn points(&self) -> Vec<AdaptivePoint> {
        let point = |(rho, (rises, drops)): (&f64, (&Vec<f64>, &Vec<f64>))| {
            let (value, standard_error) = mean(rises);
            AdaptivePoint { rho: *rho, value, standard_error, accuracy_drop: mean(drops).0 }
        };
        self.radii.iter().zip(self.rises.iter().zip(&self.drops)).map(point).collect()
    }
}

/// The values at the smallest and the largest radius.
pub(super) fn ends(points: &[AdaptivePoint]) -> [Option<f64>; 2] {
    [points.first(), points.last()].map(|point| point?.value)
}

/// The points of a norm as text.
pub(super) fn text(points: &[AdaptivePoint]) -> String {
    let one = |point: &AdaptivePoint| {
        let value = match (point.value, point.standard_error) {
            (Some(value), Some(error)) => with_error(value, error),
            (Some(value), None) => significant(value, 4),
            (None, _) => "not finite".to_owned(),
        };
        format!("{value} at ρ = {}", point.rho)
    };
    points.iter().map(one).collect::<Vec<_>>().join(", ")
}
