//! The CPU's backend: slices and the loops of this crate, in `f32` or `f64`. One file for each trait.

mod channels;
mod contractions;
mod device;
mod dropout;
mod elementwise;
mod layout;
mod losses;
mod normalization;
mod pooling;
mod update;
mod vectors;

use sharpness_backend::{Backend, View, ViewMut};

use crate::Real;
use crate::conv2d::ConvolutionAlgorithm;
use crate::workspace::Workspace;

/// The CPU in precision `R`. Activations have the layout `[c, n, h, w]`.
#[derive(Debug, Default)]
pub struct Cpu<R> {
    /// Which algorithms convolutions may use.
    algorithm: ConvolutionAlgorithm,
    /// The scratch of bilinear layers.
    workspace: Workspace<R>,
}

impl<R: Real> Cpu<R> {
    /// A backend that uses the threads of the global rayon pool, and for convolutions the algorithms of `algorithm`.
    pub const fn new(algorithm: ConvolutionAlgorithm) -> Self {
        Self { algorithm, workspace: Workspace::new() }
    }
}

fn slice<R>(view: View<'_, Vec<R>>) -> &[R] {
    &view.buffer[view.start..view.start + view.len]
}

fn slice_mut<R>(view: ViewMut<'_, Vec<R>>) -> &mut [R] {
    &mut view.buffer[view.start..view.start + view.len]
}

/// The one number of a view.
fn number<R: Copy>(view: View<'_, Vec<R>>) -> R {
    view.buffer[view.start]
}

/// A backend of these buffers.
type Buffers<R> =
    dyn Backend<Buffer = Vec<R>, Wide = Vec<f64>, Integers = Vec<u32>, Bytes = Vec<u8>, Double = Cpu<f64>>;

/// All kernels in one precision.
fn all<R: Real>(cpu: &Cpu<R>) -> &Buffers<R> {
    cpu
}

/// The type of [`all`].
type All<R> = fn(&Cpu<R>) -> &Buffers<R>;

/// The kernels in both precisions, compiled here. Crates above share instances of generic functions that are marked
/// `#[inline(never)]`; without these they would compile every kernel again, each for itself.
#[used]
static KERNELS: (All<f32>, All<f64>) = (all, all);
