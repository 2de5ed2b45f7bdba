//! Philox against its published answers, and masks that depend on nothing but their key.

use sharpness_backend::{MaskKey, philox4x32};
use sharpness_kernels::dropout::dropout_mask;

use crate::data::assert_same;

const KEY: MaskKey = MaskKey { seed: 0x1234_5678_9ABC_DEF0, step: 7, layer: 2 };

fn mask(key: MaskKey, p: f64, channels: usize, inner: usize, examples: &[u32]) -> Vec<f32> {
    let mut mask = vec![f32::NAN; channels * examples.len() * inner];
    dropout_mask(p, key, examples, inner, &mut mask);
    mask
}

/// The part of a mask `[channels, n, inner]` that belongs to one example.
fn example(mask: &[f32], n: usize, inner: usize, i: usize) -> Vec<f32> {
    mask.chunks(n * inner).flat_map(|channel| channel[i * inner..][..inner].to_vec()).collect()
}

/// `kat_vectors` of Random123 (Salmon et al. 2011), rows `philox4x32 10`.
#[test]
fn philox_gives_the_published_words() {
    let answers = [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ),
    ];
    for (counter, key, words) in answers {
        assert_eq!(philox4x32(counter, key), words);
    }
}

#[test]
fn an_example_has_the_same_mask_in_every_batch() {
    let examples = [4, 0, 17, 59_999, u32::MAX];
    for (channels, inner) in [(1, 1), (3, 5), (4, 4), (17, 1), (64, 100)] {
        let whole = mask(KEY, 0.5, channels, inner, &examples);
        for (i, number) in examples.iter().enumerate() {
            let alone = mask(KEY, 0.5, channels, inner, &[*number]);
            assert_same(&example(&whole, examples.len(), inner, i), &alone, "mask of one example");
        }
        let part = mask(KEY, 0.5, channels, inner, &examples[1..4]);
        assert_same(&example(&part, 3, inner, 1), &example(&whole, 5, inner, 2), "mask in a part");
    }
}

#[test]
fn masks_differ_by_seed_step_layer_and_example() {
    let of = |key, number| mask(key, 0.5, 8, 8, &[number]);
    let others = [
        of(MaskKey { seed: KEY.seed ^ 1, ..KEY }, 3),
        of(MaskKey { seed: KEY.seed ^ (1 << 40), ..KEY }, 3),
        of(MaskKey { step: KEY.step + 1, ..KEY }, 3),
        of(MaskKey { layer: KEY.layer + 1, ..KEY }, 3),
        of(KEY, 4),
    ];
    for other in others {
        assert_ne!(of(KEY, 3), other);
    }
}

#[test]
fn elements_are_kept_at_the_stated_rate_and_scaled() {
    let examples: Vec<u32> = (0..100).collect();
    for p in [0.0, 0.1, 0.5, 0.9] {
        let mask = mask(KEY, p, 100, 10, &examples);
        let scale = 1.0 / (1.0 - p);
        let of_two = |m: &&f32| m.to_bits() == 0 || (f64::from(**m) - scale).abs() < 1e-6 * scale;
        assert_eq!(mask.iter().filter(of_two).count(), mask.len(), "a mask holds 0 and 1 / (1 - p)");
        let kept = mask.iter().filter(|m| **m > 0.0).count() as f64 / mask.len() as f64;
        // Five standard deviations of the rate of 100,000 draws; the seed is fixed.
        let bound = 5.0 * (p * (1.0 - p) / mask.len() as f64).sqrt();
        assert!((kept - (1.0 - p)).abs() <= bound, "p = {p} keeps {kept}");
    }
}
