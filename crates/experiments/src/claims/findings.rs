//! The findings of the paper, each with the conditions under which it holds.
//!
//! Effects are slopes by least squares over the settings: of the accuracy, in points of 1, and of the decadic logarithm of λ_max. `η`
//! is taken in decades. "Small" and "large" are the smallest and the largest batch size that there is.

use std::collections::BTreeMap;

use super::judge::{Condition, Judgement, Wanted, together};
use super::statistics::{Mean, common_slope, slope};
use super::{Cell, published_cells};
use crate::Result;

/// λ_max of two settings counts as the same within this factor, and BN as no effect on it within twice.
const SAME_LAMBDA: f64 = 1.25;
/// λ_max of large batches lies on the edge of stability within this factor.
const ON_THE_LINE: f64 = 3.0;
/// Accuracies count as the same if η moves them by less than this in a decade at a fixed ratio to the batch size.
const SAME_ACCURACY: f64 = 0.015;
/// SAM counts as no better if the accuracy rises by less than this with ρ: half a point at ρ = 0.1.
const NOT_BETTER: f64 = 0.05;
/// The largest share of the training set that is a small batch.
const SMALL_BATCH: f64 = 0.05;

/// A finding.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// The section of the paper.
    pub section: &'static str,
    /// The finding in one sentence.
    pub sentence: &'static str,
    /// The figures that show it.
    pub figures: &'static [&'static str],
    /// The network.
    network: &'static str,
    conditions: fn(&[&Cell]) -> Vec<Condition>,
}

