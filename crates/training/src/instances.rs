//! Instances of the generic functions of `sharpness-network` on the CPU.

use sharpness_kernels::Cpu;
use sharpness_network::{Graph, Model};

/// Compiles a network that computes in `R`.
type Compile<R> = fn(&Model, &Cpu<R>) -> Graph<Cpu<R>>;

/// The engine in both precisions, compiled here. Crates above share instances of generic functions that are marked
/// `#[inline(never)]`; without these they would compile every op again, each for itself.
#[used]
static ENGINES: (Compile<f32>, Compile<f64>) = (Model::compile::<Cpu<f32>>, Model::compile::<Cpu<f64>>);
