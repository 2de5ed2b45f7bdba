//! A linear layer: `y = w x + b`. Bilinear: `bilinear.rs` makes the four rules of its contractions.

use super::bilinear::{ActivationPair, Bilinear, WeightPair};
use super::only;
use crate::backend::{Accumulate, Backend, Shape, ViewMut};
use crate::op::{Context, Init, TensorSpec};

/// A linear layer on flattened features, with a bias.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Features of the input.
    pub features_in: usize,
    /// Features of the output.
    pub features_out: usize,
    /// How the weights begin.
    pub weight: Init,
    /// How the bias begins.
    pub bias: Init,
}

impl Linear {
    /// PyTorch's default beginning: weights and bias uniform within `1 / sqrt(features_in)`.
    pub fn torch_default(features_in: usize, features_out: usize) -> Self {
        let fan_in = u32::try_from(features_in.max(1)).map_or(f64::INFINITY, f64::from);
        let init = Init::Uniform(1.0 / fan_in.sqrt());
        Self { features_in, features_out, weight: init, bias: init }
    }

    const fn size(&self) -> (usize, usize) {
        (self.features_in, self.features_out)
    }
}

impl Bilinear for Linear {
    const KIND: &'static str = "linear";

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        if input != Shape::features(self.features_in) {
            return Err(format!("expects {} flat features, got {input}", self.features_in));
        }
        Ok(Shape::features(self.features_out))
    }

    fn channels_out(&self) -> usize {
        self.features_out
    }

    fn weight(&self) -> TensorSpec {
        TensorSpec::new("weight", vec![self.features_out, self.features_in], self.weight)
    }

    fn bias(&self) -> Option<Init> {
        Some(self.bias)
    }

    fn products(&self, _: Shape) -> u64 {
        (self.features_in * self.features_out) as u64
    }

    fn forward<B: Backend>(&self, cx: &Context<'_, B>, pairs: &[WeightPair<'_, B>], y: &mut B::Buffer) {
        cx.backend.linear_forward(self.size(), cx.n, pairs, y);
    }

    fn input_gradient<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        pairs: &[WeightPair<'_, B>],
        accumulate: Accumulate,
        x: &mut B::Buffer,
    ) {
        cx.backend.linear_input_gradient(self.size(), cx.n, pairs, accumulate, x);
    }

    fn weight_gradient<B: Backend>(
        &self,
        cx: &Context<'_, B>,
        pairs: &[ActivationPair<'_, B>],
        accumulate: Accumulate,
        w: ViewMut<'_, B::Buffer>,
    ) {
        cx.backend.linear_weight_gradient(self.size(), cx.n, pairs, accumulate, w);
    }
}
