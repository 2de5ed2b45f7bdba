//! The table of a flat vector: names, shapes and offsets. Parameters, gradients, tangents and Krylov vectors share one.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};

use crate::op::{Init, TensorSpec};

/// One named tensor of a flat vector.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// PyTorch's name.
    pub name: String,
    /// The shape, outermost first.
    pub shape: Vec<usize>,
    /// The first element in the flat vector.
    pub offset: usize,
    /// How it begins.
    pub init: Init,
}

impl Tensor {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The tensors of a flat vector, in order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    tensors: Vec<Tensor>,
}

impl Table {
    /// The tensors, in order of their offsets.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Elements of the flat vector.
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.range().end)
    }

    /// Whether the flat vector has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the tensors of the module `module`, "" for the network itself, and gives their ranges.
    pub(crate) fn append(&mut self, module: &str, specs: Vec<TensorSpec>) -> Vec<Range<usize>> {
        let mut ranges = Vec::with_capacity(specs.len());
        for spec in specs {
            let name = match (module, spec.name) {
                (one, "") | ("", one) => one.to_owned(),
                (module, name) => format!("{module}.{name}"),
            };
            let tensor = Tensor { name, shape: spec.shape, offset: self.len(), init: spec.init };
            ranges.push(tensor.range());
            self.tensors.push(tensor);
        }
        ranges
    }

    /// The beginning of every tensor, drawn from the stream of `seed`: the same seed gives the same numbers for the same table.
    pub fn initial(&self, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut flat = Vec::with_capacity(self.len());
        for tensor in &self.tensors {
            let len = tensor.len();
            match tensor.init {
                Init::Constant(value) => flat.extend(std::iter::repeat_n(value, len)),
                Init::Normal(deviation) => match Normal::new(0.0, deviation) {
                    Ok(normal) => flat.extend(normal.sample_iter(&mut rng).take(len)),
                    Err(_) => flat.extend(std::iter::repeat_n(0.0, len)),
                },
                Init::Uniform(bound) => match Uniform::new_inclusive(-bound, bound) {
                    Ok(uniform) => flat.extend(uniform.sample_iter(&mut rng).take(len)),
                    Err(_) => flat.extend(std::iter::repeat_n(0.0, len)),
                },
            }
        }
        flat
    }
}
