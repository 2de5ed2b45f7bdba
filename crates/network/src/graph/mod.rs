//! A compiled network: ops in order, their memory, and the four sweeps. The only place that knows the order of ops and the values
//! kept for them.

mod compile;
mod memory;
mod sweeps;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::backend::{Backend, Device, Shape};
use crate::model::{Model, Node as Described, Value};
use crate::op::Op;
use crate::parameters::Table;

pub(crate) use memory::SUMS;
pub use memory::{Tangents, Tape};
pub(crate) use sweeps::Setting;

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
    /// Whether gradients of its parameters are added to what is there: it shares one of them.
    adds: bool,
}

/// Ops in an order in which each follows its inputs. The first values are the inputs, then each node has one.
#[derive(Debug)]
pub struct Graph<B: Device> {
    nodes: Vec<Node<B>>,
    shapes: Vec<Shape>,
    /// The number of inputs.
    inputs: usize,
    /// The values that are outputs.
    outputs: Vec<usize>,
    /// Whether a value depends on parameters: only these have tangents and adjoints.
    active: Vec<bool>,
    /// The last value computed from each value: the first to set its adjoint.
    last_user: Vec<usize>,
    parameters: Table,
    state: Table,
    /// Parts of the gradient that are cleared before a sweep: those of nodes that add to it, and of no node.
    cleared: Vec<Range<usize>>,
}

impl<B: Backend> Graph<B> {
    /// The graph of these nodes of `model`.
    pub(crate) fn new(model: &Model, nodes: Vec<Described>) -> Self {
        let inputs = model.inputs();
        let mut graph = Self {
            nodes: Vec::with_capacity(nodes.len()),
            shapes: inputs.iter().map(|(_, value)| model.shape(*value)).collect(),
            inputs: inputs.len(),
            outputs: Vec::new(),
            active: vec![false; inputs.len()],
            last_user: (0..inputs.len()).collect(),
            parameters: model.parameters().clone(),
            state: model.state().clone(),
            cleared: Vec::new(),
        };
        // The numbers of values in the graph, by those in the model.
        let mut numbers: Vec<(Value, usize)> =
            inputs.iter().enumerate().map(|(number, (_, value))| (*value, number)).collect();
        for node in nodes {
            let number = |value: &Value| {
                let found = numbers.iter().find(|(known, _)| known == value);
                found.map(|(_, number)| *number).expect("each node follows its inputs")
            };
            let (inputs, output) = (node.inputs.iter().map(number).collect(), node.output);
            let value = graph.push(model.shape(output), node, inputs);
            numbers.push((output, value));
        }
        let number =
            |output: &Value| numbers.iter().find(|(known, _)| known == output).map(|(_, number)| *number);
        graph.outputs = model.outputs().iter().filter_map(number).collect();
        graph.mark_shared();
        graph
    }

    fn push(&mut self, output: Shape, node: Described, inputs: Vec<usize>) -> usize {
        let Described { name, operation, parameters, state, .. } = node;
        let (op, value) = (operation.op(), self.shapes.len());
        self.active.push(!parameters.is_empty() || inputs.iter().any(|&v| self.active[v]));
        self.shapes.push(output);
        self.last_user.push(value);
        inputs.iter().for_each(|&v| self.last_user[v] = value);
        let input_shapes = inputs.iter().map(|&v| self.shapes[v]).collect();
        self.nodes.push(Node {
            name,
            op,
            inputs,
            value,
            input_shapes,
            output,
            parameters,
            state,
            adds: false,
        });
        value
    }

    /// Finds the nodes that share parameters, and what of the gradient is cleared for them.
    fn mark_shared(&mut self) {
        let uses = |tensor: &Range<usize>, nodes: &[Node<B>]| {
            let all = nodes.iter().flat_map(|node| &node.parameters);
            all.filter(|range| range.start == tensor.start).count()
        };
        for place in 0..self.nodes.len() {
            self.nodes[place].adds =
                self.nodes[place].parameters.iter().any(|tensor| uses(tensor, &self.nodes) > 1);
        }
        let ranges = self.parameters.tensors().iter().map(crate::Tensor::range);
        let is_cleared = |tensor: &Range<usize>| {
            let mut users = self.nodes.iter().filter(|node| node.parameters.contains(tensor));
            users.next().is_none_or(|user| user.adds)
        };
        self.cleared = ranges.filter(is_cleared).collect();
    }
}

impl<B: Device> Graph<B> {
    /// The shapes of the inputs.
    pub fn inputs(&self) -> &[Shape] {
        &self.shapes[..self.inputs]
    }

    /// The shapes of the outputs.
    pub fn outputs(&self) -> Vec<Shape> {
        self.outputs.iter().map(|&value| self.shapes[value]).collect()
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

    /// The shape of a value.
    pub(crate) fn shape(&self, value: usize) -> Shape {
        self.shapes[value]
    }

    /// The values that are outputs.
    pub(crate) fn output_values(&self) -> &[usize] {
        &self.outputs
    }
}
