//! Residual networks without normalisation for CIFAR (Zhang, Dauphin, Ma 2019, "Fixup initialization").
//!
//! A 3x3 stem of 16 channels, three stages of basic blocks of 16, 32 and 64 channels, global average pooling, a linear layer.
//! A block is `a = x + bias1a`, `h = f(conv1(a) + bias1b)`, `y = conv2(h + bias2a) · scale + bias2b`, and its output is
//! `f(y + shortcut)`; the shortcut is `x`, or in a widening block every second pixel of `a` with channels of zeros. With `L`
//! blocks in all, `conv1 ~ N(0, 2 / (9 · out · L))`, `conv2 = 0`, and the classifier is 0. Names are those of the reference code.

use super::options::Options;
use super::sequential::{to_f64, torch_default};
use crate::backend::Shape;
use crate::op::Init;
use crate::ops::{
    Add, AveragePool, Convolution, Elementwise, Flatten, Linear, ScalarBias, ScalarScale, Subsample,
};
use crate::{Error, Model, Value};

const WIDTHS: [usize; 3] = [16, 32, 64];

/// Builds a network of `6 · BLOCKS + 2` layers.
pub(super) fn build<const BLOCKS: usize>(
    options: &Options<'_>,
    input: Shape,
    classes: usize,
) -> Result<Model, Error> {
    let mut model = Model::default();
    let value = model.input("images", input);
    let stem = convolution(input.channels(), options.width(WIDTHS[0]), 1, torch_default(input.channels(), 3));
    let value = model.push("conv1", stem, &[value])?;
    let value = model.push("bias1", ScalarBias, &[value])?;
    let mut value = model.push("relu", Elementwise(options.activation), &[value])?;
    for (stage, width) in WIDTHS.into_iter().enumerate() {
        for block in 0..BLOCKS {
            let is_widening = stage > 0 && block == 0;
            let name = format!("layer{}.{block}", stage + 1);
            let total = to_f64(WIDTHS.len() * BLOCKS);
            value = Block { name, width: options.width(width), is_widening, total }
                .push(options, &mut model, value)?;
        }
    }
    value = model.push("avgpool", AveragePool::Global, &[value])?;
    value = model.push("flatten", Flatten, &[value])?;
    value = model.push("bias2", ScalarBias, &[value])?;
    let (zero, features_in) = (Init::Constant(0.0), model.shape(value).elements());
    let fc = Linear { weight: zero, bias: zero, ..Linear::torch_default(features_in, classes) };
    let value = model.push("fc", fc, &[value])?;
    model.output(value);
    Ok(model)
}

/// A 3x3 convolution without a bias.
const fn convolution(channels_in: usize, channels_out: usize, stride: usize, weight: Init) -> Convolution {
    Convolution { stride, ..Convolution::same(channels_in, channels_out, weight, None) }
}

/// One basic block.
struct Block {
    name: String,
    width: usize,
    is_widening: bool,
    /// Blocks of the network.
    total: f64,
}

impl Block {
    fn push(&self, options: &Options<'_>, model: &mut Model, x: Value) -> Result<Value, Error> {
        let Self { name, width, is_widening, total } = self;
        let (channels, width) = (model.shape(x).channels(), *width);
        let deviation = (2.0 / (9.0 * to_f64(width))).sqrt() / total.sqrt();
        let stride = if *is_widening { 2 } else { 1 };
        let a = model.push(format!("{name}.bias1a"), ScalarBias, &[x])?;
        let conv1 = convolution(channels, width, stride, Init::Normal(deviation));
        let h = model.push(format!("{name}.conv1"), conv1, &[a])?;
        let h = model.push(format!("{name}.bias1b"), ScalarBias, &[h])?;
        let h = model.push(format!("{name}.relu1"), Elementwise(options.activation), &[h])?;
        let h = model.push(format!("{name}.bias2a"), ScalarBias, &[h])?;
        let conv2 = convolution(width, width, 1, Init::Constant(0.0));
        let h = model.push(format!("{name}.conv2"), conv2, &[h])?;
        let h = model.push(format!("{name}.scale"), ScalarScale, &[h])?;
        let y = model.push(format!("{name}.bias2b"), ScalarBias, &[h])?;
        let shortcut = if *is_widening {
            model.push(format!("{name}.shortcut"), Subsample { channels_out: width }, &[a])?
        } else {
            x
        };
        let sum = model.push(format!("{name}.add"), Add, &[y, shortcut])?;
        model.push(format!("{name}.relu2"), Elementwise(options.activation), &[sum])
    }
}
