//! A batch's loss around one point: products with its Hessian and Gauss-Newton matrix.

use crate::backend::{Accumulate, Backend, Shape};
use crate::fisher::sampled_residuals;
use crate::graph::{Tangents, Tape};
use crate::network::{Network, Sums};
use crate::op::{Pass, TapeKind};

/// The point of a [`Linearization`]: everything that stays fixed.
#[derive(Debug)]
pub struct At<'a, B: Backend> {
    /// The network.
    pub network: &'a Network<B>,
    /// The parameters.
    pub parameters: &'a B::Buffer,
    /// The running statistics.
    pub state: &'a B::Buffer,
    /// The kind of pass; dropout is off in a measurement.
    pub pass: Pass,
    /// The factor of the sum of the batch's losses: `1 / N` for the mean over `N` examples.
    pub scale: f64,
}

impl<B: Backend> Clone for At<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for At<'_, B> {}

/// Adjoints of a batch at fixed parameters, and what products read of its values. Products only prepare adjoints again.
#[derive(Debug)]
pub struct Linearization<B: Backend> {
    tape: Tape<B>,
    sums: Sums,
}

impl<B: Backend> Linearization<B> {
    /// Linearizes at `at` on the batch loaded on `tape`; `gradient (+)=` its scaled gradient. Costs one gradient. Of `tangents`
    /// it takes the scratch; what they hold is lost.
    ///
    /// # Panics
    /// If the tape is not for products, or holds more examples than the tangents.
    pub fn new(
        at: At<'_, B>,
        mut tape: Tape<B>,
        tangents: &mut Tangents<B>,
        accumulate: Accumulate,
        gradient: &mut B::Buffer,
    ) -> Self {
        assert_eq!(tape.kind(), TapeKind::Products, "a linearization needs a tape for products");
        let At { network, parameters, state, pass, scale } = at;
        network.graph.lend(&network.backend, &mut tape, tangents);
        let sums = network.linearize(parameters, state, &pass, &mut tape, scale, accumulate, gradient);
        network.graph.lend(&network.backend, &mut tape, tangents);
        Self { tape, sums }
    }

    /// The sums of the batch's losses and correct outputs.
    pub const fn sums(&self) -> Sums {
        self.sums
    }

    /// The tape, for another batch.
    pub fn into_tape(self) -> Tape<B> {
        self.tape
    }

    /// `out (+)= H v`, with `H` the Hessian of `scale ·` the sum of the batch's losses, exactly (Pearlmutter 1994). `at` is the
    /// point of [`Self::new`]. Costs about two gradients.
    pub fn hvp(
        &mut self,
        at: At<'_, B>,
        v: &B::Buffer,
        tangents: &mut Tangents<B>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        self.output_tangent(at, v, tangents);
        let setting = at.network.setting(at.parameters, at.state, &at.pass);
        at.network.graph.gradient_tangent(&setting, v, &mut self.tape, tangents, accumulate, out);
    }

    /// `out (+)= G v`, with `G = Jᵀ (scale · ∂²loss/∂z²) J` the generalised Gauss-Newton matrix (Schraudolph 2002). Costs less
    /// than [`Self::hvp`].
    pub fn gauss_newton_product(
        &mut self,
        at: At<'_, B>,
        v: &B::Buffer,
        tangents: &mut Tangents<B>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        self.output_tangent(at, v, tangents);
        let setting = at.network.setting(at.parameters, at.state, &at.pass);
        at.network.graph.gradient(&setting, &mut self.tape, Some(tangents), accumulate, out);
    }

    /// `out (+)= F v`, with `F = Jᵀ (scale · r rᵀ) J` for the `residuals` `r` of each example (see [`Self::residuals`]). Costs as much as
    /// [`Self::gauss_newton_product`].
    pub(crate) fn fisher_product(
        &mut self,
        at: At<'_, B>,
        residuals: &B::Buffer,
        v: &B::Buffer,
        tangents: &mut Tangents<B>,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) {
        let At { network, parameters, state, pass, scale } = at;
        let setting = network.setting(parameters, state, &pass);
        network.graph.tangent(&setting, v, &mut self.tape, tangents);
        let (output, classes) = (network.output_value(), network.classes());
        if let (Some(z_dot), Some(dz_dot)) = (&tangents.values[output], &mut tangents.adjoints[output]) {
            network.backend.rank_one_product(classes, self.tape.n, residuals, scale, z_dot, dz_dot);
        }
        network.graph.gradient(&setting, &mut self.tape, Some(tangents), accumulate, out);
    }

    /// `residuals = ∂loss/∂z` of each example, at its own label or, with a `seed`, at one drawn from the model's distribution for the
    /// example with its number.
    pub(crate) fn residuals(
        &mut self,
        at: At<'_, B>,
        sampled: Option<(u64, &[u32])>,
        residuals: &mut B::Buffer,
    ) {
        let (network, classes) = (at.network, at.network.classes());
        let Tape { values, labels, sums, n, .. } = &mut self.tape;
        let z = &values[network.output_value()];
        match sampled {
            None => network.backend.loss_gradient(network.loss, classes, *n, z, labels, 1.0, sums, residuals),
            Some((seed, numbers)) => {
                let shape = Shape::features(classes);
                let outputs = network.backend.download_activations(shape, *n, z);
                let drawn = sampled_residuals(network.loss, classes, &outputs, numbers, seed);
                network.backend.upload_images(shape, *n, &drawn, residuals);
            }
        }
    }

    /// Tangents of all values, and the loss's Hessian times the tangent of the output in the last adjoint tangent.
    fn output_tangent(&mut self, at: At<'_, B>, v: &B::Buffer, tangents: &mut Tangents<B>) {
        let At { network, parameters, state, pass, scale } = at;
        network.graph.tangent(&network.setting(parameters, state, &pass), v, &mut self.tape, tangents);
        let (n, classes) = (self.tape.n, network.classes());
        let (output, z) = (network.output_value(), &self.tape.values[network.output_value()]);
        if let (Some(z_dot), Some(dz_dot)) = (&tangents.values[output], &mut tangents.adjoints[output]) {
            let (backend, labels) = (&network.backend, &self.tape.labels);
            backend.loss_hessian_product(network.loss, classes, n, z, labels, scale, z_dot, dz_dot);
        }
    }
}