/// All findings, in the order of the paper.
pub const FINDINGS: [Finding; 19] = [
    Finding {
        section: "3.1 (i)",
        sentence: "with small batches, larger learning rates generalize better",
        figures: &["1"],
        network: "vgg11",
        conditions: |cells| vec![accuracy_over_rates(&small(cells), Wanted::Above(0.0))],
    },
    Finding {
        section: "3.1 (ii)",
        sentence: "with small batches, larger learning rates find smaller λ_max",
        figures: &["1"],
        network: "vgg11",
        conditions: |cells| vec![lambda_over_rates(&small(cells))],
    },
    Finding {
        section: "3.1 (iii)",
        sentence: "with large batches, larger learning rates still find smaller λ_max, near 2/η",
        figures: &["1"],
        network: "vgg11",
        conditions: |cells| vec![lambda_over_rates(&large(cells)), on_the_line(&large(cells))],
    },
    Finding {
        section: "3.1 (iv)",
        sentence: "with large batches, the largest learning rates do not generalize better",
        figures: &["1"],
        network: "vgg11",
        conditions: |cells| vec![largest_rate_is_not_better(&large(cells))],
    },
    Finding {
        section: "3.1, figure 2",
        sentence: "at equal λ_max, small batches generalize better than large ones: no absolute correlation",
        figures: &["1"],
        network: "vgg11",
        conditions: |cells| vec![at_equal_lambda(cells)],
    },
    Finding {
        section: "3.1, figure 3",
        sentence: "the benefit of large learning rates fades gradually as the batch size grows, while λ_max still falls",
        figures: &["1", "3"],
        network: "vgg11",
        conditions: gradual,
    },
    Finding {
        section: "3.2",
        sentence: "at a fixed ratio of batch size to learning rate, accuracy stays and λ_max falls",
        figures: &["4"],
        network: "vgg11",
        conditions: fixed_ratio,
    },
    Finding {
        section: "3.2, figure 5",
        sentence: "at a fixed ratio, larger learning rates have smaller λ_max throughout training, not only at its end",
        figures: &["4", "5"],
        network: "vgg11",
        conditions: fixed_ratio_in_training,
    },
    Finding {
        section: "3.3, small batches",
        sentence: "with small batches, SAM generalizes better the larger ρ is, and lowers λ_max",
        figures: &["6", "7"],
        network: "vgg11",
        conditions: |cells| sam(&small(cells), Wanted::Above(0.0)),
    },
    Finding {
        section: "3.3, large batches",
        sentence: "with large batches, SAM lowers λ_max too but does not generalize better",
        figures: &["6", "7"],
        network: "vgg11",
        conditions: |cells| sam(&large(cells), Wanted::Below(NOT_BETTER)),
    },
    Finding {
        section: "3.4 (i)",
        sentence: "modest dropout generalizes better than none",
        figures: &["8", "9"],
        network: "mlp",
        conditions: modest_dropout,
    },
    Finding {
        section: "3.4 (ii)",
        sentence: "more dropout finds smaller λ_max",
        figures: &["8", "9"],
        network: "mlp",
        conditions: |cells| {
            each_rate_and_batch(cells, "log₁₀ λ_max over p", Wanted::Below(0.0), |means| {
                slope(&points(means, |cell| cell.dropout, |mean| mean.log_lambda))
            })
        },
    },
    Finding {
        section: "3.4 (iii)",
        sentence: "excessive dropout generalizes worse than modest dropout, although its λ_max is smaller",
        figures: &["8", "9"],
        network: "mlp",
        conditions: excessive_dropout,
    },
    Finding {
        section: "3.5 (i)",
        sentence: "with batch norm, small learning rates generalize worse and large ones better than without",
        figures: &["10", "11"],
        network: "vgg11-bn",
        conditions: batch_norm_accuracy,
    },
    Finding {
        section: "3.5 (ii)",
        sentence: "at a fixed learning rate and batch size, batch norm leaves λ_max within a factor of two",
        figures: &["10", "11"],
        network: "vgg11-bn",
        conditions: batch_norm_lambda,
    },
    Finding {
        section: "A.2",
        sentence: "at a fixed ratio of batch size to learning rate, accuracy stays and λ_max falls (Fixup ResNet-32)",
        figures: &["12"],
        network: "fixup-resnet32",
        conditions: fixed_ratio,
    },
    Finding {
        section: "A.3, Fixup",
        sentence: "SAM lowers λ_max at all batch sizes but generalizes better with small ones only (Fixup ResNet-32)",
        figures: &["13a", "13b"],
        network: "fixup-resnet32",
        conditions: |cells| {
            [sam(&small(cells), Wanted::Above(0.0)), sam(&large(cells), Wanted::Below(NOT_BETTER))].concat()
        },
    },
    Finding {
        section: "A.3, BN",
        sentence: "with batch norm, SAM lowers λ_max and generalizes better with small and large batches",
        figures: &["14a", "14b"],
        network: "vgg11-bn",
        conditions: |cells| {
            [sam(&small(cells), Wanted::Above(0.0)), sam(&large(cells), Wanted::Above(0.0))].concat()
        },
    },
    Finding {
        section: "A.4",
        sentence: "with GELU too, larger learning rates find smaller λ_max and generalize better with small batches only",
        figures: &["15"],
        network: "vgg11-gelu",
        conditions: |cells| {
            let (small, large) = (small(cells), large(cells));
            vec![
                accuracy_over_rates(&small, Wanted::Above(0.0)),
                lambda_over_rates(&small),
                lambda_over_rates(&large),
                largest_rate_is_not_better(&large),
            ]
        },
    },
];

impl Finding {
    /// Judges the finding by runs: by those on the data for which there are the most settings, since other data have other numbers.
    pub fn judge(&self, cells: &[Cell]) -> Judgement {
        let base = self.network.strip_suffix("-bn").unwrap_or(self.network);
        let is_about = |cell: &&Cell| {
            cell.network == self.network || (self.section.starts_with("3.5") && cell.network == base)
        };
        let mut by_data: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
        for cell in cells.iter().filter(is_about) {
            by_data.entry(&cell.data).or_default().push(cell);
        }
        let most = by_data.into_iter().max_by_key(|(_, about)| about.len());
        let (data, conditions) = most
            .map_or((None, Vec::new()), |(data, about)| (Some(data.to_owned()), (self.conditions)(&about)));
        let verdict = together(&conditions);
        Judgement { section: self.section, sentence: self.sentence, data, verdict, conditions }
    }

