//! The raw examples of one part of a data set.

/// The examples of one part of a data set: raw pixels and labels, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u8>,
}

impl Split {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Raw pixels, `[n, channels, height, width]`, each from 0 to [`DatasetName::pixel_max`](crate::DatasetName::pixel_max).
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Labels, `[n]`, each less than [`DatasetName::classes`](crate::DatasetName::classes).
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The examples to learn from.
    Train,
    /// The examples to measure generalization with.
    Test,
}
