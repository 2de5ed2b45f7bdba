//! The density of the Hessian's eigenvalues by stochastic Lanczos quadrature.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Density as Quadratures, DensityParams, density, lanczos_bytes};
use sharpness_network::backend::Backend;

use super::estimate::Estimate;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::problem::solver_error;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{percent, plural, significant, with_error};
use crate::progress::Phase;
use crate::range::{Count, Probes, within};

/// The density of the eigenvalues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Density {
    /// The number of random vectors.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub probes: usize,
    /// Lanczos steps from each vector; each takes one product. Fewer if the memory does not hold as many vectors.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub steps: usize,
}

impl Default for Density {
    fn default() -> Self {
        Self { probes: 5, steps: 50 }
    }
}

/// The density as a sum of weighted points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DensityOutcome {
    /// For each random vector the pairs of a Ritz value and its weight, ascending. Weights sum to 1: they are shares of the spectrum.
    pub probes: Vec<Vec<[f64; 2]>>,
    /// Lanczos steps from each vector.
    pub steps: usize,
    /// Products.
    pub products: usize,
    /// The smallest and the largest Ritz value: within the spectrum, up to rounding.
    pub range: [f64; 2],
    /// The trace: the first moment times the number of parameters.
    pub trace: Estimate,
    /// The root of the second moment times the number of parameters.
    pub frobenius: Estimate,
    /// The share of the spectrum below minus one thousandth of the largest Ritz value.
    pub negative_share: Estimate,
}

impl DensityOutcome {
    /// The density at `place`, with each eigenvalue widened to a Gaussian of standard deviation `sigma`.
    pub fn smoothed(&self, place: f64, sigma: f64) -> Estimate {
        let norm = sigma * (2.0 * std::f64::consts::PI).sqrt();
        let height =
            |[value, weight]: &[f64; 2]| weight * (-0.5 * ((value - place) / sigma).powi(2)).exp() / norm;
        let samples: Vec<f64> = self.probes.iter().map(|nodes| nodes.iter().map(height).sum()).collect();
        Estimate::of_mean(&samples)
    }

    fn new(found: &Quadratures, steps: usize) -> Self {
        let values = || found.probes.iter().flatten().map(|node| node.value);
        let range = [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)];
        let below = -1e-3 * range[1].abs();
        let second = found.average(|x| x * x);
        let dim = found.dim as f64;
        let frobenius = (dim * second.value).sqrt();
        let nodes = |nodes: &Vec<sharpness_curvature::Node>| {
            nodes.iter().map(|node| [node.value, node.weight]).collect()
        };
        Self {
            probes: found.probes.iter().map(nodes).collect(),
            steps,
            products: found.products,
            range,
            trace: Estimate::from(found.trace()),
            frobenius: Estimate {
                value: frobenius,
                standard_error: if frobenius > 0.0 {
                    dim * second.standard_error / (2.0 * frobenius)
                } else {
                    0.0
                },
            },
            negative_share: Estimate::from(found.average(|x| if x < below { 1.0 } else { 0.0 })),
        }
    }
}

impl Measure for Density {
    const NAME: &'static str = "density";
    const HELP: &'static str = "Estimate the density of the Hessian's eigenvalues too, from this many random vectors [default of PROBES: 5]";
    const FLAG: Flag = Flag::Optional("PROBES");
    const MAIN: Option<&'static str> = Some("probes");
    const DEFINITION: Definition = Definition {
        title: "Spectral density",
        text: "The distribution of the eigenvalues of H by stochastic Lanczos quadrature: `steps` Lanczos steps, with full reorthogonalization, from each of `probes` random unit vectors give nodes θ and weights w, whose moments Σ w θ^j are those of the distribution on average (exactly vᵀ H^j v for j < 2 · steps), with Σ w = 1. `--plots` draws them with each node widened to a Gaussian, and a band of one standard error over the vectors.",
        source: "Golub and Welsch 1969; Ubaru, Chen, Saad 2017; Ghorbani, Krishnan, Xiao 2019, arXiv 1901.10159",
        error: "standard errors over the random vectors, of the trace, the Frobenius norm and the share of negative eigenvalues; with few vectors they are rough",
        cost: "probes · steps products, by default 250",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("probes", ColumnType::Text),
        ("steps", ColumnType::Integer),
        ("products", ColumnType::Integer),
        ("range", ColumnType::Text),
        ("trace.value", ColumnType::Double),
        ("trace.standard_error", ColumnType::Double),
        ("frobenius.value", ColumnType::Double),
        ("frobenius.standard_error", ColumnType::Double),
        ("negative_share.value", ColumnType::Double),
        ("negative_share.standard_error", ColumnType::Double),
    ];
    const TRACKED: &'static [(&'static str, i64)] = &[("probes", 2), ("steps", 20)];

    type Found = (Quadratures, usize);
    type Outcome = DensityOutcome;

    fn products<B: Backend>(&self, at: &mut AtWeights<'_, '_, B>) -> Result<Self::Found> {
        let (dim, memory) = (at.problem.network().parameters().len(), at.problem.solver_bytes());
        let is_single = !at.problem.is_double();
        let fits = |steps: &usize| lanczos_bytes(1, dim, *steps, is_single) <= memory;
        let steps = (1..=self.steps).rev().find(fits).unwrap_or(1);
        let problem = at.problem;
        let params = DensityParams { probes: self.probes, steps, seed: problem.subject().seed };
        let found = density(&mut at.operator, &params, &mut |_, products| {
            problem.report(Phase::Measure(Self::NAME), (products, f64::NAN, f64::NAN));
        })
        .map_err(solver_error)?;
        Ok((found, steps))
    }

    fn conclude<B: Backend>(
        &self,
        (found, steps): Self::Found,
        _: &Solution<'_, '_, B>,
    ) -> Result<DensityOutcome> {
        Ok(DensityOutcome::new(&found, steps))
    }

    fn summary(outcome: &DensityOutcome) -> Vec<(&'static str, String)> {
        let DensityOutcome { probes, steps, products, range, trace, frobenius, negative_share } = outcome;
        let [lowest, highest] = range.map(|value| significant(value, 5));
        let of = |estimate: &Estimate| with_error(estimate.value, estimate.standard_error);
        let work =
            format!("{} of {steps} steps, {}", plural(probes.len(), "vector"), plural(*products, "product"));
        let shares = format!(
            "{} ± {} of the eigenvalues are negative",
            percent(negative_share.value),
            percent(negative_share.standard_error)
        );
        vec![
            ("density", format!("from {lowest} to {highest}  ({work})")),
            ("", format!("trace {}, ‖H‖_F {} (standard errors); {shares}", of(trace), of(frobenius))),
        ]
    }
}
