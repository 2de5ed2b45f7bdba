//! Activation functions, element by element.

use super::{Reference, put};
use crate::{Accumulate, Activation, Elementwise};

impl Elementwise for Reference {
    fn activation(&self, kind: Activation, len: usize, x: &Vec<f64>, y: &mut Vec<f64>) {
        put(Accumulate::Set, &mut y[..len], |i| kind.derivatives(x[i])[0]);
    }

    fn activation_first(
        &self,
        kind: Activation,
        len: usize,
        x: &Vec<f64>,
        v: &Vec<f64>,
        accumulate: Accumulate,
        y: &mut Vec<f64>,
    ) {
        put(accumulate, &mut y[..len], |i| kind.derivatives(x[i])[1] * v[i]);
    }

    fn activation_second(
        &self,
        kind: Activation,
        len: usize,
        x: &Vec<f64>,
        v: &Vec<f64>,
        (a, b): (&Vec<f64>, &Vec<f64>),
        accumulate: Accumulate,
        y: &mut Vec<f64>,
    ) {
        put(accumulate, &mut y[..len], |i| {
            let [_, first, second] = kind.derivatives(x[i]);
            first * v[i] + second * a[i] * b[i]
        });
    }
}
