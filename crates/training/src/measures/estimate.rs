//! A number with its standard error.

use serde::{Deserialize, Serialize};
use sharpness_curvature::Average;

/// A mean over random draws, or a function of such means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error over the draws; of a function, to first order.
    pub standard_error: f64,
}

impl Estimate {
    /// The mean of independent samples; the standard error of one sample is infinite.
    pub(super) fn of_mean(samples: &[f64]) -> Self {
        let count = samples.len() as f64;
        let value = samples.iter().sum::<f64>() / count;
        let squares: f64 = samples.iter().map(|sample| (sample - value).powi(2)).sum();
        let standard_error =
            if samples.len() < 2 { f64::INFINITY } else { (squares / (count - 1.0) / count).sqrt() };
        Self { value, standard_error }
    }
}

impl From<Average> for Estimate {
    fn from(average: Average) -> Self {
        let Average { value, standard_error } = average;
        Self { value, standard_error }
    }
}
