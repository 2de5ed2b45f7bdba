//! CIFAR-10 in its binary and its Python version: a folder of six batches, or the official archive.
//!
//! A binary batch is a sequence of records without a header; a record is one label byte and 3,072 pixel bytes
//! (red, green and blue planes of 32 x 32 in row order). A Python batch is a pickled dictionary with the same
//! pixels as one array `data` and with a list `labels`. Five batches are the training split and one is the
//! test split. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::input::{BUFFER_BYTES, Gunzip, Input, is_corruption, open_file};
use crate::pickle::{self, Value};
use crate::split::Split;
use crate::{Error, Result};

/// The official number of records of each file.
pub const RECORDS_PER_FILE: usize = 10_000;

/// A published version of CIFAR-10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Binary records.
    Binary,
    /// Python pickles.
    Python,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Binary, Self::Python];

    /// The files of the training split in the order of the examples, then that of the test split.
    pub fn files(self) -> [&'static str; 6] {
        match self {
            Self::Binary => [
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ],
            Self::Python => {
                ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
            }
        }
    }

    /// The name of the official archive.
    pub fn archive(self) -> &'static str {
        match self {
            Self::Binary => "cifar-10-binary.tar.gz",
            Self::Python => "cifar-10-python.tar.gz",
        }
    }
}

/// The number of files of the training split.
const TRAIN_FILES: usize = 5;
const PIXELS: usize = 3 * 32 * 32;
const CLASSES: u8 = 10;
/// The most bytes to read from an archive. The official one unpacks to 184 MB.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// Reads the six batches in `folder`, each of `records_per_file` records; returns (train, test).
///
/// # Errors
/// [`Error::Malformed`] if a file has another size, another structure or a label above 9; [`Error::Io`] if it
/// is missing or cannot be read.
pub fn read_folder(folder: &Path, version: Version, records_per_file: usize) -> Result<(Split, Split)> {
    let mut batches = Batches::new(version, records_per_file);
    for (index, file) in version.files().into_iter().enumerate() {
        batches.read(index, Input::open(&folder.join(file))?)?;
    }
    Ok(batches.into_splits())
}

/// Reads the six batches from a gzipped tar archive without unpacking it on disk; returns (train, test).
/// The batches may be in any folder of the archive and in any order; other entries are skipped.
///
/// # Errors
/// [`Error::Malformed`] if the archive is truncated or corrupt, or if a batch is missing, occurs twice, has
/// another size, another structure or a label above 9; [`Error::Io`] if it cannot be read.
pub fn read_archive(archive: &Path, version: Version, records_per_file: usize) -> Result<(Split, Split)> {
    let mut batches = Batches::new(version, records_per_file);
    each_in_archive(archive, version, &mut |index, input| batches.read(index, input))?;
    Ok(batches.into_splits())
}

