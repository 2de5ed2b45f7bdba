//! Vectors of 16 lanes for each instruction set, and the run-time choice among them.
//!
//! Kernels are written once over [`Lanes`]. A driver is entered through [`Vectorized::with_lanes`], which picks the implementation;
//! its innermost loops run through [`Lanes::vectorize`], which compiles them for that instruction set.
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
mod lanes;
mod portable;

pub use isa::{Isa, IsaError, detect, isa};
pub use lanes::{LANES, Lanes, Leaf, Task};
use portable::Portable;

/// Number types that have vectors.
pub trait Vectorized: Sized {
    /// Runs `task` with the best lanes that [`isa()`] allows.
    fn with_lanes(task: impl Task<Self>);
}

impl Vectorized for f32 {
    fn with_lanes(task: impl Task<Self>) {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => task.run::<avx512::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => task.run::<avx2::Avx2>(),
            _ => task.run::<Portable<Self>>(),
        }
    }
}

impl Vectorized for f64 {
    fn with_lanes(task: impl Task<Self>) {
        task.run::<Portable<Self>>();
    }
}
