//! A slice whose disjoint parts several tasks write.
#![expect(unsafe_code, reason = "tasks write interleaved ranges of one output")]

use std::marker::PhantomData;

/// A mutable slice shared by tasks that write disjoint parts of it.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out mutable slices only under the promise that they are disjoint.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The address of element `start`, for tasks whose parts are not contiguous.
    ///
    /// # Panics
    /// If there is no such element.
    pub(crate) fn address(&self, start: usize) -> *mut T {
        assert!(start < self.len, "an address lies inside its slice");
        self.start.wrapping_add(start)
    }

    /// The elements `start..start + len`.
    ///
    /// # Panics
    /// If they do not lie inside the slice.
    ///
    /// # Safety
    /// While the result lives, no other result of this method overlaps it.
    #[expect(clippy::mut_from_ref, reason = "the caller promises that parts are disjoint")]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "a part lies inside its slice");
        // SAFETY: the range lies inside the slice that `self` borrows mutably, and the caller promises that nothing overlaps.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
