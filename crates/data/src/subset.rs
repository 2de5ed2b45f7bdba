//! Selects examples of a split: class-balanced subsets to train on, and subsets to measure on.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The random streams of this module, distinct so that their draws are independent.
const CLASS_BALANCED_STREAM: u64 = 0x6261_6c61_6e63_6564;
const MEASURED_STREAM: u64 = 0x6d65_6173_7572_6564;

/// The indices of `n` examples, balanced over the classes as far as possible, sorted.
///
/// `labels: [total]`, each less than `classes`. When `n` is not a multiple of `classes`, some classes,
/// chosen by the seed, contribute one more example than the others. Subsets of the same seed are nested: a larger one
/// holds every example of a smaller one.
///
/// # Errors
/// [`Error::SubsetTooLarge`] if a class has too few examples; [`Error::EmptySubset`] if `n` is 0.
///
/// # Panics
/// If a label is not less than `classes`.
pub fn class_balanced(labels: &[u8], classes: usize, n: usize, seed: u64) -> Result<Vec<u32>> {
    if n == 0 {
        return Err(Error::EmptySubset);
    }
    let mut members = vec![Vec::new(); classes];
    for (index, &label) in indices(0..labels.len()).zip(labels) {
        members[usize::from(label)].push(index);
    }
    let smallest_class = members.iter().map(Vec::len).min().unwrap_or(0);
    let larger_classes = members.iter().filter(|class| class.len() > smallest_class).count();
    let possible = smallest_class * classes + larger_classes;
    if n > possible {
        return Err(Error::SubsetTooLarge { requested: n, possible, smallest_class });
    }

    let mut random = stream(seed, CLASS_BALANCED_STREAM);
    let mut order: Vec<usize> = (0..classes).collect();
    order.shuffle(&mut random);
    for class in &mut members {
        class.shuffle(&mut random);
    }
    let (each, mut extra) = (n / classes, n % classes);
    let mut chosen = Vec::with_capacity(n);
    for class in order {
        let takes_extra = extra > 0 && members[class].len() > each;
        extra -= usize::from(takes_extra);
        chosen.extend_from_slice(&members[class][..each + usize::from(takes_extra)]);
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// How to take a subset to measure on from a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subset {
    /// Evenly strided: with `n` of `total`, the i-th is `floor(i * total / n)`. The paper's authors took
    /// every 50th image of CIFAR-10, which is `n` = 1,000.
    #[default]
    Every,
    /// The first `n`.
    First,
    /// `n` at random without repetition, by the seed.
    Random,
}

impl Subset {
    /// Every choice, the default first.
    pub const ALL: [Self; 3] = [Self::Every, Self::First, Self::Random];

    /// The name as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Every => "every",
            Self::First => "first",
            Self::Random => "random",
        }
    }

    /// The indices of `n` of `total` examples, sorted and without repetition; all of them if `n >= total`.
    /// Only [`Self::Random`] depends on `seed`.
    pub fn indices(self, total: usize, n: usize, seed: u64) -> Vec<u32> {
        if n >= total {
            return indices(0..total).collect();
        }
        match self {
            Self::First => indices(0..n).collect(),
            Self::Every => {
                // A data set in memory has fewer than 2^32 examples, so the product fits 64 bits.
                let index = |i: u32| u64::from(i) * total as u64 / n as u64;
                indices(0..n).map(|i| index_u32(index(i))).collect()
            }
            Self::Random => {
                let mut all: Vec<u32> = indices(0..total).collect();
                all.shuffle(&mut stream(seed, MEASURED_STREAM));
                all.truncate(n);
                all.sort_unstable();
                all
            }
        }
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Subset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|subset| subset.as_str() == text).ok_or_else(|| Error::UnknownName {
            kind: "subset",
            given: text.to_owned(),
            known: Self::ALL.map(Self::as_str).join(", "),
        })
    }
}

pub(super) fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// The indices of a range of examples.
fn indices(range: Range<usize>) -> Range<u32> {
    index_u32(range.start as u64)..index_u32(range.end as u64)
}

/// An index into a split in the width in which lists of examples are kept.
///
/// # Panics
/// If it is 2³² or more, which no data set in memory reaches.
fn index_u32(index: u64) -> u32 {
    u32::try_from(index).expect("a data set in memory has fewer than 2^32 examples")
}
