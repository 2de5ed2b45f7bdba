//! VGG-11 for 32x32 images (Simonyan and Zisserman 2015, configuration A), with or without batch norm.
//!
//! Convolutions 3x3 with padding 1: 64 M 128 M 256 256 M 512 512 M 512 512 M, weights `N(0, 2 / (9 · out))`, biases 0; then
//! linear layers 512-512-512-classes without dropout, as PyTorch initialises them. Names are torchvision's.

use super::options::Options;
use super::sequential::{Sequential, to_f64};
use crate::backend::Shape;
use crate::op::Init;
use crate::ops::{Elementwise, Flatten, Linear};
use crate::{Error, Model};

/// Convolutions of each stage; a stage ends in a 2x2 max pooling.
const STAGES: [&[usize]; 5] = [&[64], &[128], &[256, 256], &[512, 512], &[512, 512]];
/// Hidden features of the classifier.
const FEATURES: usize = 512;

pub(super) fn build(options: &Options<'_>, input: Shape, classes: usize) -> Result<Model, Error> {
    if input.height() < 32 || input.width() < 32 {
        let name = options.arch;
        return Err(Error::Architecture(format!(
            "{name} halves its images five times and needs at least 32x32 pixels, got {input}; use --arch cnn or mlp"
        )));
    }
    let mut model = Model::default();
    let value = model.input("images", input);
    let mut features = Sequential::new(&mut model, "features", value);
    for stage in STAGES {
        for (index, &width) in stage.iter().enumerate() {
            let channels = options.width(width);
            let weight = Init::Normal((2.0 / (9.0 * to_f64(channels))).sqrt());
            let is_last = index + 1 == stage.len();
            features.push_convolution(options, channels, (weight, Init::Constant(0.0)), is_last)?;
        }
    }
    let value = features.value;
    let value = model.push("flatten", Flatten, &[value])?;
    let hidden = options.width(FEATURES);
    let mut classifier = Sequential::new(&mut model, "classifier", value);
    for _ in 0..2 {
        let features_in = classifier.shape().elements();
        classifier.push(Linear::torch_default(features_in, hidden))?;
        classifier.push(Elementwise(options.activation))?;
    }
    classifier.push(Linear::torch_default(hidden, classes))?;
    let value = classifier.value;
    model.output(value);
    Ok(model)
}
