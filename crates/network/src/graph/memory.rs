//! What the sweeps of a graph keep, planned once for each number of examples.

use std::cell::RefCell;

use super::{Graph, Node};
use crate::backend::{Device, OperandSizes, Shape};
use crate::op::{Saved, Scratch, TapeKind};

/// Numbers that a loss sums over the examples.
pub(crate) const SUMS: usize = 2;

/// A batch, the values of all ops on it and, where asked for, their adjoints.
#[derive(Debug)]
pub struct Tape<B: Device> {
    capacity: usize,
    pub(super) kind: TapeKind,
    /// Examples loaded.
    pub(crate) n: usize,
    pub(crate) labels: B::Integers,
    pub(crate) examples: B::Integers,
    pub(crate) values: Vec<B::Buffer>,
    pub(super) saved: Vec<Saved<B>>,
    pub(crate) adjoints: Vec<Option<B::Buffer>>,
    /// The sum of the losses, and the number of correct outputs.
    pub(crate) sums: B::Wide,
    pub(super) scratch: RefCell<Scratch<B>>,
}

/// Tangents of all values and of their adjoints, for one product at a time.
#[derive(Debug)]
pub struct Tangents<B: Device> {
    pub(crate) values: Vec<Option<B::Buffer>>,
    pub(crate) adjoints: Vec<Option<B::Buffer>>,
    pub(super) scratch: RefCell<Scratch<B>>,
}

impl<B: Device> Tape<B> {
    /// The most examples that fit.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the tape is for.
    pub const fn kind(&self) -> TapeKind {
        self.kind
    }
}

impl<B: Device> Graph<B> {
    pub(crate) fn tape(&self, backend: &B, capacity: usize, kind: TapeKind) -> Tape<B> {
        let buffer = |shape: &Shape| backend.buffer(capacity * shape.elements());
        let value = |v| backend.buffer(capacity * self.kept_elements(backend, kind, v));
        let saved = |n: &Node<B>| Saved::new(backend, &n.op.saved(backend, capacity, &n.input_shapes, kind));
        let sizes = self.tape_scratch(backend, capacity, kind);
        Tape {
            capacity,
            kind,
            n: 0,
            labels: backend.integers(capacity),
            examples: backend.integers(capacity),
            values: (0..self.shapes.len()).map(value).collect(),
            saved: self.nodes.iter().map(saved).collect(),
            adjoints: self.active_buffers(kind != TapeKind::Values, buffer),
            sums: backend.wide(SUMS),
            scratch: scratch(backend, sizes, 0),
        }
    }

    pub(crate) fn tangents(&self, backend: &B, capacity: usize) -> Tangents<B> {
        let buffer = |shape: &Shape| backend.buffer(capacity * shape.elements());
        let sizes = self.largest_operands(backend, capacity);
        Tangents {
            values: self.active_buffers(true, buffer),
            adjoints: self.active_buffers(true, buffer),
            scratch: scratch(backend, sizes, sizes.output),
        }
    }

    fn active_buffers(&self, wanted: bool, buffer: impl Fn(&Shape) -> B::Buffer) -> Vec<Option<B::Buffer>> {
        let active = self.shapes.iter().zip(&self.active);
        active.map(|(shape, active)| (wanted && *active).then(|| buffer(shape))).collect()
    }

    /// Elements of one example's value `v` on a tape. One for products keeps what later sweeps read; the other values it has from
    /// [`Self::lend`].
    fn kept_elements(&self, backend: &B, kind: TapeKind, v: usize) -> usize {
        let reads = |n: &Node<B>| {
            let mut inputs = n.inputs.iter().enumerate();
            inputs.any(|(input, &u)| u == v && n.op.reads_input(backend, &n.input_shapes, input))
        };
        let kept = kind != TapeKind::Products
            || self.outputs.contains(&v)
            || !self.active[v]
            || self.nodes.iter().any(reads);
        if kept { self.shapes[v].elements() } else { 0 }
    }

    /// Exchanges what a tape for products lacks, scratch and values that it does not keep, with that of `tangents`: before a
    /// linearization, and back after it.
    pub(crate) fn lend(&self, backend: &B, tape: &mut Tape<B>, tangents: &mut Tangents<B>) {
        std::mem::swap(&mut tape.scratch, &mut tangents.scratch);
        for (v, (own, lent)) in tape.values.iter_mut().zip(&mut tangents.values).enumerate() {
            if let (0, Some(lent)) = (self.kept_elements(backend, tape.kind, v), lent) {
                std::mem::swap(own, lent);
            }
        }
    }

    /// The largest operands of all ops.
    fn largest_operands(&self, backend: &B, capacity: usize) -> OperandSizes {
        let operands = self.nodes.iter().map(|n| n.op.operands(backend, capacity, &n.input_shapes));
        operands.fold(OperandSizes::default(), |a, b| OperandSizes {
            input: a.input.max(b.input),
            output: a.output.max(b.output),
            choice: a.choice.max(b.choice),
            scratch_bytes: a.scratch_bytes.max(b.scratch_bytes),
        })
    }

    /// The operands that the sweeps of a tape do not keep. Those of a linearization share the scratch of its tangents.
    fn tape_scratch(&self, backend: &B, capacity: usize, kind: TapeKind) -> OperandSizes {
        let largest = self.largest_operands(backend, capacity);
        match kind {
            TapeKind::Values => OperandSizes { output: 0, ..largest },
            TapeKind::Gradient => OperandSizes { input: 0, ..largest },
            TapeKind::Products => OperandSizes::default(),
        }
    }

    /// Bytes of [`Self::tape`].
    pub(crate) fn tape_bytes(&self, backend: &B, capacity: usize, kind: TapeKind) -> usize {
        let element = backend.element_bytes();
        let values: usize = (0..self.shapes.len()).map(|v| self.kept_elements(backend, kind, v)).sum();
        let adjoints = if kind == TapeKind::Values { 0 } else { self.active_elements() };
        let saved = |n: &Node<B>| n.op.saved(backend, capacity, &n.input_shapes, kind).total_bytes(element);
        let saved: usize = self.nodes.iter().map(saved).sum();
        let scratch = self.tape_scratch(backend, capacity, kind);
        let others = 2 * size_of::<u32>() * capacity + SUMS * size_of::<f64>();
        element * (capacity * (values + adjoints) + scratch.input + scratch.output) + saved + others
    }

    /// Bytes of [`Self::tangents`].
    pub(crate) fn tangent_bytes(&self, backend: &B, capacity: usize) -> usize {
        let scratch = self.largest_operands(backend, capacity);
        backend.element_bytes() * (2 * capacity * self.active_elements() + scratch.input + 2 * scratch.output)
    }

    /// Bytes to which scratch inside the backend grows.
    pub(crate) fn scratch_bytes(&self, backend: &B, capacity: usize) -> usize {
        self.largest_operands(backend, capacity).scratch_bytes
    }

    /// Elements of one example's active values.
    fn active_elements(&self) -> usize {
        let active = self.shapes.iter().zip(&self.active).filter(|(_, active)| **active);
        active.map(|(shape, _)| shape.elements()).sum()
    }
}

fn scratch<B: Device>(backend: &B, sizes: OperandSizes, adjoint: usize) -> RefCell<Scratch<B>> {
    let [input, output, adjoint] = [sizes.input, sizes.output, adjoint].map(|len| backend.buffer(len));
    RefCell::new(Scratch { input, output, adjoint })
}
