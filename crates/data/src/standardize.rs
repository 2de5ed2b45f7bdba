//! Standardizes images: raw pixels scaled to [0, 1], minus a mean, divided by a deviation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Pixels;

use crate::dataset::Dataset;
use crate::split::{Part, Split};
use crate::{Error, Result};

/// The values that share a mean and a deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardization {
    /// For each position of each channel on its own, over the examples: the default, as in the earlier
    /// code of the paper's authors.
    #[default]
    Pixel,
    /// For each channel, over the examples and the positions: usual for CIFAR-10.
    Channel,
    /// Mean 0 and deviation 1: pixels are only scaled to [0, 1].
    None,
}

impl Standardization {
    /// Every choice, the default first.
    pub const ALL: [Self; 3] = [Self::Pixel, Self::Channel, Self::None];

    /// The name as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pixel => "pixel",
            Self::Channel => "channel",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Standardization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Standardization {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text).ok_or_else(|| Error::UnknownName {
            kind: "standardization",
            given: text.to_owned(),
            known: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}

/// A data set with the mean and deviation of its training split.
///
/// Both are of the whole official training split, even if only a subset of it is trained on, as in the
/// earlier code of the paper's authors. So the same image is the same input in every experiment. The
/// deviation is the population's (divided by n). A value that is constant over the training split, such as
/// a corner of the digits, has deviation 0 and is divided by 1 instead, so it becomes 0 in the training split.
#[derive(Debug, Clone)]
pub struct Standardized {
    dataset: Dataset,
    standardization: Standardization,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Standardized {
    /// Computes means and deviations. Cost: one pass over the training split.
    pub fn new(dataset: Dataset, standardization: Standardization) -> Self {
        let shape = dataset.shape();
        let (mean, deviation) = match standardization {
            Standardization::Pixel => moments(dataset.train(), shape.len(), 1, dataset.pixel_scale()),
            Standardization::Channel => {
                moments(dataset.train(), shape.len(), shape.plane_len(), dataset.pixel_scale())
            }
            Standardization::None => (vec![0.0; shape.len()], vec![1.0; shape.len()]),
        };
        Self { dataset, standardization, mean, deviation }
    }

    /// The raw data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The values that share a mean and a deviation.
    pub fn standardization(&self) -> Standardization {
        self.standardization
    }

    /// The mean, `[channels, height, width]`, in units of full brightness.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The divisor, `[channels, height, width]`, in units of full brightness; never 0.
    pub fn deviation(&self) -> &[f64] {
        &self.deviation
    }

    /// The images of a part as bytes, `[examples, channels, height, width]`, with the mean and the deviation that a device
    /// standardizes them by.
    pub fn pixels(&self, part: Part) -> Pixels<'_> {
        Pixels {
            bytes: self.dataset.split(part).pixels(),
            scale: self.dataset.pixel_scale(),
            mean: &self.mean,
            deviation: &self.deviation,
        }
    }
}

/// The mean and the divisor of each of the `len` values of an image, where every `group` values in a row
/// share theirs.
///
/// With S1 = Σx and S2 = Σx² over the m raw values of a group, mean = S1 / m and
/// deviation = √(m S2 - S1²) / m. The sums are of integers and exact, so that nothing cancels and a
/// constant is recognised as such.
fn moments(split: &Split, len: usize, group: usize, scale: f64) -> (Vec<f64>, Vec<f64>) {
    let mut sums = vec![0_u64; len];
    let mut squares = vec![0_u64; len];
    for image in split.pixels().chunks_exact(len) {
        for ((sum, square), &pixel) in sums.iter_mut().zip(&mut squares).zip(image) {
            *sum += u64::from(pixel);
            *square += u64::from(pixel) * u64::from(pixel);
        }
    }

    let count = (split.len() * group) as u128;
    let mut mean = Vec::with_capacity(len);
    let mut deviation = Vec::with_capacity(len);
    for (sums, squares) in sums.chunks_exact(group).zip(squares.chunks_exact(group)) {
        let sum = u128::from(sums.iter().sum::<u64>());
        let square = u128::from(squares.iter().sum::<u64>());
        let scaled_variance = count * square - sum * sum;
        let divisor =
            if scaled_variance == 0 { 1.0 } else { (scaled_variance as f64).sqrt() / count as f64 * scale };
        mean.extend(std::iter::repeat_n(sum as f64 / count as f64 * scale, group));
        deviation.extend(std::iter::repeat_n(divisor, group));
    }
    (mean, deviation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two examples of two channels of two pixels; the first pixel is constant.
    fn split() -> Split {
        Split { pixels: vec![7, 1, 2, 4, 7, 3, 2, 8], labels: vec![0, 1] }
    }

    #[test]
    fn moments_of_each_pixel() {
        let (mean, deviation) = moments(&split(), 4, 1, 0.5);
        assert_eq!(mean, [3.5, 1.0, 1.0, 3.0], "means of (7, 7), (1, 3), (2, 2), (4, 8), halved");
        assert_eq!(deviation, [1.0, 0.5, 1.0, 1.0], "a constant pixel is divided by 1");
    }

    #[test]
    fn moments_of_each_channel() {
        let (mean, deviation) = moments(&split(), 4, 2, 1.0);
        assert_eq!(mean, [4.5, 4.5, 4.0, 4.0], "means of (7, 1, 7, 3) and (2, 4, 2, 8)");
        // Squared distances from the mean: 6.25 + 12.25 + 6.25 + 2.25 = 27, and 4 + 0 + 4 + 16 = 24.
        let expected = [(27.0_f64 / 4.0).sqrt(), (24.0_f64 / 4.0).sqrt()];
        for (place, (found, expected)) in
            deviation.iter().zip([expected[0], expected[0], expected[1], expected[1]]).enumerate()
        {
            assert!((found - expected).abs() < 1e-15, "value {place}: {found} instead of {expected}");
        }
    }
}
