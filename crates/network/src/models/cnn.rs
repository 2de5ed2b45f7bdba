//! A small convolutional network: two 3x3 convolutions of 16 and 32 channels, each with a nonlinearity and a 2x2 max pooling,
//! then one linear layer. Initialised as PyTorch does.

use super::{Model, Sequential, torch_default};
use crate::Error;
use crate::backend::Backend;
use crate::graph::Graph;
use crate::ops::{Convolution, Flatten, Linear, MaxPool};

const WIDTHS: [usize; 2] = [16, 32];

pub(super) fn build<B: Backend>(model: &Model, graph: &mut Graph<B>, classes: usize) -> Result<(), Error> {
    let value = graph.input();
    let mut channels_in = graph.shape(value).channels;
    let mut features = Sequential::new(graph, "features", value);
    for width in WIDTHS {
        let channels_out = model.width(width);
        let init = torch_default(channels_in, 3);
        let (kernel, stride, padding) = (3, 1, 1);
        let bias = Some(init);
        features.push(Convolution {
            channels_in,
            channels_out,
            kernel,
            stride,
            padding,
            weight: init,
            bias,
        })?;
        features.push_activation(model, channels_out)?;
        features.push(MaxPool { kernel: 2, stride: 2 })?;
        channels_in = channels_out;
    }
    let value = features.value;
    let value = graph.push("flatten", Flatten, &[value])?;
    let flat = graph.shape(value).channels;
    graph.push("classifier", Linear::torch_default(flat, classes), &[value])?;
    Ok(())
}