    /// Judges the finding by the paper's own numbers.
    ///
    /// # Errors
    /// As [`published_cells`].
    pub fn judge_published(&self) -> Result<Judgement> {
        Ok(self.judge(&published_cells(self.figures)?))
    }
}

/// The cells with the smallest batches.
fn small<'a>(cells: &[&'a Cell]) -> Vec<&'a Cell> {
    at_extreme(cells, f64::min)
}

/// The cells with the largest batches, where there are several sizes.
fn large<'a>(cells: &[&'a Cell]) -> Vec<&'a Cell> {
    let (small, large) = (at_extreme(cells, f64::min), at_extreme(cells, f64::max));
    // One batch size is a small one.
    if small == large { Vec::new() } else { large }
}

fn at_extreme<'a>(cells: &[&'a Cell], pick: fn(f64, f64) -> f64) -> Vec<&'a Cell> {
    let sizes = cells.iter().map(|cell| cell.batch_size);
    let Some(extreme) = sizes.reduce(pick) else { return Vec::new() };
    cells.iter().filter(|cell| cell.batch_size.total_cmp(&extreme).is_eq()).copied().collect()
}

fn sgd<'a>(cells: &[&'a Cell]) -> Vec<&'a Cell> {
    cells.iter().filter(|cell| cell.rho <= 0.0 && cell.dropout <= 0.0).copied().collect()
}

fn points(means: &[Mean<'_>], x: impl Fn(&Cell) -> f64, y: impl Fn(&Mean<'_>) -> f64) -> Vec<(f64, f64)> {
    means.iter().map(|mean| (x(mean.cell), y(mean))).collect()
}

fn rate(cell: &Cell) -> f64 {
    cell.learning_rate.log10()
}

/// `bs=100`, or `large batches` where the size is not known.
fn batch(cell: &Cell) -> String {
    if cell.batch_size.is_finite() { format!("bs={}", cell.batch_size) } else { "large batches".to_owned() }
}

fn batch_of(cells: &[&Cell]) -> String {
    cells.first().map_or_else(|| "no runs".to_owned(), |cell| batch(cell))
}

fn accuracy_over_rates(cells: &[&Cell], wanted: Wanted) -> Condition {
    let cells = sgd(cells);
    let name = format!("accuracy per decade of η, {}", batch_of(&cells));
    Condition::test(name, wanted, (&cells, 3), |means| slope(&points(means, rate, |mean| mean.accuracy)))
}

fn lambda_over_rates(cells: &[&Cell]) -> Condition {
    let cells = sgd(cells);
    let name = format!("log₁₀ λ_max per decade of η, {}", batch_of(&cells));
    Condition::test(name, Wanted::Below(0.0), (&cells, 3), |means| {
        slope(&points(means, rate, |mean| mean.log_lambda))
    })
}

fn on_the_line(cells: &[&Cell]) -> Condition {
    let cells = sgd(cells);
    let edge = cells.iter().find_map(|cell| cell.edge).unwrap_or_default();
    let name = format!("mean |log₁₀ (λ_max / edge)|, edge {}, {}", edge.formula(), batch_of(&cells));
    Condition::test(name, Wanted::Below(ON_THE_LINE.log10()), (&cells, 3), |means| {
        let distance = |mean: &Mean<'_>| (mean.log_lambda - edge.at(mean.cell.learning_rate).log10()).abs();
        Some(means.iter().map(distance).sum::<f64>() / means.len() as f64)
    })
}

