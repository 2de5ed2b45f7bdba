//! An eigenvalue with everything that is known about its error.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Eigenpair, Eigenpairs, Enclosure, Which};

use super::double::Checked;
use crate::columns::ColumnType;
use crate::number::{interval, plural, with_error};
use crate::settings::MeasureConfig;

/// An eigenvalue with everything that is known about its error.
///
/// Value, residual and bounds are those of the Hessian in exact arithmetic, up to the rounding of products in double
/// precision, which check those of an engine in single precision. Without the check, `lower` and `interval` are null,
/// since the rounding is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eigenvalue {
    /// The Rayleigh quotient `θ = uᵀ H u` of the unit vector `u` found. It is never outside the spectrum.
    pub value: f64,
    /// `‖H u - θ u‖`, computed from products and not estimated.
    pub residual: f64,
    /// The true value is at least this. For λ_max: `value` but for rounding; for the further ones of the largest eigenvalues:
    /// `value` minus the norm of the residuals of those up to it. Both are certain. For λ_min: the solver's probabilistic bound,
    /// or null if there is none.
    pub lower: Option<f64>,
    /// The probability, over the seed, that `lower` is wrong; 0 if it is certain.
    pub lower_failure_probability: Option<f64>,
    /// The true value is at most this. For the largest ones: the solver's probabilistic bound, or null if there is none. For
    /// λ_min: `value` but for rounding, which is certain.
    pub upper: Option<f64>,
    /// The probability, over the seed, that `upper` is wrong; 0 if it is certain.
    pub upper_failure_probability: Option<f64>,
    /// `[value - residual, value + residual]`, widened by rounding: certain to hold an eigenvalue, though perhaps not the extreme
    /// one.
    pub interval: Option<[f64; 2]>,
    /// Hessian-vector products of the whole solve that found it.
    pub products: usize,
    /// Whether the residual reached `rtol` and, unless `bound_rtol` is off, the bound came within `bound_rtol`.
    pub converged: bool,
    /// Whether the bound came within `bound_rtol`: the eigenvalue is shown to be the extreme one to this tolerance.
    #[serde(default)]
    pub certified: bool,
}

impl Eigenvalue {
    /// The eigenvalues found, the most extreme first.
    pub(super) fn all(found: &Checked, which: Which, settings: &MeasureConfig) -> Vec<Self> {
        let Checked { solved, rounding } = found;
        let enclosures = solved.enclosures(which, *rounding);
        let pairs = solved.pairs.iter().zip(enclosures);
        pairs.map(|(pair, enclosure)| Self::of(pair, &enclosure, solved, settings)).collect()
    }

    fn of(pair: &Eigenpair, enclosure: &Enclosure, solved: &Eigenpairs, settings: &MeasureConfig) -> Self {
        let (value, residual) = (pair.value, pair.residual);
        let reached = residual <= (settings.rtol * value.abs()).max(solved.rounding);
        let converged = solved.converged() && reached;
        Self {
            value,
            residual,
            lower: enclosure.lower,
            lower_failure_probability: enclosure.lower_failure_probability,
            upper: enclosure.upper,
            upper_failure_probability: enclosure.upper_failure_probability,
            interval: enclosure.interval,
            products: solved.products,
            converged,
            certified: converged && settings.bound_rtol.0.is_some(),
        }
    }

    /// The value with the bound on its error, and the number of products.
    pub fn value_text(&self) -> String {
        let work = plural(self.products, "Hessian-vector product");
        let doubt = match (self.converged, self.certified) {
            (true, true) => "",
            (true, false) => "  an eigenvalue, not shown to be the extreme one (--bound-rtol is off)",
            (false, _) => {
                "  NOT CONVERGED: the residual or the bound misses its tolerance; raise --max-products or --memory, relax --rtol \
                 or --bound-rtol, or try --precision f64"
            }
        };
        format!("{}  ({work}){doubt}", with_error(self.value, self.residual))
    }

    /// The interval of the true value: certain on the inner side, with a stated probability on the outer side.
    pub fn bounds_text(&self) -> String {
        let interval = interval(self.lower, self.upper);
        let risks = [self.lower_failure_probability, self.upper_failure_probability];
        let risk = risks.into_iter().flatten().fold(0.0, f64::max);
        let certainty = if risk > 0.0 { format!(" with probability {}", 1.0 - risk) } else { String::new() };
        format!("in {interval}{certainty}")
    }

    /// The columns of an eigenvalue in a table of runs.
    pub const COLUMNS: &[(&str, ColumnType)] = &[
        ("value", ColumnType::Double),
        ("residual", ColumnType::Double),
        ("lower", ColumnType::Double),
        ("lower_failure_probability", ColumnType::Double),
        ("upper", ColumnType::Double),
        ("upper_failure_probability", ColumnType::Double),
        ("interval", ColumnType::Text),
        ("products", ColumnType::Integer),
        ("converged", ColumnType::Boolean),
        ("certified", ColumnType::Boolean),
    ];
}
