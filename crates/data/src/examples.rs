//! A part of a standardized data set as the source of a network's examples.

use sharpness_network::{Examples, Images};

use crate::split::Part;
use crate::standardize::Standardized;

/// The examples of one part of a data set, numbered as in its files.
#[derive(Clone, Copy, Debug)]
pub struct PartExamples<'a> {
    data: &'a Standardized,
    part: Part,
}

impl<'a> PartExamples<'a> {
    /// The examples of `part`.
    pub const fn new(data: &'a Standardized, part: Part) -> Self {
        Self { data, part }
    }
}

impl Examples for PartExamples<'_> {
    fn images(&self) -> Images<'_> {
        Images::Pixels(self.data.pixels(self.part))
    }

    fn label(&self, number: u32) -> u32 {
        u32::from(self.data.dataset().split(self.part).labels()[number as usize])
    }
}
