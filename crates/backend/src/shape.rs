//! Shapes of activations.

/// The shape of one example's activation: channels, height, width. A linear layer's features are `[features, 1, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels or features.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Shape {
    /// The shape `[channels, height, width]`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// The shape of a vector of features.
    pub const fn features(features: usize) -> Self {
        Self::new(features, 1, 1)
    }

    /// Pixels of one channel.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Elements of one example.
    pub const fn elements(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}
