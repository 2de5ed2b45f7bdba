//! PAC-Bayes flatness: the noise in the weights that costs a given accuracy.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::crossing::crossing;
use super::draws::{mean, normal};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::value::Objective;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::{count, interval, significant};
use crate::progress::Phase;
use crate::range::{NonNegative, Probes, Tolerance, within};

/// The first deviation that is tried.
const START: f64 = 0.03125;
/// The bracket of a deviation, as a fraction of it.
const RTOL: f64 = 0.01;

/// The noise that costs an accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PacBayes {
    /// Draws of the noise.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub draws: usize,
    /// The mean drop of the accuracy.
    #[serde(deserialize_with = "within::<_, Tolerance>")]
    pub drop: f64,
    /// The deviation of the magnitude-aware noise where a weight is 0.
    #[serde(deserialize_with = "within::<_, NonNegative>")]
    pub epsilon: f64,
}

impl Default for PacBayes {
    fn default() -> Self {
        Self { draws: 10, drop: 0.1, epsilon: 1e-3 }
    }
}

/// The deviations of both kinds of noise. A value is unset if no deviation that was tried costs the accuracy, or each does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PacBayesOutcome {
    /// The standard deviation σ of the noise.
    pub sigma: Option<f64>,
    /// Where the mean drop plus and minus two of its standard errors over the draws is the one requested.
    pub sigma_interval: Option<[f64; 2]>,
    /// 1/σ².
    pub value: Option<f64>,
    /// σ of the magnitude-aware noise, relative to the weights.
    pub magnitude_sigma: Option<f64>,
    /// As `sigma_interval`.
    pub magnitude_interval: Option<[f64; 2]>,
    /// 1/σ² of it.
    pub magnitude_value: Option<f64>,
    /// The number of forward passes.
    pub passes: usize,
}

impl Measure for PacBayes {
    const NAME: &'static str = "pac_bayes";
    const HELP: &'static str = "Search the noise in the weights that costs 0.1 of the accuracy, from this many draws: PAC-Bayes flatness \
         [default of DRAWS: 10]";
    const FLAG: Flag = Flag::Optional("DRAWS");
    const MAIN: Option<&'static str> = Some("draws");
    const DEFINITION: Definition = Definition {
        title: "PAC-Bayes flatness",
        text: "1/σ², where σ is the deviation of Gaussian noise in all weights at which the accuracy on the measured examples drops by `drop` on \
            average over `draws` draws; and the magnitude-aware version with the deviation √(σ²w² + ε²) for a weight w. The draws are the same \
            for every σ. σ starts at 1/32, is doubled or halved until it is bracketed, and bisected (by geometric means) to 1 % (the paper: 15 \
            bisections of [0, 2]). The drop need not be monotone in σ: the first bracket counts. Batch norm is not folded into convolutions as \
            the code does, and the deviation is σ as in the paper, where the code passes σ² to torch.normal as the deviation.",
        source: "Jiang et al. 2020 (arXiv 1912.02178), equations 53 and 61; code: nitarshan/robust-generalization-measures, \
            data/generation/measures.py",
        error: "an interval of σ: where the mean drop plus and minus two of its standard errors over the draws is `drop`",
        cost: "about 15 forward passes per draw for each of both kinds",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] =
        &[("value", "PAC-Bayes 1/σ²"), ("magnitude_value", "PAC-Bayes 1/σ², magnitude-aware")];
    const COLUMNS: &'static [(&'static str, ColumnType)] = &[
        ("sigma", ColumnType::Double),
        ("sigma_interval", ColumnType::Text),
        ("value", ColumnType::Double),
        ("magnitude_sigma", ColumnType::Double),
        ("magnitude_interval", ColumnType::Text),
        ("magnitude_value", ColumnType::Double),
        ("passes", ColumnType::Integer),
    ];

    type Found = ();
    type Outcome = PacBayesOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<PacBayesOutcome> {
        let mut objective = Objective::values(at.problem, at.weights);
        let accuracy = objective.value(at.problem.numbers(), &at.weights.parameters)?.correct;
        let mut drops = Drops { at, objective, accuracy, known: Vec::new(), passes: 1 };
        let (sigma, sigma_interval) = self.search(&mut drops, |_| 1.0, 0.0)?;
        drops.known.clear();
        let (magnitude_sigma, magnitude_interval) = self.search(&mut drops, |w| w, self.epsilon)?;
        let sharpness = |sigma: Option<f64>| sigma.map(|sigma| 1.0 / (sigma * sigma));
        Ok(PacBayesOutcome {
            sigma,
            sigma_interval,
            value: sharpness(sigma),
            magnitude_sigma,
            magnitude_interval,
            magnitude_value: sharpness(magnitude_sigma),
            passes: drops.passes,
        })
    }

    fn summary(outcome: &PacBayesOutcome) -> Vec<(&'static str, String)> {
        let line = |sigma: Option<f64>, range: Option<[f64; 2]>| {
            let Some(sigma) = sigma else { return "none found".to_owned() };
            let [lower, upper] = range.map_or([None, None], |ends| ends.map(Some));
            format!("σ = {} in {}", significant(sigma, 3), interval(lower, upper))
        };
        let PacBayesOutcome { sigma, sigma_interval, magnitude_sigma, magnitude_interval, passes, .. } =
            *outcome;
        let work = format!("{} forward passes", count(passes));
        vec![
            ("PAC-Bayes", format!("{}  ({work})", line(sigma, sigma_interval))),
            ("relative", line(magnitude_sigma, magnitude_interval)),
        ]
    }
}

