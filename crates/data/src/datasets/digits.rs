//! The digits data set that is embedded in the program: 1,797 images of 8 x 8 with values from 0 to 16.
//!
//! It is the test part of the UCI "Optical Recognition of Handwritten Digits" data set (E. Alpaydin and
//! C. Kaynak, 1998, CC BY 4.0), the same rows as `sklearn.datasets.load_digits`. It has no official
//! training split, so this module defines a fixed one: every fifth example of each class (the 5th, 10th,
//! 15th, ...), in the order of the file, is a test example. That gives 1,442 training and 355 test
//! examples, with the same proportions of classes in both up to rounding.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use flate2::bufread::GzDecoder;

use super::description::{Description, Files, ImageShape};
use crate::split::Split;
use crate::{Error, Result};

pub(super) const DESCRIPTION: Description = Description {
    name: "digits",
    title: "the digits",
    shape: ImageShape::square(1, 8),
    pixel_max: PIXEL_MAX,
    classes: CLASSES,
    train_examples: 1442,
    test_examples: 355,
    files: Files::Embedded(read_embedded),
    folders: &[],
    download: None,
    examples: None,
};

const PACKED: &[u8] = include_bytes!("../../assets/digits.csv.gz");
const PIXELS: usize = 8 * 8;
const PIXEL_MAX: u8 = 16;
const CLASSES: usize = 10;
/// One example of each class in this many is a test example.
const TEST_PERIOD: usize = 5;

/// Unpacks the embedded examples; returns (train, test).
fn read_embedded() -> Result<(Split, Split)> {
    let mut train = Split { pixels: Vec::new(), labels: Vec::new() };
    let mut test = train.clone();
    let mut seen = [0_usize; CLASSES];
    let mut offset = 0;
    for line in BufReader::new(GzDecoder::new(PACKED)).lines() {
        let line = line.map_err(|error| malformed(offset, "a line of text", &error.to_string()))?;
        let (image, label) = parse(&line)
            .ok_or_else(|| malformed(offset, "64 values from 0 to 16 and a label from 0 to 9", &line))?;
        let seen = &mut seen[usize::from(label)];
        *seen += 1;
        let split = if (*seen).is_multiple_of(TEST_PERIOD) { &mut test } else { &mut train };
        split.pixels.extend_from_slice(&image);
        split.labels.push(label);
        offset += line.len() as u64 + 1;
    }
    Ok((train, test))
}

/// Reads one row: 64 pixels and a label, separated by commas.
fn parse(line: &str) -> Option<([u8; PIXELS], u8)> {
    let mut values = line.split(',').map(|value| value.parse::<u8>().ok());
    let mut image = [0; PIXELS];
    for pixel in &mut image {
        *pixel = values.next()?.filter(|&value| value <= PIXEL_MAX)?;
    }
    let label = values.next()?.filter(|&label| usize::from(label) < CLASSES)?;
    values.next().is_none().then_some((image, label))
}

fn malformed(offset: u64, expected: &str, found: &str) -> Error {
    let file = PathBuf::from("assets/digits.csv.gz (embedded)");
    Error::Malformed { file, offset, unpacked: true, expected: expected.to_owned(), found: found.to_owned() }
}
