//! The loss on a line or a plane through the weights.

use serde::Serialize;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::Values;
use super::directions::{Directions, directions};
use super::outcome::{Axis, Deviation, Landscape, LandscapePoint};
use super::quadratic::{Quadratic, curvatures, dot};
use crate::measures::{Problem, Subject, norm, weights_bytes};
use crate::observer::Watcher;
use crate::progress::Phase;
use crate::settings::MeasureConfig;
use crate::{Error, Result};

/// The default radius of filter-normalized directions: there the weights have changed by as much as they are.
const RANDOM_RADIUS: f64 = 1.0;
/// The default radius along other directions, in units of the distance at which the quadratic term alone doubles the loss.
const RADIUS: f64 = 3.0;
/// The default radius where the loss does not curve upwards, as a fraction of the norm of the weights.
const FLAT_RADIUS: f64 = 0.01;

/// The largest number of points.
const MOST_POINTS: usize = 1_000_000;

/// What of the loss is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PlaneSettings {
    /// How directions are chosen.
    pub directions: Directions,
    /// Their number, 1 or 2.
    pub dimensions: usize,
    /// The largest coordinate. By default 1 for random directions. Otherwise `3 √(2 L / θ)`, where `L` is the loss and `θ > 0` the
    /// curvature along the first direction, so that the quadratic term reaches nine times the loss; if there is no such `θ`, 0.01 times
    /// the norm of the weights.
    pub radius: Option<f64>,
    /// Points along each direction, at least 3. With an odd number the weights are one of them.
    pub points: usize,
}

