//! Buffers on a device, and the passage of host data.

use std::fmt::Debug;

use crate::View;

/// Ops that a backend may compute in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// A convolution, a linear layer or a batch norm, and the ReLU after it.
    Relu,
    /// A convolution or a batch norm, the ReLU after it and a 2x2 max pooling.
    ReluMaxPool,
    /// A 3x3 convolution with Fixup's numbers around it, a residual and the ReLU after them.
    Fixup,
}

/// Buffers on a device, and the passage of host data. See the [crate] for what all kernels promise.
pub trait Device: Debug + Send + 'static {
    /// Numbers of the backend's precision: parameters or activations.
    type Buffer: Debug + Send;

    /// `f64` numbers: sums, per-channel vectors, accumulated gradients.
    type Wide: Debug + Send;

    /// Labels and example numbers.
    type Integers: Debug + Send;

    /// One byte an element: the choices of max pooling.
    type Bytes: Debug + Send;

    /// Whether `fusion` is faster than its ops one by one. A new backend fuses nothing.
    fn fuses(&self, fusion: Fusion) -> bool {
        let _ = fusion;
        false
    }

    /// The precision of [`Self::Buffer`], as reports name it.
    fn precision(&self) -> &'static str;

    /// Bytes of one element of [`Self::Buffer`].
    fn element_bytes(&self) -> usize;

    /// A buffer of `len` zeros.
    fn buffer(&self, len: usize) -> Self::Buffer;

    /// `len` wide zeros.
    fn wide(&self, len: usize) -> Self::Wide;

    /// `len` integer zeros.
    fn integers(&self, len: usize) -> Self::Integers;

    /// `len` zero bytes.
    fn bytes(&self, len: usize) -> Self::Bytes;

    /// Overwrites a whole flat buffer.
    fn upload(&self, x: &[f64], to: &mut Self::Buffer);

    /// Overwrites the first integers.
    fn upload_integers(&self, x: &[u32], to: &mut Self::Integers);

    /// The range of a flat buffer.
    fn download(&self, x: View<'_, Self::Buffer>) -> Vec<f64>;

    /// All numbers of `x`.
    fn read(&self, x: &Self::Wide) -> Vec<f64>;

    /// Overwrites `out` with all numbers of `x`, which has the same length.
    fn read_into(&self, x: &Self::Wide, out: &mut [f64]);

    /// Sets all numbers to zero.
    fn clear(&self, x: &mut Self::Wide);
}
