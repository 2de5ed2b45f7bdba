//! A small network of every kind of layer that a convolutional one has, on random data.

use sharpness_kernels::{Cpu, Real};
use sharpness_network::backend::{Accumulate, Activation, Device, Loss, Shape, View};
use sharpness_network::op::{BatchNorm, Init, Pass, TapeKind};
use sharpness_network::ops::{BatchNorm2d, Convolution, Elementwise, Flatten, Linear, MaxPool};
use sharpness_network::{At, Error, Linearization, Model, Network};

use crate::harness::Random;

/// Batch statistics, no dropout: as in a measurement.
const PASS: Pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };

/// Examples of the batch and classes.
const N: usize = 6;
const CLASSES: usize = 3;

/// A network, its state and a batch.
#[derive(Debug)]
pub(crate) struct Small<R: Real> {
    network: Network<Cpu<R>>,
    state: Vec<R>,
    images: Vec<f64>,
}

fn convolution(channels_in: usize, channels_out: usize) -> Convolution {
    Convolution::same(channels_in, channels_out, Init::Normal(0.3), Some(Init::Normal(0.1)))
}

/// conv, batch norm, `activation`, max pool, conv, `activation`, flatten, linear.
fn model(activation: Activation, channels: usize, side: usize) -> Result<Model, Error> {
    let mut model = Model::default();
    let mut x = model.input("images", Shape::new(2, side, side));
    x = model.push("0", convolution(2, channels), &[x])?;
    x = model.push("1", BatchNorm2d::new(channels), &[x])?;
    x = model.push("2", Elementwise(activation), &[x])?;
    x = model.push("3", MaxPool { kernel: 2, stride: 2 }, &[x])?;
    x = model.push("4", convolution(channels, 3), &[x])?;
    x = model.push("5", Elementwise(activation), &[x])?;
    x = model.push("6", Flatten, &[x])?;
    let features = model.shape(x).elements();
    x = model.push("7", Linear::torch_default(features, CLASSES), &[x])?;
    model.output(x);
    Ok(model)
}

impl<R: Real> Small<R> {
    /// The network on images of `2 x side x side`.
    pub(crate) fn new(loss: Loss, activation: Activation, channels: usize, side: usize) -> Self {
        let model = model(activation, channels, side).expect("the layers fit");
        let network = Network::compile(&model, Cpu::default(), loss);
        let state = network.upload(&network.state().initial(0));
        Self { network, state, images: Random(20).vector(N * 2 * side * side) }
    }

    /// A parameter vector.
    pub(crate) fn parameters(&self, seed: u64) -> Vec<f64> {
        self.network.parameters().initial(seed)
    }

    /// Calls `f` with the point, a linearization of the mean loss there, and the gradient.
    pub(crate) fn linearized<T>(
        &self,
        parameters: &[f64],
        f: impl FnOnce(At<'_, Cpu<R>>, &mut Linearization<Cpu<R>>, &[f64]) -> T,
    ) -> T {
        let (parameters, mut gradient) = (self.network.upload(parameters), self.network.upload(parameters));
        let mut tape = self.network.tape(N, TapeKind::Products);
        let labels: Vec<u32> = (0..3).cycle().take(N).collect();
        let examples: Vec<u32> = (0..).take(N).collect();
        self.network.load(&mut tape, &self.images, &labels, &examples);
        let scale = 1.0 / N as f64;
        let at =
            At { network: &self.network, parameters: &parameters, state: &self.state, pass: PASS, scale };
        let mut tangents = self.network.tangents(N);
        let mut linearization = Linearization::new(at, tape, &mut tangents, Accumulate::Set, &mut gradient);
        f(at, &mut linearization, &self.download(&gradient))
    }

    /// `H v` from a linearization.
    pub(crate) fn hvp(
        &self,
        at: At<'_, Cpu<R>>,
        linearization: &mut Linearization<Cpu<R>>,
        v: &[f64],
    ) -> Vec<f64> {
        let (v, mut out) = (self.network.upload(v), self.network.upload(v));
        let mut tangents = self.network.tangents(N);
        linearization.hvp(at, &v, &mut tangents, Accumulate::Set, &mut out);
        self.download(&out)
    }

    fn download(&self, x: &Vec<R>) -> Vec<f64> {
        self.network.backend().download(View::new(x, 0, x.len()))
    }
}
