//! How much memory there is, how a measurement shares it between the operator and the solver, and what it will take.

use serde::{Deserialize, Serialize};
use sharpness_curvature::{lanczos_bytes, smallest_lanczos_bytes};
use sharpness_network::Network;
use sharpness_network::backend::Backend;
use sharpness_network::operators::{Chunks, Curvature};

use crate::config::MeasureConfig;
use crate::data::Dataset;
use crate::{Error, Result};

/// The solver's vectors that are set aside before chunks are cached, where there is room: most solves then need no restart.
const VECTORS: usize = 40;
/// The same where half of the memory does not hold them.
const FEW_VECTORS: usize = 20;
/// The solver's vectors that a prediction counts: λ_max of a trained network takes about so many products at the default
/// tolerance.
const EXPECTED_VECTORS: usize = 12;
/// The solver's vectors, besides those of the eigenpairs, without which a bound is not asked for: the bound of λ_max of a trained
/// network comes within 10 % after 8 to 15 products.
const BOUND_VECTORS: usize = 24;
/// The program itself and what it holds besides numbers.
const PROCESS_BYTES: usize = 8 << 20;
/// What is assumed to be available where the system does not say.
const FALLBACK_BYTES: usize = 4 << 30;

/// Half of the memory that is available now, as Linux tells it; 2 GiB elsewhere.
pub fn default_memory_bytes() -> usize {
    system_bytes("/proc/meminfo", "MemAvailable:").unwrap_or(FALLBACK_BYTES) / 2
}

/// The most memory that this process has had so far (its peak resident set), as Linux tells it; none elsewhere.
pub fn peak_bytes() -> Option<usize> {
    system_bytes("/proc/self/status", "VmHWM:")
}

fn system_bytes(file: &str, name: &str) -> Option<usize> {
    named_bytes(&std::fs::read_to_string(file).ok()?, name)
}

fn named_bytes(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The memory that a measurement was predicted to take before it began, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The peak of the whole process: the two below, the weights, the data set and the program. A solve of more than 12 products takes
    /// a vector more for each, within the bound that was given.
    pub predicted_bytes: usize,
    /// Linearizations and what products need.
    pub operator_bytes: usize,
    /// The solver's vectors.
    pub solver_bytes: usize,
}

/// The two parts of the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// For linearizations and what products need.
    pub(super) operator: usize,
    /// For the solver's vectors.
    pub(super) solver: usize,
    /// What the check in double precision takes when both are done.
    check: usize,
}

impl Shares {
    /// Shares `memory` for chunks of `chunk` of `count` examples and the eigenpairs of `config`. What the operator cannot use goes
    /// to the solver.
    ///
    /// # Errors
    /// [`Error::MeasureMemory`] if even one chunk at a time and the smallest basis do not fit.
    pub(super) fn new<B: Backend>(
        network: &Network<B>,
        (count, chunk): (usize, usize),
        config: &MeasureConfig,
        memory: usize,
    ) -> Result<Self> {
        let k = config.top_k;
        let (dim, single) =
            (network.parameters().len(), network.backend().element_bytes() < size_of::<f64>());
        // Start vectors and the results of an earlier solve are held besides.
        let held = k.saturating_mul(size_of::<f64>()).saturating_mul(dim);
        // A basis that restarts cannot improve the bound.
        let basis = config
            .bound_rtol
            .0
            .map_or(0, |_| lanczos_bytes(k, dim, (k + BOUND_VECTORS).min(dim + 1), single));
        let smallest = smallest_lanczos_bytes(k, dim, single).max(basis).saturating_add(held);
        let operator = Curvature::bytes(network, count, chunk, 0);
        // The check in double precision comes when the operator and the solver are done; threads keep their scratch.
        let check = network.double().map_or(0, |double| {
            let kept = network.scratch_bytes(chunk.min(count));
            Curvature::bytes(double, count, chunk, 0).saturating_add(kept).saturating_add(2 * held)
        });
        let needed = smallest.saturating_add(operator).max(check);
        if memory < needed {
            return Err(Error::MeasureMemory { needed_bytes: needed, available_bytes: memory, chunk });
        }
        let with = |vectors: usize| lanczos_bytes(k, dim, vectors, single).saturating_add(held);
        let vectors = (FEW_VECTORS..=VECTORS).rev().find(|vectors| with(*vectors) <= memory / 2);
        let wanted = with(vectors.unwrap_or(FEW_VECTORS)).max(smallest);
        let chunks = Chunks { examples: chunk, memory_bytes: memory - wanted.min(memory - operator) };
        let cached = Curvature::cached_chunks(network, count, chunks);
        let operator = Curvature::bytes(network, count, chunk, cached);
        Ok(Self { operator, solver: memory - operator - held, check })
    }

    /// Both parts.
    pub(super) const fn total(&self) -> usize {
        self.operator + self.solver
    }

    /// What a measurement of `network` on `dataset` will take with these shares.
    pub(super) fn prediction<B: Backend>(&self, network: &Network<B>, dataset: &Dataset, k: usize) -> Memory {
        let (dim, single) =
            (network.parameters().len(), network.backend().element_bytes() < size_of::<f64>());
        let solver = lanczos_bytes(k, dim, EXPECTED_VECTORS.max(2 * k + 4), single).min(self.solver);
        // The weights, the gradient that the solver starts from, and the eigenvectors found.
        let weights = ((2 + k) * dim + network.state().len()) * size_of::<f64>();
        let data: usize = [dataset.train(), dataset.test()]
            .map(|split| split.pixels().len() + split.labels().len())
            .into_iter()
            .sum();
        let predicted_bytes =
            self.operator.saturating_add(solver).max(self.check) + weights + data + PROCESS_BYTES;
        Memory { predicted_bytes, operator_bytes: self.operator, solver_bytes: solver }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_kib() {
        let meminfo = "MemTotal:  2000 kB\nMemFree:  10 kB\nMemAvailable:    1000 kB\nBuffers: 1 kB\n";
        assert_eq!(named_bytes(meminfo, "MemAvailable:"), Some(1_024_000), "1000 KiB");
        assert_eq!(named_bytes("MemTotal: 2000 kB\n", "MemAvailable:"), None, "an old kernel does not say");
        assert_eq!(named_bytes("MemAvailable: many kB\n", "MemAvailable:"), None, "not a number");
    }
}
