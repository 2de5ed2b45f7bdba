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

use crate::{Accumulate, Backend, Reference, Shape, View};

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
    assert_eq!(nan(got), nan(want), "{name}: which results are no numbers");
    let norm = |f: &dyn Fn(f64, f64) -> f64| {
        let squares = got.iter().zip(want).filter(|(_, want)| !want.is_nan()).map(|(g, w)| f(*g, *w).powi(2));
        squares.sum::<f64>().sqrt()
    };
    // The data are about 1, so that what cancels keeps that rounding.
    let allowed = tolerance * norm(&|_, want| want).max(1.0);
    let error = norm(&|got, want| got - want);
    assert!(error <= allowed, "{name}: off by {error:e} where {allowed:e} is allowed");
}

/// Both ways of writing.
const BOTH: [Accumulate; 2] = [Accumulate::Set, Accumulate::Add];

/// Named results, and the random data that they come from.
struct Results {
    rows: Vec<(String, Vec<f64>)>,
    state: u64,
}

impl Results {
    const fn new(seed: u64) -> Self {
        Self { rows: Vec::new(), state: seed }
    }

    /// The generator SplitMix64 (Steele, Lea, Flood 2014).
    const fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform on `[-1, 1)` with 23 bits, so that single precision holds them.
    fn numbers(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| (self.word() >> 40) as f64 / f64::from(1 << 23) - 1.0).collect()
    }

    /// A few whole numbers around zero, so that many are equal.
    fn ties(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| (self.word() >> 62) as f64 - 1.0).collect()
    }

    /// An activation of random numbers.
    fn activation<B: Backend>(&mut self, b: &B, shape: Shape, n: usize) -> B::Buffer {
        let x = self.numbers(n * shape.elements());
        images(b, shape, n, &x)
    }

    /// A flat vector of random numbers.
    fn vector<B: Backend>(&mut self, b: &B, len: usize) -> B::Buffer {
        let x = self.numbers(len);
        flat(b, &x)
    }

    fn push(&mut self, name: String, values: Vec<f64>) {
        self.rows.push((name, values));
    }

    fn push_activation<B: Backend>(&mut self, b: &B, name: String, shape: Shape, n: usize, x: &B::Buffer) {
        self.push(name, b.download_activations(shape, n, x));
    }

    fn push_flat<B: Backend>(&mut self, b: &B, name: String, len: usize, x: &B::Buffer) {
        self.push(name, b.download(View::new(x, 0, len)));
    }
}

/// An activation on the device.
fn images<B: Backend>(b: &B, shape: Shape, n: usize, x: &[f64]) -> B::Buffer {
    let mut to = b.buffer(n * shape.elements());
    b.upload_images(shape, n, x, &mut to);
    to
}

/// A flat vector on the device.
fn flat<B: Backend>(b: &B, x: &[f64]) -> B::Buffer {
    let mut to = b.buffer(x.len());
    b.upload(x, &mut to);
    to
}

/// The whole of a flat buffer of this length.
const fn all<T>(buffer: &T, len: usize) -> View<'_, T> {
    View::new(buffer, 0, len)
}
