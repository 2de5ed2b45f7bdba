//! How far λ_max moves with the examples that it is measured on: at several sizes, each on disjoint subsets.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;
use sharpness_network::{Network, Weights};

use super::{Budget, Eigenvalue, MeasureProgress, measure};
use crate::Result;
use crate::config::RunConfig;
use crate::data::{Standardized, Subset};
use crate::run::trained_examples;

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
    /// The standard deviation of their values; absent for one subset.
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

/// Measures λ_max at `weights` on subsets of the given sizes, evenly strided over the training set: up to four disjoint ones of
/// each size, as far as there are examples.
///
/// # Errors
/// As [`measure`].
pub fn subset_sizes<B: Backend>(
    network: &Network<B>,
    (config, data): (&RunConfig, &Standardized),
    weights: &Weights,
    sizes: &[usize],
    budget: Budget,
    observer: &mut dyn FnMut(&MeasureProgress),
    stop: &dyn Fn() -> bool,
) -> Result<Vec<SubsetSize>> {
    let trained = trained_examples(config, data.dataset())?;
    let mut found = Vec::new();
    for &examples in sizes {
        let mut settings = config.measurement();
        (settings.examples, settings.top_k, settings.lambda_min) = (examples, 1, false);
        (settings.trace, settings.sam_bound, settings.subset) = (None, None, Subset::Every);
        let subsets = (trained.len() / examples.max(1)).clamp(1, SUBSETS);
        let stride = trained.len() / examples.max(1);
        let mut values = Vec::new();
        for subset in 0..subsets {
            let mut shifted = trained.clone();
            shifted.rotate_left(subset * stride / subsets);
            let seed = config.seed;
            let measured =
                measure(network, data, &shifted, weights, &settings, seed, budget, observer, stop)?;
            values.push(measured.lambda_max);
        }
        found.push(SubsetSize::new(examples, values));
    }
    Ok(found)
}
