//! Measures a network at given weights, with progress and Ctrl-C.

use anyhow::Result;
use sharpness_experiments::config::RunConfig;
use sharpness_experiments::data::Standardized;
use sharpness_experiments::measure_run;
use sharpness_experiments::measures::{Budget, MeasureProgress, Measurement, Phase};
use sharpness_experiments::network::backend::Backend;
use sharpness_experiments::network::{Network, Weights};

use crate::interrupt::Interrupt;
use crate::output::{Progress, bytes, plural, significant};

/// What the bar shows.
pub(crate) const TEMPLATE: &str = "{spinner} {msg} {elapsed}";

/// Measures `network` at the first of two weights, and on the way to the second where there are both.
///
/// # Errors
/// Those of [`measure_run`].
pub(crate) fn measure_at<B: Backend>(
    network: &Network<B>,
    place: (&RunConfig, &Standardized),
    weights: (&Weights, Option<&Weights>),
    budget: Budget,
    interrupt: &Interrupt,
) -> Result<Measurement> {
    let mut bar = Progress::new(TEMPLATE);
    let mut observer = |progress: &MeasureProgress| show(&mut bar, progress);
    let stop = || interrupt.is_raised();
    Ok(measure_run(network, place, weights, budget, &mut observer, &stop)?)
}

/// Shows how far a measurement has come.
pub(crate) fn show(bar: &mut Progress, progress: &MeasureProgress) {
    // The number of products that it takes is not known.
    bar.update(0, 0, || message(progress));
}

/// What a measurement is doing, for a bar.
pub(crate) fn message(progress: &MeasureProgress) -> String {
    let place =
        progress.point.map_or_else(String::new, |(point, points)| format!(" at point {point} of {points}"));
    let name = match progress.phase {
        Phase::Gradient => {
            let memory = bytes(progress.memory.predicted_bytes);
            return format!("measuring the loss and its gradient{place}, with about {memory} of memory");
        }
        Phase::LambdaMax => "λ_max",
        Phase::LambdaMin => "λ_min",
        Phase::Trace => "the trace",
        Phase::SamBound => return format!("seeking the largest loss near the weights{place}"),
    };
    let products = plural(progress.products, "product");
    // Both to their own digits: first estimates may be far smaller than their residuals.
    let (value, residual) = (significant(progress.value, 5), significant(progress.residual, 2));
    // A Rayleigh quotient never passes the end of the spectrum that it approaches.
    let (relation, error) = match progress.phase {
        Phase::LambdaMax => (" ≥", "residual"),
        Phase::LambdaMin => (" ≤", "residual"),
        _ => (":", "standard error"),
    };
    format!("measuring {name}{place}{relation} {value}, {error} {residual}, after {products}")
}
