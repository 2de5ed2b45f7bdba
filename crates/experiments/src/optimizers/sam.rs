//! The perturbations of sharpness-aware minimization.

use sharpness_network::Table;
use sharpness_network::backend::{Accumulate, Backend, View, ViewMut};

use crate::config::SamConfig;

/// Added to the norm that a perturbation is divided by, as in the usual code of SAM.
const NORM_EPSILON: f64 = 1e-12;

/// The η of adaptive SAM that keeps `T` positive (Kwon et al. 2021, section 4; 0.01 in their code).
const ADAPTIVE_OFFSET: f64 = 0.01;

/// `w + ε` for a gradient `g` at `w`:
///
/// - SAM: `ε = ρ g / ‖g‖` (Foret et al. 2021, equation 2);
/// - ASAM: `ε = ρ T² g / ‖T g‖` (Kwon et al. 2021, equation 8), where `T = |w| + 0.01` for tensors whose name ends in
///   `weight`, those of batch norm too, and 1 for the others.
#[derive(Debug)]
pub(super) struct Sam<B: Backend> {
    rho: f64,
    perturbed: B::Buffer,
    adaptive: Option<Adaptive<B>>,
    norm: B::Wide,
}

/// What adaptive SAM needs besides.
#[derive(Debug)]
struct Adaptive<B: Backend> {
    /// `T`; its elements outside of the weights stay 1.
    scale: B::Buffer,
    /// `T g`.
    scaled: B::Buffer,
    /// `T² g`.
    twice_scaled: B::Buffer,
}

impl<B: Backend> Sam<B> {
    pub(super) fn new(backend: &B, config: &SamConfig, dim: usize) -> Self {
        let adaptive = config.adaptive.then(|| {
            let mut scale = backend.buffer(dim);
            backend.upload(&vec![1.0; dim], &mut scale);
            Adaptive { scale, scaled: backend.buffer(dim), twice_scaled: backend.buffer(dim) }
        });
        Self { rho: config.rho, perturbed: backend.buffer(dim), adaptive, norm: backend.wide(1) }
    }

    /// `w + ε`, for the parameters `w: [dim]` in the layout of `table` and the gradient there.
    pub(super) fn perturb(
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
