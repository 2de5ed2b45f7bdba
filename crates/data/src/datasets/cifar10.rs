//! CIFAR-10 (Krizhevsky 2009): photographs of animals and vehicles.

use super::description::{Description, Download, Files, ImageShape};

pub(super) const DESCRIPTION: Description = Description {
    name: "cifar10",
    title: "CIFAR-10",
    shape: ImageShape::square(3, 32),
    pixel_max: 255,
    classes: 10,
    train_examples: 50_000,
    test_examples: 10_000,
    files: Files::Cifar10 {
        binary: [
            "5dd7e06a14cb22eb9f671a540d1b7c25",
            "5ea93a67294ea407fff1d09f752e9692",
            "942cd6a4bcdd0dd3c604fbe906cb4421",
            "ae636b3ba5c66a11e91e8cb52e771fcb",
            "53f37980c15c3d472c316c40844f3f0d",
            "803d5f7f4d78ea53de84dbe85f74fb6d",
        ],
        python: [
            "c99cafc152244af753f735de768cd75f",
            "d4bba439e000b95fd0a9bffe97cbabec",
            "54ebc095f3ab1f0389bbae665268c751",
            "634d18415352ddfa80567beed471001a",
            "482c414d41f54cd18b22e5b47cb7c3cb",
            "40351d587109b95175f43aff81a1287e",
        ],
    },
    folders: &["cifar10", "cifar-10-batches-bin", "cifar-10-batches-py"],
    download: Some(Download {
        base_url: "https://www.cs.toronto.edu/~kriz",
        files: &[("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")],
    }),
    examples: Some([0xd175_2365_1dcf_fdf1_be45_e667_1e50_1641, 0xab21_d127_e2bb_f4b9_5f15_88dc_adf3_b500]),
};
