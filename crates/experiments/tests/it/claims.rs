//! The findings of the paper by its own numbers, and by numbers that say the opposite.

use sharpness_experiments::claims::{Cell, FINDINGS, Samples, Verdict, published_cells};

#[test]
fn the_published_numbers_give_the_published_verdicts() {
    for finding in &FINDINGS {
        let verdict = finding.judge_published().unwrap().verdict;
        match finding.section {
            // With Fixup ResNet-32 accuracy rises with η at a fixed ratio, by 0.012 in a decade: too much to be none, too little to be sure.
            // The figures of these two have one run of each setting, and no bars.
            "A.2" | "A.3, BN" | "A.4" => {
                assert!(matches!(verdict, Verdict::NotEnoughRuns { .. }), "{}: {verdict:?}", finding.section);
            }
            section => assert_eq!(verdict, Verdict::Holds, "{section}: {}", finding.sentence),
        }
    }
}

#[test]
fn every_published_point_is_in_a_cell() {
    let cells = published_cells(&["1"]).unwrap();
    assert_eq!(cells.len(), 14, "seven learning rates with two batch sizes");
    let cell =
        cells.iter().find(|cell| cell.batch_size > 1000.0 && (0.04..0.06).contains(&cell.learning_rate));
    let cell = cell.unwrap();
    let Samples::Summary { mean, runs, .. } = cell.lambda_max else { panic!("a mean is published") };
    assert!((mean - 63.2).abs() < 0.1 && runs == 5, "λ_max at η = 0.05 with large batches: {cell:?}");
    let scatter = published_cells(&["4"]).unwrap();
    assert!(scatter.iter().all(|cell| cell.test_accuracy.count() == 5), "five runs of each setting");
}

/// Figure 1 with accuracies of the small batches reversed.
fn reversed() -> Vec<Cell> {
    let mut cells = published_cells(&["1"]).unwrap();
    let mut small: Vec<usize> = (0..cells.len()).filter(|&i| cells[i].batch_size < 1000.0).collect();
    small.sort_by(|&a, &b| cells[a].learning_rate.total_cmp(&cells[b].learning_rate));
    let accuracies: Vec<Samples> = small.iter().rev().map(|&i| cells[i].test_accuracy.clone()).collect();
    small.iter().zip(accuracies).for_each(|(&i, accuracy)| cells[i].test_accuracy = accuracy);
    cells
}

#[test]
fn a_finding_falls_with_its_numbers() {
    let verdict = |section: &str, cells: &[Cell]| {
        FINDINGS.iter().find(|finding| finding.section == section).unwrap().judge(cells).verdict
    };
    let cells = reversed();
    assert_eq!(verdict("3.1 (i)", &cells), Verdict::DoesNotHold, "accuracy falls with η now");
    assert_eq!(verdict("3.1 (ii)", &cells), Verdict::Holds, "λ_max is what it was");
    assert!(matches!(verdict("3.4 (i)", &cells), Verdict::NotEnoughRuns { .. }), "no run has dropout");
}

#[test]
fn runs_on_other_data_are_not_mixed_in() {
    let finding = FINDINGS.iter().find(|finding| finding.section == "3.1 (i)").unwrap();
    let mut cells = published_cells(&["1"]).unwrap();
    let expected = finding.judge(&cells);
    assert_eq!(expected.data.as_deref(), Some("cifar10"), "the data are named");
    let mut others: Vec<Cell> = reversed().into_iter().take(10).collect();
    others.iter_mut().for_each(|cell| cell.data = "cifar10, 5000 examples".to_owned());
    cells.extend(others);
    assert_eq!(finding.judge(&cells), expected, "the data with the most settings decide");
}
