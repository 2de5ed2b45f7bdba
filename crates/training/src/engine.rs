//! The one place that picks a backend and a precision.

use sharpness_kernels::Cpu;
use sharpness_network::backend::{Backend, Shape};
use sharpness_network::{Network, Ranks};

use crate::Result;
use crate::settings::{Precision, RunConfig};

/// The network of a run on a device, and the same one in double precision if the device computes in single precision.
#[derive(Debug)]
pub struct Engine<B: Backend> {
    /// The network.
    pub network: Network<B>,
    /// The network in double precision that checks results in single precision.
    pub double: Option<Network<B::Double>>,
}

/// Work that is generic over the backend.
pub trait Visitor {
    /// The result.
    type Output;

    /// Does the work.
    fn visit<B: Backend>(self, engine: &Engine<B>) -> Self::Output;
}

/// Builds the untrained network of a configuration, on its backend and in its precision, and passes it to `visitor`.
///
/// # Errors
/// [`Error::Network`](crate::Error::Network) if the architecture cannot be built with these options.
pub fn with_engine<V: Visitor>(config: &RunConfig, visitor: V) -> Result<V::Output> {
    with_shared_engine(config, &Ranks::default(), visitor)
}

/// As [`with_engine`], with a network whose sums over examples are shared by `ranks`. Each of them must do the same work.
///
/// # Errors
/// As [`with_engine`].
pub fn with_shared_engine<V: Visitor>(config: &RunConfig, ranks: &Ranks, visitor: V) -> Result<V::Output> {
    let image = config.data.name.shape();
    let shape = Shape::new(image.channels, image.height, image.width);
    let model = config.model.options().model(shape, config.data.name.classes())?;
    let (algorithm, loss) = (config.convolution, config.training.loss);
    let output = match config.precision {
        Precision::F32 => {
            let backend = Cpu::<f32>::new(algorithm);
            let double = Network::compile(&model, backend.double(), loss).shared_by(ranks.clone());
            let network = Network::compile(&model, backend, loss).shared_by(ranks.clone());
            visitor.visit(&Engine { network, double: Some(double) })
        }
        Precision::F64 => {
            let network = Network::compile(&model, Cpu::<f64>::new(algorithm), loss).shared_by(ranks.clone());
            visitor.visit(&Engine { network, double: None })
        }
    };
    Ok(output)
}
