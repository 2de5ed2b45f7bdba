//! The end of the spectrum to compute.

/// The end of the spectrum to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The largest eigenvalues, with their sign. For a Hessian, the first is the sharpness.
    #[default]
    LargestAlgebraic,
    /// The smallest (most negative) eigenvalues.
    SmallestAlgebraic,
    /// The eigenvalues farthest from zero.
    LargestMagnitude,
}

impl Which {
    /// A sort key: the larger, the closer to the wanted end.
    pub(crate) fn rank(self, value: f64) -> f64 {
        match self {
            Self::LargestAlgebraic => value,
            Self::SmallestAlgebraic => -value,
            Self::LargestMagnitude => value.abs(),
        }
    }

    /// The value with this rank, or its magnitude for [`Self::LargestMagnitude`].
    pub(crate) fn unrank(self, rank: f64) -> f64 {
        match self {
            Self::LargestAlgebraic | Self::LargestMagnitude => rank,
            Self::SmallestAlgebraic => -rank,
        }
    }
}
