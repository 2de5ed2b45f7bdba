//! Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): photographs of clothes.

use super::description::{Description, Download, Files, ImageShape};

pub(super) const DESCRIPTION: Description = Description {
    name: "fashion-mnist",
    title: "Fashion-MNIST",
    shape: ImageShape::square(1, 28),
    pixel_max: 255,
    classes: 10,
    train_examples: 60_000,
    test_examples: 10_000,
    files: Files::Idx([
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ]),
    folders: &["fashion-mnist", "FashionMNIST/raw"],
    download: Some(Download {
        base_url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        files: &[
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ],
    }),
    examples: Some([0x0c3a_2f6b_4379_feca_ed99_24f8_ba83_733e, 0xa85b_429c_f35b_8d42_3f05_ab71_1ea3_d5ff]),
};
