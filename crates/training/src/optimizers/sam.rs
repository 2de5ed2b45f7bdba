//! The perturbations of sharpness-aware minimization.

use clap::Args;
use serde::{Deserialize, Serialize};
use sharpness_network::Table;
use sharpness_network::backend::{Accumulate, Backend, View, ViewMut};

use crate::range::{Count, NonNegative, Range as _, one_of, optional, within};

/// Sharpness-aware minimization (Foret et al. 2021, algorithm 1).
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamConfig {
    /// Train with sharpness-aware minimization (SAM) of this radius
    #[arg(id = "training.sam.rho", long = "sam-rho", value_name = "RHO", allow_negative_numbers = true,
        default_value_t = 0.05, hide_default_value = true, value_parser = NonNegative::parse)]
    #[serde(deserialize_with = "within::<_, NonNegative>")]
    pub rho: f64,

    /// Scale SAM's perturbation by the weights (ASAM; Kwon et al. 2021)
    #[arg(id = "training.sam.adaptive", long = "asam", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set, hide_default_value = true)]
    pub adaptive: bool,

    /// Examples that share a perturbation of SAM (m-sharpness) [default: the batch]
    #[arg(id = "training.sam.m", long = "sam-m", value_name = "M", value_parser = Count::parse)]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional::<_, Count>")]
    pub m: Option<usize>,

    /// Which of SAM's passes move batch norm's running statistics
    #[arg(id = "training.sam.bn_stats", long, value_name = "WHICH", default_value = "first",
        value_parser = one_of([("first", BnStats::First), ("both", BnStats::Both)]))]
    pub bn_stats: BnStats,
}

impl Default for SamConfig {
    fn default() -> Self {
        Self { rho: 0.05, adaptive: false, m: None, bn_stats: BnStats::First }
    }
}

/// Which of SAM's two passes move the running statistics of batch norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BnStats {
    /// The pass at the weights only (Foret et al. 2021).
    #[default]
    First,
    /// Both passes, as in the code of the paper (Kaur, Cohen, Lipton 2022).
    Both,
}

/// Added to the norm that divides a perturbation, as in common implementations of SAM.
const NORM_EPSILON: f64 = 1e-12;

/// The η of adaptive SAM that keeps `T` positive (Kwon et al. 2021, section 4; 0.01 in their code).
const ADAPTIVE_OFFSET: f64 = 0.01;

/// `w + ε` for a gradient `g` at `w`:
///
/// - SAM: `ε = ρ g / ‖g‖` (Foret et al. 2021, equation 2);
/// - ASAM: `ε = ρ T² g / ‖T g‖` (Kwon et al. 2021, equation 8), where `T = |w| + 0.01` for tensors whose name ends in
///   `weight`, those of batch norm too, and 1 for the others.
#[derive(Debug)]
pub(crate) struct Sam<B: Backend> {
    rho: f64,
    perturbed: B::Buffer,
    adaptive: Option<Adaptive<B>>,
    norm: B::Wide,
}

/// The additional buffers of adaptive SAM.
#[derive(Debug)]
struct Adaptive<B: Backend> {
    /// `T`; elements that are not weights stay 1.
    scale: B::Buffer,
    /// `T g`.
    scaled: B::Buffer,
    /// `T² g`.
    twice_scaled: B::Buffer,
}

impl<B: Backend> Sam<B> {
    pub(crate) fn new(backend: &B, config: &SamConfig, dim: usize) -> Self {
        let adaptive = config.adaptive.then(|| {
            let mut scale = backend.buffer(dim);
            backend.upload(&vec![1.0; dim], &mut scale);
            Adaptive { scale, scaled: backend.buffer(dim), twice_scaled: backend.buffer(dim) }
        });
        Self { rho: config.rho, perturbed: backend.buffer(dim), adaptive, norm: backend.wide(1) }
    }

    /// `w + ε`, for the parameters `w: [dim]` in the layout of `table` and the gradient there.
    pub(crate) fn perturb(
        &mut self,
        backend: &B,
        table: &Table,
        parameters: &B::Buffer,
        gradient: &B::Buffer,
    ) -> &B::Buffer {
        let dim = table.len();
        let view = |buffer| View::new(buffer, 0, dim);
        let (measured, direction) = match &mut self.adaptive {
            None => (gradient, gradient),
            Some(Adaptive { scale, scaled, twice_scaled }) => {
                for tensor in table.tensors().iter().filter(|tensor| tensor.name.ends_with("weight")) {
                    let x = View::new(parameters, tensor.offset, tensor.len());
                    let y = ViewMut::new(scale, tensor.offset, tensor.len());
                    backend.absolute_plus(x, ADAPTIVE_OFFSET, y);
                }
                let y = ViewMut::new(scaled, 0, dim);
                backend.multiply(view(scale), view(gradient), Accumulate::Set, y);
                let y = ViewMut::new(twice_scaled, 0, dim);
                backend.multiply(view(scale), view(scaled), Accumulate::Set, y);
                (&*scaled, &*twice_scaled)
            }
        };
        backend.dot(view(measured), view(measured), 0, &mut self.norm);
        let length = backend.read(&self.norm)[0].sqrt();
        let step = self.rho / (length + NORM_EPSILON);
        let terms = [(1.0, view(parameters)), (step, view(direction))];
        backend.linear_combination(&terms, Accumulate::Set, ViewMut::new(&mut self.perturbed, 0, dim));
        &self.perturbed
    }
}
