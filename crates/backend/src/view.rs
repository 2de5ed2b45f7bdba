//! Ranges of flat buffers.

/// A contiguous range of a flat buffer.
#[derive(Debug)]
pub struct View<'a, T> {
    /// The whole buffer.
    pub buffer: &'a T,
    /// The first element.
    pub start: usize,
    /// The number of elements.
    pub len: usize,
}

impl<'a, T> View<'a, T> {
    /// The range `start..start + len` of `buffer`.
    pub const fn new(buffer: &'a T, start: usize, len: usize) -> Self {
        Self { buffer, start, len }
    }
}

// Derived impls would ask for `T: Copy`.
impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for View<'_, T> {}

/// A contiguous range of a flat buffer, to be written.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    /// The whole buffer.
    pub buffer: &'a mut T,
    /// The first element.
    pub start: usize,
    /// The number of elements.
    pub len: usize,
}

impl<'a, T> ViewMut<'a, T> {
    /// The range `start..start + len` of `buffer`.
    pub const fn new(buffer: &'a mut T, start: usize, len: usize) -> Self {
        Self { buffer, start, len }
    }
}
