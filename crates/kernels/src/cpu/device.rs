//! Buffers on a device, and the passage of host data.

use sharpness_backend::{Backend, Device, Fusion, View};

use super::{Cpu, slice};
use crate::Real;

impl<R: Real> Device for Cpu<R> {
    type Buffer = Vec<R>;
    type Wide = Vec<f64>;
    type Integers = Vec<u32>;
    type Bytes = Vec<u8>;

    fn fuses(&self, _: Fusion) -> bool {
        true
    }

    fn precision(&self) -> &'static str {
        R::NAME
    }

    fn element_bytes(&self) -> usize {
        size_of::<R>()
    }

    fn buffer(&self, len: usize) -> Vec<R> {
        vec![R::ZERO; len]
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

    #[inline(never)]
    fn upload(&self, x: &[f64], to: &mut Vec<R>) {
        assert_eq!(x.len(), to.len(), "a whole buffer is uploaded");
        to.iter_mut().zip(x).for_each(|(to, &x)| *to = R::from_f64(x));
    }

    fn upload_integers(&self, x: &[u32], to: &mut Vec<u32>) {
        to[..x.len()].copy_from_slice(x);
    }

    #[inline(never)]
    fn download(&self, x: View<'_, Vec<R>>) -> Vec<f64> {
        slice(x).iter().map(|x| x.to_f64()).collect()
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

impl<R: Real> Backend for Cpu<R> {
    type Double = Cpu<f64>;

    fn double(&self) -> Cpu<f64> {
        Cpu::new(self.algorithm)
    }
}
