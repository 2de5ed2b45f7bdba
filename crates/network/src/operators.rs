//! The Hessian, the Gauss-Newton matrix and the Fisher matrices of the mean loss over a data set, as operators of `sharpness-curvature`.

use std::ops::Range;

use sharpness_curvature::{ApplyError, SymmetricOperator};

use crate::Error;
use crate::backend::{Accumulate, Backend};
use crate::examples::{Examples, HostBatch};
use crate::graph::{Tangents, Tape};
use crate::linearization::{At, Linearization};
use crate::network::{Network, Sums};
use crate::op::{Pass, TapeKind};
use crate::sum::{Dealt, GroupSums, WideSum};
use crate::weights::Weights;

/// Which matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// The second derivative of the mean loss.
    Hessian,
    /// `Jᵀ (∂²loss/∂z²) J`, averaged over the examples: the Fisher matrix of cross-entropy and of squared error.
    GaussNewton,
    /// `g gᵀ`, averaged over the examples, with `g` the gradient of an example's loss. With batch statistics, that gradient passes
    /// through the statistics of its chunk.
    EmpiricalFisher,
    /// The same with one label per example drawn from the model's own distribution: an unbiased estimate of the Gauss-Newton matrix.
    MonteCarloFisher {
        /// Draws the labels. Equal seeds give equal labels.
        seed: u64,
    },
}

/// How much of a data set's linearization is kept.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    /// Examples in a chunk: with batch statistics, also the batch of batch norm.
    pub examples: usize,
    /// Bytes that the operator may take (see [`Curvature::bytes`]). Chunks that do not fit are recomputed in every product;
    /// the results are the same.
    pub memory_bytes: usize,
}

/// The point of an operator: everything that stays fixed.
struct Fixed<'a, B: Backend> {
    network: &'a Network<B>,
    examples: &'a dyn Examples,
    /// The examples that the loss is the mean over.
    numbers: &'a [u32],
    pass: Pass,
    parameters: B::Buffer,
    state: B::Buffer,
}

impl<B: Backend> Fixed<'_, B> {
    fn count(&self) -> f64 {
        u32::try_from(self.numbers.len()).map_or(f64::INFINITY, f64::from)
    }

    fn at(&self) -> At<'_, B> {
        let (network, parameters, state, pass) = (self.network, &self.parameters, &self.state, self.pass);
        At { network, parameters, state, pass, scale: 1.0 / self.count() }
    }

    /// Linearizes on the examples of `range`; the product in `workspace` = their part of the gradient.
    fn linearize(
        &self,
        mut tape: Tape<B>,
        range: Range<usize>,
        host: &mut HostBatch,
        workspace: &mut Workspace<B>,
    ) -> Linearization<B> {
        host.load(self.network, &mut tape, self.examples, &self.numbers[range]);
        let Workspace { tangents, product, .. } = workspace;
        Linearization::new(self.at(), tape, tangents, Accumulate::Set, product)
    }
}

/// What products need besides linearizations.
struct Workspace<B: Backend> {
    tangents: Tangents<B>,
    product: B::Buffer,
    /// The residuals of one chunk, for Fisher matrices.
    residuals: B::Buffer,
    /// As many as the largest block of vectors so far has; the same below.
    directions: Vec<B::Buffer>,
    totals: Vec<WideSum<B>>,
}

impl<B: Backend> Workspace<B> {
    fn new(network: &Network<B>, chunk: usize) -> Self {
        let product = network.backend().buffer(network.parameters().len());
        let residuals = network.backend().buffer(chunk * network.classes());
        let (directions, totals) = (Vec::new(), Vec::new());
        let mut workspace =
            Self { tangents: network.tangents(chunk), product, residuals, directions, totals };
        workspace.make_room(network, 1);
        workspace
    }

    fn make_room(&mut self, network: &Network<B>, vectors: usize) {
        let (backend, dim) = (network.backend(), network.parameters().len());
        let length = self.totals.len().max(vectors);
        self.directions.resize_with(length, || backend.buffer(dim));
        self.totals.resize_with(length, WideSum::default);
    }

