//! A multilayer perceptron: hidden linear layers, each with a nonlinearity and dropout, then one linear layer; `fc1`, `fc2`, …
//! Initialised as PyTorch does. Two hidden layers of 256 are the network of the paper's section 3.4.

use super::Model;
use crate::Error;
use crate::backend::{Activation, Backend};
use crate::graph::Graph;
use crate::ops::{DropoutOp, Elementwise, Flatten, Linear};

pub(super) fn build<B: Backend>(model: &Model, graph: &mut Graph<B>, classes: usize) -> Result<(), Error> {
    let mut value = graph.push("flatten", Flatten, &[graph.input()])?;
    let mut features_in = graph.shape(value).channels();
    for (&width, number) in model.hidden.iter().zip(1_u32..) {
        value = graph.push(format!("fc{number}"), model.hidden_layer(features_in, width), &[value])?;
        if model.activation != Activation::Relu {
            value = graph.push(format!("activation{number}"), Elementwise(model.activation), &[value])?;
        }
        if model.dropout > 0.0 {
            let dropout = DropoutOp { probability: model.dropout, layer: number };
            value = graph.push(format!("dropout{number}"), dropout, &[value])?;
        }
        features_in = width;
    }
    let name = format!("fc{}", model.hidden.len() + 1);
    graph.push(name, Linear::torch_default(features_in, classes), &[value])?;
    Ok(())
}
