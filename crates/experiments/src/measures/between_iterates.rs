//! λ_max between two iterates (Kaur, Cohen, Lipton 2022, section 3.5): with batch norm and small learning rates the sharpness
//! at the iterates themselves says little; what a step meets is the sharpness along it.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{Which, eigenpairs};
use sharpness_network::backend::Backend;
use sharpness_network::{Network, Weights};

use super::problem::{Problem, solver_error, weights_bytes};
use super::{Budget, MeasureProgress, Phase};
use crate::Result;
use crate::config::MeasureConfig;
use crate::data::Standardized;

/// The last point is `STEPS / STEPS`; there are `STEPS + 1`.
const STEPS: u32 = 7;

/// λ_max at eight points evenly spaced on the segment between two iterates, both included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BetweenIterates {
    /// The points, from the first iterate to the second.
    pub points: Vec<Iterate>,
    /// The largest of their λ_max.
    pub maximum: f64,
    /// The point where it was found, as [`Iterate::t`].
    pub at: f64,
}

/// One point of the segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Iterate {
    /// The place: 0 is the first iterate and 1 the second.
    pub t: f64,
    /// The largest eigenvalue of the Hessian there, as [`Eigenvalue::value`](super::Eigenvalue::value).
    pub lambda_max: f64,
    /// Its residual.
    pub residual: f64,
    /// The mean loss there.
    pub loss: f64,
    /// Hessian-vector products that it took.
    pub products: usize,
    /// Whether the residual reached the tolerance that was asked for.
    pub converged: bool,
}

/// The weights and running statistics `(1 - t) from + t to`; exactly `from` at 0 and `to` at 1.
///
/// # Panics
/// If the two are not of one network.
pub fn interpolate(from: &Weights, to: &Weights, t: f64) -> Weights {
    let mix = |from: &[f64], to: &[f64]| {
        assert_eq!(from.len(), to.len(), "both iterates are of one network");
        from.iter().zip(to).map(|(from, to)| (1.0 - t) * from + t * to).collect()
    };
    Weights { parameters: mix(&from.parameters, &to.parameters), state: mix(&from.state, &to.state) }
}

/// Measures λ_max at eight points `i/7` on the segment from `from` to `to`, running statistics included, on the same examples
/// as [`measure`](super::measure). Each solve after the first starts from the eigenvector of the point before.
///
/// # Errors
/// As [`measure`](super::measure); the error of a loss that is not finite names the point.
///
/// # Panics
/// If the weights or the data do not have the sizes of the network.
#[expect(clippy::too_many_arguments, reason = "none of these belongs to another")]
pub fn between_iterates<B: Backend>(
    network: &Network<B>,
    data: &Standardized,
    train_indices: &[u32],
    from: &Weights,
    to: &Weights,
    config: &MeasureConfig,
    seed: u64,
    budget: Budget,
    observer: &mut dyn FnMut(&MeasureProgress),
    stop: &dyn Fn() -> bool,
) -> Result<BetweenIterates> {
    let config = MeasureConfig { top_k: 1, ..config.clone() };
    // Besides the first iterate there are the second one and the point between.
    let budget = budget.less(2 * weights_bytes(network));
    let problem = Problem::new(network, data, train_indices, &config, seed, budget)?;
    let mut params = problem.params(Which::LargestAlgebraic, 1);
    let (mut points, memory) = (Vec::new(), problem.memory());
    for i in 0..=STEPS {
        let t = f64::from(i) / f64::from(STEPS);
        let point = Some((i as usize + 1, STEPS as usize + 1));
        let mut report = |phase, products, value, residual| {
            observer(&MeasureProgress { phase, products, value, residual, point, memory });
        };

        report(Phase::Gradient, 0, f64::NAN, f64::NAN);
        let place = format!("point {i}/{STEPS} between the iterates");
        let mut operator = problem.linearize(&interpolate(from, to, t), &place, stop)?;
        let mut solved = eigenpairs(&mut operator, &params, &mut |p| {
            report(Phase::LambdaMax, p.products, p.value, p.residual);
        })
        .map_err(solver_error)?;
        let converged = solved.converged();
        let pair = solved.pairs.swap_remove(0);
        points.push(Iterate {
            t,
            lambda_max: pair.value,
            residual: pair.residual,
            loss: operator.loss(),
            products: solved.products,
            converged,
        });
        params.start = vec![pair.vector];
    }
    let (maximum, at) = points
        .iter()
        .map(|point| (point.lambda_max, point.t))
        .fold((f64::NEG_INFINITY, 0.0), |best, point| if point.0 > best.0 { point } else { best });
    Ok(BetweenIterates { points, maximum, at })
}
