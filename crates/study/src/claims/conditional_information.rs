//! How much a predictor tells that the hyperparameters do not (Jiang et al. 2020, section 2.2.3).

use serde::Serialize;

use super::predictors::{Point, sign};

/// The most hyperparameters that are given (Jiang et al. 2020).
const MOST_GIVEN: usize = 2;
/// Entropies below are those of a sign that is certain.
const CERTAIN: f64 = 1e-12;

/// The least normalized conditional mutual information `K = min I(V_μ; V_g | U) / H(V_g | U)` of the signs of the differences of a
/// predictor and its target between two runs, over sets of at most two hyperparameters, whose values in both runs are `U`. It is 1
/// if the predictor decides which run is better whatever is given, and 0 if some hyperparameters leave nothing for it to tell.
///
/// Probabilities are shares of all ordered pairs of different runs; a tie is a sign of its own. The estimate has no error, and few
/// pairs for each `U` bias it upwards.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConditionalInformation {
    /// K, from 0 to 1.
    pub value: f64,
    /// The hyperparameters that make it smallest.
    pub given: Vec<&'static str>,
    /// Runs, or settings of which only means are known.
    pub runs: usize,
}

/// A hyperparameter that varies.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// Its name.
    pub(super) name: &'static str,
    /// For each setting, the place of its value among all values.
    pub(super) of_cell: Vec<usize>,
}

impl ConditionalInformation {
    /// Of runs, each with the place of its setting. None if the hyperparameters of every set decide the sign of the target.
    pub(super) fn new(runs: &[(usize, Point)], varying: &[Levels]) -> Option<Self> {
        let mut least: Option<Self> = None;
        for given in sets(varying) {
            let levels: Vec<usize> = runs.iter().map(|(cell, _)| level(*cell, &given)).collect();
            let Some(value) = normalized(runs, &levels) else { continue };
            if least.as_ref().is_none_or(|least| value < least.value) {
                let given = given.iter().map(|levels| levels.name).collect();
                least = Some(Self { value, given, runs: runs.len() });
            }
        }
        least
    }
}

/// All sets of at most [`MOST_GIVEN`] hyperparameters, the small ones first.
fn sets(varying: &[Levels]) -> Vec<Vec<&Levels>> {
    let mut all = vec![Vec::new()];
    let mut start = 0;
    for _ in 0..MOST_GIVEN {
        let end = all.len();
        for place in start..end {
            let set: Vec<&Levels> = all[place].clone();
            let next = set
                .last()
                .map_or(0, |last| 1 + varying.iter().position(|v| v.name == last.name).unwrap_or(0));
            all.extend(varying[next..].iter().map(|further| [&set[..], &[further]].concat()));
        }
        start = end;
    }
    all
}

/// One number for the values of some hyperparameters of a setting.
fn level(cell: usize, given: &[&Levels]) -> usize {
    let count = |levels: &Levels| 1 + levels.of_cell.iter().max().copied().unwrap_or(0);
    given.iter().fold(0, |level, levels| level * count(levels) + levels.of_cell[cell])
}

