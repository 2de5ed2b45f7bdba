//! The Python version of CIFAR-10: pickles as Python writes them, and pickles that are something else.

use std::fs;
use std::path::PathBuf;

use sharpness_data::cifar10::{Version, read_archive, read_folder};
use sharpness_data::{Error, Result, Split};
use tempfile::TempDir;

use crate::files::{assert_malformed, for_each_damage, gzip, tar};

const PIXELS: usize = 2 * 3072;
/// The labels of the two examples of a batch.
const LABELS: &[u8] = b"K\x03K\x07";

/// What Python writes of `{b'batch_label': …, b'labels': [3, 7], b'data': array, b'filenames': […]}`: the pickle before the
/// array's bytes, the instruction for these, and the rest. Python 2.7 with NumPy 1.16 wrote the first, as it wrote the published
/// files; Python 3.12 with NumPy 2.5 the others.
const PICKLES: [(&str, &[u8], u8, &[u8]); 6] = [
    (
        "Python 2",
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
        b'T',
        b"tbU\x06labelsq\x08]q\x09(K\x03K\x07eU\x0bbatch_labelq\nU\x15training batch 1 of 5q\x0bU\x09filenamesq\x0c]q\x0d(U\x0ea_s_000001.pngq\x0eU\x0eb_s_000002.pngq\x0feu.",
    ),
    (
        "Python 3, protocol 2",
        b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x0b\x00\x00\x00batch_labelq\x02X\x06\x00\x00\x00latin1q\x03\x86q\x04Rq\x05h\x01X\x15\x00\x00\x00training batch 1 of 5q\x06h\x03\x86q\x07Rq\x08h\x01X\x06\x00\x00\x00labelsq\x09h\x03\x86q\nRq\x0b]q\x0c(K\x03K\x07eh\x01X\x04\x00\x00\x00dataq\x0dh\x03\x86q\x0eRq\x0fcnumpy._core.multiarray\n_reconstruct\nq\x10cnumpy\nndarray\nq\x11K\x00\x85q\x12h\x01X\x01\x00\x00\x00bq\x13h\x03\x86q\x14Rq\x15\x87q\x16Rq\x17(K\x01K\x02M\x00\x0c\x86q\x18cnumpy\ndtype\nq\x19X\x02\x00\x00\x00u1q\x1a\x89\x88\x87q\x1bRq\x1c(K\x03X\x01\x00\x00\x00|q\x1dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x1eb\x89h\x01",
        b'X',
        b"q\x1fh\x03\x86q Rq!tq\"bh\x01X\x09\x00\x00\x00filenamesq#h\x03\x86q$Rq%]q&(h\x01X\x0e\x00\x00\x00a_s_000001.pngq'h\x03\x86q(Rq)h\x01X\x0e\x00\x00\x00b_s_000002.pngq*h\x03\x86q+Rq,eu.",
    ),
    (
        "Python 3, protocol 3",
        b"\x80\x03}q\x00(C\x0bbatch_labelq\x01C\x15training batch 1 of 5q\x02C\x06labelsq\x03]q\x04(K\x03K\x07eC\x04dataq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08C\x01bq\x09\x87q\nRq\x0b(K\x01K\x02M\x00\x0c\x86q\x0ccnumpy\ndtype\nq\x0dX\x02\x00\x00\x00u1q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00|q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89",
        b'B',
        b"q\x13tq\x14bC\x09filenamesq\x15]q\x16(C\x0ea_s_000001.pngq\x17C\x0eb_s_000002.pngq\x18eu.",
    ),
    (
        "Python 3, protocol 4",
        b"\x80\x04\x95\x03\x19\x00\x00\x00\x00\x00\x00}\x94(C\x0bbatch_label\x94C\x15training batch 1 of 5\x94C\x06labels\x94]\x94(K\x03K\x07eC\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02M\x00\x0c\x86\x94h\x09\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89",
        b'B',
        b"\x94t\x94bC\x09filenames\x94]\x94(C\x0ea_s_000001.png\x94C\x0eb_s_000002.png\x94eu.",
    ),
    (
        "Python 3, protocol 5",
        b"\x80\x05\x95\xeb\x18\x00\x00\x00\x00\x00\x00}\x94(C\x0bbatch_label\x94C\x15training batch 1 of 5\x94C\x06labels\x94]\x94(K\x03K\x07eC\x04data\x94\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(",
        0x96,
        b"\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x02M\x00\x0c\x86\x94\x8c\x01C\x94t\x94R\x94C\x09filenames\x94]\x94(C\x0ea_s_000001.png\x94C\x0eb_s_000002.png\x94eu.",
    ),
    (
        "Python 3, strings as keys",
        b"\x80\x04\x95\x03\x19\x00\x00\x00\x00\x00\x00}\x94(\x8c\x0bbatch_label\x94C\x15training batch 1 of 5\x94\x8c\x06labels\x94]\x94(K\x03K\x07e\x8c\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02M\x00\x0c\x86\x94h\x09\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89",
        b'B',
        b"\x94t\x94b\x8c\x09filenames\x94]\x94(C\x0ea_s_000001.png\x94C\x0eb_s_000002.png\x94eu.",
    ),
];

/// Pixels of every value.
fn pixels(batch: usize) -> Vec<u8> {
    (0..=255).cycle().skip(batch).take(PIXELS).collect()
}

/// Replaces the one occurrence of `from`.
#[track_caller]
fn replaced(content: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..content.len()).filter(|&place| content[place..].starts_with(from)).collect();
    let [place] = places[..] else { panic!("{} occurs at {places:?}", from.escape_ascii()) };
    [&content[..place], to, &content[place + from.len()..]].concat()
}

/// A batch with these pixels and labels.
fn pickle(
    (_, before, instruction, after): (&str, &[u8], u8, &[u8]),
    pixels: &[u8],
    labels: [u8; 2],
) -> Vec<u8> {
    let mut pixels = pixels.to_owned();
    if instruction == b'X' {
        // Protocol 2 has no bytes: each is written as a character of Latin-1.
        pixels = pixels.iter().map(|&pixel| char::from(pixel)).collect::<String>().into_bytes();
    }
    let length = (pixels.len() as u64).to_le_bytes();
    let length = if instruction == 0x96 { &length[..] } else { &length[..4] };
    let whole = [before, &[instruction], length, &pixels, after].concat();
    replaced(&whole, LABELS, &[b'K', labels[0], b'K', labels[1]])
}

/// The six batches: batch k has the labels k and k + 1.
fn batches(form: (&str, &[u8], u8, &[u8])) -> Vec<Vec<u8>> {
    (0..6)
        .map(|k| pickle(form, &pixels(k), [u8::try_from(k).unwrap(), u8::try_from(k + 1).unwrap()]))
        .collect()
}

fn write_folder(batches: &[Vec<u8>]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in Version::Python.files().into_iter().zip(batches) {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

#[track_caller]
fn assert_whole((train, test): &(Split, Split), form: &str) {
    assert_eq!(train.labels(), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5], "labels of {form}");
    assert_eq!(test.labels(), [5, 6], "labels of the test batch of {form}");
    assert!(train.pixels() == (0..5).flat_map(pixels).collect::<Vec<_>>(), "pixels of {form}");
    assert!(test.pixels() == pixels(5), "pixels of the test batch of {form}");
}

/// What is said of a third batch with this content.
fn problem_of(content: Vec<u8>) -> (PathBuf, Error) {
    let mut batches = batches(PICKLES[0]);
    batches[2] = content;
    let folder = write_folder(&batches);
    let error = read_folder(folder.path(), Version::Python, 2).unwrap_err();
    (folder.path().join("data_batch_3"), error)
}

#[test]
fn what_python_writes_is_read_from_folder_and_archive() {
    for form in PICKLES {
        let folder = write_folder(&batches(form));
        assert_whole(&read_folder(folder.path(), Version::Python, 2).unwrap(), form.0);
        let archive = folder.path().join("cifar.tar.gz");
        let names = Version::Python.files().map(|name| format!("cifar-10-batches-py/{name}"));
        let contents = batches(form);
        let mut files: Vec<(&str, &[u8])> = vec![("cifar-10-batches-py/batches.meta", b"other")];
        files.extend(names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)));
        fs::write(&archive, gzip(&tar(&files))).unwrap();
        assert_whole(&read_archive(&archive, Version::Python, 2).unwrap(), form.0);
    }
}

