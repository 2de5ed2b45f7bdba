//! Means over runs and their deviations.

/// A mean over runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation over runs, if it is known.
    pub deviation: Option<f64>,
    /// The number of runs, if it is known.
    pub runs: Option<usize>,
}

impl Summary {
    /// The mean and the standard deviation of those values that are finite; none without any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation, runs: Some(values.len()) })
    }

    /// The mean and the deviation of log₁₀ of what has these, if it is log-normal: μ = ln m - σ²/2 with σ² = ln (1 + s²/m²).
    pub fn log(self) -> Self {
        let decades = std::f64::consts::LN_10;
        let variance = (self.deviation.unwrap_or(0.0) / self.mean).powi(2).ln_1p();
        Self {
            mean: (self.mean.ln() - variance / 2.0) / decades,
            deviation: self.deviation.map(|_| variance.sqrt() / decades),
            runs: self.runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_a_mean_is_that_of_a_log_normal_number() {
        // exp(N(1, 0.5²)) has the mean e^(9/8) and the variance (e^(1/4) - 1) e^(9/4).
        let mean = (1.0_f64 + 0.125).exp();
        let deviation = (0.25_f64.exp_m1()).sqrt() * mean;
        let log = Summary { mean, deviation: Some(deviation), runs: Some(5) }.log();
        let ln = std::f64::consts::LN_10;
        assert!((log.mean * ln - 1.0).abs() < 1e-12, "μ: {log:?}");
        assert!((log.deviation.unwrap() * ln - 0.5).abs() < 1e-12, "σ: {log:?}");
    }
}
