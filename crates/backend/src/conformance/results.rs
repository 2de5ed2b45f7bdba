//! Named results of a backend, and the random data that they come from.

use crate::{Accumulate, Backend, Shape, View};

/// Both ways of writing.
pub(super) const BOTH: [Accumulate; 2] = [Accumulate::Set, Accumulate::Add];

/// Named results, and the random data that they come from.
pub(super) struct Results {
    pub(super) rows: Vec<(String, Vec<f64>)>,
    state: u64,
}

impl Results {
    pub(super) const fn new(seed: u64) -> Self {
        Self { rows: Vec::new(), state: seed }
    }

    /// The generator SplitMix64 (Steele, Lea, Flood 2014).
    pub(super) const fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform on `[-1, 1)` with 23 bits, so that single precision holds them.
    pub(super) fn numbers(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| (self.word() >> 40) as f64 / f64::from(1 << 23) - 1.0).collect()
    }

    /// A few whole numbers around zero, so that many are equal.
    pub(super) fn ties(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| (self.word() >> 62) as f64 - 1.0).collect()
    }

    /// An activation of random numbers.
    pub(super) fn activation<B: Backend>(&mut self, b: &B, shape: Shape, n: usize) -> B::Buffer {
        let x = self.numbers(n * shape.elements());
        images(b, shape, n, &x)
    }

    /// A flat vector of random numbers.
    pub(super) fn vector<B: Backend>(&mut self, b: &B, len: usize) -> B::Buffer {
        let x = self.numbers(len);
        flat(b, &x)
    }

    pub(super) fn push(&mut self, name: String, values: Vec<f64>) {
        self.rows.push((name, values));
    }

    pub(super) fn push_activation<B: Backend>(
        &mut self,
        b: &B,
        name: String,
        shape: Shape,
        n: usize,
        x: &B::Buffer,
    ) {
        self.push(name, b.download_activations(shape, n, x));
    }

    pub(super) fn push_flat<B: Backend>(&mut self, b: &B, name: String, len: usize, x: &B::Buffer) {
        self.push(name, b.download(View::new(x, 0, len)));
    }
}

/// An activation on the device.
pub(super) fn images<B: Backend>(b: &B, shape: Shape, n: usize, x: &[f64]) -> B::Buffer {
    let mut to = b.buffer(n * shape.elements());
    b.upload_images(shape, n, x, &mut to);
    to
}

/// A flat vector on the device.
pub(super) fn flat<B: Backend>(b: &B, x: &[f64]) -> B::Buffer {
    let mut to = b.buffer(x.len());
    b.upload(x, &mut to);
    to
}

/// The whole of a flat buffer of this length.
pub(super) const fn all<T>(buffer: &T, len: usize) -> View<'_, T> {
    View::new(buffer, 0, len)
}
