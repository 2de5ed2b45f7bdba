//! Losses of a batch of outputs against labels.

use sharpness_backend::{Loss, Losses};

use super::Cpu;
use crate::{Real, loss};

impl<R: Real> Losses for Cpu<R> {
    #[inline(never)]
    fn loss_value(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<R>,
        labels: &Vec<u32>,
        sums: &mut Vec<f64>,
    ) {
        loss::loss_value(loss, n, &z[..n * classes], labels, sums);
    }

    #[inline(never)]
    fn loss_gradient(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<R>,
        labels: &Vec<u32>,
        scale: f64,
        sums: &mut Vec<f64>,
        dz: &mut Vec<R>,
    ) {
        let dz = &mut dz[..n * classes];
        loss::loss_gradient(loss, n, &z[..n * classes], labels, scale, sums, dz);
    }

    #[inline(never)]
    fn loss_hessian_product(
        &self,
        loss: Loss,
        classes: usize,
        n: usize,
        z: &Vec<R>,
        labels: &Vec<u32>,
        scale: f64,
        v: &Vec<R>,
        out: &mut Vec<R>,
    ) {
        let out = &mut out[..n * classes];
        loss::loss_hessian_product(loss, n, &z[..n * classes], labels, scale, v, out);
    }

    #[inline(never)]
    fn rank_one_product(
        &self,
        classes: usize,
        n: usize,
        r: &Vec<R>,
        scale: f64,
        v: &Vec<R>,
        out: &mut Vec<R>,
    ) {
        loss::rank_one_product(n, &r[..n * classes], scale, v, &mut out[..n * classes]);
    }
}
