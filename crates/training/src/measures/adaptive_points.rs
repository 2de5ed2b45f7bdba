//! What both adaptive sharpnesses share: the perturbations are relative to the weights, `δ = v ⊙ |w|`.

use serde::{Deserialize, Serialize};

use super::draws::mean;
use crate::columns::ColumnType;
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

/// Adaptive sharpness at all radii.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveOutcome {
    /// In the Euclidean norm, or under Gaussian noise, by ascending radius; standard errors over the batches, or the draws.
    pub l2: Vec<AdaptivePoint>,
    /// In the maximum norm, or under uniform noise, likewise.
    pub linf: Vec<AdaptivePoint>,
    /// The value at the smallest radius.
    pub l2_smallest_rho: Option<f64>,
    /// The value at the largest radius.
    pub l2_largest_rho: Option<f64>,
    /// The value at the smallest radius.
    pub linf_smallest_rho: Option<f64>,
    /// The value at the largest radius.
    pub linf_largest_rho: Option<f64>,
    /// Examples that were measured on.
    pub examples: usize,
}

impl AdaptiveOutcome {
    /// Its columns in a table of runs.
    pub(super) const COLUMNS: &[(&str, ColumnType)] = &[
        ("l2", ColumnType::Text),
        ("linf", ColumnType::Text),
        ("l2_smallest_rho", ColumnType::Double),
        ("l2_largest_rho", ColumnType::Double),
        ("linf_smallest_rho", ColumnType::Double),
        ("linf_largest_rho", ColumnType::Double),
        ("examples", ColumnType::Integer),
    ];

    pub(super) fn new(l2: &Samples, linf: &Samples, examples: usize) -> Self {
        let (l2, linf) = (l2.points(), linf.points());
        let ends = |points: &[AdaptivePoint]| [points.first(), points.last()].map(|point| point?.value);
        let [l2_smallest_rho, l2_largest_rho] = ends(&l2);
        let [linf_smallest_rho, linf_largest_rho] = ends(&linf);
        Self { l2, linf, l2_smallest_rho, l2_largest_rho, linf_smallest_rho, linf_largest_rho, examples }
    }
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
    fn points(&self) -> Vec<AdaptivePoint> {
        let point = |(rho, (rises, drops)): (&f64, (&Vec<f64>, &Vec<f64>))| {
            let (value, standard_error) = mean(rises);
            AdaptivePoint { rho: *rho, value, standard_error, accuracy_drop: mean(drops).0 }
        };
        self.radii.iter().zip(self.rises.iter().zip(&self.drops)).map(point).collect()
    }
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
