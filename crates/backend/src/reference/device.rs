//! Vectors of the host.

use super::{Reference, slice};
use crate::{Backend, Device, View};

impl Device for Reference {
    type Buffer = Vec<f64>;
    type Wide = Vec<f64>;
    type Integers = Vec<u32>;
    type Bytes = Vec<u8>;

    fn precision(&self) -> &'static str {
        "f64"
    }

    fn element_bytes(&self) -> usize {
        size_of::<f64>()
    }

    fn buffer(&self, len: usize) -> Vec<f64> {
        vec![0.0; len]
    }

    fn wide(&self, len: usize) -> Vec<f64> {
        vec![0.0; len]
    }

    fn integers(&self, len: usize) -> Vec<u32> {
        vec![0; len]
    }

    fn bytes(&self, len: usize) -> Vec<u8> {
        vec![0; len]
    }

    fn upload(&self, x: &[f64], to: &mut Vec<f64>) {
        to.copy_from_slice(x);
    }

    fn upload_integers(&self, x: &[u32], to: &mut Vec<u32>) {
        to[..x.len()].copy_from_slice(x);
    }

    fn download(&self, x: View<'_, Vec<f64>>) -> Vec<f64> {
        slice(x).to_vec()
    }

    fn read(&self, x: &Vec<f64>) -> Vec<f64> {
        x.clone()
    }

    fn read_into(&self, x: &Vec<f64>, out: &mut [f64]) {
        out.copy_from_slice(x);
    }

    fn clear(&self, x: &mut Vec<f64>) {
        x.fill(0.0);
    }
}

impl Backend for Reference {
    type Double = Self;

    fn double(&self) -> Self {
        Self
    }
}