impl PlaneSettings {
    /// The settings of the measurement behind it: as many eigenvectors as dimensions, and no further measures.
    pub fn measurement(&self, given: &MeasureConfig) -> MeasureConfig {
        MeasureConfig { top_k: self.dimensions, asked: std::collections::BTreeMap::new(), ..given.clone() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::MeasureSetting`] if they are impossible.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, problem| Err(Error::MeasureSetting { name, problem });
        match *self {
            Self { dimensions, .. } if !(1..=2).contains(&dimensions) => {
                wrong("--dimensions", "it must be 1 or 2")
            }
            Self { points, .. } if points < 3 => wrong("--points", "it must be at least 3"),
            Self { points, dimensions, .. }
                if points.saturating_pow(u32::try_from(dimensions).unwrap_or(u32::MAX)) > MOST_POINTS =>
            {
                wrong("--points", "there would be more than a million points")
            }
            Self { radius: Some(radius), .. } if !(radius > 0.0 && radius.is_finite()) => {
                wrong("--radius", "it must be positive and finite")
            }
            _ => Ok(()),
        }
    }
}

/// A line or a plane through weights, whose points are computed one by one.
pub struct Plane<'a, B: Backend> {
    problem: Problem<'a, B>,
    weights: &'a Weights,
    settings: PlaneSettings,
    vectors: Vec<Vec<f64>>,
    residuals: Vec<f64>,
    quadratic: Quadratic,
    accuracy: f64,
    radius: f64,
}

impl<'a, B: Backend> Plane<'a, B> {
    /// Finds the directions at `weights`, or takes those of `known` that an earlier call found, and expands the loss along them. The settings of
    /// `subject` are to be [`PlaneSettings::measurement`].
    ///
    /// Costs a linearization, the solver's products for eigenvectors, and a linearization and a product per direction in double precision.
    ///
    /// # Errors
    /// Those of [`measure`](crate::measures::measure); [`Error::MeasureSetting`] if the settings are impossible.
    ///
    /// # Panics
    /// If the weights, known directions or the data do not have the sizes of the network.
    pub fn new(
        subject: Subject<'a, B>,
        weights: &'a Weights,
        settings: PlaneSettings,
        known: Option<Vec<Vec<f64>>>,
        watcher: &'a dyn Watcher,
    ) -> Result<Self> {
        settings.check()?;
        let network = &subject.engine.network;
        // The directions, their products and a point.
        let held = (2 * settings.dimensions + 1) * weights_bytes(network);
        let problem = Problem::new(Subject { budget: subject.budget.less(held), ..subject }, watcher)?;
        problem.report(Phase::Gradient, (0, f64::NAN, f64::NAN));
        let mut operator = problem.linearize(weights, "the given weights")?;
        let how = (settings.directions, settings.dimensions);
        let vectors = known.map_or_else(|| directions(&problem, &mut operator, weights, how), Ok)?;
        let slopes = vectors.iter().map(|direction| dot(operator.gradient(), direction)).collect();
        let (loss, accuracy) = (operator.loss(), operator.accuracy());
        let (curvatures, residuals) = match problem.double() {
            None => {
                let block = problem.block(&operator);
                curvatures(&mut operator, &vectors, block)?
            }
            Some(double) => {
                // Free its linearizations.
                drop(operator);
                let block = problem.streaming_block(double);
                curvatures(&mut problem.streaming(double, weights), &vectors, block)?
            }
        };
        let quadratic = Quadratic { loss, slopes, curvatures };
        let radius =
            settings.radius.unwrap_or_else(|| default_radius(how.0, &quadratic, &vectors[0], weights));
        Ok(Self { problem, weights, settings, vectors, residuals, quadratic, accuracy, radius })
    }

    /// The directions, each in the layout of the parameters.
    pub fn vectors(&self) -> &[Vec<f64>] {
        &self.vectors
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.settings.points.pow(self.vectors.len().try_into().unwrap_or(u32::MAX))
    }

    /// Whether it has no points; it always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The coordinates of a point.
    fn place(&self, point: usize) -> Vec<f64> {
        let count = self.settings.points;
        let digits = std::iter::successors(Some(point), |rest| Some(rest / count)).map(|rest| rest % count);
        digits.take(self.vectors.len()).map(|digit| coordinate(self.radius, digit, count)).collect()
    }

    /// Loss and accuracy at the point with this number, from 0. Cost: a forward pass over the measured examples.
    ///
    /// # Errors
    /// [`Error::MeasureStopped`], asked between chunks.
    pub fn value(&self, point: usize) -> Result<Values> {
        let mut parameters = self.weights.parameters.clone();
        for (c, direction) in self.place(point).into_iter().zip(&self.vectors) {
            parameters.iter_mut().zip(direction).for_each(|(w, d)| *w += c * d);
        }
        let moved = Weights { parameters, state: self.weights.state.clone() };
        Ok(Values::new(self.problem.value(&moved)?))
    }

    /// The report, given the [values](Self::value) of all points in their order.
    pub fn landscape(&self, values: &[Values]) -> Landscape {
        let (problem, quadratic) = (&self.problem, &self.quadratic);
        let points = values.iter().enumerate().map(|(point, values)| {
            let place = self.place(point);
            LandscapePoint { values: *values, predicted: quadratic.at(&place), place }
        });
        let points: Vec<LandscapePoint> = points.collect();
        let is_double = problem.network().backend().element_bytes() == size_of::<f64>();
        let epsilon = if is_double { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let count = self.settings.points;
        let axis = |(index, vector): (usize, &Vec<f64>)| Axis {
            name: self.settings.directions.axis(index),
            coordinates: (0..count).map(|i| coordinate(self.radius, i, count)).collect(),
            norm: norm(vector),
            residual: self.residuals[index],
        };
        Landscape {
            directions: self.settings.directions,
            axes: self.vectors.iter().enumerate().map(axis).collect(),
            quadratic: quadratic.clone(),
            deviation: Deviation::new(&points, quadratic, self.radius, epsilon),
            accuracy: self.accuracy,
            weights_norm: norm(&self.weights.parameters),
            examples: problem.count(),
            subset: problem.subject().settings.subset,
            batch_norm: problem.batch_norm().to_owned(),
            batch_norm_chunk: problem.batch_norm_chunk(),
            precision: problem.network().backend().precision().to_owned(),
            points,
        }
    }
}

/// The coordinate `index` of `count` evenly spaced ones; 0 in the middle of an odd number.
fn coordinate(radius: f64, index: usize, count: usize) -> f64 {
    radius * (2.0 * index as f64 / (count - 1) as f64 - 1.0)
}

fn default_radius(how: Directions, quadratic: &Quadratic, direction: &[f64], weights: &Weights) -> f64 {
    let (loss, curvature) = (quadratic.loss, quadratic.curvatures[0][0]);
    let length = norm(&weights.parameters);
    match how {
        Directions::Random => RANDOM_RADIUS,
        _ if loss > 0.0 && curvature > 0.0 => RADIUS * (2.0 * loss / curvature).sqrt(),
        _ if length > 0.0 => FLAT_RADIUS * length / norm(direction),
        _ => FLAT_RADIUS,
    }
}
