//! The mean of a sample and its standard error.

/// The fewest probes whose standard error is trusted: fewer can agree by chance.
pub(crate) const FEWEST_PROBES: usize = 8;

/// An estimate of a mean over probes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HutchinsonEstimate {
    /// The mean over the probes.
    pub value: f64,
    /// The standard error of the mean; infinite after one probe.
    pub standard_error: f64,
    /// The number of probes, each of one product.
    pub probes: usize,
    /// Whether the standard error meets the tolerance, with 95 % confidence.
    pub converged: bool,
}

/// A running mean and spread (Welford 1962, *Note on a method for calculating corrected sums of squares
/// and products*, Technometrics 4(3)).
#[derive(Debug, Default, Clone)]
pub(crate) struct Sample {
    pub(crate) count: usize,
    mean: f64,
    /// The sum of squared deviations from the mean.
    squares: f64,
}

impl Sample {
    pub(crate) fn add(&mut self, x: f64) {
        self.count += 1;
        let distance = x - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (x - self.mean);
    }

    pub(crate) fn estimate(&self, rtol: f64) -> HutchinsonEstimate {
        let count = self.count as f64;
        let standard_error =
            if self.count < 2 { f64::INFINITY } else { (self.squares / (count - 1.0) / count).sqrt() };
        let converged = self.count >= FEWEST_PROBES
            && standard_error * spread_factor(count - 1.0) <= rtol * self.mean.abs();
        HutchinsonEstimate { value: self.mean, standard_error, probes: self.count, converged }
    }
}

/// The factor by which to multiply a standard deviation with `degrees` degrees of freedom so that it is at
/// least the true one with 95 % confidence: `sqrt(degrees / q)`, with the 5 % quantile `q` of chi-squared
/// (approximated by Wilson and Hilferty 1931).
pub(crate) fn spread_factor(degrees: f64) -> f64 {
    let variance = 2.0 / (9.0 * degrees);
    (1.0 - variance - 1.645 * variance.sqrt()).powf(-1.5)
}
