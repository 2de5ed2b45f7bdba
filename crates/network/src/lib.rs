//! The loss of a network as a function of one flat parameter vector, with exact first and second derivatives.

pub mod architectures;
mod error;
mod examples;
pub mod files;
mod fuse;
mod graph;
mod linearization;
pub mod model;
mod network;
pub mod op;
pub mod operators;
pub mod ops;
mod parameters;
mod rescale;
mod weights;

pub use error::Error;
pub use examples::{Examples, HostBatch, Images};
pub use graph::{Graph, Tangents, Tape};
pub use linearization::{At, Linearization};
pub use model::{Model, Value};
pub use network::{Layer, Network, Sums};
pub use parameters::{Table, Tensor};
pub use rescale::RescaledLayers;
pub use sharpness_backend as backend;
pub use weights::{Import, Imported, Match, Origin, Pair, Rename, Weights};
