//! Modules of a PyTorch `Sequential`, and its initialization.

use super::options::Options;
use crate::backend::Shape;
use crate::op::Init;
use crate::ops::{BatchNorm2d, Convolution, Elementwise, MaxPool, Operation};
use crate::{Error, Model, Value};

pub(super) fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// PyTorch's default for a convolution: uniform within `1 / sqrt(fan in)`.
pub(super) fn torch_default(channels_in: usize, kernel: usize) -> Init {
    Init::Uniform(1.0 / to_f64(channels_in * kernel * kernel).sqrt())
}

/// Modules of a PyTorch `Sequential`, which counts them.
pub(super) struct Sequential<'a> {
    pub(super) model: &'a mut Model,
    prefix: &'static str,
    index: usize,
    pub(super) value: Value,
}

impl<'a> Sequential<'a> {
    pub(super) const fn new(model: &'a mut Model, prefix: &'static str, value: Value) -> Self {
        Self { model, prefix, index: 0, value }
    }

    /// The shape of the last value.
    pub(super) fn shape(&self) -> Shape {
        self.model.shape(self.value)
    }

    pub(super) fn push(&mut self, op: impl Into<Operation>) -> Result<(), Error> {
        let name = format!("{}.{}", self.prefix, self.index);
        self.value = self.model.push(name, op, &[self.value])?;
        self.index += 1;
        Ok(())
    }

    /// A 3x3 convolution that keeps the image's size, batch norm where the architecture has it, the nonlinearity, and where asked
    /// for a 2x2 max pooling.
    pub(super) fn push_convolution(
        &mut self,
        options: &Options<'_>,
        channels: usize,
        (weight, bias): (Init, Init),
        is_pooled: bool,
    ) -> Result<(), Error> {
        self.push(Convolution::same(self.shape().channels(), channels, weight, Some(bias)))?;
        if options.batch_norm {
            self.push(BatchNorm2d::new(channels))?;
        }
        self.push(Elementwise(options.activation))?;
        if is_pooled { self.push(MaxPool { kernel: 2, stride: 2 }) } else { Ok(()) }
    }
}
