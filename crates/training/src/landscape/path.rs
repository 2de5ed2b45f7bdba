//! Loss and accuracy on the way from some weights to others: on the segment between them, or on a curve.

use serde::{Deserialize, Serialize};
use sharpness_data::Part;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;
use sharpness_network::op::BatchNorm;

use super::Values;
use crate::evaluation::evaluate;
use crate::measures::{Problem, Subject, norm, weights_bytes};
use crate::observer::Watcher;
use crate::{Error, Result};

/// Two weights of one network.
#[derive(Clone, Copy, Debug)]
pub struct BetweenEnds<'a> {
    /// The weights at `t = 0`.
    pub from: &'a Weights,
    /// The weights at `t = 1`.
    pub to: &'a Weights,
}

impl BetweenEnds<'_> {
    /// The Euclidean distance of their parameters.
    pub fn distance(&self) -> f64 {
        let (from, to) = (&self.from.parameters, &self.to.parameters);
        norm(&from.iter().zip(to).map(|(from, to)| to - from).collect::<Vec<f64>>())
    }
}

/// The parameters `a + t (b - a)`; exactly `a` at 0 and `b` at 1.
pub fn segment(a: &[f64], b: &[f64], t: f64) -> Vec<f64> {
    // Rounding must not move the ends.
    let at = |a: f64, b: f64| if t < 0.5 { a + t * (b - a) } else { b - (1.0 - t) * (b - a) };
    a.iter().zip(b).map(|(a, b)| at(*a, *b)).collect()
}

/// The parameters `(1 - t)² a + 2 t (1 - t) m + t² b` of the quadratic Bézier curve with the middle point `m` (Garipov et al. 2018,
/// section 3.3); exactly `a` at 0 and `b` at 1.
pub fn bezier((a, m, b): (&[f64], &[f64], &[f64]), t: f64) -> Vec<f64> {
    let (first, middle, last) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
    a.iter().zip(m).zip(b).map(|((a, m), b)| first * a + middle * m + last * b).collect()
}

/// `count` evenly spaced places from `start` to `end`, with 0 and 1 added if they lie between and are not among them.
pub fn places(start: f64, end: f64, count: usize) -> Vec<f64> {
    /// Places so close to an end of the segment are that end.
    const NEAR: f64 = 1e-9;
    let place = |i: usize| start + (end - start) * i as f64 / (count.max(2) - 1) as f64;
    let snapped = |t: f64| [0.0, 1.0].into_iter().find(|end: &f64| (t - end).abs() < NEAR).unwrap_or(t);
    let mut all: Vec<f64> = (0..count).map(|i| snapped(place(i))).collect();
    all.extend([0.0, 1.0].into_iter().filter(|t| start <= *t && *t <= end));
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

/// Loss and accuracy at a place of a path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathPoint {
    /// The place: 0 is the first weights and 1 the second.
    pub t: f64,
    /// On the measured training examples.
    pub train: Values,
    /// On the whole test set.
    pub test: Values,
}

/// By how much the loss on a path exceeds the straight line between the losses at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// The largest `L(t) - ((1 - t) L(0) + t L(1))` at the points with `0 ≤ t ≤ 1`: a lower bound on the maximum over all `t`. Unset if
    /// a loss at one of them is not finite.
    pub value: Option<f64>,
    /// Where it is.
    pub t: Option<f64>,
}

/// The barrier of `losses`, places with the losses there, which include 0 and 1. It is at least 0 (Frankle et al. 2020; Entezari et al. 2022,
/// definition 2.1).
pub fn barrier(losses: impl IntoIterator<Item = (f64, Option<f64>)>) -> Barrier {
    let between: Vec<(f64, Option<f64>)> =
        losses.into_iter().filter(|(t, _)| (0.0..=1.0).contains(t)).collect();
    let known: Option<Vec<(f64, f64)>> = between.into_iter().map(|(t, loss)| Some((t, loss?))).collect();
    let known = known.unwrap_or_default();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return Barrier { value: None, t: None };
    };
    // At both ends the chord is exactly the loss.
    let chord = |t: f64| {
        if t < 0.5 { first.1 + t * (last.1 - first.1) } else { last.1 - (1.0 - t) * (last.1 - first.1) }
    };
    let excesses = known.iter().map(|(t, loss)| (*t, loss - chord(*t)));
    let largest = excesses.reduce(|best, next| if next.1 > best.1 { next } else { best });
    Barrier { value: largest.map(|(_, value)| value), t: largest.map(|(t, _)| t) }
}

/// Evaluates the points of paths between two weights.
///
/// Batch norm: running statistics of the ends, interpolated, belong to no network. The loss on training examples uses the statistics of each
/// chunk, as the measurement does; that on the test set those of the measured examples, estimated again at every point, the ends included.
pub struct Path<'a, B: Backend> {
    problem: Problem<'a, B>,
}

impl<'a, B: Backend> Path<'a, B> {
    /// Prepares to evaluate weights of the network of `subject`.
    ///
    /// # Errors
    /// Those of [`measure`](crate::measures::measure); [`Error::MeasureSetting`] if batch norm shall use running statistics.
    pub fn new(subject: Subject<'a, B>, watcher: &'a dyn Watcher) -> Result<Self> {
        let network = &subject.engine.network;
        if !network.state().is_empty() && subject.settings.bn == BatchNorm::Running {
            let problem = "between two networks there are no running statistics; leave --bn at `batch`";
            return Err(Error::MeasureSetting { name: "--bn", problem });
        }
        // The other end, the middle of a curve, and a point.
        let subject = Subject { budget: subject.budget.less(3 * weights_bytes(network)), ..subject };
        Ok(Self { problem: Problem::new(subject, watcher)? })
    }

    /// The number of measured examples.
    pub fn count(&self) -> usize {
        self.problem.count()
    }

    /// The statistics of batch norm for the training examples, and the examples that share them, as
    /// [`Measurement`](crate::measures::Measurement) names them.
    pub fn batch_norm(&self) -> (&'static str, Option<usize>) {
        (self.problem.batch_norm(), self.problem.batch_norm_chunk())
    }

    /// Loss and accuracy with these parameters at the place `t` of a path. Cost: a forward pass over the measured examples, a second one with batch
    /// norm, and one over the test set.
    ///
    /// # Errors
    /// [`Error::MeasureStopped`], asked between chunks of training examples.
    pub fn value(&self, t: f64, parameters: Vec<f64>) -> Result<PathPoint> {
        let weights = self.problem.with_statistics(parameters)?;
        let train = Values::new(self.problem.value(&weights)?);
        let Subject { engine, data, .. } = self.problem.subject();
        let test = Values::new(evaluate(&engine.network, data, Part::Test, &weights));
        Ok(PathPoint { t, train, test })
    }
}
