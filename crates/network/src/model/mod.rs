//! A description of a network that knows no device: plain ops with names, any number of inputs and outputs, and parameters that
//! several ops may share. [`Model::compile`] makes a [`Graph`](crate::Graph) of it for a backend.
//!
//! ```
//! use sharpness_network::backend::{Activation, Reference, Shape};
//! use sharpness_network::ops::{Elementwise, Linear};
//! use sharpness_network::{Error, Model};
//!
//! # fn main() -> Result<(), Error> {
//! let mut model = Model::default();
//! let x = model.input("features", Shape::features(8));
//! let h = model.push("fc1", Linear::torch_default(8, 16), &[x])?;
//! let h = model.push("tanh", Elementwise(Activation::Tanh), &[h])?;
//! let y = model.push("fc2", Linear::torch_default(16, 3), &[h])?;
//! model.output(y);
//! let graph = model.compile(&Reference);
//! assert_eq!(graph.parameters().len(), 8 * 16 + 16 + 16 * 3 + 3);
//! # Ok(())
//! # }
//! ```

use std::ops::Range;

use crate::Error;
use crate::backend::{Reference, Shape};
use crate::op::Op;
use crate::ops::Operation;
use crate::parameters::Table;

/// A value of a model: one of its inputs, or an op's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub(crate) usize);

/// One op in its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) inputs: Vec<Value>,
    pub(crate) output: Value,
    /// The places of its tensors in the flat vectors, in the order of [`Op::parameters`] and [`Op::state`].
    pub(crate) parameters: Vec<Range<usize>>,
    pub(crate) state: Vec<Range<usize>>,
}

/// Ops in an order in which each follows its inputs.
#[derive(Clone, Debug, Default)]
pub struct Model {
    shapes: Vec<Shape>,
    inputs: Vec<(String, Value)>,
    nodes: Vec<Node>,
    outputs: Vec<Value>,
    parameters: Table,
    state: Table,
}

impl Model {
    /// Appends an input of this shape.
    pub fn input(&mut self, name: impl Into<String>, shape: Shape) -> Value {
        let value = self.value(shape);
        self.inputs.push((name.into(), value));
        value
    }

    /// Appends an op with parameters of its own and gives its output. `name` is PyTorch's name of the module, "" for the network
    /// itself.
    ///
    /// # Errors
    /// If the op does not accept the inputs' shapes, or takes one value twice.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Operation>,
        inputs: &[Value],
    ) -> Result<Value, Error> {
        let (name, operation) = (name.into(), op.into());
        let output = self.check(&name, &operation, inputs)?;
        let parameters = self.parameters.append(&name, description(&operation).parameters());
        Ok(self.append(name, operation, inputs, output, parameters))
    }

    /// As [`Self::push`], with parameters that earlier ops brought, by their names in [`Self::parameters`] and in the order of the
    /// op's own. Gradients and products of all that use a tensor are added.
    ///
    /// # Errors
    /// As there; if there is no tensor of such a name, or it has another shape than the op's.
    pub fn push_sharing(
        &mut self,
        name: impl Into<String>,
        op: impl Into<Operation>,
        inputs: &[Value],
        tensors: &[&str],
    ) -> Result<Value, Error> {
        let (name, operation) = (name.into(), op.into());
        let output = self.check(&name, &operation, inputs)?;
        let specs = description(&operation).parameters();
        let error = |problem| error(&name, &operation, problem);
        if specs.len() != tensors.len() {
            return Err(error(format!("has {} parameters, got {} names", specs.len(), tensors.len())));
        }
        let mut parameters = Vec::with_capacity(specs.len());
        for (spec, wanted) in specs.iter().zip(tensors) {
            let tensor = self.parameters.tensors().iter().find(|tensor| tensor.name == *wanted);
            let tensor = tensor.ok_or_else(|| error(format!("there is no parameter `{wanted}` to share")))?;
            if tensor.shape != spec.shape {
                let problem = format!(
                    "takes a `{}` of {:?}, and `{wanted}` has {:?}",
                    spec.name, spec.shape, tensor.shape
                );
                return Err(error(problem));
            }
            parameters.push(tensor.range());
        }
        Ok(self.append(name, operation, inputs, output, parameters))
    }

    /// Makes `value` the next output. The last value is the only output of a model in which none is named.
    pub fn output(&mut self, value: Value) {
        self.outputs.push(value);
    }

    /// The shape of a value.
    pub fn shape(&self, value: Value) -> Shape {
        self.shapes[value.0]
    }

    /// The names and values of the inputs, in order.
    pub fn inputs(&self) -> &[(String, Value)] {
        &self.inputs
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> Vec<Value> {
        let last = self.shapes.len().checked_sub(1).map(Value);
        if self.outputs.is_empty() { last.into_iter().collect() } else { self.outputs.clone() }
    }

    /// The table of the parameters.
    pub const fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// The table of the running statistics.
    pub const fn state(&self) -> &Table {
        &self.state
    }

    /// The ops on which an output depends.
    pub(crate) fn live(&self) -> Vec<Node> {
        let mut is_live = vec![false; self.shapes.len()];
        self.outputs().iter().for_each(|output| is_live[output.0] = true);
        for node in self.nodes.iter().rev() {
            if is_live[node.output.0] {
                node.inputs.iter().for_each(|input| is_live[input.0] = true);
            }
        }
        self.nodes.iter().filter(|node| is_live[node.output.0]).cloned().collect()
    }

    fn value(&mut self, shape: Shape) -> Value {
        self.shapes.push(shape);
        Value(self.shapes.len() - 1)
    }

    /// The shape of the op's output.
    fn check(&self, name: &str, operation: &Operation, inputs: &[Value]) -> Result<Shape, Error> {
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.shape(input)).collect();
        // An adjoint is lent to one input at a time.
        let twice = inputs.iter().enumerate().any(|(i, v)| inputs[..i].contains(v));
        let output = if twice {
            Err("takes each value once".to_owned())
        } else {
            description(operation).output(&shapes)
        };
        output.map_err(|problem| error(name, operation, problem))
    }

    fn append(
        &mut self,
        name: String,
        operation: Operation,
        inputs: &[Value],
        output: Shape,
        parameters: Vec<Range<usize>>,
    ) -> Value {
        let state = self.state.append(&name, description(&operation).state());
        let output = self.value(output);
        self.nodes.push(Node { name, operation, inputs: inputs.to_vec(), output, parameters, state });
        output
    }
}

/// What an op says of itself, which is the same on every backend.
fn description(operation: &Operation) -> Box<dyn Op<Reference>> {
    operation.op()
}

fn error(name: &str, operation: &Operation, problem: String) -> Error {
    Error::Layer { layer: name.to_owned(), kind: description(operation).kind(), problem }
}
