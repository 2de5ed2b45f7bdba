//! The Hessian and the Gauss-Newton matrix of the mean loss over a data set, as operators of `sharpness-curvature`.

use std::ops::Range;

use sharpness_curvature::SymmetricOperator;

use crate::Error;
use crate::backend::{Accumulate, Backend, View};
use crate::graph::{Tangents, Tape};
use crate::linearization::{At, Linearization};
use crate::network::{Network, Sums};
use crate::op::{Pass, TapeKind};
use crate::weights::Weights;

/// A data set in a fixed order.
pub trait Examples {
    /// The number of examples.
    fn count(&self) -> usize;
    /// Overwrites `images: [n, c, h, w]` and `labels` with the examples of `range`.
    fn read(&self, range: Range<usize>, images: &mut Vec<f64>, labels: &mut Vec<u32>);
}

/// Which matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// The second derivative of the mean loss.
    Hessian,
    /// `Jᵀ (∂²loss/∂z²) J`, averaged over the examples.
    GaussNewton,
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
    pass: Pass,
    parameters: B::Buffer,
    state: B::Buffer,
}

impl<B: Backend> Fixed<'_, B> {
    fn count(&self) -> f64 {
        u32::try_from(self.examples.count()).map_or(f64::INFINITY, f64::from)
    }

    fn at(&self) -> At<'_, B> {
        let (network, parameters, state, pass) = (self.network, &self.parameters, &self.state, self.pass);
        At { network, parameters, state, pass, scale: 1.0 / self.count() }
    }

    /// Linearizes on the examples of `range`; `gradient` = their part of the gradient.
    fn linearize(
        &self,
        mut tape: Tape<B>,
        range: Range<usize>,
        (images, labels): &mut (Vec<f64>, Vec<u32>),
        gradient: &mut B::Buffer,
    ) -> Linearization<B> {
        self.examples.read(range, images, labels);
        // Dropout is off, so that the examples' numbers do not matter.
        let numbers = vec![0; labels.len()];
        self.network.load(&mut tape, images, labels, &numbers);
        Linearization::new(self.at(), tape, Accumulate::Set, gradient)
    }
}

/// The mean loss over a data set around one point, as a symmetric operator on the parameters.
///
/// Products are exact up to rounding. Chunks are summed in double precision in the order of the data.
pub struct Curvature<'a, B: Backend> {
    fixed: Fixed<'a, B>,
    matrix: Matrix,
    chunk: usize,
    stop: &'a dyn Fn() -> bool,
    cached: Vec<Linearization<B>>,
    spare: Option<Tape<B>>,
    tangents: Tangents<B>,
    direction: B::Buffer,
    product: B::Buffer,
    total: B::Wide,
    host: (Vec<f64>, Vec<u32>),
    sums: Sums,
    gradient: Vec<f64>,
}

impl<'a, B: Backend> Curvature<'a, B> {
    /// Linearizes the mean loss at `weights` over all of `examples`. Costs one gradient over them. `stop` is asked between
    /// chunks, here and in products.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `stop` said so.
    ///
    /// # Panics
    /// If the data set is empty or a chunk has no examples.
    pub fn new(
        network: &'a Network<B>,
        matrix: Matrix,
        weights: &Weights,
        pass: Pass,
        examples: &'a dyn Examples,
        chunks: Chunks,
        stop: &'a dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let count = examples.count();
        assert!(count > 0 && chunks.examples > 0, "curvature needs at least one example and one in a chunk");
        let chunk = chunks.examples.min(count);
        let (backend, dim) = (network.backend(), network.parameters().len());
        let (parameters, state) = (network.upload(&weights.parameters), network.upload(&weights.state));
        let mut operator = Self {
            fixed: Fixed { network, examples, pass, parameters, state },
            matrix,
            chunk,
            stop,
            cached: Vec::new(),
            spare: None,
            tangents: network.tangents(chunk),
            direction: backend.buffer(dim),
            product: backend.buffer(dim),
            total: backend.wide(dim),
            host: (Vec::new(), Vec::new()),
            sums: Sums::default(),
            gradient: vec![0.0; dim],
        };
        operator.linearize(Self::cached_chunks(network, count, chunks))?;
        Ok(operator)
    }

