//! Products with random signs that the measures of one call share, and what sharing saves.

use std::time::{Duration, Instant};

use sharpness_curvature::{Error, Probes, SymmetricOperator};

/// The probes, and the time that they took.
pub struct SharedProbes {
    probes: Probes,
    took: Duration,
    /// The time of products that a measure used and an earlier one had taken; since it was last asked.
    saved: Duration,
}

impl SharedProbes {
    pub(super) const fn new(probes: Probes) -> Self {
        Self { probes, took: Duration::ZERO, saved: Duration::ZERO }
    }

    /// An estimate from the probes, of which it takes as many as `count` says.
    pub(super) fn estimate<T>(
        &mut self,
        operator: &mut dyn SymmetricOperator,
        estimate: impl FnOnce(&mut Probes, &mut dyn SymmetricOperator) -> Result<T, Error>,
        count: impl FnOnce(&T) -> usize,
    ) -> Result<T, Error> {
        let (before, start) = (self.probes.products(), Instant::now());
        let found = estimate(&mut self.probes, operator)?;
        if self.probes.products() > before {
            self.took += start.elapsed();
        }
        let reused = count(&found).min(before);
        let share = reused as f64 / self.probes.products().max(1) as f64;
        self.saved += self.took.mul_f64(share);
        Ok(found)
    }

    /// The time that sharing has saved since the last call.
    pub(super) fn take_saved(&mut self) -> Duration {
        std::mem::take(&mut self.saved)
    }
}
