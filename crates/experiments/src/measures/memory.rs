//! How much memory there is, and how a measurement shares it between the operator and the solver.

use sharpness_curvature::{lanczos_bytes, smallest_lanczos_bytes};
use sharpness_network::Network;
use sharpness_network::backend::Backend;
use sharpness_network::operators::{Chunks, Curvature};

use crate::{Error, Result};

/// The solver's vectors that are set aside before chunks are cached, where there is room: most solves then need no restart.
const VECTORS: usize = 40;
/// The same where half of the memory does not hold them.
const FEW_VECTORS: usize = 20;
/// What is assumed to be available where the system does not say.
const FALLBACK_BYTES: usize = 4 << 30;

/// Half of the memory that is available now, as Linux tells it; 2 GiB elsewhere.
pub fn default_memory_bytes() -> usize {
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_bytes(&text));
    available.unwrap_or(FALLBACK_BYTES) / 2
}

fn available_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The two parts of the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// For linearizations and what products need.
    pub(super) operator: usize,
    /// For the solver's vectors.
    pub(super) solver: usize,
}

impl Shares {
    /// Shares `memory` for chunks of `chunk` of `count` examples and `k` eigenpairs. What the operator cannot use goes to the
    /// solver.
    ///
    /// # Errors
    /// [`Error::MeasureMemory`] if even one chunk at a time and the smallest basis do not fit.
    pub(super) fn new<B: Backend>(
        network: &Network<B>,
        (count, chunk): (usize, usize),
        k: usize,
        memory: usize,
    ) -> Result<Self> {
        let (dim, single) =
            (network.parameters().len(), network.backend().element_bytes() < size_of::<f64>());
        // Start vectors and the results of an earlier solve are held besides.
        let held = k.saturating_mul(size_of::<f64>()).saturating_mul(dim);
        let smallest = smallest_lanczos_bytes(k, dim, single).saturating_add(held);
        let operator = Curvature::bytes(network, count, chunk, 0);
        let needed = smallest.saturating_add(operator);
        if memory < needed {
            return Err(Error::MeasureMemory { needed_bytes: needed, available_bytes: memory, chunk });
        }
        let with = |vectors: usize| lanczos_bytes(k, dim, vectors, single).saturating_add(held);
        let vectors = (FEW_VECTORS..=VECTORS).rev().find(|vectors| with(*vectors) <= memory / 2);
        let wanted = with(vectors.unwrap_or(FEW_VECTORS)).max(smallest);
        let chunks = Chunks { examples: chunk, memory_bytes: memory - wanted.min(memory - operator) };
        let cached = Curvature::cached_chunks(network, count, chunks);
        let operator = Curvature::bytes(network, count, chunk, cached);
        Ok(Self { operator, solver: memory - operator - held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_kib() {
        let meminfo = "MemTotal:  2000 kB\nMemFree:  10 kB\nMemAvailable:    1000 kB\nBuffers: 1 kB\n";
        assert_eq!(available_bytes(meminfo), Some(1_024_000), "1000 KiB");
        assert_eq!(available_bytes("MemTotal: 2000 kB\n"), None, "an old kernel does not say");
        assert_eq!(available_bytes("MemAvailable: many kB\n"), None, "not a number");
    }
}
