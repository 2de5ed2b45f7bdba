//! The search for data sets, with invented directories in place of the process's own.

use std::fs;
use std::path::Path;

use sharpness_data::cifar10::Version;
use sharpness_data::{DatasetName, Error, Found, Locations};
use tempfile::TempDir;

const IDX: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn create(folder: &Path, files: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    for file in files {
        fs::write(folder.join(file), "").unwrap();
    }
}

fn data_dir(folder: &Path) -> Locations {
    Locations { data_dir: Some(folder.to_owned()), ..Locations::default() }
}

/// The folder of the training images.
#[track_caller]
fn folder_of(found: &Found) -> &Path {
    let Found::Idx(files) = found else { panic!("no IDX files: {found:?}") };
    files.train_images.parent().unwrap()
}

#[test]
fn the_first_place_that_holds_all_files_wins() {
    let temporary = TempDir::new().unwrap();
    let root = |name: &str| temporary.path().join(name);
    let locations = Locations {
        data_dir: Some(root("data")),
        environment: Some(root("environment")),
        cache_dir: Some(root("cache")),
        system_dirs: vec![root("system")],
    };
    // Made from the last place to the first, so that each hides the one before.
    for folder in
        ["system/fashion-mnist", "cache/fashion-mnist", "environment", "data", "data/FashionMNIST/raw"]
    {
        create(&root(folder), &IDX);
        let found = locations.find(DatasetName::FashionMnist).unwrap();
        assert_eq!(folder_of(&found), root(folder), "the folder that was just made");
    }
    create(&root("data/fashion-mnist"), &IDX[..3]);
    let found = locations.find(DatasetName::FashionMnist).unwrap();
    assert_eq!(folder_of(&found), root("data/FashionMNIST/raw"), "an incomplete folder is passed over");
}

#[test]
fn packed_and_plain_files_may_be_mixed() {
    let folder = TempDir::new().unwrap();
    create(folder.path(), &IDX[..2]);
    create(folder.path(), &["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]);
    let Found::Idx(files) = data_dir(folder.path()).find(DatasetName::Mnist).unwrap() else {
        panic!("no IDX files")
    };
    assert_eq!(files.train_labels, folder.path().join(IDX[1]), "a plain file");
    assert_eq!(files.test_images, folder.path().join("t10k-images-idx3-ubyte.gz"), "a packed file");
}

#[test]
fn cifar10_is_found_as_folder_and_as_archive() {
    let folder = TempDir::new().unwrap();
    let locations = data_dir(folder.path());
    // Made from the last choice to the first, so that each hides the one before.
    for version in [Version::Python, Version::Binary] {
        create(folder.path(), &[version.archive()]);
        let found = locations.find(DatasetName::Cifar10).unwrap();
        let archive = folder.path().join(version.archive());
        assert_eq!(found, Found::Cifar10Archive(archive, version), "the archive");
    }
    for (name, version) in
        [("cifar-10-batches-py", Version::Python), ("cifar-10-batches-bin", Version::Binary)]
    {
        let batches = folder.path().join(name);
        create(&batches, &version.files()[1..]);
        assert!(data_dir(&batches).find(DatasetName::Cifar10).is_err(), "one batch is missing");
        create(&batches, &version.files()[..1]);
        let found = Found::Cifar10Folder(batches.clone(), version);
        assert_eq!(locations.find(DatasetName::Cifar10).unwrap(), found, "the folder inside");
        assert_eq!(data_dir(&batches).find(DatasetName::Cifar10).unwrap(), found, "the folder itself");
    }
}

#[test]
fn mnist_is_not_taken_from_the_folder_of_fashion_mnist() {
    let root = TempDir::new().unwrap();
    for (folder, own, other) in [
        ("fashion-mnist", DatasetName::FashionMnist, DatasetName::Mnist),
        ("MNIST/raw", DatasetName::Mnist, DatasetName::FashionMnist),
    ] {
        let folder = root.path().join(folder);
        create(&folder, &IDX);
        assert!(data_dir(&folder).find(own).is_ok(), "{own} is in its own folder");
        assert!(data_dir(&folder).find(other).is_err(), "{other} was taken from {}", folder.display());
    }
}

#[test]
fn what_is_not_found_lists_every_place_and_the_way_out() {
    let root = TempDir::new().unwrap();
    create(root.path(), &IDX[..1]);
    let locations = Locations { cache_dir: Some(root.path().join("absent")), ..data_dir(root.path()) };
    let error = locations.find(DatasetName::FashionMnist).unwrap_err();
    let Error::DatasetNotFound { searched, .. } = &error else { panic!("another error: {error:?}") };
    assert_eq!(searched.len(), 6, "two folders and the directory itself, twice: {searched:?}");
    let text = error.to_string();
    let own = format!("{} (without train-labels-idx1-ubyte[.gz])", root.path().display());
    let absent = format!("{} (no such directory)", root.path().join("absent/fashion-mnist").display());
    for words in [&own, &absent, "sharpness data fetch fashion-mnist", "--data-dir", "SHARPNESS_DATA"] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }
}
