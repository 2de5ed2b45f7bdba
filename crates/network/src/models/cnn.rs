//! A small convolutional network: two 3x3 convolutions of 16 and 32 channels, each with a nonlinearity and a 2x2 max pooling,
//! then one linear layer. Initialised as PyTorch does.

use super::{Model, Sequential, torch_default};
use crate::Error;
use crate::backend::Backend;
use crate::graph::Graph;
use crate::ops::{Flatten, Linear};

const WIDTHS: [usize; 2] = [16, 32];

pub(super) fn build<B: Backend>(model: &Model, graph: &mut Graph<B>, classes: usize) -> Result<(), Error> {
    let value = graph.input();
    let mut features = Sequential::new(graph, "features", value);
    for width in WIDTHS {
        let init = torch_default(features.graph.shape(features.value).channels(), 3);
        features.push_convolution(model, model.width(width), (init, init), true)?;
    }
    let value = features.value;
    let value = graph.push("flatten", Flatten, &[value])?;
    let flat = graph.shape(value).channels();
    graph.push("classifier", Linear::torch_default(flat, classes), &[value])?;
    Ok(())
}