/// Calls `visit` with each of the six batches of an archive and its index among [`Version::files`].
///
/// # Errors
/// As [`read_archive`], and those of `visit`.
pub(super) fn each_in_archive(
    archive: &Path,
    version: Version,
    visit: &mut dyn FnMut(usize, Input<'_>) -> Result<()>,
) -> Result<()> {
    let unpacked = Gunzip::new(BufReader::with_capacity(BUFFER_BYTES, open_file(archive)?));
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
    let files = version.files();
    let mut is_read = [false; 6];
    for entry in tar.entries().map_err(|error| corrupt("a tar archive", error))? {
        let entry = entry.map_err(|error| corrupt("a tar entry", error))?;
        let path = entry.path().map_err(|error| corrupt("the name of a tar entry", error))?.into_owned();
        let Some(index) = files.iter().position(|file| path.ends_with(file)) else {
            continue;
        };
        if is_read[index] {
            let found = format!("{} again", path.display());
            return Err(malformed(archive, entry.raw_header_position(), "each batch once".to_owned(), found));
        }
        let name = PathBuf::from(format!("{}:{}", archive.display(), path.display()));
        visit(index, Input::new(name, entry))?;
        is_read[index] = true;
    }
    // Reading to the end verifies the checksum of the gzip file.
    io::copy(&mut tar.into_inner(), &mut io::sink())
        .map_err(|error| corrupt("the end of the file", error))?;
    match is_read.iter().position(|&is_read| !is_read) {
        None => Ok(()),
        Some(missing) => {
            let expected = format!("an entry {}", files[missing]);
            Err(malformed(archive, offset.get(), expected, "the end of the archive".to_owned()))
        }
    }
}

/// The six batches while they are being read, by index; the test batch is the last.
struct Batches {
    version: Version,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    test: Split,
    records_per_file: usize,
}

impl Batches {
    fn new(version: Version, records_per_file: usize) -> Self {
        let train = records_per_file * TRAIN_FILES;
        Self {
            version,
            pixels: vec![0; train * PIXELS],
            labels: vec![0; train],
            test: Split { pixels: vec![0; records_per_file * PIXELS], labels: vec![0; records_per_file] },
            records_per_file,
        }
    }

    /// Reads the whole of `input` as the batch `index`.
    fn read(&mut self, index: usize, mut input: Input<'_>) -> Result<()> {
        let first = index * self.records_per_file;
        let (labels, pixels) = if index < TRAIN_FILES {
            let examples = first..first + self.records_per_file;
            let values = examples.start * PIXELS..examples.end * PIXELS;
            (&mut self.labels[examples], &mut self.pixels[values])
        } else {
            (&mut self.test.labels[..], &mut self.test.pixels[..])
        };
        match self.version {
            Version::Binary => read_records(&mut input, labels, pixels)?,
            Version::Python => read_pickle(&mut input, labels, pixels)?,
        }
        input.finish()
    }

    fn into_splits(self) -> (Split, Split) {
        (Split { pixels: self.pixels, labels: self.labels }, self.test)
    }
}

/// Reads the records of a binary batch.
fn read_records(input: &mut Input<'_>, labels: &mut [u8], pixels: &mut [u8]) -> Result<()> {
    let records = labels.len();
    let record_of = |record: usize| format!("record {} of {records}", record + 1);
    for (record, (label, image)) in labels.iter_mut().zip(pixels.chunks_exact_mut(PIXELS)).enumerate() {
        let offset = input.offset();
        input.fill(std::slice::from_mut(label), &record_of(record))?;
        if *label >= CLASSES {
            let expected = format!("a label from 0 to 9, the start of {}", record_of(record));
            return Err(input.malformed(offset, expected, label.to_string()));
        }
        input.fill(image, &record_of(record))?;
    }
    Ok(())
}

/// Reads the dictionary of a Python batch: its array `data` and its list `labels`; the names of files in it do not matter.
fn read_pickle(input: &mut Input<'_>, labels: &mut [u8], pixels: &mut [u8]) -> Result<()> {
    let records = labels.len();
    let start = input.offset();
    // A record takes one to nine instructions, and as text of Python 3 at most two bytes for each pixel.
    let batch = pickle::read(input, 1000 + 32 * records, 4096 + records * (2 * PIXELS + 128))?;
    let Value::Dict(mut entries) = batch else {
        return Err(input.malformed(start, "a dictionary".to_owned(), "another value".to_owned()));
    };
    let mut take = |key: &str| {
        let place = entries.iter().rposition(|(name, _)| name.bytes() == Some(key.as_bytes()));
        place.map(|place| entries.swap_remove(place).1)
    };
    let (Some(Value::Array(array)), Some(Value::List(list))) = (take("data"), take("labels")) else {
        let expected = "a dictionary with an array `data` and a list `labels`".to_owned();
        return Err(input.malformed(start, expected, "a dictionary without one of them".to_owned()));
    };
    if i64::try_from(records).is_ok_and(|records| array.shape == [records, 3072])
        && array.data.len() == pixels.len()
    {
        pixels.copy_from_slice(&array.data);
    } else {
        let expected = format!("an array of {records} x {PIXELS} bytes");
        let found = format!("{} bytes of the shape {:?}", array.data.len(), array.shape);
        return Err(input.malformed(array.offset, expected, found));
    }
    if list.len() != records {
        return Err(input.malformed(start, format!("{records} labels"), list.len().to_string()));
    }
    for (label, value) in labels.iter_mut().zip(list) {
        let (value, offset) =
            if let Value::Int(value, offset) = value { (value, offset) } else { (-1, start) };
        match u8::try_from(value).ok().filter(|value| *value < CLASSES) {
            Some(value) => *label = value,
            None => return Err(input.malformed(offset, "a label from 0 to 9".to_owned(), value.to_string())),
        }
    }
    Ok(())
}

/// Counts the bytes read in the shared `offset`.
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
