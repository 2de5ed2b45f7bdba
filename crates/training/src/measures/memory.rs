//! How a measurement shares its memory between the operator and the solver, and how much it will take.

use sharpness_curvature::{lanczos_bytes, smallest_lanczos_bytes};
use sharpness_network::Network;
use sharpness_network::backend::Backend;
use sharpness_network::op::BatchNorm;
use sharpness_network::operators::{Chunks, Curvature};

use crate::Result;
use crate::engine::Engine;
use crate::memory::Budget;
use crate::progress::Memory;
use crate::settings::MeasureConfig;

/// The solver's vectors that are reserved before chunks are cached, if there is room: most solves then need no restart.
const VECTORS: usize = 40;
/// The same if they do not fit in half of the memory.
const FEW_VECTORS: usize = 20;
/// The solver's vectors that a prediction counts: λ_max of a trained network takes about this many products at the
/// default tolerance.
const EXPECTED_VECTORS: usize = 12;
/// The solver's vectors, besides those of the eigenpairs, that a bound needs at least: the bound of λ_max of a trained
/// network comes within 10 % after 8 to 15 products.
const BOUND_VECTORS: usize = 24;

/// The size of a measurement of a network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Measured examples.
    count: usize,
    /// Examples of a chunk.
    chunk: usize,
    /// Eigenpairs.
    k: usize,
    /// Whether the solver bounds what it may have missed.
    is_bounded: bool,
}

impl Size {
    /// The size of the measurement of `config` on `count` examples in chunks of `chunk`.
    pub(super) const fn new(config: &MeasureConfig, count: usize, chunk: usize) -> Self {
        let (k, is_bounded) = (config.top_k, config.bound_rtol.0.is_some());
        Self { count, chunk, k, is_bounded }
    }

    /// Bytes of the given weights, of a start vector, of the results of an earlier solve and of the gradient.
    fn held<B: Backend>(self, network: &Network<B>) -> usize {
        let (dim, state) = (network.parameters().len(), network.state().len());
        self.k.saturating_add(3).saturating_mul(dim).saturating_add(state).saturating_mul(size_of::<f64>())
    }

    /// The least memory of a solver.
    fn solver<B: Backend>(self, network: &Network<B>) -> usize {
        let (k, dim) = (self.k, network.parameters().len());
        let smallest = smallest_lanczos_bytes(k, dim, is_single(network));
        // A basis that restarts cannot improve the bound.
        let vectors = k.saturating_add(BOUND_VECTORS).min(dim.saturating_add(1));
        let bounded = lanczos_bytes(k, dim, vectors, is_single(network));
        if self.is_bounded { smallest.max(bounded) } else { smallest }
    }

    /// The memory of the check in double precision after the operator and the solver are done, with the scratch that
    /// threads keep.
    fn check<B: Backend>(self, engine: &Engine<B>) -> usize {
        let Some(double) = &engine.double else { return 0 };
        let kept = engine.network.scratch_bytes(self.chunk.min(self.count));
        Curvature::bytes(double, self.count, self.chunk, 0)
            .saturating_add(block_bytes(double, (self.count, self.chunk), 1))
            .saturating_add(kept)
    }

    /// The least memory of the measurement: one chunk at a time, and the smallest basis.
    fn least<B: Backend>(self, engine: &Engine<B>) -> usize {
        let network = &engine.network;
        let operator = Curvature::bytes(network, self.count, self.chunk, 0);
        let solving = self.solver(network).saturating_add(operator);
        self.held(network).saturating_add(solving.max(self.check(engine)))
    }
}

/// Whether the solver holds its basis in single precision.
fn is_single<B: Backend>(network: &Network<B>) -> bool {
    network.backend().element_bytes() < size_of::<f64>()
}

/// The parts of the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// For linearizations and what products need.
    pub(super) operator: usize,
    /// For the solver's vectors.
    pub(super) solver: usize,
    /// For products in double precision, once both are done.
    pub(super) check: usize,
    /// The memory that a measurement will take with these shares.
    pub(super) predicted: Memory,
}

impl Shares {
    /// Shares what is left of `budget`. What the operator cannot use goes to the solver.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if even one chunk at a time and the smallest basis do not fit.
    pub(super) fn new<B: Backend>(engine: &Engine<B>, size: Size, budget: Budget) -> Result<Self> {
        let network = &engine.network;
        let (dim, single) = (network.parameters().len(), is_single(network));
        let Size { count, chunk, k, .. } = size;
        let (held, memory) = (size.held(network), budget.left(size.least(engine))?);
        let memory = memory - held;
        let with = |vectors: usize| lanczos_bytes(k, dim, vectors, single);
        let vectors = (FEW_VECTORS..=VECTORS).rev().find(|vectors| with(*vectors) <= memory / 2);
        let wanted = with(vectors.unwrap_or(FEW_VECTORS)).max(size.solver(network));
        let operator = Curvature::bytes(network, count, chunk, 0);
        let chunks = Chunks { examples: chunk, memory_bytes: memory - wanted.min(memory - operator) };
        let cached = Curvature::cached_chunks(network, count, chunks);
        let operator = Curvature::bytes(network, count, chunk, cached);
        let solver = memory - operator;
        let check = memory - network.scratch_bytes(chunk.min(count)).min(memory);
        let expected = lanczos_bytes(k, dim, EXPECTED_VECTORS.max(2 * k + 4), single).min(solver);
        let predicted_bytes = budget.total(held + (operator + expected).max(size.check(engine)));
        let predicted = Memory { predicted_bytes, operator_bytes: operator, solver_bytes: expected };
        Ok(Self { operator, solver, check, predicted })
    }
}

/// The memory of a product with `block` vectors beyond that of the operator for one, over `size` = (examples, examples of a chunk).
pub(super) fn block_bytes<B: Backend>(network: &Network<B>, size: (usize, usize), block: usize) -> usize {
    let vectors = 2 * block * size_of::<f64>() * network.parameters().len();
    Curvature::block_bytes(network, size, block).saturating_add(vectors)
}

/// Whether batch norm uses the statistics of chunks.
pub(super) fn of_batches<B: Backend>(network: &Network<B>, config: &MeasureConfig) -> bool {
    config.bn == BatchNorm::Batch && !network.state().is_empty()
}

/// Without batch statistics, chunks affect rounding alone, and larger ones do not speed up products.
const LARGEST_FREE_CHUNK: usize = 250;

/// Examples of a chunk if `count` are measured.
pub(super) fn chunk<B: Backend>(network: &Network<B>, config: &MeasureConfig, count: usize) -> usize {
    let most = if of_batches(network, config) { usize::MAX } else { LARGEST_FREE_CHUNK };
    config.chunk.unwrap_or(MeasureConfig::DEFAULT_CHUNK).min(most).min(count)
}

/// The least memory that the measurement of `config` needs if there are `available` training examples, in bytes.
pub(crate) fn least_bytes<B: Backend>(engine: &Engine<B>, config: &MeasureConfig, available: usize) -> usize {
    let network = &engine.network;
    let count = config.examples.min(available);
    let size = Size::new(config, count, chunk(network, config, count));
    size.least(engine)
}

/// Bytes of weights on the host.
pub(crate) fn weights_bytes<B: Backend>(network: &Network<B>) -> usize {
    (network.parameters().len() + network.state().len()) * size_of::<f64>()
}
