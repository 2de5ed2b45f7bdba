//! Chunked writes on rayon. Chunks depend on the data's size alone, never on the number of threads.

use rayon::prelude::*;

/// Elements below which a loop runs on the calling thread: waking a thread costs more than the loop.
const SERIAL: usize = 1 << 14;

/// Calls `f(index, chunk)` for each chunk of `size` elements of `y`; the last may be shorter.
pub(crate) fn chunks<T: Send>(y: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    chunks_of(y.len(), y, size, f);
}

/// As [`chunks`], where all chunks together take the time of `elements` elements.
pub(crate) fn chunks_of<T: Send>(
    elements: usize,
    y: &mut [T],
    size: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    let size = size.max(1);
    if elements <= SERIAL {
        y.chunks_mut(size).enumerate().for_each(|(i, chunk)| f(i, chunk));
    } else {
        y.par_chunks_mut(size).enumerate().for_each(|(i, chunk)| f(i, chunk));
    }
}

/// Calls `f(index)` for `count` tasks that handle `elements` elements together.
pub(crate) fn tasks(count: usize, elements: usize, f: impl Fn(usize) + Sync + Send) {
    if elements <= SERIAL {
        (0..count).for_each(f);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(f);
    }
}

/// Calls `f(index, chunk of y, chunk of z)` for corresponding chunks of two slices.
pub(crate) fn chunks2<T: Send, U: Send>(
    y: &mut [T],
    y_size: usize,
    z: &mut [U],
    z_size: usize,
    f: impl Fn(usize, &mut [T], &mut [U]) + Sync + Send,
) {
    let (y_size, z_size) = (y_size.max(1), z_size.max(1));
    if y.len() <= SERIAL {
        y.chunks_mut(y_size).zip(z.chunks_mut(z_size)).enumerate().for_each(|(i, (a, b))| f(i, a, b));
    } else {
        let pairs = y.par_chunks_mut(y_size).zip(z.par_chunks_mut(z_size));
        pairs.enumerate().for_each(|(i, (a, b))| f(i, a, b));
    }
}
