//! Residual networks without normalisation for CIFAR (Zhang, Dauphin, Ma 2019, "Fixup initialization").
//!
//! A 3x3 stem of 16 channels, three stages of basic blocks of 16, 32 and 64 channels, global average pooling, a linear layer.
//! A block is `a = x + bias1a`, `h = f(conv1(a) + bias1b)`, `y = conv2(h + bias2a) · scale + bias2b`, and its output is
//! `f(y + shortcut)`; the shortcut is `x`, or in a widening block every second pixel of `a` with channels of zeros. With `L`
//! blocks in all, `conv1 ~ N(0, 2 / (9 · out · L))`, `conv2 = 0`, and the classifier is 0. Names are those of the reference code.

use super::{Activation, Model, to_f64, torch_default};
use crate::Error;
use crate::backend::{Backend, Epilogue};
use crate::graph::{Graph, Value};
use crate::op::Init;
use crate::ops::{
    Add, AveragePool, Convolution, Elementwise, FixupConvolution, Flatten, Linear, ScalarBias, ScalarScale,
    Subsample,
};

const WIDTHS: [usize; 3] = [16, 32, 64];

/// Builds a network of `6 · blocks + 2` layers.
pub(super) fn build<B: Backend>(
    model: &Model,
    graph: &mut Graph<B>,
    blocks: usize,
    classes: usize,
) -> Result<(), Error> {
    let channels = graph.shape(graph.input()).channels();
    let mut value = stem(model, graph, channels)?;
    let total = to_f64(WIDTHS.len() * blocks);
    for (stage, width) in WIDTHS.into_iter().enumerate() {
        for block in 0..blocks {
            let widening = stage > 0 && block == 0;
            let name = format!("layer{}.{block}", stage + 1);
            let block = Block { name, width: model.width(width), widening };
            value = match model.activation {
                Activation::Relu => block.push_fused(graph, value, total)?,
                _ => block.push(model, graph, value, total)?,
            };
        }
    }
    value = graph.push("avgpool", AveragePool::Global, &[value])?;
    value = graph.push("flatten", Flatten, &[value])?;
    value = graph.push("bias2", ScalarBias, &[value])?;
    let (zero, features_in) = (Init::Constant(0.0), graph.shape(value).channels());
    let fc = Linear { weight: zero, bias: zero, ..Linear::torch_default(features_in, classes) };
    graph.push("fc", fc, &[value])?;
    Ok(())
}

const fn convolution(channels_in: usize, channels_out: usize, stride: usize, weight: Init) -> Convolution {
    let epilogue = Epilogue::None;
    Convolution { channels_in, channels_out, kernel: 3, stride, padding: 1, weight, bias: None, epilogue }
}

/// The 3x3 convolution of the image.
fn stem<B: Backend>(model: &Model, graph: &mut Graph<B>, channels: usize) -> Result<Value, Error> {
    let (width, weight) = (model.width(WIDTHS[0]), torch_default(channels, 3));
    if model.activation == Activation::Relu {
        let op = FixupConvolution {
            channels_in: channels,
            channels_out: width,
            stride: 1,
            shift: None,
            weight: ("conv1.weight", weight),
            scale: None,
            bias: "bias1",
        };
        return graph.push_in("", "conv1".to_owned(), op, &[graph.input()]);
    }
    let value = graph.push("conv1", convolution(channels, width, 1, weight), &[graph.input()])?;
    let value = graph.push("bias1", ScalarBias, &[value])?;
    graph.push("relu", Elementwise(model.activation), &[value])
}

/// One basic block.
struct Block {
    name: String,
    width: usize,
    widening: bool,
}

impl Block {
    const fn stride(&self) -> usize {
        if self.widening { 2 } else { 1 }
    }

    /// How the first convolution's weights begin.
    fn first(&self, total_blocks: f64) -> Init {
        Init::Normal((2.0 / (9.0 * to_f64(self.width))).sqrt() / total_blocks.sqrt())
    }

    /// The block with ReLUs: each convolution and all around it is one op.
    fn push_fused<B: Backend>(
        &self,
        graph: &mut Graph<B>,
        x: Value,
        total_blocks: f64,
    ) -> Result<Value, Error> {
        let Self { name, width, widening } = self;
        // A widening block's shortcut takes the shifted input too, so that the shift is an op of its own.
        let (a, shift) = if *widening {
            (graph.push(format!("{name}.bias1a"), ScalarBias, &[x])?, None)
        } else {
            (x, Some("bias1a"))
        };
        let conv1 = FixupConvolution {
            channels_in: graph.shape(x).channels(),
            channels_out: *width,
            stride: self.stride(),
            shift,
            weight: ("conv1.weight", self.first(total_blocks)),
            scale: None,
            bias: "bias1b",
        };
        let conv2 = FixupConvolution {
            channels_in: *width,
            channels_out: *width,
            stride: 1,
            shift: Some("bias2a"),
            weight: ("conv2.weight", Init::Constant(0.0)),
            scale: Some("scale"),
            bias: "bias2b",
        };
        let h = graph.push_in(name, format!("{name}.conv1"), conv1, &[a])?;
        let shortcut = if *widening {
            graph.push(format!("{name}.shortcut"), Subsample { channels_out: *width }, &[a])?
        } else {
            x
        };
        graph.push_in(name, format!("{name}.conv2"), conv2, &[h, shortcut])
    }

    /// The block with another nonlinearity.
    fn push<B: Backend>(
        &self,
        model: &Model,
        graph: &mut Graph<B>,
        x: Value,
        total_blocks: f64,
    ) -> Result<Value, Error> {
        let Self { name, width, widening } = self;
        let (channels, width) = (graph.shape(x).channels(), *width);
        let a = graph.push(format!("{name}.bias1a"), ScalarBias, &[x])?;
        let conv1 = convolution(channels, width, self.stride(), self.first(total_blocks));
        let h = graph.push(format!("{name}.conv1"), conv1, &[a])?;
        let h = graph.push(format!("{name}.bias1b"), ScalarBias, &[h])?;
        let h = graph.push(format!("{name}.relu1"), Elementwise(model.activation), &[h])?;
        let h = graph.push(format!("{name}.bias2a"), ScalarBias, &[h])?;
        let conv2 = convolution(width, width, 1, Init::Constant(0.0));
        let h = graph.push(format!("{name}.conv2"), conv2, &[h])?;
        let h = graph.push(format!("{name}.scale"), ScalarScale, &[h])?;
        let y = graph.push(format!("{name}.bias2b"), ScalarBias, &[h])?;
        let shortcut = if *widening {
            graph.push(format!("{name}.shortcut"), Subsample { channels_out: width }, &[a])?
        } else {
            x
        };
        let sum = graph.push(format!("{name}.add"), Add, &[y, shortcut])?;
        graph.push(format!("{name}.relu2"), Elementwise(model.activation), &[sum])
    }
}
