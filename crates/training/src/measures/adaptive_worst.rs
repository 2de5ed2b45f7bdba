//! Worst-case adaptive sharpness: how much the loss can rise under perturbations relative to the weights.

use serde::{Deserialize, Serialize};
use sharpness_network::backend::Backend;

use super::adaptive_points::{AdaptiveOutcome, Norm, Samples, text};
use super::apgd::Apgd;
use super::draws::groups;
use super::measure::{AtWeights, Definition, Flag, Measure, Solution};
use super::value::Objective;
use crate::Result;
use crate::columns::ColumnType;
use crate::number::count;
use crate::progress::Phase;
use crate::range::{Count, Positive, each, within};

/// The largest rise of the loss of batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveWorst {
    /// Iterations of an ascent.
    #[serde(deserialize_with = "within::<_, Count>")]
    pub iterations: usize,
    /// Radii ρ of the Euclidean norm.
    #[serde(deserialize_with = "each::<_, Positive>")]
    pub l2: Vec<f64>,
    /// Radii ρ of the maximum norm.
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

impl Default for AdaptiveWorst {
    fn default() -> Self {
        let (l2, linf) = (vec![0.25, 0.5, 1.0, 2.0], vec![0.001, 0.002, 0.004, 0.008]);
        Self { iterations: 20, l2, linf, batch_size: 128, batches: 8, normalize_logits: false }
    }
}

impl Measure for AdaptiveWorst {
    const NAME: &'static str = "adaptive_worst";
    const HELP: &'static str = "Search the largest rise of the loss under perturbations relative to the weights in this many iterations, \
         worst-case adaptive sharpness [default of ITERATIONS: 20]";
    const FLAG: Flag = Flag::Optional("ITERATIONS");
    const MAIN: Option<&'static str> = Some("iterations");
    const DEFINITION: Definition = Definition {
        title: "Adaptive sharpness, worst case",
        text: "The mean over batches S of max L_S(w + v ⊙ |w|) - L_S(w) over ‖v‖_p ≤ ρ, with p = 2 (`l2`) and p = ∞ (`linf`), for each ρ of a grid. \
            For small ρ, `l2` is ρ‖|w| ⊙ ∇L_S‖ + ρ²/2 · λ_max(H ⊙ |w||w|ᵀ) at most. The search is APGD (Croce, Hein 2020) from v = 0 with \
            `iterations` iterations: step 2ρ, halved at its checkpoints, momentum 0.75. Up to `batches` disjoint batches of `batch_size` examples \
            are drawn at random from the measured examples (the code takes the first 1,024 images). In contrast to the code, both the step and the \
            projection are those of the norm of v (for p = 2 the code steps along |w| ⊙ ∇L in w and projects in the Euclidean norm of w, \
            which does not end at the maximum of a linear loss), a radius counts what was found within smaller ones, and batch norm uses the \
            statistics of the measurement, where the code uses the running ones (`--bn running`). With `normalize_logits` the outputs of each \
            example are centred and divided by their length before the network's loss, as in the code's LogitNormalizationWrapper.",
        source: "Kwon et al. 2021 (arXiv 2102.11600); Andriushchenko et al. 2023 (arXiv 2302.07011), code: tml-epfl/sharpness-vs-generalization, \
            sharpness.py, eval_APGD_sharpness, and the radii of sh/eval_sharpness_final.sh",
        error: "the standard error over the batches; each batch's rise is a lower bound on its maximum",
        cost: "about `iterations` + 3 gradients of all batches for each radius: 180 of 1,024 examples by default",
    };
    const SHARPNESS: &'static [(&'static str, &'static str)] = &[
        ("l2_smallest_rho", "adaptive worst L₂, smallest ρ"),
        ("l2_largest_rho", "adaptive worst L₂, largest ρ"),
        ("linf_smallest_rho", "adaptive worst L_inf, smallest ρ"),
        ("linf_largest_rho", "adaptive worst L_inf, largest ρ"),
    ];
    const COLUMNS: &'static [(&'static str, ColumnType)] = AdaptiveOutcome::COLUMNS;

    type Found = ();
    type Outcome = AdaptiveOutcome;

    fn products<B: Backend>(&self, _: &mut AtWeights<'_, '_, B>) -> Result<()> {
        Ok(())
    }

    fn conclude<B: Backend>(&self, (): (), at: &Solution<'_, '_, B>) -> Result<AdaptiveOutcome> {
        let batches = groups(at.problem, self.batch_size, self.batches);
        let objective = Objective::gradients(at.problem, at.weights).normalized(self.normalize_logits);
        let mut apgd = Apgd::new(objective, &at.weights.parameters, self.iterations);
        let mut l2 = Samples::new(Norm::L2, &self.l2);
        let mut linf = Samples::new(Norm::Linf, &self.linf);
        for (index, batch) in batches.iter().enumerate() {
            at.problem.report(Phase::Measure(Self::NAME), (index, f64::NAN, f64::NAN));
            for samples in [&mut l2, &mut linf] {
                // What lies within a radius lies within the larger ones.
                let mut largest = [0.0; 2];
                for (index, rho) in samples.radii.iter().enumerate() {
                    let found = apgd.largest_rise(batch, samples.norm, *rho)?;
                    if found[0] > largest[0] {
                        largest = found;
                    }
                    samples.rises[index].push(largest[0]);
                    samples.drops[index].push(largest[1]);
                }
            }
        }
        Ok(AdaptiveOutcome::new(&l2, &linf, batches.iter().map(Vec::len).sum()))
    }

    fn summary(outcome: &AdaptiveOutcome) -> Vec<(&'static str, String)> {
        let of = format!("(standard error; {} examples)", count(outcome.examples));
        vec![
            ("worst L₂", format!("at least {}  {of}", text(&outcome.l2))),
            ("worst L_inf", format!("at least {}  {of}", text(&outcome.linf))),
        ]
    }
}
