//! The graph of a network's ops and its four sweeps: the only place that knows the order of ops and the values kept for them.

use std::cell::RefCell;
use std::ops::Range;

use smallvec::SmallVec;

use crate::Error;
use crate::backend::{Accumulate, Device, OperandSizes, Shape, View};
use crate::op::{Context, Direction, Gradients, Op, Pass, Point, Saved, Scratch, Slots, TapeKind, Targets};
use crate::parameters::Table;

/// A value of the graph: the network's input, or an op's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

/// Numbers that a loss sums over the examples.
pub(crate) const SUMS: usize = 2;

/// One op in its place.
#[derive(Debug)]
pub(crate) struct Node<B: Device> {
    pub(crate) name: String,
    pub(crate) op: Box<dyn Op<B>>,
    inputs: Vec<usize>,
    /// The output's number among the values.
    value: usize,
    pub(crate) input_shapes: Vec<Shape>,
    pub(crate) output: Shape,
    pub(crate) parameters: Vec<Range<usize>>,
    state: Vec<Range<usize>>,
}

/// Ops in an order in which each follows its inputs. Value 0 is the input, value `i + 1` is the output of node `i`.
#[derive(Debug)]
pub struct Graph<B: Device> {
    nodes: Vec<Node<B>>,
    shapes: Vec<Shape>,
    /// Whether a value depends on parameters: only these have tangents and adjoints.
    active: Vec<bool>,
    /// The last value that is made of each value: the first that sets its adjoint.
    last_user: Vec<usize>,
    parameters: Table,
    state: Table,
}

/// A batch, the values of all ops on it and, where asked for, their adjoints.
#[derive(Debug)]
pub struct Tape<B: Device> {
    capacity: usize,
    kind: TapeKind,
    /// Examples loaded.
    pub(crate) n: usize,
    pub(crate) labels: B::Integers,
    pub(crate) examples: B::Integers,
    pub(crate) values: Vec<B::Buffer>,
    saved: Vec<Saved<B>>,
    pub(crate) adjoints: Vec<Option<B::Buffer>>,
    /// The sum of the losses, and the number of correct outputs.
    pub(crate) sums: B::Wide,
    scratch: RefCell<Scratch<B>>,
}

/// Tangents of all values and of their adjoints, for one product at a time.
#[derive(Debug)]
pub struct Tangents<B: Device> {
    pub(crate) values: Vec<Option<B::Buffer>>,
    pub(crate) adjoints: Vec<Option<B::Buffer>>,
    scratch: RefCell<Scratch<B>>,
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

/// What a sweep happens with: the device, the kind of pass, and the flat vectors.
#[derive(Debug)]
pub(crate) struct Setting<'a, B: Device> {
    pub(crate) backend: &'a B,
    pub(crate) pass: &'a Pass,
    pub(crate) parameters: &'a B::Buffer,
    pub(crate) state: &'a B::Buffer,
}

impl<B: Device> Graph<B> {
    /// A graph of nothing but its input.
    pub fn new(input: Shape) -> Self {
        let (parameters, state) = (Table::default(), Table::default());
        let (nodes, shapes, active, last_user) = (Vec::new(), vec![input], vec![false], vec![0]);
        Self { nodes, shapes, active, last_user, parameters, state }
    }

    /// The network's input.
    pub const fn input(&self) -> Value {
        Value(0)
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.shapes[value.0]
    }

