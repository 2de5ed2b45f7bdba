//! Overwriting an output or adding to it.

/// Whether a kernel overwrites its output or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    /// The output is overwritten; what it held is not read.
    Set,
    /// The result is added to the output.
    Add,
}

impl Accumulate {
    /// What each term of a sum does in turn: the first as the sum, all others add to it.
    #[inline]
    pub fn each(self) -> impl Iterator<Item = Self> {
        std::iter::once(self).chain(std::iter::repeat(Self::Add))
    }
}
