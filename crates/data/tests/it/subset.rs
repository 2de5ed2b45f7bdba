//! Subsets: balance, bounds, order and dependence on the seed.

use sharpness_data::{Error, Subset, class_balanced};

/// 3 classes with 4, 5 and 6 examples, interleaved.
const LABELS: [u8; 15] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 2, 1, 2];

fn counts(indices: &[u32]) -> [usize; 3] {
    let mut counts = [0; 3];
    for &index in indices {
        counts[usize::from(LABELS[index as usize])] += 1;
    }
    counts
}

fn is_increasing(indices: &[u32]) -> bool {
    indices.is_sorted_by(|a, b| a < b)
}

#[test]
fn classes_differ_by_at_most_one_and_subsets_are_nested() {
    for seed in 0..20 {
        let mut smaller = Vec::new();
        for n in 1..=14 {
            let subset = class_balanced(&LABELS, 3, n, seed).unwrap();
            let counts = counts(&subset);
            assert_eq!(subset.len(), n, "size for seed {seed}");
            assert!(is_increasing(&subset), "not sorted or repeated: {subset:?}");
            let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
            assert!(spread <= 1, "counts {counts:?} for {n} examples and seed {seed}");
            assert!(smaller.iter().all(|index| subset.contains(index)), "{smaller:?} is not in {subset:?}");
            smaller = subset;
        }
    }
}

#[test]
fn the_seed_chooses_examples_and_the_classes_with_one_more() {
    let of_seed = |seed| class_balanced(&LABELS, 3, 4, seed).unwrap();
    assert_eq!(of_seed(7), of_seed(7), "the same seed gives the same subset");
    let mut subsets: Vec<_> = (0..30).map(of_seed).collect();
    for class in 0..3 {
        assert!(
            subsets.iter().any(|subset| counts(subset)[class] == 2),
            "class {class} never has the extra example"
        );
    }
    subsets.sort();
    subsets.dedup();
    assert!(subsets.len() > 15, "30 seeds gave only {} subsets", subsets.len());
}

#[test]
fn impossible_subsets_name_the_largest_possible() {
    // Four of each class, and one more of each of the two larger classes.
    let error = class_balanced(&LABELS, 3, 15, 0).unwrap_err();
    assert!(
        matches!(error, Error::SubsetTooLarge { requested: 15, possible: 14, smallest_class: 4 }),
        "another error: {error:?}"
    );
    assert!(error.to_string().contains("at most 14"), "another message: {error}");
    let huge = class_balanced(&LABELS, 3, usize::MAX, 0).unwrap_err();
    assert!(matches!(huge, Error::SubsetTooLarge { possible: 14, .. }), "another error: {huge:?}");
    let none = class_balanced(&LABELS, 3, 0, 0).unwrap_err();
    assert!(matches!(none, Error::EmptySubset), "another error: {none:?}");
}

#[test]
fn measured_subsets() {
    assert_eq!(Subset::First.indices(10, 3, 5), [0, 1, 2], "the first three");
    assert_eq!(Subset::Every.indices(10, 3, 5), [0, 3, 6], "floor(i 10 / 3)");
    assert_eq!(Subset::Every.indices(10, 7, 5), [0, 1, 2, 4, 5, 7, 8], "floor(i 10 / 7)");
    let strided: Vec<u32> = (0..50_000).step_by(50).collect();
    assert_eq!(Subset::Every.indices(50_000, 1_000, 5), strided, "every 50th image, as the authors took");
    for subset in Subset::ALL {
        for (total, n) in [(10, 10), (10, 11), (0, 4), (1, usize::MAX)] {
            let all: Vec<u32> = (0..10).take(total).collect();
            assert_eq!(subset.indices(total, n, 5), all, "all of {total} for {subset} {n}");
        }
        assert_eq!(subset.indices(10, 0, 5), [0_u32; 0], "none for {subset}");
        assert_eq!(subset.to_string().parse::<Subset>().unwrap(), subset, "the name {subset}");
    }
}

#[test]
fn random_subsets_are_seeded_and_cover_everything() {
    let of_seed = |seed| Subset::Random.indices(100, 30, seed);
    assert_eq!(of_seed(3), of_seed(3), "the same seed gives the same subset");
    assert_ne!(of_seed(3), of_seed(4), "another seed gives another subset");
    let mut seen = [false; 100];
    for seed in 0..40 {
        let subset = of_seed(seed);
        assert_eq!(subset.len(), 30, "size for seed {seed}");
        assert!(is_increasing(&subset), "not sorted or repeated: {subset:?}");
        subset.iter().for_each(|&index| seen[index as usize] = true);
    }
    assert!(seen.iter().all(|&seen| seen), "an example is never chosen");
}
