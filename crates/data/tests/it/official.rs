//! The whole official data sets, where the machine has them: published means, deviations and class counts.

use sharpness_data::{Dataset, DatasetName, Locations, Part, Standardization, Standardized};

use crate::skip::{assert_skips_are_told, skip};

/// The data set, standardized by channel, if it is on this machine.
fn load(name: DatasetName, get: &str) -> Option<Standardized> {
    let locations = Locations::of_process(None);
    if locations.find(name).is_err() {
        skip(&format!("{name} is not on this machine; get it with {get}"));
        return None;
    }
    Some(Standardized::new(Dataset::load(name, &locations).unwrap(), Standardization::Channel))
}

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
    let get = "`sharpness data fetch cifar10`, or name its folder in SHARPNESS_DATA";
    let Some(data) = load(DatasetName::Cifar10, get) else { return };
    check(&data, 50_000, 10_000, &[0.4914, 0.4822, 0.4465], &[0.2470, 0.2435, 0.2616]);
}

#[test]
fn fashion_mnist() {
    let get = "`sharpness data fetch fashion-mnist` or Debian's `apt-get install dataset-fashion-mnist`";
    let Some(data) = load(DatasetName::FashionMnist, get) else { return };
    check(&data, 60_000, 10_000, &[0.2860], &[0.3530]);
}

#[test]
fn absent_data_are_told() {
    assert_skips_are_told(&["official::cifar10"]);
}