#[test]
fn wrong_batches_are_named_with_the_offset() {
    let good = pickle(PICKLES[0], &pixels(2), [3, 7]);
    let changed = |from: &[u8], to: &[u8]| replaced(&good, from, to);
    let place = |of: &[u8]| (0..good.len()).find(|&place| good[place..].starts_with(of)).unwrap() as u64;
    let len = good.len() as u64;
    for (content, offset, words) in [
        (changed(LABELS, b"K\x03K\x0a"), place(b"K\x07e"), ["a label from 0 to 9", "found 10"]),
        (changed(LABELS, b"K\x03N"), 0, ["a label from 0 to 9", ""]),
        (changed(LABELS, b"K\x03"), 0, ["2 labels", "found 1"]),
        (
            changed(b"K\x02M\x00\x0c", b"K\x03M\x00\x0c"),
            place(b"bU\x06labels"),
            ["2 x 3072 bytes", "[3, 3072]"],
        ),
        (changed(b"U\x02u1", b"U\x02f4"), place(b"bU\x06labels"), ["an array of uint8", ""]),
        (changed(b"tb\x89", b"tb\x88"), place(b"bU\x06labels"), ["an array in row order", ""]),
        (changed(b"U\x04data", b"U\x04dota"), 0, ["an array `data` and a list `labels`", ""]),
        (
            changed(b"cnumpy\ndtype", b"cos\nsystem"),
            place(b"cnumpy\ndtype"),
            ["NumPy", "os.system, which is not called"],
        ),
        (changed(b"\x80\x02", b"\x80\x01"), 0, ["a pickle of protocol 2 to 5", "protocol 1"]),
        (changed(b"\x80\x02", b"(i1"), 1, ["an instruction", "0x69"]),
        (good[..good.len() - 1].to_owned(), len - 1, ["an instruction", "the end of the file"]),
        ([good.clone(), vec![0]].concat(), len, ["the end of the file", "more bytes"]),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), 0, ["an instruction", "0x76"]),
    ] {
        let (file, error) = problem_of(content);
        assert_malformed(&error, &file, offset, &words);
    }
}