fn largest_rate_is_not_better(cells: &[&Cell]) -> Condition {
    let mut cells = sgd(cells);
    cells.sort_by(|a, b| a.learning_rate.total_cmp(&b.learning_rate));
    let name = format!("accuracy at the largest η minus the best at a smaller one, {}", batch_of(&cells));
    Condition::test(name, Wanted::Below(0.0), (&cells, 3), |means| {
        let (largest, smaller) = means.split_last()?;
        Some(largest.accuracy - smaller.iter().map(|mean| mean.accuracy).fold(f64::NEG_INFINITY, f64::max))
    })
}

fn at_equal_lambda(cells: &[&Cell]) -> Condition {
    let cells = sgd(cells);
    let (smallest, largest) = (small(&cells), large(&cells));
    let both: Vec<&Cell> = smallest.iter().chain(&largest).copied().collect();
    let name = format!("accuracy, {} minus {}, at the same λ_max", batch_of(&smallest), batch_of(&largest));
    let count = smallest.len();
    Condition::test(name, Wanted::Above(0.0), (&both, 4), |means| {
        let (small, large) = means.split_at(count);
        let pairs = small.iter().flat_map(|a| large.iter().map(move |b| (a, b)));
        let same = pairs.filter(|(a, b)| (a.log_lambda - b.log_lambda).abs() < SAME_LAMBDA.log10());
        let differences: Vec<f64> = same.map(|(a, b)| a.accuracy - b.accuracy).collect();
        (!differences.is_empty()).then(|| differences.iter().sum::<f64>() / differences.len() as f64)
    })
}

/// Groups by a number, in its order.
fn groups<'a>(cells: &[&'a Cell], number: impl Fn(&Cell) -> f64) -> Vec<Vec<&'a Cell>> {
    let mut groups: BTreeMap<u64, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        // Numbers above zero are ordered as their bits are.
        groups.entry(number(cell).to_bits()).or_default().push(cell);
    }
    groups.into_values().collect()
}

fn gradual(cells: &[&Cell]) -> Vec<Condition> {
    let mut cells = sgd(cells);
    cells.sort_by(|a, b| a.batch_size.total_cmp(&b.batch_size));
    let sizes = groups(&cells, |cell| cell.batch_size);
    let sizes: Vec<Vec<&Cell>> = sizes.into_iter().filter(|size| size.len() >= 3).collect();
    let cells: Vec<&Cell> = sizes.iter().flatten().copied().collect();
    let least = if sizes.len() < 3 { usize::MAX } else { 9 };
    let over = |means: &[Mean<'_>], y: fn(&Mean<'_>) -> f64| -> Option<Vec<(f64, f64)>> {
        let mut slopes = Vec::new();
        for size in means.chunk_by(|a, b| a.cell.batch_size.total_cmp(&b.cell.batch_size).is_eq()) {
            slopes.push((size.first()?.cell.batch_size.log10(), slope(&points(size, rate, y))?));
        }
        Some(slopes)
    };
    let fading = "change of (accuracy per decade of η) per decade of the batch size";
    let falling = "log₁₀ λ_max per decade of η, where it falls least";
    vec![
        Condition::test(fading, Wanted::Below(0.0), (&cells, least), |means| {
            slope(&over(means, |mean| mean.accuracy)?)
        }),
        Condition::test(falling, Wanted::Below(0.0), (&cells, least), |means| {
            let slopes = over(means, |mean| mean.log_lambda)?;
            slopes.iter().map(|point| point.1).reduce(f64::max)
        }),
    ]
}

/// The ratio of batch size to learning rate in millionths of a decade: ratios that were meant to be the same differ by rounding.
fn ratio(cell: &Cell) -> f64 {
    ((cell.batch_size / cell.learning_rate).log10() * 1e6).round().max(0.0)
}

/// Cells with small batches that share their ratio with others, ratio by ratio.
fn of_equal_ratio<'a>(cells: &[&'a Cell]) -> Vec<&'a Cell> {
    let cells: Vec<&Cell> =
        sgd(cells).into_iter().filter(|cell| cell.batch_size <= SMALL_BATCH * cell.train_examples).collect();
    groups(&cells, ratio).into_iter().filter(|group| group.len() >= 2).flatten().collect()
}