    /// Adds the part of one chunk, which is of `group`, in the products with the first `vectors` directions to their totals.
    fn add_products(
        &mut self,
        (fixed, matrix): (&Fixed<'_, B>, Matrix),
        (chunk, range): (&mut Linearization<B>, Range<usize>),
        (dealt, group): (Dealt, usize),
        vectors: usize,
    ) {
        let at = fixed.at();
        let Self { tangents, product, residuals, .. } = self;
        match matrix {
            Matrix::Hessian | Matrix::GaussNewton => {}
            Matrix::EmpiricalFisher => chunk.residuals(at, None, residuals),
            Matrix::MonteCarloFisher { seed } => {
                chunk.residuals(at, Some((seed, &fixed.numbers[range])), residuals);
            }
        }
        for (v, total) in self.directions.iter().zip(&mut self.totals).take(vectors) {
            match matrix {
                Matrix::Hessian => chunk.hvp(at, v, tangents, Accumulate::Set, product),
                Matrix::GaussNewton => chunk.gauss_newton_product(at, v, tangents, Accumulate::Set, product),
                Matrix::EmpiricalFisher | Matrix::MonteCarloFisher { .. } => {
                    chunk.fisher_product(at, residuals, v, tangents, Accumulate::Set, product);
                }
            }
            total.add(fixed.network, dealt, group, product);
        }
    }
}

/// The mean loss over a data set around one point, as a symmetric operator on the parameters.
///
/// Products are exact up to rounding. Chunks are summed in double precision as [`sum`](crate::sum) says. If several
/// [ranks](crate::Ranks) share the network, each computes its share of the chunks, and all receive the same bits as one process would
/// alone.
pub struct Curvature<'a, B: Backend> {
    fixed: Fixed<'a, B>,
    matrix: Matrix,
    chunk: usize,
    stop: &'a dyn Fn() -> bool,
    cached: Vec<Linearization<B>>,
    /// The most chunks that a rank keeps.
    keep: usize,
    spare: Option<Tape<B>>,
    workspace: Workspace<B>,
    host: HostBatch,
    sums: Sums,
    gradient: Vec<f64>,
}

impl<'a, B: Backend> Curvature<'a, B> {
    /// Linearizes the mean loss at `weights` over the `examples` with the given numbers. Costs one gradient over them. `stop` is asked between
    /// chunks, here and in products.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `stop` said so on some rank.
    ///
    /// # Panics
    /// If there are no numbers or a chunk has no examples.
    pub fn new(
        network: &'a Network<B>,
        matrix: Matrix,
        weights: &Weights,
        pass: Pass,
        (examples, numbers): (&'a dyn Examples, &'a [u32]),
        chunks: Chunks,
        stop: &'a dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let keep = Self::cached_chunks(network, numbers.len(), chunks);
        let mut operator =
            Self::streaming(network, matrix, weights, pass, (examples, numbers), chunks.examples, stop);
        operator.linearize(keep)?;
        Ok(operator)
    }