/// A deviation and its interval.
type Found = (Option<f64>, Option<[f64; 2]>);

impl PacBayes {
    /// The σ at which the noise with the deviation `√(σ² scale(w)² + ε²)` costs the accuracy on average, and its interval.
    fn search<B: Backend>(
        &self,
        drops: &mut Drops<'_, '_, '_, B>,
        scale: impl Fn(f64) -> f64,
        epsilon: f64,
    ) -> Result<Found> {
        if drops.accuracy < self.drop {
            return Ok((None, None));
        }
        let mut solve = |errors: f64| {
            crossing(START, RTOL, |sigma| {
                let deviation = |w: f64| (sigma * scale(w)).hypot(epsilon);
                let (mean, error) = drops.at(sigma, self.draws, deviation)?;
                Ok(mean + errors * error > self.drop)
            })
        };
        let Some([below, above]) = solve(0.0)? else { return Ok((None, None)) };
        // The more noise is certain to cost the accuracy, the larger it is.
        let interval = solve(2.0)?.zip(solve(-2.0)?).map(|([lower, _], [_, upper])| [lower, upper]);
        Ok((Some((below * above).sqrt()), interval))
    }
}

/// The drop of the accuracy under noise, at the deviations of one kind that were tried.
struct Drops<'s, 'p, 'a, B: Backend> {
    at: &'s Solution<'p, 'a, B>,
    objective: Objective<'p, 'a, B>,
    /// At the weights.
    accuracy: f64,
    /// σ, the mean drop and its standard error.
    known: Vec<(f64, f64, f64)>,
    passes: usize,
}

impl<B: Backend> Drops<'_, '_, '_, B> {
    /// The mean drop under noise of the given deviation of each weight, and its standard error over the draws.
    fn at(&mut self, sigma: f64, draws: usize, deviation: impl Fn(f64) -> f64) -> Result<(f64, f64)> {
        if let Some((_, mean, error)) = self.known.iter().find(|known| known.0.total_cmp(&sigma).is_eq()) {
            return Ok((*mean, *error));
        }
        let (problem, parameters) = (self.at.problem, &self.at.weights.parameters);
        let (mut moved, mut drops) = (vec![0.0; parameters.len()], Vec::new());
        for draw in (0..).take(draws) {
            problem.report(Phase::Measure(PacBayes::NAME), (self.passes, f64::NAN, f64::NAN));
            normal(problem.subject().seed, draw, &mut moved);
            for (moved, w) in moved.iter_mut().zip(parameters) {
                *moved = w + deviation(*w) * *moved;
            }
            self.passes += 1;
            drops.push(self.accuracy - self.objective.value(problem.numbers(), &moved)?.correct);
        }
        let (mean, error) = mean(&drops);
        let (mean, error) = (mean.unwrap_or(f64::NAN), error.unwrap_or(0.0));
        self.known.push((sigma, mean, error));
        Ok((mean, error))
    }
}