/// The slope over η that all ratios have in common.
fn slope_at_equal_ratio(means: &[Mean<'_>], y: fn(&Mean<'_>) -> f64) -> Option<f64> {
    let same = |a: &Mean<'_>, b: &Mean<'_>| ratio(a.cell).total_cmp(&ratio(b.cell)).is_eq();
    let groups: Vec<_> = means.chunk_by(same).map(|group| points(group, rate, y)).collect();
    common_slope(&groups)
}

fn fixed_ratio_in_training(cells: &[&Cell]) -> Vec<Condition> {
    let measured = cells.iter().filter(|cell| cell.lambda_max_in_training.count() > 0);
    let measured: Vec<Cell> = measured
        .map(|cell| Cell { lambda_max: cell.lambda_max_in_training.clone(), ..(*cell).clone() })
        .collect();
    let cells = of_equal_ratio(&measured.iter().collect::<Vec<_>>());
    let name = "log₁₀ of the mean λ_max in the later half of training, per decade of η at a fixed ratio";
    vec![Condition::test(name, Wanted::Below(0.0), (&cells, 2), |means| {
        slope_at_equal_ratio(means, |mean| mean.log_lambda)
    })]
}

fn fixed_ratio(cells: &[&Cell]) -> Vec<Condition> {
    let cells = of_equal_ratio(cells);
    let over = slope_at_equal_ratio;
    let kept = "accuracy per decade of η at a fixed ratio";
    let falling = "log₁₀ λ_max per decade of η at a fixed ratio";
    vec![
        Condition::test(kept, Wanted::Between(-SAME_ACCURACY, SAME_ACCURACY), (&cells, 2), |means| {
            over(means, |mean| mean.accuracy)
        }),
        Condition::test(falling, Wanted::Below(0.0), (&cells, 2), |means| {
            over(means, |mean| mean.log_lambda)
        }),
    ]
}

/// One condition for each learning rate and batch size.
fn each_rate_and_batch(
    cells: &[&Cell],
    name: &str,
    wanted: Wanted,
    statistic: impl Fn(&[Mean<'_>]) -> Option<f64>,
) -> Vec<Condition> {
    let batches = groups(cells, |cell| cell.batch_size);
    let settings = batches.iter().flat_map(|batch| groups(batch, |cell| cell.learning_rate));
    let condition = |group: Vec<&Cell>| {
        let place =
            format!("η={}, {}", group.first().map_or(0.0, |cell| cell.learning_rate), batch_of(&group));
        Condition::test(format!("{name}, {place}"), wanted, (&group, 2), &statistic)
    };
    settings.filter(|group| group.len() >= 2).map(condition).collect()
}

fn sam(cells: &[&Cell], accuracy: Wanted) -> Vec<Condition> {
    let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.dropout <= 0.0).copied().collect();
    let rho = |cell: &Cell| cell.rho;
    let better = each_rate_and_batch(&cells, "accuracy over ρ", accuracy, |means| {
        slope(&points(means, rho, |mean| mean.accuracy))
    });
    let flatter = each_rate_and_batch(&cells, "log₁₀ λ_max over ρ", Wanted::Below(0.0), |means| {
        slope(&points(means, rho, |mean| mean.log_lambda))
    });
    // Learning rates without a radius say nothing of SAM.
    let has_rho = |condition: &Condition| condition.settings >= 2;
    [better, flatter].concat().into_iter().filter(has_rho).collect()
}

/// The mean at no dropout, the best at up to 0.2, the one at the least dropout and the one at the most.
fn dropouts<'m, 'c>(means: &'m [Mean<'c>]) -> Option<[&'m Mean<'c>; 4]> {
    let with = || means.iter().filter(|mean| mean.cell.dropout > 0.0);
    let by_p = |a: &&Mean<'_>, b: &&Mean<'_>| a.cell.dropout.total_cmp(&b.cell.dropout);
    let modest = with().filter(|mean| mean.cell.dropout <= 0.2);
    Some([
        means.iter().find(|mean| mean.cell.dropout <= 0.0)?,
        modest.max_by(|a, b| a.accuracy.total_cmp(&b.accuracy))?,
        with().min_by(by_p)?,
        with().max_by(by_p)?,
    ])
}