    /// Appends an op and gives its output. `name` is PyTorch's name of the module.
    ///
    /// # Errors
    /// If the op does not accept the inputs' shapes, or one value is given to it twice.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        op: impl Op<B> + 'static,
        inputs: &[Value],
    ) -> Result<Value, Error> {
        let name = name.into();
        self.push_in(&name.clone(), name, op, inputs)
    }

    /// As [`Self::push`], with tensors that belong to `module`: an op that spans several modules of PyTorch.
    pub(crate) fn push_in(
        &mut self,
        module: &str,
        name: String,
        op: impl Op<B> + 'static,
        inputs: &[Value],
    ) -> Result<Value, Error> {
        let input_shapes: Vec<Shape> = inputs.iter().map(|v| self.shapes[v.0]).collect();
        // An adjoint is lent to one input at a time.
        let twice = inputs.iter().enumerate().any(|(i, v)| inputs[..i].contains(v));
        let output = if twice { Err("takes each value once".to_owned()) } else { op.output(&input_shapes) };
        let output =
            output.map_err(|problem| Error::Layer { layer: name.clone(), kind: op.kind(), problem })?;
        let parameters = self.parameters.append(module, op.parameters());
        let state = self.state.append(module, op.state());
        self.active.push(!parameters.is_empty() || inputs.iter().any(|v| self.active[v.0]));
        self.shapes.push(output);
        let (inputs, value): (Vec<usize>, _) = (inputs.iter().map(|v| v.0).collect(), self.shapes.len() - 1);
        self.last_user.push(value);
        inputs.iter().for_each(|&v| self.last_user[v] = value);
        self.nodes.push(Node {
            name,
            op: Box::new(op),
            inputs,
            value,
            input_shapes,
            output,
            parameters,
            state,
        });
        Ok(Value(value))
    }

    /// The table of the parameters.
    pub const fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// The table of the running statistics.
    pub const fn state(&self) -> &Table {
        &self.state
    }

    /// The only node that uses the output of a node; none if there are several or none.
    pub(crate) fn only_user(&self, node: &Node<B>) -> Option<&Node<B>> {
        let mut users = self.nodes.iter().filter(|user| user.inputs.contains(&node.value));
        users.next().filter(|_| users.next().is_none())
    }

    pub(crate) fn nodes(&self) -> &[Node<B>] {
        &self.nodes
    }

    /// The shape of the last value.
    pub(crate) fn output(&self) -> Shape {
        self.shapes[self.nodes.len()]
    }

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
        let is_last = v == self.nodes.len();
        let kept = kind != TapeKind::Products || is_last || !self.active[v] || self.nodes.iter().any(reads);
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

    fn context<'a>(
        &self,
        node: &'a Node<B>,
        s: &Setting<'a, B>,
        (n, examples): (usize, &'a B::Integers),
        (scratch, keeps): (&'a RefCell<Scratch<B>>, bool),
    ) -> Context<'a, B> {
        let (inputs, output) = (&node.input_shapes, node.output);
        Context { backend: s.backend, pass: s.pass, n, examples, inputs, output, scratch, keeps }
    }

    /// Values of all ops on the tape's batch.
    pub(crate) fn value(&self, s: &Setting<'_, B>, tape: &mut Tape<B>) {
        let place = (&tape.scratch, tape.kind != TapeKind::Values);
        for (i, node) in self.nodes.iter().enumerate() {
            let (before, after) = tape.values.split_at_mut(i + 1);
            let x: Few<&B::Buffer> = node.inputs.iter().map(|&v| &before[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let cx = self.context(node, s, (tape.n, &tape.examples), place);
            let at = Point { x: &x, w: &w, state: &state };
            node.op.value(&cx, &at, &mut tape.saved[i], &mut after[0]);
        }
    }

    /// Moves the running statistics towards those of the batch that [`Self::value`] saw last.
    pub(crate) fn update_state(&self, backend: &B, pass: &Pass, tape: &mut Tape<B>, state: &mut B::Buffer) {
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.state.is_empty()) {
            let (inputs, output, n) = (node.input_shapes.as_slice(), node.output, tape.n);
            let (examples, scratch, keeps) = (&tape.examples, &tape.scratch, true);
            let cx = Context { backend, pass, n, examples, inputs, output, scratch, keeps };
            let mut slots = Slots { buffer: state, ranges: &node.state };
            node.op.update_state(&cx, &mut tape.saved[i], &mut slots);
        }
    }

    /// Adjoints of all active values from the last one, and the gradient of the parameters. The adjoints are the tape's own, or
    /// those of `other` (a Gauss-Newton product leaves the tape's alone).
    pub(crate) fn gradient(
        &self,
        s: &Setting<'_, B>,
        tape: &mut Tape<B>,
        other: Option<&mut Tangents<B>>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        let Tape { values, saved, examples, n, adjoints, scratch, kind, .. } = tape;
        let (adjoints, place) = match other {
            Some(other) => (&mut other.adjoints, (&other.scratch, false)),
            None => (adjoints, (&*scratch, *kind == TapeKind::Products)),
        };
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(i, _)| self.active[i + 1]) {
            let x: Few<&B::Buffer> = node.inputs.iter().map(|&v| &values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let cx = self.context(node, s, (*n, examples), place);
            let at = Point { x: &x, w: &w, state: &state };
            self.with_targets(node, adjoints, (out, accumulate), |dy, gradients| {
                node.op.gradient(&cx, &at, &mut saved[i], dy, gradients);
            });
        }
    }

    /// Tangents of all active values along the direction `v` of the parameters.
    pub(crate) fn tangent(
        &self,
        s: &Setting<'_, B>,
        v: &B::Buffer,
        tape: &mut Tape<B>,
        tangents: &mut Tangents<B>,
    ) {
        for (i, node) in self.nodes.iter().enumerate().filter(|(i, _)| self.active[i + 1]) {
            let x: Few<&B::Buffer> = node.inputs.iter().map(|&v| &tape.values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let (before, after) = tangents.values.split_at_mut(i + 1);
            let x_dot: Few<Option<&B::Buffer>> = node.inputs.iter().map(|&v| before[v].as_ref()).collect();
            let cx = self.context(node, s, (tape.n, &tape.examples), (&tangents.scratch, false));
            let at = Point { x: &x, w: &w, state: &state };
            let dot = Direction { x: &x_dot, w: &views(v, &node.parameters) };
            if let Some(y_dot) = &mut after[0] {
                node.op.tangent(&cx, &at, &mut tape.saved[i], &dot, y_dot);
            }
        }
    }

    /// Tangents of all adjoints from the last one, and the derivative of the gradient along `v`.
    pub(crate) fn gradient_tangent(
        &self,
        s: &Setting<'_, B>,
        v: &B::Buffer,
        tape: &mut Tape<B>,
        tangents: &mut Tangents<B>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        let Tape { values, saved, examples, n, adjoints, .. } = tape;
        let Tangents { values: value_tangents, adjoints: adjoint_tangents, scratch } = tangents;
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(i, _)| self.active[i + 1]) {
            let Some(dy) = &adjoints[i + 1] else { continue };
            let x: Few<&B::Buffer> = node.inputs.iter().map(|&v| &values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let x_dot: Few<Option<&B::Buffer>> =
                node.inputs.iter().map(|&v| value_tangents[v].as_ref()).collect();
            let cx = self.context(node, s, (*n, examples), (scratch, false));
            let at = Point { x: &x, w: &w, state: &state };
            let dot = Direction { x: &x_dot, w: &views(v, &node.parameters) };
            self.with_targets(node, adjoint_tangents, (out, accumulate), |dy_dot, gradients| {
                node.op.gradient_tangent(&cx, &at, &mut saved[i], (dy, dy_dot), &dot, gradients);
            });
        }
    }

    /// Calls `f` with the adjoint of the node's output and the places of its gradients, those of parameters in `out`. The first
    /// user of a value that comes, the last one made, sets its adjoint; the others add to it.
    fn with_targets(
        &self,
        node: &Node<B>,
        adjoints: &mut [Option<B::Buffer>],
        (out, accumulate): (&mut B::Buffer, Accumulate),
        f: impl FnOnce(&B::Buffer, &mut Gradients<'_, B>),
    ) {
        let mut taken: Few<Option<B::Buffer>> = node.inputs.iter().map(|&v| adjoints[v].take()).collect();
        if let Some(dy) = &adjoints[node.value] {
            let mut x = Targets::<B>::new();
            for (buffer, &v) in taken.iter_mut().zip(&node.inputs) {
                let is_first = self.last_user[v] == node.value;
                let accumulate = if is_first { Accumulate::Set } else { Accumulate::Add };
                x.push(buffer.as_mut().map(|buffer| (buffer, accumulate)));
            }
            let w = Slots { buffer: out, ranges: &node.parameters };
            f(dy, &mut Gradients { x, w, accumulate });
        }
        for (buffer, &v) in taken.into_iter().zip(&node.inputs) {
            if buffer.is_some() {
                adjoints[v] = buffer;
            }
        }
    }
}

/// A list that is short in every op, so that it takes no allocation.
type Few<T> = SmallVec<[T; 4]>;

fn views<'a, T>(buffer: &'a T, ranges: &[Range<usize>]) -> Few<View<'a, T>> {
    ranges.iter().map(|r| View::new(buffer, r.start, r.len())).collect()
}

