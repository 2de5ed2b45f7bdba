//! The names of the data sets and their fixed facts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Lists of all training examples that a run holds at once.
const ORDERS: usize = 6;

/// A data set that this crate can read.
///
/// Its text form (`Display`, `FromStr`, serde) is `digits`, `fashion-mnist`, `mnist` or `cifar10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DatasetName {
    /// UCI optical recognition of handwritten digits, 8x8 grey; embedded in the program.
    #[serde(rename = "digits")]
    Digits,
    /// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), 28x28 grey.
    #[serde(rename = "fashion-mnist")]
    FashionMnist,
    /// MNIST (LeCun, Cortes, Burges 1998), 28x28 grey.
    #[serde(rename = "mnist")]
    Mnist,
    /// CIFAR-10 (Krizhevsky 2009), 32x32 in three colours.
    #[serde(rename = "cifar10")]
    Cifar10,
}

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

impl DatasetName {
    /// Every data set, the embedded one first.
    pub const ALL: [Self; 4] = [Self::Digits, Self::FashionMnist, Self::Mnist, Self::Cifar10];

    /// The name as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::FashionMnist => "fashion-mnist",
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// The shape of an image.
    pub fn shape(self) -> ImageShape {
        let (channels, side) = match self {
            Self::Digits => (1, 8),
            Self::FashionMnist | Self::Mnist => (1, 28),
            Self::Cifar10 => (3, 32),
        };
        ImageShape { channels, height: side, width: side }
    }

    /// The number of classes; labels run from 0 to one less.
    pub fn classes(self) -> usize {
        10
    }

    /// The number of training examples.
    pub fn train_examples(self) -> usize {
        match self {
            Self::Digits => 1442,
            Self::FashionMnist | Self::Mnist => 60_000,
            Self::Cifar10 => 50_000,
        }
    }

    /// The number of test examples.
    pub fn test_examples(self) -> usize {
        match self {
            Self::Digits => 355,
            Self::FashionMnist | Self::Mnist | Self::Cifar10 => 10_000,
        }
    }

    /// Bytes of the data set in memory: pixels and labels, and the numbers of examples in the orders that a run holds.
    pub fn bytes(self) -> usize {
        let all = self.train_examples() + self.test_examples();
        all * (self.shape().len() + 1) + self.train_examples() * ORDERS * size_of::<u32>()
    }

    /// The largest value of a raw pixel, which means full brightness.
    pub fn pixel_max(self) -> u8 {
        match self {
            Self::Digits => 16,
            Self::FashionMnist | Self::Mnist | Self::Cifar10 => 255,
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| Error::UnknownName {
            kind: "data set",
            given: text.to_owned(),
            known: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}
