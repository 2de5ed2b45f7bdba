//! Activation functions and their derivatives.

use sharpness_backend::{Accumulate, Activation, Elementwise};

use super::Cpu;
use crate::{Real, activation};

impl<R: Real> Elementwise for Cpu<R> {
    #[inline(never)]
    fn activation(&self, kind: Activation, len: usize, x: &Vec<R>, y: &mut Vec<R>) {
        activation::activation(kind, x, &mut y[..len]);
    }

    #[inline(never)]
    fn activation_first(
        &self,
        kind: Activation,
        len: usize,
        x: &Vec<R>,
        v: &Vec<R>,
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        activation::activation_first(kind, x, v, accumulate, &mut y[..len]);
    }

    #[inline(never)]
    fn activation_second(
        &self,
        kind: Activation,
        len: usize,
        x: &Vec<R>,
        v: &Vec<R>,
        (a, b): (&Vec<R>, &Vec<R>),
        accumulate: Accumulate,
        y: &mut Vec<R>,
    ) {
        activation::activation_second(kind, x, v, (a, b), accumulate, &mut y[..len]);
    }
}
