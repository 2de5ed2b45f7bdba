//! The loss of a network as a function of one flat parameter vector, with exact first and second derivatives.
//!
//! | module | subject |
//! | --- | --- |
//! | [`model`] | the description of a network in plain ops, which knows no device |
//! | [`ops`], [`op`] | one op, one file; the four rules of each |
//! | [`architectures`] | published networks, in plain ops |
//! | [`operators`] | the Hessian and the Gauss-Newton matrix over a data set |
//! | [`sum`], [`Ranks`] | sums over examples, which several processes may share |
//! | [`Weights`] | parameters on the host, and in files with PyTorch's names |
//!
//! A [`Network`] is a [`Model`] on a backend, with a loss. An operator of [`operators`] is the input of the solvers of
//! `sharpness-curvature`:
//!
//! ```
//! use sharpness_curvature::{EigenParams, eigenpairs};
//! use sharpness_network::backend::{Activation, Loss, Reference, Shape};
//! use sharpness_network::op::Pass;
//! use sharpness_network::operators::{Chunks, Curvature, Matrix};
//! use sharpness_network::ops::{Elementwise, Linear};
//! use sharpness_network::{Examples, Images, Model, Network, Weights};
//!
//! /// Points of the plane, labelled by the quadrants in which they lie (exclusive or).
//! #[derive(Debug)]
//! struct Quadrants([f64; 8]);
//!
//! impl Examples for Quadrants {
//!     fn images(&self) -> Images<'_> {
//!         Images::Numbers(&self.0)
//!     }
//!     fn label(&self, number: u32) -> u32 {
//!         number % 2
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut model = Model::default();
//! let x = model.input("point", Shape::features(2));
//! let h = model.push("fc1", Linear::torch_default(2, 8), &[x])?;
//! let h = model.push("tanh", Elementwise(Activation::Tanh), &[h])?;
//! model.push("fc2", Linear::torch_default(8, 2), &[h])?;
//! let network = Network::compile(&model, Reference, Loss::SoftmaxCrossEntropy);
//!
//! let examples = Quadrants([1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0]);
//! let weights = Weights::initial(&network, 0);
//! let chunks = Chunks { examples: 4, memory_bytes: 1 << 20 };
//! let source = (&examples as &dyn Examples, &[0, 1, 2, 3][..]);
//! let mut hessian =
//!     Curvature::new(&network, Matrix::Hessian, &weights, Pass::EVALUATION, source, chunks, &|| false)?;
//! let answer = eigenpairs(&mut hessian, &EigenParams::default(), &mut |_| ())?;
//! assert!(answer.converged() && answer.pairs[0].value > 0.0);
//! // With small weights, the loss is about that of guessing.
//! assert!((hessian.loss() - 2.0_f64.ln()).abs() < 0.1);
//! # Ok(())
//! # }
//! ```

pub mod architectures;
mod error;
mod examples;
pub mod files;
mod fisher;
mod fuse;
mod graph;
mod linearization;
pub mod model;
mod network;
mod normalized;
pub mod op;
pub mod operators;
pub mod ops;
mod parameters;
mod ranks;
mod rescale;
pub mod sum;
mod weights;

pub use error::Error;
pub use examples::{Examples, HostBatch, Images};
pub use graph::{Graph, Tangents, Tape};
pub use linearization::{At, Linearization};
pub use model::{Model, Value};
pub use network::{Layer, Network, Sums};
pub use parameters::{Table, Tensor};
pub use ranks::{Communicator, Ranks};
pub use rescale::RescaledLayers;
pub use sharpness_backend as backend;
pub use weights::{Import, Imported, Match, Origin, Pair, Rename, Weights, vectors_to_bytes};
