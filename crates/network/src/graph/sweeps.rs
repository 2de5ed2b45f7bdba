//! The four sweeps: values, gradients, tangents, and tangents of gradients.

use std::cell::RefCell;
use std::ops::Range;

use smallvec::SmallVec;

use super::{Graph, Node, Tangents, Tape};
use crate::backend::{Accumulate, Backend, View, ViewMut};
use crate::op::{Context, Direction, Gradients, Pass, Point, Scratch, Slots, TapeKind, Targets};

/// What a sweep happens with: the device, the kind of pass, and the flat vectors.
#[derive(Debug)]
pub(crate) struct Setting<'a, B: Backend> {
    pub(crate) backend: &'a B,
    pub(crate) pass: &'a Pass,
    pub(crate) parameters: &'a B::Buffer,
    pub(crate) state: &'a B::Buffer,
}

impl<B: Backend> Graph<B> {
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
            let (before, after) = tape.values.split_at_mut(node.value);
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

    /// What the batch that [`Self::value`] saw last adds to the running statistics: `[state]`.
    pub(crate) fn statistics(&self, backend: &B, pass: &Pass, tape: &mut Tape<B>) -> Vec<f64> {
        let mut all = vec![0.0; self.state.len()];
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.state.is_empty()) {
            let (inputs, output, n) = (node.input_shapes.as_slice(), node.output, tape.n);
            let (examples, scratch, keeps) = (&tape.examples, &tape.scratch, true);
            let cx = Context { backend, pass, n, examples, inputs, output, scratch, keeps };
            let addends = node.op.statistics(&cx, &mut tape.saved[i]);
            node.state
                .iter()
                .zip(addends)
                .for_each(|(range, addend)| all[range.clone()].copy_from_slice(&addend));
        }
        all
    }

    /// Adjoints of all active values from those of the outputs, and the gradient of the parameters. The adjoints are the tape's own, or
    /// those of `other` (a Gauss-Newton product leaves the tape's alone).
    pub(crate) fn gradient(
        &self,
        s: &Setting<'_, B>,
        tape: &mut Tape<B>,
        other: Option<&mut Tangents<B>>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        self.clear(s.backend, accumulate, out);
        let Tape { values, saved, examples, n, adjoints, scratch, kind, .. } = tape;
        let (adjoints, place) = match other {
            Some(other) => (&mut other.adjoints, (&other.scratch, false)),
            None => (adjoints, (&*scratch, *kind == TapeKind::Products)),
        };
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(_, node)| self.active[node.value]) {
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
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| self.active[node.value]) {
            let x: Few<&B::Buffer> = node.inputs.iter().map(|&v| &tape.values[v]).collect();
            let (w, state) = (views(s.parameters, &node.parameters), views(s.state, &node.state));
            let (before, after) = tangents.values.split_at_mut(node.value);
            let x_dot: Few<Option<&B::Buffer>> = node.inputs.iter().map(|&v| before[v].as_ref()).collect();
            let cx = self.context(node, s, (tape.n, &tape.examples), (&tangents.scratch, false));
            let at = Point { x: &x, w: &w, state: &state };
            let dot = Direction { x: &x_dot, w: &views(v, &node.parameters) };
            if let Some(y_dot) = &mut after[0] {
                node.op.tangent(&cx, &at, &mut tape.saved[i], &dot, y_dot);
            }
        }
    }

    /// Tangents of all adjoints from those of the outputs, and the derivative of the gradient along `v`.
    pub(crate) fn gradient_tangent(
        &self,
        s: &Setting<'_, B>,
        v: &B::Buffer,
        tape: &mut Tape<B>,
        tangents: &mut Tangents<B>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        self.clear(s.backend, accumulate, out);
        let Tape { values, saved, examples, n, adjoints, .. } = tape;
        let Tangents { values: value_tangents, adjoints: adjoint_tangents, scratch } = tangents;
        for (i, node) in self.nodes.iter().enumerate().rev().filter(|(_, node)| self.active[node.value]) {
            let Some(dy) = &adjoints[node.value] else { continue };
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

    /// Clears what nodes add to in a gradient that is set.
    fn clear(&self, backend: &B, accumulate: Accumulate, out: &mut B::Buffer) {
        for tensor in self.cleared.iter().filter(|_| accumulate == Accumulate::Set) {
            let to = ViewMut::new(&mut *out, tensor.start, tensor.len());
            backend.linear_combination(&[], Accumulate::Set, to);
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
                // An output's adjoint begins with what the caller put there.
                let is_first = self.last_user[v] == node.value && !self.outputs.contains(&v);
                let accumulate = if is_first { Accumulate::Set } else { Accumulate::Add };
                x.push(buffer.as_mut().map(|buffer| (buffer, accumulate)));
            }
            let accumulate = if node.adds { Accumulate::Add } else { accumulate };
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
