//! The loss of normalized outputs: those of each example are centred and scaled to unit length before the loss, which makes it invariant
//! under the scale of the outputs (Andriushchenko et al. 2023, arXiv 2302.07011).

use crate::backend::{Accumulate, Backend};
use crate::graph::Tape;
use crate::network::{Network, Sums};
use crate::op::{Pass, TapeKind};

/// The least length that outputs are divided by, as in the paper's code.
const SHORTEST: f64 = 1e-10;

impl<B: Backend> Network<B> {
    /// As [`Self::value`], of the normalized outputs.
    ///
    /// # Panics
    /// As [`Self::value`].
    pub fn normalized_value(
        &self,
        parameters: &B::Buffer,
        state: &B::Buffer,
        pass: &Pass,
        tape: &mut Tape<B>,
    ) -> Sums {
        assert_ne!(tape.kind(), TapeKind::Products, "a tape for products does not hold all values");
        self.graph.value(&self.setting(parameters, state, pass), tape);
        let outputs = self.outputs(tape);
        self.set_outputs(tape, &self.normalized(&outputs));
        self.backend.clear(&mut tape.sums);
        let z = &tape.values[self.output_value()];
        self.backend.loss_value(self.loss, self.classes(), tape.n, z, &tape.labels, &mut tape.sums);
        self.set_outputs(tape, &outputs);
        self.sums(tape)
    }

    /// As [`Self::gradient`], of the normalized outputs. The chain rule through the normalization is on the host.
    ///
    /// # Panics
    /// As [`Self::gradient`].
    #[expect(clippy::too_many_arguments, reason = "those of the gradient")]
    pub fn normalized_gradient(
        &self,
        parameters: &B::Buffer,
        state: &B::Buffer,
        pass: &Pass,
        tape: &mut Tape<B>,
        scale: f64,
        accumulate: Accumulate,
        out: &mut B::Buffer,
    ) -> Sums {
        assert_eq!(tape.kind(), TapeKind::Gradient, "a gradient needs a tape for gradients");
        self.graph.value(&self.setting(parameters, state, pass), tape);
        let outputs = self.outputs(tape);
        self.set_outputs(tape, &self.normalized(&outputs));
        self.backend.clear(&mut tape.sums);
        let (backend, loss, classes, shape) = (&self.backend, self.loss, self.classes(), self.output());
        let output = self.output_value();
        let Tape { values, adjoints, labels, sums, n, .. } = tape;
        match (&values[output], &mut adjoints[output]) {
            (z, Some(dz)) => {
                backend.loss_gradient(loss, classes, *n, z, labels, scale, sums, dz);
                let mut adjoint = backend.download_activations(shape, *n, dz);
                let rows = outputs.chunks_exact(classes).zip(adjoint.chunks_exact_mut(classes));
                rows.for_each(|(z, dz)| pull_back(z, dz));
                backend.upload_images(shape, *n, &adjoint, dz);
            }
            (z, None) => backend.loss_value(loss, classes, *n, z, labels, sums),
        }
        // The ops may need their own values.
        self.set_outputs(tape, &outputs);
        self.graph.gradient(&self.setting(parameters, state, pass), tape, None, accumulate, out);
        self.sums(tape)
    }

    fn set_outputs(&self, tape: &mut Tape<B>, outputs: &[f64]) {
        self.backend.upload_images(self.output(), tape.n, outputs, &mut tape.values[self.output_value()]);
    }

    fn normalized(&self, outputs: &[f64]) -> Vec<f64> {
        let mut normalized = outputs.to_vec();
        for row in normalized.chunks_exact_mut(self.classes()) {
            let length = center(row);
            row.iter_mut().for_each(|z| *z /= length);
        }
        normalized
    }
}

/// Subtracts the mean, and gives the length that normalization divides by.
fn center(row: &mut [f64]) -> f64 {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    row.iter_mut().for_each(|x| *x -= mean);
    row.iter().map(|x| x * x).sum::<f64>().sqrt().max(SHORTEST)
}

/// Turns the gradient in the normalized outputs of an example into that in its outputs `z`: with the centred outputs `c` of length `l`,
/// `dz = center(dz' - c (c·dz') / l²) / l`.
fn pull_back(z: &[f64], dz: &mut [f64]) {
    let mut centred = z.to_vec();
    let length = center(&mut centred);
    // A length below the least is a constant.
    let squared: f64 = centred.iter().map(|c| c * c).sum();
    let along = if squared < SHORTEST * SHORTEST {
        0.0
    } else {
        centred.iter().zip(&*dz).map(|(c, d)| c * d).sum::<f64>() / squared
    };
    dz.iter_mut().zip(&centred).for_each(|(d, c)| *d = (*d - c * along) / length);
    center(dz);
}
