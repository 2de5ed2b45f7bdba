//! A multilayer perceptron: hidden linear layers, each with a nonlinearity and dropout, then one linear layer; `fc1`, `fc2`, …
//! Initialised as PyTorch does. Two hidden layers of 256 are the network of the paper's section 3.4.

use super::options::Options;
use crate::backend::Shape;
use crate::ops::{DropoutOp, Elementwise, Flatten, Linear};
use crate::{Error, Model};

pub(super) fn build(options: &Options<'_>, input: Shape, classes: usize) -> Result<Model, Error> {
    let mut model = Model::default();
    let value = model.input("images", input);
    let mut value = model.push("flatten", Flatten, &[value])?;
    for (&width, number) in options.hidden.iter().zip(1_u32..) {
        let features_in = model.shape(value).elements();
        value = model.push(format!("fc{number}"), Linear::torch_default(features_in, width), &[value])?;
        value = model.push(format!("activation{number}"), Elementwise(options.activation), &[value])?;
        if options.dropout > 0.0 {
            let dropout = DropoutOp { probability: options.dropout, layer: number };
            value = model.push(format!("dropout{number}"), dropout, &[value])?;
        }
    }
    let name = format!("fc{}", options.hidden.len() + 1);
    let features_in = model.shape(value).elements();
    let value = model.push(name, Linear::torch_default(features_in, classes), &[value])?;
    model.output(value);
    Ok(model)
}
