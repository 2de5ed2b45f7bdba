//! The IDX format: what is read, and what is said about files that are not as they should be.

use std::fs;
use std::path::PathBuf;

use sharpness_data::idx::{SIDE, read_split};
use sharpness_data::{Error, Result, Split};
use tempfile::TempDir;

use crate::files::{assert_malformed, for_each_damage, gzip, idx};

const COUNT: usize = 2;
const PIXELS: usize = COUNT * SIDE * SIDE;

/// An image file and a label file of two examples.
struct Files {
    _folder: TempDir,
    images: PathBuf,
    labels: PathBuf,
}

impl Files {
    fn new(images: &[u8], labels: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let files = Self {
            images: folder.path().join("images"),
            labels: folder.path().join("labels"),
            _folder: folder,
        };
        fs::write(&files.images, images).unwrap();
        fs::write(&files.labels, labels).unwrap();
        files
    }

    fn read(&self) -> Result<Split> {
        read_split(&self.images, &self.labels, COUNT)
    }
}

fn pixels() -> Vec<u8> {
    (0..=255).cycle().take(PIXELS).collect()
}

fn images() -> Vec<u8> {
    idx(0x803, &[2, 28, 28], &pixels())
}

fn labels() -> Vec<u8> {
    idx(0x801, &[2], &[3, 9])
}

#[test]
fn plain_and_gzipped_files_hold_the_same() {
    for files in [Files::new(&images(), &labels()), Files::new(&gzip(&images()), &gzip(&labels()))] {
        let split = files.read().unwrap();
        assert_eq!(split.pixels(), pixels(), "pixels");
        assert_eq!(split.labels(), [3, 9], "labels");
        assert_eq!(split.len(), COUNT, "number of examples");
    }
}

#[test]
fn zeros_after_a_gzip_member_are_padding() {
    let zeros = |count| vec![0; count];
    let halves = || [gzip(&images()[..700]), gzip(&images()[700..])];
    let [first, second] = halves();
    for packed in [
        [gzip(&images()), zeros(1)].concat(),
        // More than is read at a time.
        [gzip(&images()), zeros(300_000)].concat(),
        halves().concat(),
        [first, zeros(512), second, zeros(512)].concat(),
    ] {
        let files = Files::new(&packed, &labels());
        assert_eq!(files.read().unwrap().pixels(), pixels(), "pixels of {} packed bytes", packed.len());
    }
    for rest in [b"\0\0x".as_slice(), b"garbage", &gzip(&[0])] {
        let files = Files::new(&[&gzip(&images()), rest].concat(), &labels());
        assert_malformed(
            &files.read().unwrap_err(),
            &files.images,
            16 + PIXELS as u64,
            &["the end of the file"],
        );
    }
}

#[test]
fn wrong_headers_are_named() {
    for (header, offset, words) in [
        (idx(0x801, &[2, 28, 28], &pixels()), 0, ["image file", "0x00000801 of an IDX label file"]),
        (idx(0x0d03, &[2, 28, 28], &pixels()), 0, ["0x00000803", "0x00000d03"]),
        (idx(0x803, &[u32::MAX, 28, 28], &pixels()), 4, ["2 as the number of images", "4294967295"]),
        (idx(0x803, &[3, 28, 28], &pixels()), 4, ["2 as the number of images", "found 3"]),
        (idx(0x803, &[2, 32, 28], &pixels()), 8, ["28 as the number of rows", "found 32"]),
        (idx(0x803, &[2, 28, u32::MAX], &pixels()), 12, ["28 as the number of columns", "4294967295"]),
        (Vec::new(), 0, ["4 more bytes of the magic number", "the end of the file"]),
    ] {
        let files = Files::new(&header, &labels());
        assert_malformed(&files.read().unwrap_err(), &files.images, offset, &words);
        let packed = Files::new(&gzip(&header), &labels());
        assert_malformed(
            &packed.read().unwrap_err(),
            &packed.images,
            offset,
            &["of its unpacked content", words[0]],
        );
    }
}

#[test]
fn wrong_sizes_are_named() {
    let short = Files::new(&images()[..100], &labels());
    assert_malformed(&short.read().unwrap_err(), &short.images, 100, &["1484 more bytes of pixels"]);
    let long = Files::new(&[images(), vec![0]].concat(), &labels());
    assert_malformed(
        &long.read().unwrap_err(),
        &long.images,
        16 + PIXELS as u64,
        &["the end of the file", "more bytes"],
    );
    let swapped = Files::new(&labels(), &images());
    assert_malformed(&swapped.read().unwrap_err(), &swapped.images, 0, &["label file"]);
}

#[test]
fn a_label_out_of_range_is_named() {
    let files = Files::new(&images(), &idx(0x801, &[2], &[3, 10]));
    assert_malformed(&files.read().unwrap_err(), &files.labels, 9, &["a label from 0 to 9", "found 10"]);
}

#[test]
fn a_corrupt_checksum_is_noticed() {
    let mut packed = gzip(&images());
    let place = packed.len() - 8;
    packed[place] ^= 1;
    let files = Files::new(&packed, &labels());
    assert_malformed(&files.read().unwrap_err(), &files.images, 16 + PIXELS as u64, &["corrupt packed data"]);
}

#[test]
fn missing_files_and_folders_are_named() {
    let files = Files::new(&images(), &labels());
    let folder = files.labels.parent().unwrap();
    for path in [folder.join("absent"), folder.to_owned()] {
        let error = read_split(&path, &files.labels, COUNT).unwrap_err();
        assert!(
            matches!(&error, Error::Io { path: named, .. } if *named == path),
            "another error: {error:?}"
        );
    }
}

#[test]
fn no_damage_makes_it_panic_or_pass_unnoticed() {
    let files = Files::new(&images(), &labels());
    let mut rejected = 0;
    for content in [images(), gzip(&images())] {
        // The header and its neighbourhood byte by byte, the pixels at intervals.
        let places = (0..32).chain((32..content.len()).step_by(13));
        for_each_damage(&content, places, |damaged, damage| {
            fs::write(&files.images, damaged).unwrap();
            match files.read() {
                Ok(split) => {
                    let is_plain_pixels =
                        damaged.get(..16) == Some(&images()[..16]) && damaged.len() == 16 + PIXELS;
                    assert!(
                        is_plain_pixels || split.pixels() == pixels(),
                        "{damage} changed the pixels unnoticed"
                    );
                }
                Err(error) => {
                    assert!(matches!(error, Error::Malformed { .. }), "{damage}: {error:?}");
                    rejected += 1;
                }
            }
        });
    }
    assert!(rejected > 200, "only {rejected} damaged files were rejected");
}
