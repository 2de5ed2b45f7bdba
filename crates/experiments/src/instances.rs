//! The generic functions of `sharpness-network` on the CPU, compiled once.

use sharpness_kernels::Cpu;
use sharpness_network::backend::Shape;
use sharpness_network::models::Model;
use sharpness_network::{Error, Graph};

/// Builds a network that computes in `R`.
type Build<R> = fn(&Model, Shape, usize) -> Result<Graph<Cpu<R>>, Error>;

/// The engine in both precisions, compiled here. Crates above share instances of generic functions that are marked
/// `#[inline(never)]`; without these they would compile every op again, each for itself.
#[used]
static ENGINES: (Build<f32>, Build<f64>) = (Model::graph::<Cpu<f32>>, Model::graph::<Cpu<f64>>);
