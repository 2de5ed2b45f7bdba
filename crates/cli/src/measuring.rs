//! Measures a network at given weights, with progress and Ctrl-C.

use std::cell::RefCell;

use sharpness_training::{MeasureProgress, Phase, Watcher};

use crate::interrupt::Interrupt;
use crate::output::{Progress, bytes, plural, significant};

/// The template of the bar.
pub(crate) const TEMPLATE: &str = "{spinner} {msg} {elapsed}";

/// A bar for a measurement, which Ctrl-C stops.
pub(crate) struct Bar<'a> {
    bar: RefCell<Progress>,
    interrupt: &'a Interrupt,
}

impl<'a> Bar<'a> {
    /// A bar that is not shown yet.
    pub(crate) fn new(interrupt: &'a Interrupt) -> Self {
        Self { bar: RefCell::new(Progress::new(TEMPLATE)), interrupt }
    }

    /// The bar itself, to show other work.
    pub(crate) const fn bar(&self) -> &RefCell<Progress> {
        &self.bar
    }
}

impl Watcher for Bar<'_> {
    fn report(&self, progress: &MeasureProgress) {
        show(&mut self.bar.borrow_mut(), progress);
    }

    fn should_stop(&self) -> bool {
        self.interrupt.is_raised()
    }
}

/// Shows how far a measurement is.
pub(crate) fn show(bar: &mut Progress, progress: &MeasureProgress) {
    // The number of products is not known in advance.
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
        Phase::Measure(name) if progress.value.is_nan() => return format!("measuring {name}{place}"),
        Phase::Measure(name) => name,
    };
    let products = plural(progress.products, "product");
    // Each to its own digits: first estimates may be far smaller than their residuals.
    let (value, residual) = (significant(progress.value, 5), significant(progress.residual, 2));
    // A Rayleigh quotient is never beyond the end of the spectrum.
    let (relation, error) =
        if progress.phase == Phase::LambdaMax { (" ≥", "residual") } else { (":", "error") };
    format!("measuring {name}{place}{relation} {value}, {error} {residual}, after {products}")
}
