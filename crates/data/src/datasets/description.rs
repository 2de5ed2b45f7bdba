//! What is known of a data set before its files are read.

use crate::Result;
use crate::split::Split;

/// The shape of one image; in memory the order is channel, row, column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Number of colour channels.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl ImageShape {
    pub(super) const fn square(channels: usize, side: usize) -> Self {
        Self { channels, height: side, width: side }
    }

    /// The number of values of one image, `channels * height * width`.
    pub fn len(self) -> usize {
        self.channels * self.plane_len()
    }

    /// Whether an image has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The number of values of one channel, `height * width`.
    pub fn plane_len(self) -> usize {
        self.height * self.width
    }
}

/// What is known of a data set before its files are read.
pub(crate) struct Description {
    /// The name on the command line and in files.
    pub(super) name: &'static str,
    /// The name as its authors write it.
    pub(crate) title: &'static str,
    pub(super) shape: ImageShape,
    /// The largest value of a raw pixel.
    pub(super) pixel_max: u8,
    pub(super) classes: usize,
    pub(super) train_examples: usize,
    pub(super) test_examples: usize,
    pub(crate) files: Files,
    /// The usual folders, relative to a directory with data sets. Downloads go to the first.
    pub(crate) folders: &'static [&'static str],
    pub(crate) download: Option<Download>,
    /// The digests of the published training and test examples; `None` if there was no copy to compute them from.
    pub(crate) examples: Option<[u128; 2]>,
}

/// The format of the files, and the MD5 of the published ones, unpacked. What reads a format is in its own module.
pub(crate) enum Files {
    /// In the program itself.
    Embedded(fn() -> Result<(Split, Split)>),
    /// Four IDX files, in the order of [`IDX_FILES`](crate::idx::IDX_FILES).
    Idx([&'static str; 4]),
    /// Six batches of CIFAR-10's format, in the order of [`Version::files`](crate::cifar10::Version::files).
    Cifar10 { binary: [&'static str; 6], python: [&'static str; 6] },
}

/// Where the files are published.
pub(crate) struct Download {
    /// The address of their directory.
    pub(crate) base_url: &'static str,
    /// Their names, and the MD5 that their authors publish.
    pub(crate) files: &'static [(&'static str, &'static str)],
}