fn modest_dropout(cells: &[&Cell]) -> Vec<Condition> {
    each_rate_and_batch(cells, "accuracy, the best p up to 0.2 minus none", Wanted::Above(0.0), |means| {
        let [none, modest, ..] = dropouts(means)?;
        Some(modest.accuracy - none.accuracy)
    })
}

fn excessive_dropout(cells: &[&Cell]) -> Vec<Condition> {
    let worse = each_rate_and_batch(
        cells,
        "accuracy, the largest p minus the smallest",
        Wanted::Below(0.0),
        |means| {
            let [_, _, least, most] = dropouts(means)?;
            Some(most.accuracy - least.accuracy)
        },
    );
    let flatter = each_rate_and_batch(
        cells,
        "log₁₀ λ_max, the largest p minus the smallest",
        Wanted::Below(0.0),
        |means| {
            let [_, _, least, most] = dropouts(means)?;
            Some(most.log_lambda - least.log_lambda)
        },
    );
    [worse, flatter].concat()
}

/// For each batch size, pairs without and with batch norm at the learning rates that both have, the smallest first.
fn pairs<'a>(cells: &[&'a Cell]) -> Vec<Vec<&'a Cell>> {
    let cells = sgd(cells);
    let of_batch = |batch: &Vec<&'a Cell>| {
        let rates = groups(batch, |cell| cell.learning_rate).into_iter();
        let pairs = rates.filter_map(|mut pair| {
            pair.sort_by_key(|cell| cell.network.len());
            (pair.len() == 2).then_some(pair)
        });
        pairs.flatten().collect()
    };
    groups(&cells, |cell| cell.batch_size).iter().map(of_batch).collect()
}

fn batch_norm_accuracy(cells: &[&Cell]) -> Vec<Condition> {
    let gain = |pair: &[Mean<'_>]| Some(pair.get(1)?.accuracy - pair.first()?.accuracy);
    let of_batch = |cells: Vec<&Cell>| {
        let (first, last) = (cells.iter().take(2), cells.iter().rev().take(2).rev());
        let ends: [Vec<&Cell>; 2] = [first.copied().collect(), last.copied().collect()];
        [Wanted::Below(0.0), Wanted::Above(0.0)].map(|wanted| {
            let end = &ends[usize::from(wanted == Wanted::Above(0.0))];
            let rate = end.first().map_or(0.0, |cell| cell.learning_rate);
            let name = format!("accuracy, BN minus none, η={rate}, {}", batch_of(end));
            Condition::test(name, wanted, (end, 2), gain)
        })
    };
    pairs(cells).into_iter().filter(|cells| cells.len() >= 4).flat_map(of_batch).collect()
}

fn batch_norm_lambda(cells: &[&Cell]) -> Vec<Condition> {
    let distance = |means: &[Mean<'_>]| {
        let distances: Vec<f64> =
            means.chunks_exact(2).map(|pair| (pair[1].log_lambda - pair[0].log_lambda).abs()).collect();
        (!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64)
    };
    let of_batch = |cells: Vec<&Cell>| {
        let name = format!("mean |log₁₀ (λ_max with BN / without)|, {}", batch_of(&cells));
        Condition::test(name, Wanted::Below(2_f64.log10()), (&cells, 4), distance)
    };
    pairs(cells).into_iter().filter(|cells| cells.len() >= 4).map(of_batch).collect()
}
