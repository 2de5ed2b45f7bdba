//! The eigenvalue problem of the mean loss over the measured examples.

use sharpness_curvature::{EigenParams, Which};
use sharpness_data::{Part, PartExamples, Standardized};
use sharpness_network::backend::Backend;
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_network::{Examples, Network, Weights};

use super::memory::{Shares, Size, block_bytes, chunk, of_batches};
use crate::engine::Engine;
use crate::memory::Budget;
use crate::observer::Watcher;
use crate::progress::{MeasureProgress, Memory, Phase};
use crate::settings::MeasureConfig;
use crate::{Error, Result};

/// The most vectors in one product: a linearization costs half of a product, so more would save little.
const BLOCK: usize = 8;

/// What is measured: a network on examples, with settings.
#[derive(Debug)]
pub struct Subject<'a, B: Backend> {
    /// The network.
    pub engine: &'a Engine<B>,
    /// The data set.
    pub data: &'a Standardized,
    /// The training set in use, as indices into the training split; it includes the measured examples.
    pub trained: &'a [u32],
    /// The settings of the measurement.
    pub settings: &'a MeasureConfig,
    /// Draws the random subset and the solver's start vector. Equal seeds give equal bits for any number of threads.
    pub seed: u64,
    /// The memory of the process.
    pub budget: Budget,
}

// Derived impls would ask for `B: Copy`.
impl<B: Backend> Clone for Subject<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for Subject<'_, B> {}

/// Everything that a measurement depends on except the weights.
pub(crate) struct Problem<'a, B: Backend> {
    subject: Subject<'a, B>,
    examples: PartExamples<'a>,
    /// The measured examples.
    numbers: Vec<u32>,
    watcher: &'a dyn Watcher,
    stop: Box<dyn Fn() -> bool + 'a>,
    pass: Pass,
    chunk: usize,
    shares: Shares,
}

impl<'a, B: Backend> Problem<'a, B> {
    pub(crate) fn new(subject: Subject<'a, B>, watcher: &'a dyn Watcher) -> Result<Self> {
        let Subject { engine, data, trained, settings, seed, budget } = subject;
        if settings.chunk == Some(0) {
            return Err(Error::MeasureSetting { name: "chunk", problem: "it must be at least 1" });
        }
        if engine.network.parameters().is_empty() {
            let problem = "the network has no parameters, so there is nothing to measure";
            return Err(Error::MeasureSetting { name: "network", problem });
        }
        let places = settings.subset.indices(trained.len(), settings.examples, seed);
        let numbers: Vec<u32> = places.into_iter().map(|place| trained[place as usize]).collect();
        if numbers.is_empty() {
            return Err(sharpness_data::Error::EmptySubset.into());
        }
        let (count, chunk) = (numbers.len(), chunk(&engine.network, settings, numbers.len()));
        let shares = Shares::new(engine, Size::new(settings, count, chunk), budget)?;
        let of_batches = of_batches(&engine.network, settings);
        let batch_norm = if of_batches { BatchNorm::Batch } else { BatchNorm::Running };
        Ok(Self {
            subject,
            examples: PartExamples::new(data, Part::Train),
            numbers,
            watcher,
            stop: Box::new(|| watcher.should_stop()),
            pass: Pass { batch_norm, dropout: None },
            chunk,
            shares,
        })
    }

