//! A backend of plain loops that read like the formulas: what the kernels of every other backend must compute.
//!
//! Numbers are `f64`, activations have the layout `[n, c, h, w]`, and nothing is blocked, shared or parallel. Only shifted inputs
//! and output gradients before an epilogue are prepared.

mod channels;
mod contractions;
mod device;
mod dropout;
mod elementwise;
mod epilogue;
mod layout;
mod losses;
mod normalization;
mod pooling;
mod update;
mod vectors;

use crate::{Accumulate, View, ViewMut};

/// The backend of plain loops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

fn slice<'a>(view: View<'a, Vec<f64>>) -> &'a [f64] {
    &view.buffer[view.start..view.start + view.len]
}

fn slice_mut<'a>(view: ViewMut<'a, Vec<f64>>) -> &'a mut [f64] {
    &mut view.buffer[view.start..view.start + view.len]
}

/// `y[i] (+)= f(i)`.
fn put(accumulate: Accumulate, y: &mut [f64], f: impl Fn(usize) -> f64) {
    for (i, y) in y.iter_mut().enumerate() {
        match accumulate {
            Accumulate::Set => *y = f(i),
            Accumulate::Add => *y += f(i),
        }
    }
}

/// A number of elements as a factor.
fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
