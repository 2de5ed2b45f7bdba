//! The mean loss over the measured examples as a problem of eigenvalues.

use std::ops::Range;

use sharpness_curvature::{EigenParams, TraceParams, Which};
use sharpness_network::backend::Backend;
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Examples, Matrix};
use sharpness_network::{Network, Weights};

use super::budget::Budget;
use super::memory::{Memory, Shares, Size};
use crate::config::{BnMode, MeasureConfig};
use crate::data::{Part, Standardized};
use crate::{Error, Result};

/// Without batch statistics chunks change nothing but rounding, and larger ones make products no faster.
const LARGEST_FREE_CHUNK: usize = 250;

/// The standard error of a trace, as a fraction of it, at which no further probe is taken.
const TRACE_RTOL: f64 = 0.01;
/// The most vectors in one product: a linearization costs half of a product, so that more would save little.
const BLOCK: usize = 8;

/// The measured examples: some of the training split.
#[derive(Debug)]
struct Measured<'a> {
    data: &'a Standardized,
    indices: Vec<u32>,
}

impl Examples for Measured<'_> {
    fn count(&self) -> usize {
        self.indices.len()
    }

    fn read(&self, range: Range<usize>, images: &mut Vec<f64>, labels: &mut Vec<u32>) {
        let indices = &self.indices[range];
        self.data.images(Part::Train, indices, images);
        let all = self.data.dataset().train().labels();
        labels.clear();
        labels.extend(indices.iter().map(|&index| u32::from(all[index as usize])));
    }
}

/// Everything that a measurement depends on but the weights.
#[derive(Debug)]
pub(crate) struct Problem<'a, B: Backend> {
    network: &'a Network<B>,
    examples: Measured<'a>,
    config: MeasureConfig,
    seed: u64,
    pass: Pass,
    chunk: usize,
    shares: Shares,
}

impl<'a, B: Backend> Problem<'a, B> {
    pub(crate) fn new(
        network: &'a Network<B>,
        data: &'a Standardized,
        train_indices: &[u32],
        config: &MeasureConfig,
        seed: u64,
        budget: Budget,
    ) -> Result<Self> {
        if config.chunk == Some(0) {
            return Err(Error::MeasureSetting { name: "chunk", problem: "it must be at least 1" });
        }
        if network.parameters().is_empty() {
            let problem = "the network has no parameters, so that there is nothing to measure";
            return Err(Error::MeasureSetting { name: "network", problem });
        }
        let places = config.subset.indices(train_indices.len(), config.examples, seed);
        let indices: Vec<u32> = places.into_iter().map(|place| train_indices[place as usize]).collect();
        if indices.is_empty() {
            return Err(Error::EmptySubset);
        }
        let (count, chunk) = (indices.len(), chunk(network, config, indices.len()));
        let shares = Shares::new(network, Size::new(config, count, chunk), budget)?;
        let batch_norm = if of_batches(network, config) { BatchNorm::Batch } else { BatchNorm::Running };
        let pass = Pass { batch_norm, dropout: None };
        Ok(Self {
            network,
            examples: Measured { data, indices },
            config: config.clone(),
            seed,
            pass,
            chunk,
            shares,
        })
    }

    /// The number of measured examples.
    pub(crate) fn count(&self) -> usize {
        self.examples.count()
    }

    /// The memory that it is predicted to take.
    pub(crate) const fn memory(&self) -> Memory {
        self.shares.predicted
    }