    /// What is measured.
    pub(crate) const fn subject(&self) -> &Subject<'a, B> {
        &self.subject
    }

    /// The network.
    pub(crate) const fn network(&self) -> &'a Network<B> {
        &self.subject.engine.network
    }

    /// Reports the progress of a phase.
    pub(crate) fn report(&self, phase: Phase, (products, value, residual): (usize, f64, f64)) {
        let (point, memory) = (None, self.memory());
        self.watcher.report(&MeasureProgress { phase, products, value, residual, point, memory });
    }

    /// The watcher.
    pub(super) const fn watcher(&self) -> &'a dyn Watcher {
        self.watcher
    }

    /// The measured examples.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The source of the examples.
    pub(super) const fn examples(&self) -> &PartExamples<'a> {
        &self.examples
    }

    /// The kind of pass.
    pub(super) const fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Examples of a chunk.
    pub(super) const fn chunk(&self) -> usize {
        self.chunk
    }

    /// Whether this rank is asked to stop. All agree on it at the end of a sum.
    pub(super) fn is_stopped(&self) -> bool {
        (self.stop)()
    }

    /// The number of measured examples.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The predicted memory.
    pub(crate) const fn memory(&self) -> Memory {
        self.shares.predicted
    }

    /// Which statistics batch norm uses.
    pub(crate) fn batch_norm(&self) -> &'static str {
        match self.pass.batch_norm {
            _ if self.network().state().is_empty() => "none",
            BatchNorm::Batch => "batch",
            BatchNorm::Running => "running",
        }
    }

    /// Examples that share batch statistics.
    pub(crate) fn batch_norm_chunk(&self) -> Option<usize> {
        (self.pass.batch_norm == BatchNorm::Batch).then_some(self.chunk)
    }

    /// The Hessian at `weights`, with a finite loss and gradient. `place` names the weights in errors.
    pub(crate) fn linearize<'b>(&'b self, weights: &Weights, place: &str) -> Result<Curvature<'b, B>> {
        let chunks = Chunks { examples: self.chunk, memory_bytes: self.shares.operator };
        let (matrix, pass, examples) = (Matrix::Hessian, self.pass, self.sources());
        let operator = Curvature::new(self.network(), matrix, weights, pass, examples, chunks, &*self.stop)
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

    fn sources(&self) -> (&dyn Examples, &[u32]) {
        (&self.examples, &self.numbers)
    }

    /// The parameters of the solver.
    pub(crate) fn params(&self, which: Which, k: usize) -> EigenParams {
        EigenParams {
            k,
            which,
            rtol: self.subject.settings.rtol,
            bound_rtol: self.subject.settings.bound_rtol.0,
            max_products: self.subject.settings.max_products,
            memory_bytes: self.shares.solver,
            seed: self.subject.seed,
            ..EigenParams::default()
        }
    }

    /// The parameters of the solver for the largest eigenvalues of `operator`. It starts from the gradient, most of
    /// which lies in the span of their eigenvectors (Gur-Ari, Roberts, Dyer 2018), which saves products.
    pub(crate) fn params_from_gradient(&self, operator: &Curvature<'_, B>) -> EigenParams {
        let gradient = operator.gradient();
        let start = if norm(gradient) > 0.0 { vec![gradient.to_vec()] } else { Vec::new() };
        EigenParams { start, ..self.params(Which::LargestAlgebraic, self.subject.settings.top_k) }
    }

    /// Bytes for the vectors of a solver.
    pub(super) const fn solver_bytes(&self) -> usize {
        self.shares.solver
    }

    /// Whether products are computed in double precision.
    pub(super) fn is_double(&self) -> bool {
        self.network().backend().element_bytes() == size_of::<f64>()
    }

    /// The same network in double precision, if there is one.
    pub(crate) fn double(&self) -> Option<&'a Network<B::Double>> {
        self.subject.engine.double.as_ref()
    }

    /// The Hessian at `weights` for a product or two of `network`, the same network on another engine.
    pub(crate) fn streaming<'b, C: Backend>(
        &'b self,
        network: &'b Network<C>,
        weights: &Weights,
    ) -> Curvature<'b, C> {
        let examples = self.sources();
        Curvature::streaming(network, Matrix::Hessian, weights, self.pass, examples, self.chunk, &*self.stop)
    }

    /// The most vectors that [`Self::streaming`] can multiply at once in the available memory.
    pub(crate) fn streaming_block<C: Backend>(&self, network: &Network<C>) -> usize {
        let one = Curvature::bytes(network, self.count(), self.chunk, 0);
        let free = self.shares.check.saturating_sub(one);
        let size = (self.count(), self.chunk);
        (1..=BLOCK).rev().find(|block| block_bytes(network, size, *block) <= free).unwrap_or(1)
    }

    /// The most vectors in one product with `operator` that save time and fit in the solver's memory: a chunk that is
    /// not cached is linearized once for all vectors of a product.
    pub(crate) fn block(&self, operator: &Curvature<'_, B>) -> usize {
        let (chunks, cached) = operator.chunks();
        let bytes = |block| block_bytes(self.network(), (self.count(), self.chunk), block);
        let fits = (1..=BLOCK).rev().find(|block| bytes(*block) <= self.shares.solver);
        if cached < chunks { fits.unwrap_or(1) } else { 1 }
    }
}

/// Converts the error of a sum.
pub(super) fn stopped(_: sharpness_network::Error) -> Error {
    Error::MeasureStopped
}

/// Converts an error of the operator or the solver.
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
