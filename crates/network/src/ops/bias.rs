//! A bias per channel: shared by convolution and linear layers.

use crate::backend::{Accumulate, Backend, View, ViewMut};
use crate::op::Context;

/// `y += b[c]`; `scratch` has one wide number per channel.
pub(super) fn add_bias<B: Backend>(
    cx: &Context<'_, B>,
    bias: View<'_, B::Buffer>,
    scratch: &mut B::Wide,
    y: &mut B::Buffer,
) {
    cx.backend.widen(bias, scratch);
    cx.backend.channel_affine(cx.output, cx.n, &[], Some(scratch), Accumulate::Add, y);
}

/// `b̄[c] (+)= Σ ȳ`.
pub(super) fn bias_gradient<B: Backend>(
    cx: &Context<'_, B>,
    dy: &B::Buffer,
    scratch: &mut B::Wide,
    accumulate: Accumulate,
    out: ViewMut<'_, B::Buffer>,
) {
    cx.backend.channel_sum(cx.output, cx.n, dy, scratch);
    cx.backend.narrow(scratch, accumulate, out);
}
