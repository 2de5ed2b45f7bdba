//! How λ_max depends on the measured examples: at several sizes, each on disjoint subsets.

use serde::{Deserialize, Serialize};
use sharpness_data::Subset;
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::eigenvalue::Eigenvalue;
use super::point::{Iterates, measure};
use super::problem::Subject;
use crate::Result;
use crate::observer::Watcher;
use crate::settings::MeasureConfig;

/// The most disjoint subsets of one size.
const SUBSETS: usize = 4;

/// λ_max on subsets of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetSize {
    /// Examples of each subset.
    pub examples: usize,
    /// λ_max on disjoint subsets: the first is the one that `measure` takes, the others lie between its examples.
    pub lambda_max: Vec<Eigenvalue>,
    /// The mean of their values.
    pub mean: f64,
    /// The standard deviation of their values; none for one subset.
    pub deviation: Option<f64>,
}

impl SubsetSize {
    fn new(examples: usize, lambda_max: Vec<Eigenvalue>) -> Self {
        let count = lambda_max.len() as f64;
        let mean = lambda_max.iter().map(|one| one.value).sum::<f64>() / count;
        let squares: f64 = lambda_max.iter().map(|one| (one.value - mean).powi(2)).sum();
        let deviation = (lambda_max.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Self { examples, lambda_max, mean, deviation }
    }
}

/// Measures λ_max at `weights` on subsets of the given sizes, evenly strided over the training set: up to four disjoint
/// ones of each size, if there are enough examples.
///
/// # Errors
/// As [`measure`].
pub fn subset_sizes<B: Backend>(
    subject: Subject<'_, B>,
    weights: &Weights,
    sizes: &[usize],
    watcher: &dyn Watcher,
) -> Result<Vec<SubsetSize>> {
    let mut found = Vec::new();
    for &examples in sizes {
        let settings = MeasureConfig {
            examples,
            top_k: 1,
            subset: Subset::Every,
            asked: Default::default(),
            ..subject.settings.clone()
        };
        let trained = subject.trained;
        let stride = trained.len() / examples.max(1);
        let subsets = stride.clamp(1, SUBSETS);
        let mut values = Vec::new();
        for subset in 0..subsets {
            let mut shifted = trained.to_vec();
            shifted.rotate_left(subset * stride / subsets);
            let subject = Subject { trained: &shifted, settings: &settings, ..subject };
            values.push(measure(subject, Iterates::only(weights), watcher)?.lambda_max);
        }
        found.push(SubsetSize::new(examples, values));
    }
    Ok(found)
}
