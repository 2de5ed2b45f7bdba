//! Whether files are the published ones: the real data, where the machine has them, and copies with something changed.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sharpness_data::cifar10::Version;
use sharpness_data::{Dataset, DatasetName, Established, Locations, Verification};
use tempfile::TempDir;

use crate::skip::skip;

const IDX: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn verify(name: DatasetName, folder: &Path) -> Verification {
    let locations = Locations { data_dir: Some(folder.to_owned()), ..Locations::default() };
    let found = locations.find(name).unwrap();
    Dataset::read(name, &found).unwrap().verify(&found).unwrap()
}

/// The place and the origin of each file that is not the published one.
fn others(verification: &Verification) -> Vec<(usize, Option<&str>)> {
    let files = verification.files.iter().enumerate().filter(|(_, file)| !file.is_published());
    files.map(|(index, file)| (index, file.copy_of.as_deref())).collect()
}

/// Turns over a bit of a byte of a file.
fn flip(path: &Path, place: usize) {
    let mut content = fs::read(path).unwrap();
    content[place] ^= 1;
    fs::write(path, content).unwrap();
}

#[test]
fn fashion_mnist_is_known_packed_plain_and_in_another_order() {
    let system = Path::new("/usr/share/datasets/fashion-mnist");
    if !system.is_dir() {
        skip(
            "Fashion-MNIST is not on this machine; get it with Debian's `apt-get install dataset-fashion-mnist`",
        );
        return;
    }
    // Debian repacks the files, so only the digests of their content are the published ones.
    let packed = verify(DatasetName::FashionMnist, system);
    assert_eq!(packed.established, Established::PublishedFiles, "{packed:?}");

    let folder = TempDir::new().unwrap();
    for name in IDX {
        let mut packed = GzDecoder::new(fs::File::open(system.join(format!("{name}.gz"))).unwrap());
        let mut plain = fs::File::create(folder.path().join(name)).unwrap();
        std::io::copy(&mut packed, &mut plain).unwrap();
    }
    let plain = verify(DatasetName::FashionMnist, folder.path());
    assert_eq!(plain.established, Established::PublishedFiles, "{plain:?}");

    let in_its_place = verify(DatasetName::Mnist, folder.path());
    assert_eq!(in_its_place.established, Established::WellFormed, "Fashion-MNIST in MNIST's place");
    let origin = "Fashion-MNIST's published t10k-images-idx3-ubyte";
    assert_eq!(others(&in_its_place)[2], (2, Some(origin)), "where a file is from");

    // The last two examples change places, then their labels alone.
    let [images, labels] = [0, 1].map(|index| folder.path().join(IDX[index]));
    let swap = |path: &Path, size: usize| {
        let mut content = fs::read(path).unwrap();
        let last = content.len() - 2 * size;
        content[last..].rotate_left(size);
        fs::write(path, content).unwrap();
    };
    swap(&images, 28 * 28);
    swap(&labels, 1);
    let reordered = verify(DatasetName::FashionMnist, folder.path());
    assert_eq!(reordered.established, Established::PublishedExamples, "{reordered:?}");
    swap(&images, 28 * 28);
    let mislabelled = verify(DatasetName::FashionMnist, folder.path());
    assert_eq!(others(&mislabelled), [(1, None)], "two labels are exchanged");
    assert_eq!(mislabelled.established, Established::WellFormed, "two labels are exchanged");
    swap(&labels, 1);
    flip(&images, 1_000_000);
    let flipped = verify(DatasetName::FashionMnist, folder.path());
    assert_eq!(flipped.established, Established::WellFormed, "a pixel is changed");
    assert_eq!(others(&flipped), [(0, None)], "a pixel is changed");
}

/// Batch `index` as a pickle of Python 2.
fn pickled(batch: &[u8]) -> Vec<u8> {
    let records = batch.len() / 3073;
    let mut pickle =
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
            .to_vec();
    pickle.extend(
        b"K\x00\x85U\x01b\x87Rq\x05(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07",
    );
    pickle.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    pickle.extend(u32::try_from(3072 * records).unwrap().to_le_bytes());
    batch.chunks_exact(3073).for_each(|record| pickle.extend(&record[1..]));
    pickle.extend(b"tbU\x06labelsq\x08]q\x09(");
    batch.chunks_exact(3073).for_each(|record| pickle.extend([b'K', record[0]]));
    pickle.extend(b"eu.");
    pickle
}

#[test]
fn cifar10_in_another_order_is_told_from_damaged_copies() {
    let source =
        std::env::var_os("SHARPNESS_DATA").map(|data| PathBuf::from(data).join("cifar-10-batches-bin"));
    let Some(source) = source.filter(|source| source.is_dir()) else {
        skip(
            "CIFAR-10 is not on this machine; name the folder that holds `cifar-10-batches-bin` in SHARPNESS_DATA",
        );
        return;
    };
    let folder = TempDir::new().unwrap();
    let [binary, python] =
        ["cifar-10-batches-bin", "cifar-10-batches-py"].map(|name| folder.path().join(name));
    for folder in [&binary, &python] {
        fs::create_dir(folder).unwrap();
    }
    for (name, pickle) in Version::Binary.files().into_iter().zip(Version::Python.files()) {
        let batch = fs::read(source.join(name)).unwrap();
        fs::write(python.join(pickle), pickled(&batch)).unwrap();
        fs::write(binary.join(name), batch).unwrap();
    }
    for folder in [&binary, &python] {
        let verification = verify(DatasetName::Cifar10, folder);
        assert_ne!(verification.established, Established::WellFormed, "{verification:?}");
        assert_eq!(verification.files.len(), 6, "{verification:?}");
    }
    let batch = |number: usize| binary.join(format!("data_batch_{number}.bin"));
    let third = fs::read(batch(3)).unwrap();
    fs::copy(batch(1), batch(3)).unwrap();
    let copied = verify(DatasetName::Cifar10, &binary);
    assert_eq!(copied.established, Established::WellFormed, "one batch is copied over another");
    let origin = copied.files[2].copy_of.as_deref().unwrap();
    assert!(origin.ends_with("data_batch_1.bin"), "the third batch is a copy of {origin}");
    fs::write(batch(3), third).unwrap();
    flip(&binary.join("test_batch.bin"), 2_000_000);
    assert_eq!(
        verify(DatasetName::Cifar10, &binary).established,
        Established::WellFormed,
        "a pixel is changed"
    );
}
