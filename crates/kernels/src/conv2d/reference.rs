//! Convolution as its formula reads: the specification of the fast kernels.

use sharpness_backend::Conv2d;

use crate::Real;

/// Calls `f(x index, w index, y index)` for every product of the convolution of `n` examples.
fn products(g: &Conv2d, n: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (h_out, w_out) = g.sizes();
    for co in 0..g.channels_out {
        for i in 0..n {
            for oy in 0..h_out {
                for ox in 0..w_out {
                    let y = ((co * n + i) * h_out + oy) * w_out + ox;
                    for ci in 0..g.channels_in {
                        for ky in 0..g.kernel {
                            for kx in 0..g.kernel {
                                let (iy, ix) = (oy * g.stride + ky, ox * g.stride + kx);
                                let inside = iy >= g.padding
                                    && ix >= g.padding
                                    && iy - g.padding < g.height
                                    && ix - g.padding < g.width;
                                if inside {
                                    let (iy, ix) = (iy - g.padding, ix - g.padding);
                                    let x = ((ci * n + i) * g.height + iy) * g.width + ix;
                                    let w = ((co * g.channels_in + ci) * g.kernel + ky) * g.kernel + kx;
                                    f(x, w, y);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `y = conv(x, w)`.
pub fn forward<R: Real>(g: &Conv2d, n: usize, x: &[R], w: &[R], y: &mut [R]) {
    y.fill(R::ZERO);
    products(g, n, |i, j, k| y[k] += x[i] * w[j]);
}

/// `x̄`, the adjoint of [`forward`] in `x`.
pub fn input_gradient<R: Real>(g: &Conv2d, n: usize, y: &[R], w: &[R], x: &mut [R]) {
    x.fill(R::ZERO);
    products(g, n, |i, j, k| x[i] += y[k] * w[j]);
}

/// `w̄`, the adjoint of [`forward`] in `w`.
pub fn weight_gradient<R: Real>(g: &Conv2d, n: usize, x: &[R], y: &[R], w: &mut [R]) {
    w.fill(R::ZERO);
    products(g, n, |i, j, k| w[j] += y[k] * x[i]);
}
