//! Residual networks without normalisation for CIFAR (Zhang, Dauphin, Ma 2019, "Fixup initialization").
//!
//! A 3x3 stem of 16 channels, three stages of basic blocks of 16, 32 and 64 channels, global average pooling, a linear layer.
//! A block is `a = x + bias1a`, `h = f(conv1(a) + bias1b)`, `y = conv2(h + bias2a) · scale + bias2b`, and its output is
//! `f(y + shortcut)`; the shortcut is `x`, or in a widening block every second pixel of `a` with channels of zeros. With `L`
//! blocks in all, `conv1 ~ N(0, 2 / (9 · out · L))`, `conv2 = 0`, and the classifier is 0. Names are those of the reference code.

use super::{Model, to_f64, torch_default};
use crate::Error;
use crate::backend::{Backend, Epilogue};
use crate::graph::{Graph, Value};
use crate::op::Init;
use crate::ops::{Add, AveragePool, Convolution, Flatten, Linear, ScalarBias, ScalarScale, Subsample};

const WIDTHS: [usize; 3] = [16, 32, 64];

/// Builds a network of `6 · blocks + 2` layers.
pub(super) fn build<B: Backend>(
    model: &Model,
    graph: &mut Graph<B>,
    blocks: usize,
    classes: usize,
) -> Result<(), Error> {
    let channels = graph.shape(graph.input()).channels;
    let stem = convolution(channels, model.width(WIDTHS[0]), 1, torch_default(channels, 3));
    let mut value = graph.push("conv1", stem, &[graph.input()])?;
    value = graph.push("bias1", ScalarBias, &[value])?;
    value = graph.push("relu", model.activation.op(), &[value])?;
    let total = to_f64(WIDTHS.len() * blocks);
    for (stage, width) in WIDTHS.into_iter().enumerate() {
        for block in 0..blocks {
            let widening = stage > 0 && block == 0;
            let name = format!("layer{}.{block}", stage + 1);
            value = basic_block(model, graph, &name, value, (model.width(width), widening), total)?;
        }
    }
    value = graph.push("avgpool", AveragePool::Global, &[value])?;
    value = graph.push("flatten", Flatten, &[value])?;
    value = graph.push("bias2", ScalarBias, &[value])?;
    let (zero, features_in) = (Init::Constant(0.0), graph.shape(value).channels);
    let fc = Linear { weight: zero, bias: zero, ..Linear::torch_default(features_in, classes) };
    graph.push("fc", fc, &[value])?;
    Ok(())
}

const fn convolution(channels_in: usize, channels_out: usize, stride: usize, weight: Init) -> Convolution {
    // A scalar bias stands between a convolution and its ReLU.
    let epilogue = Epilogue::None;
    Convolution { channels_in, channels_out, kernel: 3, stride, padding: 1, weight, bias: None, epilogue }
}

fn basic_block<B: Backend>(
    model: &Model,
    graph: &mut Graph<B>,
    name: &str,
    x: Value,
    (width, widening): (usize, bool),
    total_blocks: f64,
) -> Result<Value, Error> {
    let channels = graph.shape(x).channels;
    let first = Init::Normal((2.0 / (9.0 * to_f64(width))).sqrt() / total_blocks.sqrt());
    let stride = if widening { 2 } else { 1 };
    let a = graph.push(format!("{name}.bias1a"), ScalarBias, &[x])?;
    let h = graph.push(format!("{name}.conv1"), convolution(channels, width, stride, first), &[a])?;
    let h = graph.push(format!("{name}.bias1b"), ScalarBias, &[h])?;
    let h = graph.push(format!("{name}.relu1"), model.activation.op(), &[h])?;
    let h = graph.push(format!("{name}.bias2a"), ScalarBias, &[h])?;
    let h = graph.push(format!("{name}.conv2"), convolution(width, width, 1, Init::Constant(0.0)), &[h])?;
    let h = graph.push(format!("{name}.scale"), ScalarScale, &[h])?;
    let y = graph.push(format!("{name}.bias2b"), ScalarBias, &[h])?;
    let shortcut = if widening {
        graph.push(format!("{name}.shortcut"), Subsample { channels_out: width }, &[a])?
    } else {
        x
    };
    let sum = graph.push(format!("{name}.add"), Add, &[y, shortcut])?;
    graph.push(format!("{name}.relu2"), model.activation.op(), &[sum])
}
