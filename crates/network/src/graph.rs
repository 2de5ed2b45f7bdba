//! The graph of a network's ops and its four sweeps: the only place that knows the order of ops and the values kept for them.

use std::ops::Range;

use crate::Error;
use crate::backend::{Accumulate, Backend, Shape, View};
use crate::op::{Context, Direction, Gradients, Op, Pass, Point, Saved, Slots};
use crate::parameters::Table;

/// A value of the graph: the network's input, or an op's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

/// One op in its place.
#[derive(Debug)]
pub(crate) struct Node<B: Backend> {
    pub(crate) name: String,
    pub(crate) op: Box<dyn Op<B>>,
    inputs: Vec<usize>,
    /// The output's number among the values.
    value: usize,
    pub(crate) input_shapes: Vec<Shape>,
    pub(crate) output: Shape,
    parameters: Vec<Range<usize>>,
    state: Vec<Range<usize>>,
}

/// Ops in an order in which each follows its inputs. Value 0 is the input, value `i + 1` is the output of node `i`.
#[derive(Debug)]
pub struct Graph<B: Backend> {
    nodes: Vec<Node<B>>,
    shapes: Vec<Shape>,
    /// Whether a value depends on parameters: only these have tangents and adjoints.
    active: Vec<bool>,
    parameters: Table,
    state: Table,
}

/// A batch, the values of all ops on it and, where asked for, their adjoints.
#[derive(Debug)]
pub struct Tape<B: Backend> {
    capacity: usize,
    /// Examples loaded.
    pub(crate) n: usize,
    pub(crate) labels: B::Integers,
    pub(crate) examples: B::Integers,
    pub(crate) values: Vec<B::Buffer>,
    saved: Vec<Saved<B>>,
    pub(crate) adjoints: Vec<Option<B::Buffer>>,
}

/// Tangents of all values and of their adjoints, for one product at a time.
#[derive(Debug)]
pub struct Tangents<B: Backend> {
    pub(crate) values: Vec<Option<B::Buffer>>,
    pub(crate) adjoints: Vec<Option<B::Buffer>>,
}

impl<B: Backend> Tape<B> {
    /// The most examples that fit.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }
}

/// What a sweep happens with: the device, the kind of pass, and the flat vectors.
#[derive(Debug)]
pub(crate) struct Setting<'a, B: Backend> {
    pub(crate) backend: &'a B,
    pub(crate) pass: &'a Pass,
    pub(crate) parameters: &'a B::Buffer,
    pub(crate) state: &'a B::Buffer,
}

