//! A linear layer with an epilogue: `y = e(w x + b)`. Bilinear: `bilinear.rs` makes its four rules.

use super::bilinear::Bilinear;
use super::shapes::only;
use crate::backend::{BilinearLayer, Contraction, Epilogue, Shape};
use crate::op::{Init, TensorSpec};

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
    /// What follows in the same pass; features have no windows to pool.
    pub epilogue: Epilogue,
}

impl Linear {
    /// PyTorch's default beginning: weights and bias uniform within `1 / sqrt(features_in)`. Nothing follows.
    pub fn torch_default(features_in: usize, features_out: usize) -> Self {
        let fan_in = u32::try_from(features_in.max(1)).map_or(f64::INFINITY, f64::from);
        let init = Init::Uniform(1.0 / fan_in.sqrt());
        Self { features_in, features_out, weight: init, bias: init, epilogue: Epilogue::None }
    }
}

impl Bilinear for Linear {
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = only(inputs)?;
        if input != Shape::features(self.features_in) {
            return Err(format!("expects {} flat features, got {input}", self.features_in));
        }
        if self.epilogue == Epilogue::ReluMaxPool {
            return Err("features have no windows to pool".to_owned());
        }
        Ok(Shape::features(self.features_out))
    }

    fn layer(&self, _: Shape) -> BilinearLayer {
        let (features_in, features_out) = (self.features_in, self.features_out);
        BilinearLayer {
            contraction: Contraction::Linear { features_in, features_out },
            epilogue: self.epilogue,
            is_shifted: false,
        }
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

    fn kind(&self) -> &'static str {
        if self.epilogue == Epilogue::None { "linear" } else { "linear+relu" }
    }
}
