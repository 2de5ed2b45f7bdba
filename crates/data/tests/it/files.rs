//! Small data files for the tests of the formats, and damage done to them.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sharpness_data::Error;

/// Gzips `content`.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file: magic number, sizes, content.
pub(crate) fn idx(magic: u32, sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let header = std::iter::once(&magic).chain(sizes).flat_map(|word| word.to_be_bytes());
    header.chain(content.iter().copied()).collect()
}

/// One record of CIFAR-10 whose pixels are all alike.
pub(crate) fn cifar10_record(label: u8, pixel: u8) -> Vec<u8> {
    let mut record = vec![pixel; 1 + 3 * 32 * 32];
    record[0] = label;
    record
}

/// A tar archive of files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Calls `check` with `content` cut at each of `places`, changed there by one seeded byte, and with a hundred
/// copies changed at random places. The second argument of `check` says what the damage is.
pub(crate) fn for_each_damage(
    content: &[u8],
    places: impl Iterator<Item = usize>,
    mut check: impl FnMut(&[u8], &str),
) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for place in places {
        check(&content[..place], &format!("cut at byte {place}"));
        let mut damaged = content.to_owned();
        damaged[place] ^= random.random_range(1..=255_u8);
        check(&damaged, &format!("byte {place} set to {}", damaged[place]));
    }
    for round in 0..100 {
        let mut damaged = content.to_owned();
        for _ in 0..random.random_range(2..20) {
            let place = random.random_range(0..damaged.len());
            damaged[place] = random.random();
        }
        check(&damaged, &format!("random damage {round}"));
    }
}

/// Checks that `error` is about `file` and the bytes at `offset`, and that its text holds each of `words`.
#[track_caller]
pub(crate) fn assert_malformed(error: &Error, file: &Path, offset: u64, words: &[&str]) {
    let text = error.to_string();
    let Error::Malformed { file: found_file, offset: found_offset, .. } = error else {
        panic!("another error: {error:?}");
    };
    assert_eq!(found_file, file, "file of: {text}");
    assert_eq!(*found_offset, offset, "offset of: {text}");
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
}