#[test]
fn hostile_pickles_take_neither_memory_nor_the_stack() {
    let nested = |open: &[u8], close: &[u8]| {
        [b"\x80\x02", open.repeat(400).as_slice(), &close.repeat(400), b"."].concat()
    };
    for content in [
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
        b"\x80\x02T\xff\xff\xff\xff".to_vec(),
        nested(b"]", b"a"),
        nested(b")", b"\x85"),
        [b"\x80\x02".as_slice(), &b"N".repeat(100_000)].concat(),
        [b"\x80\x02U\x40".as_slice(), &[0; 64], b"q\x00", &b"h\x00".repeat(100_000)].concat(),
        b"\x80\x02r\xff\xff\xff\xff.".to_vec(),
        b"\x80\x02]q\x00h\x00a.".to_vec(),
        b"\x80\x02(((ttt.".to_vec(),
        b"\x80\x02e.".to_vec(),
        b"\x80\x02}(u.".to_vec(),
        b"\x80\x02.".to_vec(),
        Vec::new(),
    ] {
        let (file, error) = problem_of(content);
        let Error::Malformed { file: named, .. } = &error else { panic!("another error: {error:?}") };
        assert_eq!(*named, file, "{error}");
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let mut rejected = 0;
    for form in PICKLES {
        let folder = write_folder(&batches(form));
        let path = folder.path().join("data_batch_1");
        let good = fs::read(&path).unwrap();
        let read = || -> Result<()> { read_folder(folder.path(), Version::Python, 2).map(drop) };
        let structure = (0..form.1.len()).chain(good.len() - form.3.len()..good.len());
        for_each_damage(&good, structure, |damaged, damage| {
            fs::write(&path, damaged).unwrap();
            if let Err(error) = read() {
                assert!(matches!(error, Error::Malformed { .. }), "{damage} of {}: {error:?}", form.0);
                rejected += 1;
            }
        });
    }
    assert!(rejected > 3000, "only {rejected} damaged batches were rejected");
}
