//! The whole official data sets, where the machine has them: published means, deviations and class counts.

use std::path::{Path, PathBuf};

use sharpness_experiments::data::{Dataset, DatasetName, Locations, Part, Standardization, Standardized};

/// Checks sizes, class balance and the published moments of each channel, which have four digits.
fn check(data: &Standardized, train: usize, test: usize, mean: &[f64], deviation: &[f64]) {
    let name = data.dataset().name();
    let plane = data.dataset().shape().plane_len();
    for (part, examples) in [(Part::Train, train), (Part::Test, test)] {
        let split = data.dataset().split(part);
        assert_eq!(split.len(), examples, "examples of {name} {part:?}");
        if part == Part::Train {
            assert_eq!(name.train_examples(), examples, "the number is known without the data of {name}");
        }
        assert_eq!(split.pixels().len(), examples * plane * mean.len(), "pixels of {name} {part:?}");
        let mut counts = [0; 10];
        split.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert_eq!(counts, [examples / 10; 10], "examples per class of {name} {part:?}");
    }
    for (what, found, expected) in [("mean", data.mean(), mean), ("deviation", data.deviation(), deviation)] {
        for (channel, (found, expected)) in found.chunks_exact(plane).zip(expected).enumerate() {
            assert!((found[0] - expected).abs() < 6e-5, "{what} {} of channel {channel} of {name}", found[0]);
        }
    }
}

#[test]
fn cifar10() {
    let Some(environment) = std::env::var_os("SHARPNESS_DATA").map(PathBuf::from) else {
        println!("skipped: SHARPNESS_DATA names no directory with CIFAR-10");
        return;
    };
    let locations = Locations { environment: Some(environment), ..Locations::default() };
    let data =
        Standardized::new(Dataset::load(DatasetName::Cifar10, &locations).unwrap(), Standardization::Channel);
    check(&data, 50_000, 10_000, &[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]);
}

#[test]
fn fashion_mnist() {
    let system = Path::new("/usr/share/datasets");
    if !system.join("fashion-mnist").is_dir() {
        println!("skipped: {} holds no Fashion-MNIST", system.display());
        return;
    }
    let locations = Locations { system_dirs: vec![system.to_owned()], ..Locations::default() };
    let dataset = Dataset::load(DatasetName::FashionMnist, &locations).unwrap();
    check(&Standardized::new(dataset, Standardization::Channel), 60_000, 10_000, &[0.2860], &[0.3530]);
}
