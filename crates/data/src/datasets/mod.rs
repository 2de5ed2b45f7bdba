//! The data sets: each describes itself in a file of its own. A new one is a file, and a name and a row here.

mod cifar10;
mod description;
mod digits;
mod fashion_mnist;
mod mnist;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use description::ImageShape;
pub(crate) use description::{Description, Files};

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

/// All of them, the embedded one first.
static TABLE: [(DatasetName, Description); 4] = [
    (DatasetName::Digits, digits::DESCRIPTION),
    (DatasetName::FashionMnist, fashion_mnist::DESCRIPTION),
    (DatasetName::Mnist, mnist::DESCRIPTION),
    (DatasetName::Cifar10, cifar10::DESCRIPTION),
];

impl DatasetName {
    /// Every data set, the embedded one first.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Digits; TABLE.len()];
        let mut i = 0;
        while i < TABLE.len() {
            all[i] = TABLE[i].0;
            i += 1;
        }
        all
    };

    pub(crate) fn description(self) -> &'static Description {
        let row = TABLE.iter().find(|(name, _)| *name == self);
        &row.expect("each data set has a row").1
    }

    /// The name as users write it.
    pub fn as_str(self) -> &'static str {
        self.description().name
    }

    /// The shape of an image.
    pub fn shape(self) -> ImageShape {
        self.description().shape
    }

    /// The number of classes; labels run from 0 to one less.
    pub fn classes(self) -> usize {
        self.description().classes
    }

    /// The number of training examples.
    pub fn train_examples(self) -> usize {
        self.description().train_examples
    }

    /// The number of test examples.
    pub fn test_examples(self) -> usize {
        self.description().test_examples
    }

    /// Bytes of the data set in memory: pixels and labels, and the numbers of examples in the orders that a run holds.
    pub fn bytes(self) -> usize {
        let all = self.train_examples() + self.test_examples();
        all * (self.shape().len() + 1) + self.train_examples() * ORDERS * size_of::<u32>()
    }

    /// The largest value of a raw pixel, which means full brightness.
    pub fn pixel_max(self) -> u8 {
        self.description().pixel_max
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
