//! Effective ranks: how many eigenvalues make up the spectrum.

use crate::density::{Average, Density};
use crate::error::Error;

/// The quotient of a number with a standard error by another one that is known up to `error`: with the trace and the largest
/// eigenvalue, the effective rank `tr A / λ_max`; with the squared Frobenius norm and its square, the stable rank `‖A‖_F² / λ_max²`
/// (Rudelson and Vershynin 2007, *Sampling from large matrices*, J. ACM 54(4)).
///
/// Both errors are propagated to first order, as independent ones.
pub fn quotient(numerator: Average, denominator: f64, error: f64) -> Average {
    let value = numerator.value / denominator;
    let relative = (numerator.standard_error / denominator).hypot(value * error / denominator);
    Average { value, standard_error: relative }
}

impl Density {
    /// The entropy rank `exp(-Σ p ln p)` with `p = λ₊ / Σ λ₊`, where `λ₊` are the eigenvalues with 0 in place of negative ones (Roy
    /// and Vetterli 2007, *The effective rank*, EUSIPCO): `k` for `k` equal positive eigenvalues. NaN if none is positive.
    ///
    /// With the averages `a` of `λ₊` and `b` of `λ₊ ln λ₊` it is `n a exp(-b / a)`, whose standard error follows from those of `a`
    /// and `b`, and their correlation, to first order. `λ₊ ln λ₊` is no polynomial: take enough steps that their error, which the
    /// standard error does not have, is small.
    pub fn entropy_rank(&self) -> Average {
        let positive = self.of_probes(|x| x.max(0.0));
        let logarithmic = self.of_probes(|x| if x > 0.0 { x * x.ln() } else { 0.0 });
        let (a, b) = (Average::of(&positive).value, Average::of(&logarithmic).value);
        let value = self.dim as f64 * a * (-b / a).exp();
        // d ln(a exp(-b / a)) = da / a + b da / a² - db / a.
        let linear: Vec<f64> =
            positive.iter().zip(&logarithmic).map(|(x, y)| x / a + b * x / (a * a) - y / a).collect();
        Average { value, standard_error: value * Average::of(&linear).standard_error }
    }

    /// The effective dimension `Σ λ₊ / (λ₊ + α)`, the number of eigenvalues well above `alpha` (MacKay 1992, *Bayesian
    /// interpolation*, Neural Comput. 4(3)). Negative eigenvalues count as 0, since theirs would not be defined at `-α`. As for
    /// [`Self::entropy_rank`], the standard error is that of the probes, not of the quadrature.
    ///
    /// # Errors
    /// [`Error::NotPositive`] unless `alpha` is a positive number.
    pub fn effective_dimension(&self, alpha: f64) -> Result<Average, Error> {
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Err(Error::NotPositive { name: "alpha", value: alpha });
        }
        let share = |x: f64| x.max(0.0) / (x.max(0.0) + alpha);
        Ok(self.average(share).times(self.dim as f64))
    }
}
