//! The IDX format of MNIST and Fashion-MNIST, plain or gzipped.
//!
//! An image file is the magic number `0x00000803`, the number of images, of rows and of columns (each a
//! big-endian 32-bit integer), and then one byte for each pixel. A label file is `0x00000801`, the number
//! of labels, and one byte for each label. Source: <http://yann.lecun.com/exdb/mnist/>.
//!
//! The header must match what the caller expects, so a file cannot cause large allocations.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::input::Input;
use crate::split::Split;

/// The number of rows and of columns of an image.
pub const SIDE: usize = 28;

const CLASSES: u8 = 10;
const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;

/// The files: training images and labels, test images and labels.
pub(crate) const IDX_FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The IDX files of a data set, plain or gzipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxFiles {
    /// Training images.
    pub train_images: PathBuf,
    /// Training labels.
    pub train_labels: PathBuf,
    /// Test images.
    pub test_images: PathBuf,
    /// Test labels.
    pub test_labels: PathBuf,
}

impl IdxFiles {
    /// Reads `train` training and `test` test examples.
    pub(super) fn read(&self, train: usize, test: usize) -> Result<(Split, Split)> {
        let train = read_split(&self.train_images, &self.train_labels, train)?;
        let test = read_split(&self.test_images, &self.test_labels, test)?;
        Ok((train, test))
    }
}

/// Reads `count` images of [`SIDE`] x [`SIDE`] and their labels.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed) if a file is not an IDX file of exactly this size, is
/// truncated or corrupt, or holds a label above 9; [`Error::Io`](crate::Error::Io) if it cannot be read.
pub fn read_split(images: &Path, labels: &Path, count: usize) -> Result<Split> {
    Ok(Split { pixels: read_images(images, count)?, labels: read_labels(labels, count)? })
}

fn read_images(path: &Path, count: usize) -> Result<Vec<u8>> {
    let mut input = Input::open(path)?;
    read_magic(&mut input, IMAGES_MAGIC)?;
    read_size(&mut input, count, "images")?;
    read_size(&mut input, SIDE, "rows")?;
    read_size(&mut input, SIDE, "columns")?;
    let mut pixels = vec![0; count * SIDE * SIDE];
    input.fill(&mut pixels, "pixels")?;
    input.finish()?;
    Ok(pixels)
}

fn read_labels(path: &Path, count: usize) -> Result<Vec<u8>> {
    let mut input = Input::open(path)?;
    read_magic(&mut input, LABELS_MAGIC)?;
    read_size(&mut input, count, "labels")?;
    let start = input.offset();
    let mut labels = vec![0; count];
    input.fill(&mut labels, "labels")?;
    if let Some(index) = labels.iter().position(|&label| label >= CLASSES) {
        let found = labels[index].to_string();
        return Err(input.malformed(start + index as u64, "a label from 0 to 9".to_owned(), found));
    }
    input.finish()?;
    Ok(labels)
}

fn read_magic(input: &mut Input<'_>, magic: u32) -> Result<()> {
    let offset = input.offset();
    let found = read_u32(input, "the magic number")?;
    if found == magic {
        return Ok(());
    }
    Err(input.malformed(offset, describe_magic(magic), describe_magic(found)))
}

fn describe_magic(magic: u32) -> String {
    let of = match magic {
        IMAGES_MAGIC => " of an IDX image file",
        LABELS_MAGIC => " of an IDX label file",
        _ => "",
    };
    format!("the magic number 0x{magic:08x}{of}")
}

fn read_size(input: &mut Input<'_>, size: usize, what: &str) -> Result<()> {
    let offset = input.offset();
    let found = read_u32(input, &format!("the number of {what}"))?;
    if usize::try_from(found).is_ok_and(|found| found == size) {
        return Ok(());
    }
    Err(input.malformed(offset, format!("{size} as the number of {what}"), found.to_string()))
}

fn read_u32(input: &mut Input<'_>, what: &str) -> Result<u32> {
    let mut bytes = [0; 4];
    input.fill(&mut bytes, what)?;
    Ok(u32::from_be_bytes(bytes))
}
