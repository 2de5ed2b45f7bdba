//! Arithmetic on flat vectors and on wide ones.

use crate::{Accumulate, Device, View, ViewMut};

/// A number on the device, and a vector that it multiplies.
pub type Scaled<'a, T> = (View<'a, T>, View<'a, T>);

/// One product of per-channel vectors with a coefficient.
pub type Monomial<'a, W> = (f64, &'a [&'a W]);

/// Arithmetic on flat vectors and on wide ones. See the [crate] for what all kernels promise.
pub trait Vectors: Device {
    /// `y (+)= Σ_k a_k x_k`.
    fn linear_combination(
        &self,
        terms: &[(f64, View<'_, Self::Buffer>)],
        accumulate: Accumulate,
        y: ViewMut<'_, Self::Buffer>,
    );

    /// `y (+)= Σ_k s_k x_k` with numbers `s_k` on the device.
    fn scaled_sum(
        &self,
        terms: &[Scaled<'_, Self::Buffer>],
        accumulate: Accumulate,
        y: ViewMut<'_, Self::Buffer>,
    );

    /// `y (+)= a ⊙ b`.
    fn multiply(
        &self,
        a: View<'_, Self::Buffer>,
        b: View<'_, Self::Buffer>,
        accumulate: Accumulate,
        y: ViewMut<'_, Self::Buffer>,
    );

    /// `y = |x| + offset`.
    fn absolute_plus(&self, x: View<'_, Self::Buffer>, offset: f64, y: ViewMut<'_, Self::Buffer>);

    /// `out[slot] = ⟨x, y⟩`.
    fn dot(&self, x: View<'_, Self::Buffer>, y: View<'_, Self::Buffer>, slot: usize, out: &mut Self::Wide);

    /// `y += x` in double precision.
    fn add_to_wide(&self, x: View<'_, Self::Buffer>, y: &mut Self::Wide);

    /// `y += x`.
    fn add_wide(&self, x: &Self::Wide, y: &mut Self::Wide);

    /// `out[c] = Σ_k a_k Π_j v_kj[c]`: arithmetic on per-channel vectors of one length.
    fn polynomial(&self, terms: &[Monomial<'_, Self::Wide>], out: &mut Self::Wide);

    /// `out` = the range of a flat buffer in double precision.
    fn widen(&self, x: View<'_, Self::Buffer>, out: &mut Self::Wide);

    /// The range of a flat buffer `(+)= x`.
    fn narrow(&self, x: &Self::Wide, accumulate: Accumulate, y: ViewMut<'_, Self::Buffer>);
}
