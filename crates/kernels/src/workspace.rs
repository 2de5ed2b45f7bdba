//! Scratch memory that is reused: after the first calls nothing is allocated.

use sharpness_backend::Scalar;
use std::sync::{Mutex, PoisonError};

/// Bytes of a cache line and of the widest register.
const ALIGNMENT: usize = 64;

/// Elements that [`aligned`] may skip.
pub(crate) const SLACK: usize = ALIGNMENT / size_of::<f32>();

/// Bytes that a borrowed buffer of `len` numbers takes.
pub(crate) const fn bytes<R>(len: usize) -> usize {
    if len == 0 { 0 } else { (len + SLACK) * size_of::<R>() }
}

/// The part of `x` from its first element at a multiple of 64 bytes.
pub(crate) fn aligned<R: Scalar>(x: &[R]) -> &[R] {
    &x[skip(x.as_ptr())..]
}

/// The part of `x` from its first element at a multiple of 64 bytes.
pub(crate) fn aligned_mut<R: Scalar>(x: &mut [R]) -> &mut [R] {
    let skip = skip(x.as_ptr());
    &mut x[skip..]
}

fn skip<R>(p: *const R) -> usize {
    p.align_offset(ALIGNMENT).min(SLACK)
}

/// Buffers that tasks on several threads borrow one at a time. They grow to the largest request and are kept.
#[derive(Debug, Default)]
pub struct Workspace<R> {
    free: Mutex<Vec<Vec<R>>>,
}

impl<R: Scalar> Workspace<R> {
    /// A workspace without buffers.
    pub const fn new() -> Self {
        Self { free: Mutex::new(Vec::new()) }
    }

    /// Calls `f` with `len` numbers at a multiple of 64 bytes. What they are is not said.
    pub fn with<T>(&self, len: usize, f: impl FnOnce(&mut [R]) -> T) -> T {
        let mut buffer = self.take(len + SLACK);
        let result = f(&mut aligned_mut(&mut buffer)[..len]);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        result
    }

    /// Bytes of all buffers that are not borrowed now.
    pub fn bytes(&self) -> usize {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.iter().map(|buffer| buffer.capacity() * size_of::<R>()).sum()
    }

    /// The smallest free buffer that is large enough, or else the largest one, grown.
    fn take(&self, len: usize) -> Vec<R> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = (0..free.len()).filter(|&i| free[i].len() >= len).min_by_key(|&i| free[i].len());
        let index = fitting.or_else(|| (0..free.len()).max_by_key(|&i| free[i].len()));
        let mut buffer = index.map_or_else(Vec::new, |i| free.swap_remove(i));
        drop(free);
        if buffer.len() < len {
            // What it held is not copied, and growth in place would take up to twice the length.
            drop(buffer);
            buffer = vec![R::ZERO; len];
        }
        buffer
    }
}
