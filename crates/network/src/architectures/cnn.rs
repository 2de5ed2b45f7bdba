//! A small convolutional network: two 3x3 convolutions of 16 and 32 channels, each with a nonlinearity and a 2x2 max pooling,
//! then one linear layer. Initialised as PyTorch does.

use super::options::Options;
use super::sequential::{Sequential, torch_default};
use crate::backend::Shape;
use crate::ops::{Flatten, Linear};
use crate::{Error, Model};

const WIDTHS: [usize; 2] = [16, 32];

pub(super) fn build(options: &Options<'_>, input: Shape, classes: usize) -> Result<Model, Error> {
    let mut model = Model::default();
    let value = model.input("images", input);
    let mut features = Sequential::new(&mut model, "features", value);
    for width in WIDTHS {
        let init = torch_default(features.shape().channels(), 3);
        features.push_convolution(options, options.width(width), (init, init), true)?;
    }
    let value = features.value;
    let value = model.push("flatten", Flatten, &[value])?;
    let flat = model.shape(value).elements();
    let value = model.push("classifier", Linear::torch_default(flat, classes), &[value])?;
    model.output(value);
    Ok(model)
}