/// `I(V_μ; V_g | U) / H(V_g | U)`, with `U` the levels of both runs; none if `H(V_g | U)` is 0.
fn normalized(runs: &[(usize, Point)], levels: &[usize]) -> Option<f64> {
    let count = 1 + levels.iter().max()?;
    // For each U, the number of pairs by both signs.
    let mut tables = vec![[[0.0_f64; 3]; 3]; count * count];
    for (i, ((_, a), first)) in runs.iter().zip(levels).enumerate() {
        for (j, ((_, b), second)) in runs.iter().zip(levels).enumerate() {
            if i != j {
                let table = &mut tables[first * count + second];
                table[class(a.predictor - b.predictor)][class(a.target - b.target)] += 1.0;
            }
        }
    }
    let (mut information, mut entropy) = (0.0, 0.0);
    for table in &tables {
        let by_predictor = table.map(|row| row.iter().sum::<f64>());
        let by_target: [f64; 3] = std::array::from_fn(|g| table.iter().map(|row| row[g]).sum());
        let all: f64 = by_predictor.iter().sum();
        for (row, of_predictor) in table.iter().zip(by_predictor) {
            for (pairs, of_target) in row.iter().zip(by_target).filter(|(pairs, _)| **pairs > 0.0) {
                information += pairs * (pairs * all / (of_predictor * of_target)).ln();
            }
        }
        entropy += by_target
            .iter()
            .filter(|pairs| **pairs > 0.0)
            .map(|pairs| pairs * (all / pairs).ln())
            .sum::<f64>();
    }
    let pairs = (runs.len() * (runs.len() - 1)) as f64;
    (entropy > CERTAIN * pairs).then(|| (information / entropy).clamp(0.0, 1.0))
}

/// The place of a sign in a table.
fn class(difference: f64) -> usize {
    match sign(difference) {
        x if x > 0.0 => 2,
        x if x < 0.0 => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(numbers: &[(usize, f64, f64)]) -> Vec<(usize, Point)> {
        numbers
            .iter()
            .map(|(cell, predictor, target)| (*cell, Point { predictor: *predictor, target: *target }))
            .collect()
    }

    #[test]
    fn a_predictor_that_is_always_right_or_always_wrong_tells_everything() {
        let right = runs(&[(0, 1.0, 0.1), (1, 2.0, 0.2), (2, 3.0, 0.3), (3, 4.0, 0.4)]);
        let wrong = runs(&[(0, 4.0, 0.1), (1, 3.0, 0.2), (2, 2.0, 0.3), (3, 1.0, 0.4)]);
        for runs in [right, wrong] {
            let found = ConditionalInformation::new(&runs, &[]).unwrap();
            assert!((found.value - 1.0).abs() < 1e-12 && found.given.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn a_hyperparameter_tells_nothing_beyond_itself() {
        // Two levels of one hyperparameter, which is the predictor; the target differs within levels too.
        let levels = Levels { name: "learning_rate", of_cell: vec![0, 1] };
        let numbers = [(0, 1.0, 0.1), (0, 1.0, 0.3), (1, 2.0, 0.2), (1, 2.0, 0.4)];
        let found = ConditionalInformation::new(&runs(&numbers), std::slice::from_ref(&levels)).unwrap();
        assert!(found.value < 1e-12 && found.given == ["learning_rate"], "{found:?}");
        let unconditional = ConditionalInformation::new(&runs(&numbers), &[]).unwrap();
        assert!(unconditional.value > 0.1, "it tells something if nothing is given: {unconditional:?}");
    }

    #[test]
    fn sets_have_at_most_two_hyperparameters() {
        let varying = ["a", "b", "c"].map(|name| Levels { name, of_cell: vec![0] });
        let names: Vec<String> =
            sets(&varying).iter().map(|set| set.iter().map(|levels| levels.name).collect()).collect();
        assert_eq!(names, ["", "a", "b", "c", "ab", "ac", "bc"], "each set once");
    }

    #[test]
    fn hyperparameters_that_decide_the_target_are_not_given() {
        // One run for each of two settings: given its hyperparameter, no sign is uncertain.
        let levels = Levels { name: "learning_rate", of_cell: vec![0, 1] };
        let found = ConditionalInformation::new(&runs(&[(0, 1.0, 0.1), (1, 2.0, 0.2)]), &[levels]).unwrap();
        assert!(found.given.is_empty() && (found.value - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(ConditionalInformation::new(&runs(&[(0, 1.0, 0.1)]), &[]), None, "one run has no pair");
        assert_eq!(
            ConditionalInformation::new(&runs(&[(0, 1.0, 0.1), (1, 2.0, 0.1)]), &[]),
            None,
            "a constant target"
        );
    }
}