    /// An operator that linearizes each chunk of `chunk` examples in each product and keeps none: the cheapest for a single
    /// product. Its [loss](Self::loss), [accuracy](Self::accuracy) and [gradient](Self::gradient) are zero, since nothing has been
    /// computed yet.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn streaming(
        network: &'a Network<B>,
        matrix: Matrix,
        weights: &Weights,
        pass: Pass,
        (examples, numbers): (&'a dyn Examples, &'a [u32]),
        chunk: usize,
        stop: &'a dyn Fn() -> bool,
    ) -> Self {
        let count = numbers.len();
        assert!(count > 0 && chunk > 0, "curvature needs at least one example and one in a chunk");
        let chunk = chunk.min(count);
        let (parameters, state) = (network.upload(&weights.parameters), network.upload(&weights.state));
        Self {
            fixed: Fixed { network, examples, numbers, pass, parameters, state },
            matrix,
            chunk,
            stop,
            cached: Vec::new(),
            keep: 0,
            spare: None,
            workspace: Workspace::new(network, chunk),
            host: HostBatch::default(),
            sums: Sums::default(),
            gradient: vec![0.0; network.parameters().len()],
        }
    }

    /// Bytes of an operator over `count` examples in chunks of `chunk` of which a rank keeps `cached` linearized, on the rank with the
    /// most chunks: vectors, the tangents of one chunk, a batch on the host, and a tape for each cached chunk and for the one that is
    /// recomputed.
    pub fn bytes(network: &Network<B>, count: usize, chunk: usize, cached: usize) -> usize {
        let (element, wide) = (network.backend().element_bytes(), size_of::<f64>());
        let (totals, exchange) = WideSum::bytes(network, count.div_ceil(chunk.max(1)));
        let vectors = network.parameters().len() * (3 * element + wide);
        let vectors = vectors.saturating_add(totals).saturating_add(exchange);
        let host = chunk.min(count).saturating_mul(network.input().elements() * wide + 2 * size_of::<u32>());
        let residuals = chunk.min(count).saturating_mul(network.classes() * element);
        let shared =
            network.tangent_bytes(chunk.min(count)).saturating_add(network.scratch_bytes(chunk.min(count)));
        // The last chunk may be smaller.
        let own = chunk.saturating_mul(Self::most_chunks(network, count, chunk)).min(count);
        let on_tapes = chunk.saturating_mul(cached.saturating_add(1)).min(own);
        let tape =
            |examples| if examples == 0 { 0 } else { network.tape_bytes(examples, TapeKind::Products) };
        let (full, rest) = (on_tapes / chunk.max(1), on_tapes % chunk.max(1));
        let tapes = tape(chunk.min(count)).saturating_mul(full).saturating_add(tape(rest));
        vectors.saturating_add(host + residuals).saturating_add(shared).saturating_add(tapes)
    }

    /// Bytes that products with `vectors` vectors at once add to [`Self::bytes`] of an operator over `count` examples in chunks of
    /// `chunk`.
    pub fn block_bytes(network: &Network<B>, (count, chunk): (usize, usize), vectors: usize) -> usize {
        let (totals, _) = WideSum::bytes(network, count.div_ceil(chunk.max(1)));
        let direction = network.parameters().len().saturating_mul(network.backend().element_bytes());
        vectors.saturating_sub(1).saturating_mul(totals.saturating_add(direction))
    }

    /// How many chunks of a data set of `count` examples each rank keeps linearized within the budget, if it has as many.
    pub fn cached_chunks(network: &Network<B>, count: usize, chunks: Chunks) -> usize {
        let fits =
            |cached: &usize| Self::bytes(network, count, chunks.examples, *cached) <= chunks.memory_bytes;
        (1..=Self::most_chunks(network, count, chunks.examples)).rev().find(fits).unwrap_or(0)
    }

    /// The most chunks of a rank.
    fn most_chunks(network: &Network<B>, count: usize, chunk: usize) -> usize {
        Dealt::new(count.div_ceil(chunk.max(1)), network.ranks()).lengths().max().unwrap_or(0)
    }

    /// The mean loss.
    pub fn loss(&self) -> f64 {
        self.sums.loss / self.fixed.count()
    }

    /// The fraction of examples whose largest output is their label's, in the pass of the operator.
    pub fn accuracy(&self) -> f64 {
        self.sums.correct / self.fixed.count()
    }

    /// The gradient of the mean loss.
    pub fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    /// Makes further products those with another matrix at the same point. Linearizations serve them all.
    pub const fn set_matrix(&mut self, matrix: Matrix) {
        self.matrix = matrix;
    }

    /// How many chunks the data set has, and how many of them stay linearized between products, on all ranks together.
    pub fn chunks(&self) -> (usize, usize) {
        let dealt = self.dealt();
        let kept = dealt.lengths().map(|length| length.min(self.keep)).sum();
        (dealt.terms(), kept)
    }

    /// Which rank has which chunks.
    fn dealt(&self) -> Dealt {
        Dealt::new(self.fixed.numbers.len().div_ceil(self.chunk), self.fixed.network.ranks())
    }

    /// The chunks of this rank, each with the number of its group.
    fn own(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<B> {
        self.dealt().own_chunks(self.fixed.numbers.len(), self.chunk)
    }

    fn linearize(&mut self, keep: usize) -> Result<(), Error> {
        let (network, dealt) = (self.fixed.network, self.dealt());
        self.keep = keep;
        let (mut sums, mut is_stopped) = (GroupSums::default(), false);
        self.workspace.totals[0].clear();
        for (group, range) in self.own() {
            is_stopped = (self.stop)();
            if is_stopped {
                break;
            }
            let tape = self.spare.take().unwrap_or_else(|| network.tape(range.len(), TapeKind::Products));
            let linearization = self.fixed.linearize(tape, range, &mut self.host, &mut self.workspace);
            sums.add(group, linearization.sums());
            let Workspace { product, totals, .. } = &mut self.workspace;
            totals[0].add(network, dealt, group, product);
            if self.cached.len() < keep {
                self.cached.push(linearization);
            } else {
                self.spare = Some(linearization.into_tape());
            }
        }
        self.sums = sums.finish(dealt, network.ranks(), is_stopped)?;
        self.workspace.totals[0].finish(network, dealt, &mut self.gradient);
        Ok(())
    }

    /// A chunk that is not kept is linearized once for all vectors.
    fn multiply(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), Error> {
        let (network, dealt) = (self.fixed.network, self.dealt());
        self.workspace.make_room(network, vs.len());
        let places = self.workspace.directions.iter_mut().zip(&mut self.workspace.totals);
        for (v, (direction, total)) in vs.iter().zip(places) {
            network.backend().upload(v, direction);
            total.clear();
        }
        let mut is_stopped = false;
        for (place, (group, range)) in self.own().enumerate() {
            is_stopped = (self.stop)();
            if is_stopped {
                break;
            }
            let point = (&self.fixed, self.matrix);
            if let Some(kept) = self.cached.get_mut(place) {
                self.workspace.add_products(point, (kept, range), (dealt, group), vs.len());
            } else {
                let tape = self.spare.take().unwrap_or_else(|| network.tape(range.len(), TapeKind::Products));
                let mut chunk =
                    self.fixed.linearize(tape, range.clone(), &mut self.host, &mut self.workspace);
                self.workspace.add_products(point, (&mut chunk, range), (dealt, group), vs.len());
                self.spare = Some(chunk.into_tape());
            }
        }
        if network.ranks().any(is_stopped) {
            return Err(Error::Stopped);
        }
        for (total, out) in self.workspace.totals.iter_mut().zip(outs) {
            total.finish(network, dealt, out);
        }
        Ok(())
    }
}

impl<B: Backend> SymmetricOperator for Curvature<'_, B> {
    fn dim(&self) -> usize {
        self.fixed.network.parameters().len()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), ApplyError> {
        self.apply_block(&[v], &mut [out])
    }

    fn apply_block(&mut self, vs: &[&[f64]], outs: &mut [&mut [f64]]) -> Result<(), ApplyError> {
        self.multiply(vs, outs).map_err(Into::into)
    }

    fn is_single(&self) -> bool {
        self.fixed.network.backend().element_bytes() < size_of::<f64>()
    }
}