fn scratch<B: Device>(backend: &B, sizes: OperandSizes, adjoint: usize) -> RefCell<Scratch<B>> {
    let [input, output, adjoint] = [sizes.input, sizes.output, adjoint].map(|len| backend.buffer(len));
    RefCell::new(Scratch { input, output, adjoint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Architecture, Model};
    use sharpness_kernels::ConvolutionAlgorithm;
    use sharpness_kernels::Cpu;

    use crate::Error;

    type Float = Cpu<f32>;

    fn bytes<'a>(buffers: impl IntoIterator<Item = &'a Vec<f32>>) -> usize {
        buffers.into_iter().map(|b| size_of::<f32>() * b.len()).sum()
    }

    fn bytes_of_scratch(scratch: &RefCell<Scratch<Float>>) -> usize {
        let scratch = scratch.borrow();
        bytes([&scratch.input, &scratch.output, &scratch.adjoint])
    }

    fn bytes_of(tape: &Tape<Float>) -> usize {
        let saved = |s: &Saved<Float>| {
            let wides: usize = s.wides.iter().map(|w| size_of::<f64>() * w.len()).sum();
            bytes(&s.buffers) + wides + s.bytes.iter().map(Vec::len).sum::<usize>()
        };
        let integers = size_of::<u32>() * (tape.labels.len() + tape.examples.len());
        let activations = bytes(&tape.values) + bytes(tape.adjoints.iter().flatten());
        let saved: usize = tape.saved.iter().map(saved).sum();
        let sums = size_of::<f64>() * tape.sums.len();
        activations + saved + integers + sums + bytes_of_scratch(&tape.scratch)
    }

    #[test]
    fn bytes_are_those_of_the_buffers() -> Result<(), Error> {
        for method in [ConvolutionAlgorithm::Direct, ConvolutionAlgorithm::Auto] {
            let backend = Float::new(method);
            for arch in Architecture::ALL {
                let graph: Graph<Float> = Model::new(arch).graph(Shape::new(3, 32, 32), 10)?;
                for kind in [TapeKind::Values, TapeKind::Gradient, TapeKind::Products] {
                    let tape = graph.tape(&backend, 3, kind);
                    let predicted = graph.tape_bytes(&backend, 3, kind);
                    assert_eq!(predicted, bytes_of(&tape), "{kind:?} of {}", arch.name());
                }
                let Tangents { values, adjoints, scratch } = graph.tangents(&backend, 3);
                let own = bytes(values.iter().chain(&adjoints).flatten()) + bytes_of_scratch(&scratch);
                assert_eq!(graph.tangent_bytes(&backend, 3), own, "tangents of {}", arch.name());
            }
        }
        Ok(())
    }
}
