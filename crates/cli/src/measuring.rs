//! Measures a network at given weights, with progress and Ctrl-C.

use anyhow::Result;
use sharpness_experiments::config::RunConfig;
use sharpness_experiments::data::Standardized;
use sharpness_experiments::measures::{MeasureProgress, Measurement, Phase, between_iterates, measure};
use sharpness_experiments::network::backend::Backend;
use sharpness_experiments::network::{Network, Weights};
use sharpness_experiments::trained_examples;

use crate::interrupt::Interrupt;
use crate::output::{Progress, bytes, plural, significant};

/// What the bar shows.
const TEMPLATE: &str = "{spinner} {msg} {elapsed}";

/// Measures `network` at `weights`, and on the way to the iterate `next` where there is one.
///
/// # Errors
/// Those of [`measure`].
pub(crate) fn measure_at<B: Backend>(
    network: &Network<B>,
    (config, data): (&RunConfig, &Standardized),
    weights: &Weights,
    next: Option<&Weights>,
    memory_bytes: usize,
    interrupt: &Interrupt,
) -> Result<Measurement> {
    let trained = trained_examples(config, data.dataset())?;
    let mut bar = Progress::new(TEMPLATE);
    let most = u64::try_from(config.measure.max_products).unwrap_or(u64::MAX);
    let mut observer = |progress: &MeasureProgress| {
        bar.update(u64::try_from(progress.products).unwrap_or(most), most, || message(progress));
    };
    let stop = || interrupt.is_raised();
    let (settings, seed) = (&config.measure, config.seed);
    let mut measured =
        measure(network, data, &trained, weights, settings, seed, memory_bytes, &mut observer, &stop)?;
    if let Some(next) = next {
        measured.between_iterates = Some(between_iterates(
            network,
            data,
            &trained,
            weights,
            next,
            settings,
            seed,
            memory_bytes,
            &mut observer,
            &stop,
        )?);
    }
    Ok(measured)
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
    };
    let products = plural(progress.products, "product");
    // Both to their own digits: first estimates may be far smaller than their residuals.
    let (value, residual) = (significant(progress.value, 5), significant(progress.residual, 2));
    let error = if progress.phase == Phase::Trace { "standard error" } else { "residual" };
    format!("measuring {name}{place}: {value}, {error} {residual}, after {products}")
}
