//! The ends of a spectrum.

/// Which end of the spectrum is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The largest eigenvalues, counted with their sign. For a Hessian this is the sharpness.
    #[default]
    LargestAlgebraic,
    /// The smallest (most negative) eigenvalues.
    SmallestAlgebraic,
    /// The eigenvalues farthest from zero.
    LargestMagnitude,
}

impl Which {
    /// A key that is larger the more a value is wanted.
    pub(crate) fn rank(self, value: f64) -> f64 {
        match self {
            Self::LargestAlgebraic => value,
            Self::SmallestAlgebraic => -value,
            Self::LargestMagnitude => value.abs(),
        }
    }

    /// The value, or with [`Self::LargestMagnitude`] the magnitude, of a rank.
    pub(crate) fn unrank(self, rank: f64) -> f64 {
        match self {
            Self::LargestAlgebraic | Self::LargestMagnitude => rank,
            Self::SmallestAlgebraic => -rank,
        }
    }
}
