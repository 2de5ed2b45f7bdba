//! Shapes of activations.

/// The shape of one example's activation, of 1 to 4 sizes, outermost first. Kernels that need an image see it as channels of
/// `height x width` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The sizes, and ones after them.
    sizes: [usize; Self::MAX_RANK],
    rank: usize,
}

impl Shape {
    /// The most sizes.
    pub const MAX_RANK: usize = 4;

    /// The shape `[channels, height, width]`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { sizes: [channels, height, width, 1], rank: 3 }
    }

    /// The shape of a vector of features.
    pub const fn features(features: usize) -> Self {
        Self { sizes: [features, 1, 1, 1], rank: 1 }
    }

    /// The shape of these sizes, or `None` unless there are 1 to 4.
    pub fn of(sizes: &[usize]) -> Option<Self> {
        let mut all = [1; Self::MAX_RANK];
        all.get_mut(..sizes.len())?.copy_from_slice(sizes);
        (!sizes.is_empty()).then_some(Self { sizes: all, rank: sizes.len() })
    }

    /// The sizes.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }

    /// The number of sizes.
    pub const fn rank(&self) -> usize {
        self.rank
    }

    /// Channels or features: the first size.
    pub const fn channels(&self) -> usize {
        self.sizes[0]
    }

    /// Height in pixels: all sizes between the first and the last.
    pub const fn height(&self) -> usize {
        match self.rank {
            3 => self.sizes[1],
            4 => self.sizes[1] * self.sizes[2],
            _ => 1,
        }
    }

    /// Width in pixels: the last size of several.
    pub const fn width(&self) -> usize {
        if self.rank == 1 { 1 } else { self.sizes[self.rank - 1] }
    }

    /// Pixels of one channel.
    pub const fn pixels(&self) -> usize {
        self.sizes[1] * self.sizes[2] * self.sizes[3]
    }

    /// Elements of one example.
    pub const fn elements(&self) -> usize {
        self.sizes[0] * self.pixels()
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes: Vec<String> = self.sizes().iter().map(usize::to_string).collect();
        f.write_str(&sizes.join("x"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_each_rank_are_images_with_their_elements() {
        for (sizes, image) in [
            (&[7][..], [7, 1, 1]),
            (&[7, 5], [7, 1, 5]),
            (&[7, 5, 3], [7, 5, 3]),
            (&[7, 5, 3, 2], [7, 15, 2]),
        ] {
            let shape = Shape::of(sizes).unwrap();
            assert_eq!(shape.sizes(), sizes);
            assert_eq!([shape.channels(), shape.height(), shape.width()], image);
            assert_eq!(shape.elements(), sizes.iter().product::<usize>());
            assert_eq!(shape.pixels(), shape.height() * shape.width());
        }
        assert_eq!(Shape::of(&[]), None);
        assert_eq!(Shape::of(&[1; 5]), None);
        assert_eq!(Shape::new(1, 2, 3).to_string(), "1x2x3");
    }
}
