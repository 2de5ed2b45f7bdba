//! Arithmetic on flat vectors and on wide ones.

use sharpness_backend::{Accumulate, Monomial, Scaled, Vectors, View, ViewMut};
use smallvec::SmallVec;

use super::{Cpu, number, slice, slice_mut};
use crate::{Real, elementwise, reduce};

impl<R: Real> Vectors for Cpu<R> {
    #[inline(never)]
    fn linear_combination(
        &self,
        terms: &[(f64, View<'_, Vec<R>>)],
        accumulate: Accumulate,
        y: ViewMut<'_, Vec<R>>,
    ) {
        let terms: SmallVec<[(f64, &[R]); 4]> = terms.iter().map(|(a, x)| (*a, slice(*x))).collect();
        elementwise::linear_combination(&terms, accumulate, slice_mut(y));
    }

    #[inline(never)]
    fn scaled_sum(&self, terms: &[Scaled<'_, Vec<R>>], accumulate: Accumulate, y: ViewMut<'_, Vec<R>>) {
        let terms: SmallVec<[(f64, &[R]); 2]> =
            terms.iter().map(|(s, x)| (number(*s).to_f64(), slice(*x))).collect();
        elementwise::linear_combination(&terms, accumulate, slice_mut(y));
    }

    #[inline(never)]
    fn multiply(
        &self,
        a: View<'_, Vec<R>>,
        b: View<'_, Vec<R>>,
        accumulate: Accumulate,
        y: ViewMut<'_, Vec<R>>,
    ) {
        elementwise::multiply(slice(a), slice(b), accumulate, slice_mut(y));
    }

    #[inline(never)]
    fn absolute_plus(&self, x: View<'_, Vec<R>>, offset: f64, y: ViewMut<'_, Vec<R>>) {
        elementwise::absolute_plus(slice(x), offset, slice_mut(y));
    }

    #[inline(never)]
    fn dot(&self, x: View<'_, Vec<R>>, y: View<'_, Vec<R>>, slot: usize, out: &mut Vec<f64>) {
        out[slot] = reduce::dot(slice(x), slice(y));
    }

    #[inline(never)]
    fn add_to_wide(&self, x: View<'_, Vec<R>>, y: &mut Vec<f64>) {
        elementwise::add_to_wide(slice(x), y);
    }

    #[inline(never)]
    fn add_wide(&self, x: &Vec<f64>, y: &mut Vec<f64>) {
        elementwise::linear_combination(&[(1.0, x.as_slice())], Accumulate::Add, y.as_mut_slice());
    }

    #[inline(never)]
    fn polynomial(&self, terms: &[Monomial<'_, Vec<f64>>], out: &mut Vec<f64>) {
        for (c, out) in out.iter_mut().enumerate() {
            *out = terms.iter().map(|(a, factors)| a * factors.iter().map(|v| v[c]).product::<f64>()).sum();
        }
    }

    #[inline(never)]
    fn widen(&self, x: View<'_, Vec<R>>, out: &mut Vec<f64>) {
        elementwise::widen(slice(x), out);
    }

    #[inline(never)]
    fn narrow(&self, x: &Vec<f64>, accumulate: Accumulate, y: ViewMut<'_, Vec<R>>) {
        let values = x.iter().map(|&x| R::from_f64(x));
        match accumulate {
            Accumulate::Set => slice_mut(y).iter_mut().zip(values).for_each(|(y, x)| *y = x),
            Accumulate::Add => slice_mut(y).iter_mut().zip(values).for_each(|(y, x)| *y += x),
        }
    }
}
