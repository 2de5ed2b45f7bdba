//! What follows a layer, on `z: [n, c, h, w]`. A choice is a byte for each output: whether a ReLU passes, or which element of its
//! window a pooling passes.

use crate::{Accumulate, Choice, Epilogue, Pool2d, Shape};

use super::put;

/// The choice of an output that passes nothing.
const NOTHING: u8 = u8::MAX;

/// Elements of one example after the epilogue.
const fn outputs(epilogue: Epilogue, shape: Shape) -> usize {
    let (height, width) = epilogue.output((shape.height(), shape.width()));
    shape.channels() * height * width
}

/// Bytes of the choices of `n` examples.
pub(super) const fn choice_len(epilogue: Epilogue, shape: Shape, n: usize) -> usize {
    match epilogue {
        Epilogue::None => 0,
        Epilogue::Relu | Epilogue::ReluMaxPool => n * outputs(epilogue, shape),
    }
}

/// The elements of `z` among which output `o` is chosen, in row order.
fn candidates(epilogue: Epilogue, shape: Shape, o: usize) -> Vec<usize> {
    if epilogue != Epilogue::ReluMaxPool {
        return vec![o];
    }
    let (height, width) = (shape.height(), shape.width());
    let pool = Pool2d { height, width, kernel_height: 2, kernel_width: 2, stride: 2 };
    let (h, w, plane) = pool.sizes();
    let (p, o) = (o / (h * w), o % (h * w));
    (0..pool.window()).map(|k| p * plane + pool.at((o / w, o % w), k)).collect()
}

/// `y` = the epilogue of `z`, or what the choice lets pass of it.
pub(super) fn apply(
    epilogue: Epilogue,
    shape: Shape,
    n: usize,
    z: &[f64],
    choice: Choice<'_, Vec<u8>>,
    y: &mut [f64],
) {
    let y = &mut y[..n * outputs(epilogue, shape)];
    if epilogue == Epilogue::None {
        return y.copy_from_slice(z);
    }
    match choice {
        Choice::Record(choice) => {
            for (o, y) in y.iter_mut().enumerate() {
                let of = candidates(epilogue, shape, o);
                let mut best = 0;
                for k in 1..of.len() {
                    let (candidate, current) = (z[of[k]], z[of[best]]);
                    if candidate > current || candidate.is_nan() && !current.is_nan() {
                        best = k;
                    }
                }
                let passes = z[of[best]] > 0.0;
                // A NaN stays one, and has no derivative.
                *y = if passes || z[of[best]].is_nan() { z[of[best]] } else { 0.0 };
                choice[o] = if passes { u8::try_from(best).unwrap_or(NOTHING) } else { NOTHING };
            }
        }
        Choice::Replay(choice) => {
            put(Accumulate::Set, y, |o| {
                candidates(epilogue, shape, o).get(usize::from(choice[o])).map_or(0.0, |&i| z[i])
            });
        }
    }
}

/// The gradient `dz` before the epilogue from `dy` after it.
pub(super) fn adjoint(epilogue: Epilogue, shape: Shape, n: usize, dy: &[f64], choice: &[u8]) -> Vec<f64> {
    if epilogue == Epilogue::None {
        return dy[..n * shape.elements()].to_vec();
    }
    let mut dz = vec![0.0; n * shape.elements()];
    for (o, dy) in dy.iter().enumerate().take(n * outputs(epilogue, shape)) {
        if let Some(&i) = candidates(epilogue, shape, o).get(usize::from(choice[o])) {
            dz[i] += dy;
        }
    }
    dz
}
