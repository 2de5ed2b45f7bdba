//! MNIST (LeCun, Cortes, Burges 1998): handwritten digits. Its original address no longer serves it, so that it comes from
//! PyTorch's mirror, with the checksums of torchvision.

use super::description::{Description, Download, Files, ImageShape};

pub(super) const DESCRIPTION: Description = Description {
    name: "mnist",
    title: "MNIST",
    shape: ImageShape::square(1, 28),
    pixel_max: 255,
    classes: 10,
    train_examples: 60_000,
    test_examples: 10_000,
    files: Files::Idx([
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ]),
    folders: &["mnist", "MNIST/raw"],
    download: Some(Download {
        base_url: "https://ossci-datasets.s3.amazonaws.com/mnist",
        files: &[
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ],
    }),
    examples: None,
};
