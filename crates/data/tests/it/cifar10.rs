//! The binary version of CIFAR-10 in a folder and in an archive.

use std::fs;
use std::path::{Path, PathBuf};

use sharpness_data::cifar10::{Version, read_archive, read_folder};
use sharpness_data::{Error, Result};
use tempfile::TempDir;

use crate::files::{assert_malformed, cifar10_record, for_each_damage, gzip, tar};

const RECORD: usize = 3073;

/// The six batches of two records each: batch k has the labels k and k + 1 and the pixels 10 k and 10 k + 1.
fn batches() -> Vec<(String, Vec<u8>)> {
    let names = (1..=5).map(|k| format!("data_batch_{k}.bin")).chain(["test_batch.bin".to_owned()]);
    (1..)
        .zip(names)
        .map(|(k, name)| (name, [cifar10_record(k, 10 * k), cifar10_record(k + 1, 10 * k + 1)].concat()))
        .collect()
}

fn write_folder(batches: &[(String, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in batches {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn archive_of(batches: &[(String, Vec<u8>)]) -> Vec<u8> {
    let names: Vec<String> = batches.iter().map(|(name, _)| format!("cifar-10-batches-bin/{name}")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("cifar-10-batches-bin/readme.html", b"read me")];
    files.extend(names.iter().zip(batches).map(|(name, (_, content))| (name.as_str(), content.as_slice())));
    tar(&files)
}

fn read_packed(folder: &Path, packed: &[u8]) -> (PathBuf, Result<()>) {
    let path = folder.join("cifar.tar.gz");
    fs::write(&path, packed).unwrap();
    let result = read_archive(&path, Version::Binary, 2).map(|(train, test)| {
        let labels = [train.labels(), test.labels()].concat();
        assert!(labels.iter().all(|&label| label < 10), "a label out of range in {labels:?}");
    });
    (path, result)
}

#[test]
fn folder_and_archive_hold_the_same() {
    let folder = write_folder(&batches());
    let (train, test) = read_folder(folder.path(), Version::Binary, 2).unwrap();
    assert_eq!(train.labels(), [1, 2, 2, 3, 3, 4, 4, 5, 5, 6], "labels in the order of the files");
    assert_eq!(test.labels(), [6, 7], "labels of the test batch");
    assert_eq!(train.pixels().len(), 10 * (RECORD - 1), "training pixels");
    assert_eq!(train.pixels()[3 * (RECORD - 1)], 21, "the first pixel of the fourth image");
    assert_eq!(test.pixels()[RECORD - 1], 61, "the first pixel of the second test image");

    let mut reversed = batches();
    reversed.reverse();
    for batches in [batches(), reversed] {
        let path = folder.path().join("cifar.tar.gz");
        fs::write(&path, gzip(&archive_of(&batches))).unwrap();
        assert!(
            read_archive(&path, Version::Binary, 2).unwrap() == (train.clone(), test.clone()),
            "the archive holds other examples"
        );
    }
}

#[test]
fn wrong_batches_are_named() {
    let (good, record) = (batches()[2].1.clone(), RECORD as u64);
    let mut mislabelled = good.clone();
    mislabelled[RECORD] = 10;
    for (content, offset, words) in [
        (Vec::new(), 0, ["1 more byte of record 1 of 2", "the end of the file"]),
        (good[..RECORD].to_owned(), record, ["1 more byte of record 2 of 2", "the end of the file"]),
        (good[..RECORD + 3].to_owned(), record + 3, ["3070 more bytes of record 2", "the end of the file"]),
        ([good, vec![0]].concat(), 2 * record, ["expected the end of the file", "found more bytes"]),
        (mislabelled, record, ["a label from 0 to 9, the start of record 2", "found 10"]),
    ] {
        let mut batches = batches();
        batches[2].1 = content;
        let folder = write_folder(&batches);
        let file = folder.path().join("data_batch_3.bin");
        assert_malformed(&read_folder(folder.path(), Version::Binary, 2).unwrap_err(), &file, offset, &words);

        let (path, result) = read_packed(folder.path(), &gzip(&archive_of(&batches)));
        let entry = PathBuf::from(format!("{}:cifar-10-batches-bin/data_batch_3.bin", path.display()));
        assert_malformed(&result.unwrap_err(), &entry, offset, &words);
    }
}

#[test]
fn missing_and_repeated_batches_are_named() {
    let folder = write_folder(&batches());
    let (path, result) = read_packed(folder.path(), &gzip(&archive_of(&batches()[..5])));
    let Err(Error::Malformed { file, .. }) = &result else {
        panic!("accepted without a test batch: {result:?}")
    };
    assert_eq!(*file, path, "file");
    let text = result.unwrap_err().to_string();
    assert!(text.contains("expected an entry test_batch.bin"), "another message: {text}");

    let twice = [batches(), batches()[..1].to_vec()].concat();
    let text = read_packed(folder.path(), &gzip(&archive_of(&twice))).1.unwrap_err().to_string();
    assert!(
        text.contains("each batch once") && text.contains("data_batch_1.bin again"),
        "another message: {text}"
    );

    fs::remove_file(folder.path().join("test_batch.bin")).unwrap();
    let error = read_folder(folder.path(), Version::Binary, 2).unwrap_err();
    assert!(error.to_string().contains("test_batch.bin"), "another message: {error}");
}

#[test]
fn files_that_are_no_archives_are_refused() {
    let folder = TempDir::new().unwrap();
    let long_name = {
        // An entry that claims 8 GiB of content in a small archive.
        let mut content = archive_of(&batches());
        content[124..136].copy_from_slice(b"100000000000");
        content
    };
    for (name, content) in [
        ("empty", Vec::new()),
        ("text", b"not an archive at all".to_vec()),
        ("gzipped text", gzip(b"not an archive at all")),
        ("plain tar", archive_of(&batches())),
        ("absurd size", gzip(&long_name)),
    ] {
        let (path, result) = read_packed(folder.path(), &content);
        let Err(Error::Malformed { file, .. }) = result else { panic!("{name}: {result:?}") };
        assert_eq!(file, path, "file named for {name}");
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let folder = TempDir::new().unwrap();
    let content = archive_of(&batches());
    let packed = gzip(&content);
    let mut rejected = 0;
    for_each_damage(&packed, (0..packed.len()).step_by(2), |damaged, damage| {
        if let Err(error) = read_packed(folder.path(), damaged).1 {
            assert!(matches!(error, Error::Malformed { .. }), "{damage}: {error:?}");
            rejected += 1;
        }
    });
    assert!(rejected > packed.len() / 2, "only {rejected} damaged archives were rejected");

    // Damage to the archive inside a sound gzip file: two headers byte by byte, the rest at intervals.
    let places = (0..1600).step_by(7).chain((1600..content.len()).step_by(211));
    let mut rejected = 0;
    for_each_damage(&content, places, |damaged, damage| {
        if let Err(error) = read_packed(folder.path(), &gzip(damaged)).1 {
            assert!(matches!(error, Error::Malformed { .. }), "{damage}: {error:?}");
            rejected += 1;
        }
    });
    assert!(rejected > 200, "only {rejected} damaged archives were rejected");
}