impl<B: Backend> Graph<B> {
    /// A graph of nothing but its input.
    pub fn new(input: Shape) -> Self {
        let (parameters, state) = (Table::default(), Table::default());
        Self { nodes: Vec::new(), shapes: vec![input], active: vec![false], parameters, state }
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
        let input_shapes: Vec<Shape> = inputs.iter().map(|v| self.shapes[v.0]).collect();
        // An adjoint is lent to one input at a time.
        let twice = inputs.iter().enumerate().any(|(i, v)| inputs[..i].contains(v));
        let output = if twice { Err("takes each value once".to_owned()) } else { op.output(&input_shapes) };
        let output =
            output.map_err(|problem| Error::Layer { layer: name.clone(), kind: op.kind(), problem })?;
        let parameters = self.parameters.append(&name, op.parameters());
        let state = self.state.append(&name, op.state());
        self.active.push(!parameters.is_empty() || inputs.iter().any(|v| self.active[v.0]));
        self.shapes.push(output);
        let (inputs, value) = (inputs.iter().map(|v| v.0).collect(), self.shapes.len() - 1);
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

    pub(crate) fn nodes(&self) -> &[Node<B>] {
        &self.nodes
    }

    /// The shape of the last value.
    pub(crate) fn output(&self) -> Shape {
        self.shapes[self.nodes.len()]
    }

    pub(crate) fn tape(&self, backend: &B, capacity: usize, adjoints: bool) -> Tape<B> {
        let buffer = |shape: &Shape| backend.buffer(capacity * shape.elements());
        Tape {
            capacity,
            n: 0,
            labels: backend.integers(capacity),
            examples: backend.integers(capacity),
            values: self.shapes.iter().map(buffer).collect(),
            saved: self.nodes.iter().map(|n| n.op.allocate(backend, capacity, &n.input_shapes)).collect(),
            adjoints: self.active_buffers(adjoints, buffer),
        }
    }

    pub(crate) fn tangents(&self, backend: &B, capacity: usize) -> Tangents<B> {
        let buffer = |shape: &Shape| backend.buffer(capacity * shape.elements());
        Tangents { values: self.active_buffers(true, buffer), adjoints: self.active_buffers(true, buffer) }
    }

    fn active_buffers(&self, wanted: bool, buffer: impl Fn(&Shape) -> B::Buffer) -> Vec<Option<B::Buffer>> {
        let active = self.shapes.iter().zip(&self.active);
        active.map(|(shape, active)| (wanted && *active).then(|| buffer(shape))).collect()
    }

    /// Bytes per example of a tape with adjoints, and of a set of tangents.
    pub(crate) fn bytes_per_example(&self, element: usize) -> (usize, usize) {
        let all: usize = self.shapes.iter().map(Shape::elements).sum();
        let active: usize = self
            .shapes
            .iter()
            .zip(&self.active)
            .filter(|(_, active)| **active)
            .map(|(s, _)| s.elements())
            .sum();
        let saved: usize = self.nodes.iter().map(|n| n.op.saved_bytes(element, &n.input_shapes)).sum();
        (element * (all + active) + saved + 2 * size_of::<u32>(), 2 * element * active)
    }

    fn context<'a>(
        &self,
        node: &'a Node<B>,
        s: &Setting<'a, B>,
        n: usize,
        examples: &'a B::Integers,
    ) -> Context<'a, B> {
        let (inputs, output) = (&node.input_shapes, node.output);
        Context { backend: s.backend, pass: s.pass, n, examples, inputs, output }
    }

    /// Values of all ops on the tape's batch.
    pub(crate) fn value(&self, s: &Setting<'_, B>, tape: &mut Tape<B>) {
        for (i, node) in self.nodes.iter().enumerate() {
            let (before, after) = tape.values.split_at_mut(i + 1);
            let x: Vec<&B::Buffer> = node.inputs.iter().map(|&v| &before[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let cx = self.context(node, s, tape.n, &tape.examples);
            let at = Point { x: &x, w: &w, state: &state };
            node.op.value(&cx, &at, &mut tape.saved[i], &mut after[0]);
        }
    }

    /// Moves the running statistics towards those of the batch that [`Self::value`] saw last.
    pub(crate) fn update_state(&self, backend: &B, pass: &Pass, tape: &mut Tape<B>, state: &mut B::Buffer) {
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.state.is_empty()) {
            let (inputs, output) = (node.input_shapes.as_slice(), node.output);
            let cx = Context { backend, pass, n: tape.n, examples: &tape.examples, inputs, output };
            let mut slots = Slots { buffer: state, ranges: &node.state };
            node.op.update_state(&cx, &mut tape.saved[i], &mut slots);
        }
    }

    /// Adjoints of all active values from the last one, and the gradient of the parameters. The adjoints are the tape's own, or
    /// `other` ones (a Gauss-Newton product leaves the tape's alone).
    pub(crate) fn gradient(
        &self,
        s: &Setting<'_, B>,
        tape: &mut Tape<B>,
        other: Option<&mut Vec<Option<B::Buffer>>>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        let Tape { values, saved, examples, n, adjoints, .. } = tape;
        let adjoints = other.unwrap_or(adjoints);
        let mut written = vec![false; values.len()];
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(i, _)| self.active[i + 1]) {
            let x: Vec<&B::Buffer> = node.inputs.iter().map(|&v| &values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let cx = self.context(node, s, *n, examples);
            let at = Point { x: &x, w: &w, state: &state };
            with_targets(node, adjoints, &mut written, |dy, x| {
                let w = Slots { buffer: &mut *out, ranges: &node.parameters };
                node.op.gradient(&cx, &at, &mut saved[i], dy, &mut Gradients { x, w, accumulate });
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
            let x: Vec<&B::Buffer> = node.inputs.iter().map(|&v| &tape.values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let (before, after) = tangents.values.split_at_mut(i + 1);
            let x_dot: Vec<Option<&B::Buffer>> = node.inputs.iter().map(|&v| before[v].as_ref()).collect();
            let cx = self.context(node, s, tape.n, &tape.examples);
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
        let mut written = vec![false; values.len()];
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(i, _)| self.active[i + 1]) {
            let Some(dy) = &adjoints[i + 1] else { continue };
            let x: Vec<&B::Buffer> = node.inputs.iter().map(|&v| &values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let x_dot: Vec<Option<&B::Buffer>> =
                node.inputs.iter().map(|&v| tangents.values[v].as_ref()).collect();
            let cx = self.context(node, s, *n, examples);
            let at = Point { x: &x, w: &w, state: &state };
            let dot = Direction { x: &x_dot, w: &views(v, &node.parameters) };
            with_targets(node, &mut tangents.adjoints, &mut written, |dy_dot, x| {
                let w = Slots { buffer: &mut *out, ranges: &node.parameters };
                let mut gradients = Gradients { x, w, accumulate };
                node.op.gradient_tangent(&cx, &at, &mut saved[i], (dy, dy_dot), &dot, &mut gradients);
            });
        }
    }
}

fn views<'a, T>(buffer: &'a T, ranges: &[Range<usize>]) -> Vec<View<'a, T>> {
    ranges.iter().map(|r| View::new(buffer, r.start, r.len())).collect()
}

/// Where the gradient of each input goes, and whether it is added there.
type Targets<'a, B> = Vec<Option<(&'a mut <B as Backend>::Buffer, Accumulate)>>;

/// Calls `f` with the adjoint of the node's output and the targets of its inputs. The first user of a value sets its adjoint, the
/// others add to it.
fn with_targets<B: Backend>(
    node: &Node<B>,
    adjoints: &mut [Option<B::Buffer>],
    written: &mut [bool],
    f: impl FnOnce(&B::Buffer, Targets<'_, B>),
) {
    let mut taken: Vec<Option<B::Buffer>> = node.inputs.iter().map(|&v| adjoints[v].take()).collect();
    let targets = taken
        .iter_mut()
        .zip(&node.inputs)
        .map(|(buffer, &v)| {
            let accumulate = if written[v] { Accumulate::Add } else { Accumulate::Set };
            written[v] = true;
            buffer.as_mut().map(|buffer| (buffer, accumulate))
        })
        .collect();
    if let Some(dy) = &adjoints[node.value] {
        f(dy, targets);
    }
    for (buffer, &v) in taken.into_iter().zip(&node.inputs) {
        if buffer.is_some() {
            adjoints[v] = buffer;
        }
    }
}
