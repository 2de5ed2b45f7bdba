//! The embedded digits and their standardization.

use sharpness_data::{Dataset, DatasetName, Locations, Part, PartExamples, Standardization, Standardized};
use sharpness_kernels::Cpu;
use sharpness_network::backend::{Device as _, Layout as _, Shape};
use sharpness_network::{Examples as _, Images};

fn digits() -> Dataset {
    Dataset::load(DatasetName::Digits, &Locations::default()).unwrap()
}

/// The images that a network sees of the examples with the given numbers, `[examples, 64]`.
fn images(data: &Standardized, part: Part, numbers: &[u32]) -> Vec<f64> {
    let examples = PartExamples::new(data, part);
    let Images::Pixels(pixels) = examples.images() else { panic!("a data set holds bytes") };
    let (device, shape) = (Cpu::<f64>::default(), Shape::new(1, 8, 8));
    let mut images = device.buffer(numbers.len() * 64);
    device.upload_pixels(shape, &pixels, numbers, &mut images);
    device.download_activations(shape, numbers.len(), &images)
}

#[test]
fn the_split_is_fixed_and_stratified() {
    let digits = digits();
    assert_eq!((digits.train().len(), digits.test().len()), (1442, 355), "training and test examples");
    assert_eq!(digits.name().train_examples(), 1442, "the number is known without the data");
    let counts = |part: Part| {
        let mut counts = [0; 10];
        for &label in digits.split(part).labels() {
            counts[usize::from(label)] += 1;
        }
        counts
    };
    assert_eq!(
        counts(Part::Train),
        [143, 146, 142, 147, 145, 146, 145, 144, 140, 144],
        "training examples per class"
    );
    assert_eq!(counts(Part::Test), [35, 36, 35, 36, 36, 36, 36, 35, 34, 36], "test examples per class");
    assert_eq!(digits.train().pixels().len(), 1442 * 64, "training pixels");
    // The first row of scikit-learn's load_digits.
    assert_eq!(digits.train().pixels()[..8], [0, 0, 5, 13, 9, 1, 0, 0], "the first row of the first image");
    assert_eq!(digits.train().pixels().iter().max(), Some(&16), "the largest pixel");
}

#[test]
fn standardized_values_have_mean_0_and_deviation_1() {
    let data = Standardized::new(digits(), Standardization::Pixel);
    let all: Vec<u32> = (0..1442).collect();
    let images = images(&data, Part::Train, &all);
    assert_eq!(images.len(), 1442 * 64, "values");
    let mut constant_pixels = 0;
    for pixel in 0..64 {
        let values: Vec<f64> = images.iter().skip(pixel).step_by(64).copied().collect();
        let mean = values.iter().sum::<f64>() / 1442.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1442.0;
        let is_constant = variance < 0.5;
        let expected = if is_constant { 0.0 } else { 1.0 };
        constant_pixels += usize::from(is_constant);
        assert!(mean.abs() < 1e-12, "mean {mean} of pixel {pixel}");
        assert!((variance - expected).abs() < 1e-12, "variance {variance} of pixel {pixel}");
    }
    assert!((1..10).contains(&constant_pixels), "{constant_pixels} constant pixels");
}

#[test]
fn images_follow_the_indices() {
    let data = Standardized::new(digits(), Standardization::None);
    let images = images(&data, Part::Test, &[354, 0, 354]);
    let examples = PartExamples::new(&data, Part::Test);
    let labels = [354, 0, 354].map(|number| examples.label(number));
    let raw = data.dataset().test();
    let expected: Vec<f64> = [354, 0, 354]
        .iter()
        .flat_map(|&i| &raw.pixels()[i * 64..(i + 1) * 64])
        .map(|&p| f64::from(p) / 16.0)
        .collect();
    assert_eq!(images, expected, "images in the order of the indices, scaled by 1/16");
    assert_eq!(labels, [354, 0, 354].map(|i: usize| u32::from(raw.labels()[i])), "labels");
}

#[test]
fn one_channel_has_one_mean() {
    let data = Standardized::new(digits(), Standardization::Channel);
    let pixels = data.dataset().train().pixels();
    let mean = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64 / 16.0;
    assert!(
        data.mean().iter().all(|found| (found - mean).abs() < 1e-14),
        "means other than {mean}: {:?}",
        data.mean()
    );
}

#[test]
fn names_go_to_text_and_back() {
    for name in DatasetName::ALL {
        assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name, "the name {name}");
        assert_eq!(
            serde_json::to_string(&name).unwrap(),
            format!("\"{name}\""),
            "the serialized name {name}"
        );
    }
    for choice in Standardization::ALL {
        assert_eq!(choice.to_string().parse::<Standardization>().unwrap(), choice, "the choice {choice}");
        assert_eq!(
            serde_json::to_string(&choice).unwrap(),
            format!("\"{choice}\""),
            "the serialized {choice}"
        );
    }
    let error = "cifar-10".parse::<DatasetName>().unwrap_err().to_string();
    assert_eq!(error, "unknown data set 'cifar-10'; choose one of: digits, fashion-mnist, mnist, cifar10");
}
