//! The one place that picks a backend and a precision.

use sharpness_network::Cpu;
use sharpness_network::Network;
use sharpness_network::backend::{Backend, Loss, Shape};

use crate::Result;
use crate::settings::{LossName, Precision, RunConfig};

/// The network of a run on a device, and the same one in double precision if the device computes in single precision.
#[derive(Debug)]
pub struct Engine<B: Backend> {
    /// The network.
    pub network: Network<B>,
    /// The network by which results in single precision are checked.
    pub double: Option<Network<Cpu<f64>>>,
}

/// Work that any backend can do.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<B: Backend>(self, engine: &Engine<B>) -> Self::Output;
}

/// Builds the untrained network of a configuration once, on the backend and in the precision that it names, and lets `visitor`
/// work with it.
///
/// # Errors
/// [`Error::Network`](crate::Error::Network) if the architecture cannot be built with these options.
pub fn with_engine<V: Visitor>(config: &RunConfig, visitor: V) -> Result<V::Output> {
    let method = config.convolution.method();
    let double = || network(config, Cpu::<f64>::new(method));
    match config.precision {
        Precision::F32 => {
            let network = network(config, Cpu::<f32>::new(method))?;
            Ok(visitor.visit(&Engine { network, double: Some(double()?) }))
        }
        Precision::F64 => Ok(visitor.visit(&Engine { network: double()?, double: None })),
    }
}

/// The untrained network of a configuration on a device.
fn network<B: Backend>(config: &RunConfig, backend: B) -> Result<Network<B>> {
    let image = config.data.name.shape();
    let shape = Shape::new(image.channels, image.height, image.width);
    let loss = match config.training.loss {
        LossName::CrossEntropy => Loss::SoftmaxCrossEntropy,
        LossName::SquaredError => Loss::SquaredError,
    };
    let graph = config.model.model().graph(shape, config.data.name.classes())?;
    Ok(Network::new(backend, graph, loss))
}
