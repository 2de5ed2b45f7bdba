//! The binary version of CIFAR-10: a folder of batches, or the official `cifar-10-binary.tar.gz`.
//!
//! A batch is a sequence of records without a header; a record is one label byte and 3,072 pixel bytes
//! (red, green and blue planes of 32 x 32 in row order). Five batches are the training split and one is
//! the test split. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::Split;
use super::input::{BUFFER_BYTES, Input, is_corruption, open_file};
use crate::{Error, Result};

/// The official number of records of each file.
pub const RECORDS_PER_FILE: usize = 10_000;
/// The files of the training split, in the order of the examples.
pub const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
/// The file of the test split.
pub const TEST_FILE: &str = "test_batch.bin";

const PIXELS: usize = 3 * 32 * 32;
const CLASSES: u8 = 10;
/// An archive is read no further than this. The official one unpacks to 184 MB.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// Reads the six batches in `folder`, each of `records_per_file` records; returns (train, test).
///
/// # Errors
/// [`Error::Malformed`] if a file has another size or holds a label above 9; [`Error::Io`] if it is
/// missing or cannot be read.
pub fn read_folder(folder: &Path, records_per_file: usize) -> Result<(Split, Split)> {
    let mut batches = Batches::new(records_per_file);
    for index in 0..Batches::FILES {
        batches.read(index, Input::open(&folder.join(Batches::file_name(index)))?)?;
    }
    Ok(batches.into_splits())
}

/// Reads the six batches from a gzipped tar archive without unpacking it on disk; returns (train, test).
/// The batches may lie in any folder of the archive and in any order; other entries are passed over.
///
/// # Errors
/// [`Error::Malformed`] if the archive is truncated or corrupt, or if a batch is missing, occurs twice,
/// has another size or holds a label above 9; [`Error::Io`] if it cannot be read.
pub fn read_archive(archive: &Path, records_per_file: usize) -> Result<(Split, Split)> {
    let unpacked = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, open_file(archive)?));
    let offset = Rc::new(Cell::new(0));
    let content = Counted { content: unpacked.take(MAX_UNPACKED_BYTES), offset: Rc::clone(&offset) };
    let corrupt = |expected: &str, source: io::Error| {
        if is_corruption(&source) {
            malformed(archive, offset.get(), expected.to_owned(), format!("corrupt packed data ({source})"))
        } else {
            Error::Io { action: "read", path: archive.to_owned(), source }
        }
    };

    let mut tar = tar::Archive::new(content);
    let mut batches = Batches::new(records_per_file);
    let mut is_read = [false; Batches::FILES];
    for entry in tar.entries().map_err(|error| corrupt("a tar archive", error))? {
        let entry = entry.map_err(|error| corrupt("a tar entry", error))?;
        let path = entry.path().map_err(|error| corrupt("the name of a tar entry", error))?.into_owned();
        let Some(index) = (0..Batches::FILES).find(|&index| path.ends_with(Batches::file_name(index))) else {
            continue;
        };
        if is_read[index] {
            let found = format!("{} again", path.display());
            return Err(malformed(archive, entry.raw_header_position(), "each batch once".to_owned(), found));
        }
        let name = PathBuf::from(format!("{}:{}", archive.display(), path.display()));
        batches.read(index, Input::new(name, entry))?;
        is_read[index] = true;
    }
    // Reading up to the end checks the checksum of the gzip file.
    io::copy(&mut tar.into_inner(), &mut io::sink())
        .map_err(|error| corrupt("the end of the file", error))?;
    match is_read.iter().position(|&is_read| !is_read) {
        None => Ok(batches.into_splits()),
        Some(missing) => {
            let expected = format!("an entry {}", Batches::file_name(missing));
            Err(malformed(archive, offset.get(), expected, "the end of the archive".to_owned()))
        }
    }
}

/// The six batches while they are being read; a batch is known by its index, the test batch is the last.
struct Batches {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    test: Split,
    records_per_file: usize,
}

impl Batches {
    const FILES: usize = TRAIN_FILES.len() + 1;

    fn new(records_per_file: usize) -> Self {
        let train = records_per_file * TRAIN_FILES.len();
        Self {
            pixels: vec![0; train * PIXELS],
            labels: vec![0; train],
            test: Split { pixels: vec![0; records_per_file * PIXELS], labels: vec![0; records_per_file] },
            records_per_file,
        }
    }

    fn file_name(index: usize) -> &'static str {
        TRAIN_FILES.get(index).copied().unwrap_or(TEST_FILE)
    }

    /// Reads the whole of `input` as the batch `index`.
    fn read(&mut self, index: usize, mut input: Input<'_>) -> Result<()> {
        let first = index * self.records_per_file;
        let (labels, pixels) = if index < TRAIN_FILES.len() {
            let examples = first..first + self.records_per_file;
            let values = examples.start * PIXELS..examples.end * PIXELS;
            (&mut self.labels[examples], &mut self.pixels[values])
        } else {
            (&mut self.test.labels[..], &mut self.test.pixels[..])
        };
        let record_of = |record: usize| format!("record {} of {}", record + 1, self.records_per_file);
        for (record, (label, image)) in labels.iter_mut().zip(pixels.chunks_exact_mut(PIXELS)).enumerate() {
            let offset = input.offset();
            input.fill(std::slice::from_mut(label), &record_of(record))?;
            if *label >= CLASSES {
                let expected = format!("a label from 0 to 9, the start of {}", record_of(record));
                return Err(input.malformed(offset, expected, label.to_string()));
            }
            input.fill(image, &record_of(record))?;
        }
        input.finish()
    }

    fn into_splits(self) -> (Split, Split) {
        (Split { pixels: self.pixels, labels: self.labels }, self.test)
    }
}

/// Counts the bytes that are read, for whoever holds the other end of `offset`.
struct Counted<R> {
    content: R,
    offset: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(buffer)?;
        self.offset.set(self.offset.get() + n as u64);
        Ok(n)
    }
}

fn malformed(archive: &Path, offset: u64, expected: String, found: String) -> Error {
    Error::Malformed { file: archive.to_owned(), offset, unpacked: true, expected, found }
}
