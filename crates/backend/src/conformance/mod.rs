//! The tests that any backend must pass: each method of each trait against [`Reference`] on awkward sizes.
//!
//! ```
//! # use sharpness_backend::{Reference, conformance};
//! conformance::check(&Reference);
//! ```
//!
//! Each family is a function that computes named results on a backend from fixed random data. It runs on the backend under test and
//! on the reference, and the results are compared in the 2-norm.

mod contractions;
mod flat;
mod images;
mod losses;
mod normalization;
mod results;

use crate::{Backend, Reference};
use results::Results;

/// The largest relative error of a result in single precision: Winograd's transforms cost a digit or two.
const SINGLE: f64 = 2e-5;
/// The same in double precision.
const DOUBLE: f64 = 1e-12;

/// Runs all tests on `backend`.
///
/// # Panics
/// If a result is not the reference's, up to rounding; the message names it.
pub fn check<B: Backend>(backend: &B) {
    let tolerance = if backend.element_bytes() < size_of::<f64>() { SINGLE } else { DOUBLE };
    let compare = |got: Results, want: Results| {
        assert_eq!(got.rows.len(), want.rows.len(), "both backends give all results");
        for ((name, got), (_, want)) in got.rows.iter().zip(&want.rows) {
            compare(name, got, want, tolerance);
        }
    };
    compare(flat::results(backend), flat::results(&Reference));
    compare(images::results(backend), images::results(&Reference));
    compare(contractions::results(backend), contractions::results(&Reference));
    compare(normalization::results(backend), normalization::results(&Reference));
    compare(losses::results(backend), losses::results(&Reference));
}

fn compare(name: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}: the number of results");
    let nan = |x: &[f64]| x.iter().map(|x| x.is_nan()).collect::<Vec<_>>();
    assert_eq!(nan(got), nan(want), "{name}: which results are NaN");
    let norm = |f: &dyn Fn(f64, f64) -> f64| {
        let squares = got.iter().zip(want).filter(|(_, want)| !want.is_nan()).map(|(g, w)| f(*g, *w).powi(2));
        squares.sum::<f64>().sqrt()
    };
    // The data are about 1, so that what cancels keeps that rounding.
    let allowed = tolerance * norm(&|_, want| want).max(1.0);
    let error = norm(&|got, want| got - want);
    assert!(error <= allowed, "{name}: off by {error:e} where {allowed:e} is allowed");
}