    /// Bytes of an operator over `count` examples in chunks of `chunk` of which `cached` stay linearized: vectors, the tangents of
    /// one chunk, a batch on the host, and a tape for each cached chunk and for the one that is recomputed.
    pub fn bytes(network: &Network<B>, count: usize, chunk: usize, cached: usize) -> usize {
        let (element, wide) = (network.backend().element_bytes(), size_of::<f64>());
        let vectors = network.parameters().len() * (3 * element + 2 * wide);
        let (chunk, chunks) = (chunk.min(count), count.div_ceil(chunk.max(1)));
        let host = chunk.saturating_mul(network.input().elements() * wide + 2 * size_of::<u32>());
        let shared = network.tangent_bytes(chunk).saturating_add(network.scratch_bytes(chunk));
        let tapes = if cached < chunks { cached + 1 } else { chunks };
        let tapes = network.tape_bytes(chunk, TapeKind::Products).saturating_mul(tapes);
        vectors.saturating_add(host).saturating_add(shared).saturating_add(tapes)
    }

    /// How many chunks of a data set of `count` examples stay linearized within the budget.
    pub fn cached_chunks(network: &Network<B>, count: usize, chunks: Chunks) -> usize {
        let fits =
            |cached: &usize| Self::bytes(network, count, chunks.examples, *cached) <= chunks.memory_bytes;
        (1..=count.div_ceil(chunks.examples.max(1))).rev().find(fits).unwrap_or(0)
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

    /// How many chunks the data set has, and how many of them stay linearized between products.
    pub fn chunks(&self) -> (usize, usize) {
        (self.fixed.examples.count().div_ceil(self.chunk), self.cached.len())
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<B> {
        let (count, chunk) = (self.fixed.examples.count(), self.chunk);
        (0..count).step_by(chunk).map(move |start| start..(start + chunk).min(count))
    }

    fn free_tape(&mut self) -> Tape<B> {
        self.spare.take().unwrap_or_else(|| self.fixed.network.tape(self.chunk, TapeKind::Products))
    }

    fn linearize(&mut self, keep: usize) -> Result<(), Error> {
        let backend = self.fixed.network.backend();
        for (index, range) in self.ranges().enumerate() {
            if (self.stop)() {
                return Err(Error::Stopped);
            }
            let tape = self.free_tape();
            let linearization = self.fixed.linearize(tape, range, &mut self.host, &mut self.product);
            self.sums.loss += linearization.sums().loss;
            self.sums.correct += linearization.sums().correct;
            backend.add_to_wide(View::new(&self.product, 0, self.gradient.len()), &mut self.total);
            if index < keep {
                self.cached.push(linearization);
            } else {
                self.spare = Some(linearization.into_tape());
            }
        }
        backend.read_into(&self.total, &mut self.gradient);
        Ok(())
    }

    fn multiply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        let backend = self.fixed.network.backend();
        backend.upload(v, &mut self.direction);
        backend.clear(&mut self.total);
        for (index, range) in self.ranges().enumerate() {
            if (self.stop)() {
                return Err(Error::Stopped);
            }
            if index < self.cached.len() {
                let linearization = &mut self.cached[index];
                product(
                    self.matrix,
                    &self.fixed,
                    linearization,
                    &self.direction,
                    &mut self.tangents,
                    &mut self.product,
                );
            } else {
                let tape = self.free_tape();
                let mut linearization = self.fixed.linearize(tape, range, &mut self.host, &mut self.product);
                let l = &mut linearization;
                product(self.matrix, &self.fixed, l, &self.direction, &mut self.tangents, &mut self.product);
                self.spare = Some(linearization.into_tape());
            }
            backend.add_to_wide(View::new(&self.product, 0, v.len()), &mut self.total);
        }
        backend.read_into(&self.total, out);
        Ok(())
    }
}

/// `out` = the part of one chunk in the product with `v`.
fn product<B: Backend>(
    matrix: Matrix,
    fixed: &Fixed<'_, B>,
    linearization: &mut Linearization<B>,
    v: &B::Buffer,
    tangents: &mut Tangents<B>,
    out: &mut B::Buffer,
) {
    match matrix {
        Matrix::Hessian => linearization.hvp(fixed.at(), v, tangents, Accumulate::Set, out),
        Matrix::GaussNewton => {
            linearization.gauss_newton_product(fixed.at(), v, tangents, Accumulate::Set, out)
        }
    }
}

impl<B: Backend> SymmetricOperator for Curvature<'_, B> {
    fn dim(&self) -> usize {
        self.fixed.network.parameters().len()
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), sharpness_curvature::ApplyError> {
        self.multiply(v, out).map_err(Into::into)
    }
}