    /// Which statistics batch norm uses.
    pub(crate) fn batch_norm(&self) -> &'static str {
        match self.pass.batch_norm {
            _ if self.network.state().is_empty() => "none",
            BatchNorm::Batch => "batch",
            BatchNorm::Running => "running",
        }
    }

    /// Examples that share batch statistics.
    pub(crate) fn batch_norm_chunk(&self) -> Option<usize> {
        (self.pass.batch_norm == BatchNorm::Batch).then_some(self.chunk)
    }

    /// The Hessian at `weights`, with a finite loss and gradient. `place` says in errors where that is.
    pub(crate) fn linearize<'b>(
        &'b self,
        weights: &Weights,
        place: &str,
        stop: &'b dyn Fn() -> bool,
    ) -> Result<Curvature<'b, B>> {
        let chunks = Chunks { examples: self.chunk, memory_bytes: self.shares.operator };
        let (matrix, pass) = (Matrix::Hessian, self.pass);
        let operator = Curvature::new(self.network, matrix, weights, pass, &self.examples, chunks, stop)
            .map_err(|error| solver_error(sharpness_curvature::Error::Operator(error.into())))?;
        for (quantity, value) in
            [("loss", operator.loss()), ("norm of the loss's gradient", norm(operator.gradient()))]
        {
            if !value.is_finite() {
                return Err(Error::NotFinite { quantity, value, place: place.to_owned() });
            }
        }
        Ok(operator)
    }

    /// What is asked of the solver.
    pub(crate) fn params(&self, which: Which, k: usize) -> EigenParams {
        EigenParams {
            k,
            which,
            rtol: self.config.rtol,
            bound_rtol: self.config.bound_rtol.0,
            max_products: self.config.max_products,
            memory_bytes: self.shares.solver,
            seed: self.seed,
            ..EigenParams::default()
        }
    }

    /// What is asked of the solver for the largest eigenvalues of `operator`. It starts from the gradient, most of which lies in the span
    /// of their eigenvectors (Gur-Ari, Roberts, Dyer 2018): this saves products.
    pub(crate) fn params_from_gradient(&self, operator: &Curvature<'_, B>) -> EigenParams {
        let gradient = operator.gradient();
        let start = if norm(gradient) > 0.0 { vec![gradient.to_vec()] } else { Vec::new() };
        EigenParams { start, ..self.params(Which::LargestAlgebraic, self.config.top_k) }
    }

    /// What is measured.
    pub(super) const fn config(&self) -> &MeasureConfig {
        &self.config
    }

    /// Whether products are computed in double precision.
    pub(super) fn is_double(&self) -> bool {
        self.network.backend().element_bytes() == size_of::<f64>()
    }

    /// The same network in double precision, if there is one.
    pub(super) fn double(&self) -> Option<&'a Network<B::Double>> {
        self.network.double()
    }

    /// The Hessian at `weights` for a product or two of `network`, the same network on another engine.
    pub(super) fn streaming<'b, C: Backend>(
        &'b self,
        network: &'b Network<C>,
        weights: &Weights,
        stop: &'b dyn Fn() -> bool,
    ) -> Curvature<'b, C> {
        Curvature::streaming(network, Matrix::Hessian, weights, self.pass, &self.examples, self.chunk, stop)
    }

    /// The most vectors that the memory lets [`Self::streaming`] multiply at once.
    pub(super) fn streaming_block<C: Backend>(&self, network: &Network<C>) -> usize {
        let one = Curvature::bytes(network, self.count(), self.chunk, 0);
        let free = self.shares.check.saturating_sub(one);
        (1..=BLOCK).rev().find(|block| block_bytes(network, *block) <= free).unwrap_or(1)
    }

    /// What is asked of the estimator of the trace.
    ///
    /// Products come in blocks where chunks are linearized anew for each product, as far as the solver's memory holds the block.
    pub(super) fn trace_params(&self, operator: &Curvature<'_, B>, max_probes: usize) -> TraceParams {
        let (chunks, cached) = operator.chunks();
        let fits = (1..=BLOCK).rev().find(|block| block_bytes(self.network, *block) <= self.shares.solver);
        let block = if cached < chunks { fits.unwrap_or(1) } else { 1 };
        TraceParams { rtol: TRACE_RTOL, max_probes, block, seed: self.seed }
    }
}

/// What a product with `block` vectors takes beyond the operator for one.
pub(super) fn block_bytes<B: Backend>(network: &Network<B>, block: usize) -> usize {
    let vectors = 2 * block * size_of::<f64>() * network.parameters().len();
    Curvature::block_bytes(network, block).saturating_add(vectors)
}

/// Whether batch norm uses the statistics of chunks.
fn of_batches<B: Backend>(network: &Network<B>, config: &MeasureConfig) -> bool {
    config.bn == BnMode::Batch && !network.state().is_empty()
}

/// Examples of a chunk if `count` are measured.
fn chunk<B: Backend>(network: &Network<B>, config: &MeasureConfig, count: usize) -> usize {
    let most = if of_batches(network, config) { usize::MAX } else { LARGEST_FREE_CHUNK };
    config.chunk.unwrap_or(MeasureConfig::DEFAULT_CHUNK).min(most).min(count)
}

/// The least memory that the measurement of `config` needs if there are `available` training examples, in bytes.
pub(crate) fn least_bytes<B: Backend>(
    network: &Network<B>,
    config: &MeasureConfig,
    available: usize,
) -> usize {
    let count = config.examples.min(available);
    let size = Size::new(config, count, chunk(network, config, count));
    let between = if config.between_iterates { 2 * weights_bytes(network) } else { 0 };
    size.least(network).saturating_add(between)
}

/// Bytes of weights on the host.
pub(crate) fn weights_bytes<B: Backend>(network: &Network<B>) -> usize {
    (network.parameters().len() + network.state().len()) * size_of::<f64>()
}

/// The error of the operator or the solver as one of this crate.
pub(crate) fn solver_error(error: sharpness_curvature::Error) -> Error {
    match error {
        sharpness_curvature::Error::Operator(source)
            if matches!(source.downcast_ref(), Some(sharpness_network::Error::Stopped)) =>
        {
            Error::MeasureStopped
        }
        other => Error::Eigenvalue(other),
    }
}

/// The Euclidean norm.
pub(crate) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
