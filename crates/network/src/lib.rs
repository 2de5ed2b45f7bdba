//! The loss of a network as a function of one flat parameter vector, with exact first and second derivatives.

pub mod backend;
mod cpu;
mod error;
mod examples;
pub mod files;
mod graph;
mod linearization;
pub mod models;
mod network;
pub mod op;
pub mod operators;
pub mod ops;
mod parameters;
mod rescale;
mod weights;

pub use cpu::Cpu;
pub use error::Error;
pub use examples::{Examples, HostBatch, Images};
pub use graph::{Graph, Tangents, Tape, Value};
pub use linearization::{At, Linearization};
pub use network::{Layer, Network, Sums};
pub use parameters::{Table, Tensor};
pub use rescale::RescaledLayers;
pub use sharpness_kernels::Allocator;
pub use sharpness_kernels::simd::detect as instruction_set;
pub use weights::{Import, Imported, Match, Origin, Pair, Rename, Weights};

/// Builds a network that computes in `R`.
type Build<R> = fn(&models::Model, backend::Shape, usize) -> Result<Graph<Cpu<R>>, Error>;

/// The engine in both precisions, compiled here. Crates above share instances of generic functions that are marked
/// `#[inline(never)]`; without these they would compile every kernel again, each for itself.
#[used]
static ENGINES: (Build<f32>, Build<f64>) =
    (models::Model::graph::<Cpu<f32>>, models::Model::graph::<Cpu<f64>>);
