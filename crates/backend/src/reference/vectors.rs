//! Arithmetic on flat vectors.

use super::{Reference, put, slice, slice_mut};
use crate::{Accumulate, Monomial, Scaled, Vectors, View, ViewMut};

impl Vectors for Reference {
    fn linear_combination(
        &self,
        terms: &[(f64, View<'_, Vec<f64>>)],
        accumulate: Accumulate,
        y: ViewMut<'_, Vec<f64>>,
    ) {
        put(accumulate, slice_mut(y), |i| terms.iter().map(|(a, x)| a * slice(*x)[i]).sum());
    }

    fn scaled_sum(&self, terms: &[Scaled<'_, Vec<f64>>], accumulate: Accumulate, y: ViewMut<'_, Vec<f64>>) {
        put(accumulate, slice_mut(y), |i| terms.iter().map(|(s, x)| slice(*s)[0] * slice(*x)[i]).sum());
    }

    fn multiply(
        &self,
        a: View<'_, Vec<f64>>,
        b: View<'_, Vec<f64>>,
        accumulate: Accumulate,
        y: ViewMut<'_, Vec<f64>>,
    ) {
        put(accumulate, slice_mut(y), |i| slice(a)[i] * slice(b)[i]);
    }

    fn absolute_plus(&self, x: View<'_, Vec<f64>>, offset: f64, y: ViewMut<'_, Vec<f64>>) {
        put(Accumulate::Set, slice_mut(y), |i| slice(x)[i].abs() + offset);
    }

    fn dot(&self, x: View<'_, Vec<f64>>, y: View<'_, Vec<f64>>, slot: usize, out: &mut Vec<f64>) {
        out[slot] = slice(x).iter().zip(slice(y)).map(|(x, y)| x * y).sum();
    }

    fn add_to_wide(&self, x: View<'_, Vec<f64>>, y: &mut Vec<f64>) {
        put(Accumulate::Add, y, |i| slice(x)[i]);
    }

    fn add_wide(&self, x: &Vec<f64>, y: &mut Vec<f64>) {
        put(Accumulate::Add, y, |i| x[i]);
    }

    fn polynomial(&self, terms: &[Monomial<'_, Vec<f64>>], out: &mut Vec<f64>) {
        put(Accumulate::Set, out, |c| {
            terms.iter().map(|(a, factors)| a * factors.iter().map(|v| v[c]).product::<f64>()).sum()
        });
    }

    fn widen(&self, x: View<'_, Vec<f64>>, out: &mut Vec<f64>) {
        put(Accumulate::Set, out, |i| slice(x)[i]);
    }

    fn narrow(&self, x: &Vec<f64>, accumulate: Accumulate, y: ViewMut<'_, Vec<f64>>) {
        put(accumulate, slice_mut(y), |i| x[i]);
    }
}
