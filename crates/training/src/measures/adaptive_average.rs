//! Average-case adaptive sharpness: the mean rise of the loss under noise relative to the weights.

use serde::{Deserialize, Serialize};
use sharpness_network::Weights;
use sharpness_network::backend::Backend;

use super::adaptive_points::{AdaptiveOutcome, Norm, Samples, text};
use super::draws::{groups, normal, uniform};
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::value::Objective;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::count;
use crate::progress::Phase;
use crate::range::{Count, Positive, Probes, each, within};

/// The mean rise under noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveAverage {
    /// Draws of the noise.
    #[serde(deserialize_with = "within::<_, Probes>")]
    pub draws: usize,
    /// Radii ρ of Gaussian noise.
    #[serde(deserialize_with = "each::<_, Positive>")]
    pub l2: Vec<f64>,
    /// Radii ρ of uniform noise.
    #[serde(deserialize_with = "each::<_, Positive>")]
    pub linf: Vec<f64>,
    /// Examples of a batch.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub batch_size: usize,
    /// The most batches.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub batches: usize,
    /// Whether the outputs are centred and scaled to unit length before the loss.
    pub normalize_logits: bool,
}

impl Default for AdaptiveAverage {
    fn default() -> Self {
        let (l2, linf) = (vec![0.05, 0.1, 0.2, 0.4], vec![0.1, 0.2, 0.4, 0.8]);
        Self { draws: 20, l2, linf, batch_size: 128, batches: 8, normalize_logits: false }
    }
}

impl Measure for AdaptiveAverage {
    const NAME: &'static str = "adaptive_average";
    const HELP: &'static str = "Average the rise of the loss under this many draws of noise relative to the weights, average-case adaptive \
         sharpness [default of DRAWS: 20]";
    const FLAG: Flag = Flag::Optional("DRAWS");
    const MAIN: Option<&'static str> = Some("draws");
    const DEFINITION: Definition = Definition {
        title: "Adaptive sharpness, average case",
        text: "The mean of L_S(w + v ⊙ |w|) - L_S(w) over batches S and draws of v: `l2` with independent Gaussian entries of deviation ρ, `linf` \
            with independent entries uniform on [-ρ, ρ], for each ρ of a grid. For small ρ, `l2` is ρ²/2 · tr(H ⊙ |w||w|ᵀ). Up to `batches` disjoint \
            batches of `batch_size` examples are drawn at random from the measured examples (the code takes the first 1,024 images). All batches \
            and radii share the draws, where the code has new ones for each batch, and batch norm uses the statistics of the measurement, where \
            the code uses the running ones (`--bn running`). With `normalize_logits` the outputs of each example are centred and divided by their \
            length before the network's loss, as in the code's LogitNormalizationWrapper.",
        source: "Kwon et al. 2021 (arXiv 2102.11600); Andriushchenko et al. 2023 (arXiv 2302.07011), code: tml-epfl/sharpness-vs-generalization, \
            sharpness.py, eval_average_sharpness, and the radii of sh/eval_sharpness_final.sh",
        error: "the standard error over the draws",
        cost: "a forward pass of all batches for each draw and radius: 160 of 1,024 examples by default",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[
        ("l2_smallest_rho", "adaptive average L₂, smallest ρ"),
        ("l2_largest_rho", "adaptive average L₂, largest ρ"),
        ("linf_smallest_rho", "adaptive average L_inf, smallest ρ"),
        ("linf_largest_rho", "adaptive average L_inf, largest ρ"),
    ];
    const COLUMNS: &'static [(&'static str, ColumnType)] = AdaptiveOutcome::COLUMNS;

    type Found = ();
    type Outcome = AdaptiveOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<AdaptiveOutcome> {
        let batches = groups(at.problem, self.batch_size, self.batches);
        let mut objective = Objective::values(at.problem, at.weights).normalized(self.normalize_logits);
        let examples = batches.iter().map(Vec::len).sum();
        let mut l2 = Samples::new(Norm::L2, &self.l2);
        let mut linf = Samples::new(Norm::Linf, &self.linf);
        for samples in [&mut l2, &mut linf] {
            self.sample(
                samples,
                (&mut objective, &batches),
                (at.weights, at.problem.subject().seed),
                |draw| {
                    at.problem.report(Phase::Measure(Self::NAME), (draw, f64::NAN, f64::NAN));
                },
            )?;
        }
        Ok(AdaptiveOutcome::new(&l2, &linf, examples))
    }

    fn summary(outcome: &AdaptiveOutcome) -> Vec<(&'static str, String)> {
        let of = format!("(standard error; {} examples)", count(outcome.examples));
        vec![
            ("average L₂", format!("{}  {of}", text(&outcome.l2))),
            ("average L_inf", format!("{}  {of}", text(&outcome.linf))),
        ]
    }
}

impl AdaptiveAverage {
    /// Adds the rise and the drop of each draw at each radius, averaged over the batches.
    fn sample<B: Backend>(
        &self,
        samples: &mut Samples,
        (objective, batches): (&mut Objective<'_, '_, B>, &[Vec<u32>]),
        (weights, seed): (&Weights, u64),
        report: impl Fn(usize),
    ) -> Result<()> {
        let parameters = &weights.parameters;
        let [mut noise, mut moved] = [vec![0.0; parameters.len()], parameters.clone()];
        let mut mean = |parameters: &[f64]| -> Result<[f64; 2]> {
            let mut sums = [0.0; 2];
            for batch in batches {
                let of_batch = objective.value(batch, parameters)?;
                sums[0] += of_batch.loss;
                sums[1] += of_batch.correct;
            }
            Ok(sums.map(|sum| sum / batches.len() as f64))
        };
        let [loss, accuracy] = mean(parameters)?;
        for draw in (0..).take(if samples.radii.is_empty() { 0 } else { self.draws }) {
            report(draw as usize);
            match samples.norm {
                Norm::L2 => normal(seed, draw, &mut noise),
                Norm::Linf => uniform(seed, draw, &mut noise),
            }
            for (index, rho) in samples.radii.iter().enumerate() {
                for (moved, (w, v)) in moved.iter_mut().zip(parameters.iter().zip(&noise)) {
                    *moved = w + rho * v * w.abs();
                }
                let [moved_loss, moved_accuracy] = mean(&moved)?;
                samples.rises[index].push(moved_loss - loss);
                samples.drops[index].push(accuracy - moved_accuracy);
            }
        }
        Ok(())
    }
}
