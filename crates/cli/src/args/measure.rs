//! Flags about measuring curvature.

use std::str::FromStr;

use clap::Args;
use sharpness_experiments::config::{BnMode, BoundRtol};
use sharpness_experiments::data::Subset;

use super::one_of;

/// What is measured, and how exactly.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Measurement")]
pub(crate) struct MeasureArgs {
    /// Training examples that the measured loss is the mean over, or `all`; `measure` compares several, as 1000,5000,all [default:
    /// 5000, or all where there are fewer]
    #[arg(long, value_name = "N")]
    pub(crate) examples: Option<ExampleCounts>,

    /// Which of the training examples: evenly strided, the first, or at random by the seed [default: every]
    #[arg(long, value_name = "WHICH", value_parser = one_of(Subset::ALL.map(|choice| (choice.as_str(), choice))))]
    pub(crate) subset: Option<Subset>,

    /// Statistics of batch norm: of each chunk, differentiated through, or the running ones [default: batch]
    #[arg(long, value_name = "MODE",
        value_parser = one_of([("batch", BnMode::Batch), ("running", BnMode::Running)]))]
    pub(crate) bn: Option<BnMode>,

    /// Examples of a chunk; with --bn batch, the batch of batch norm. The last chunk may be shorter [default: the micro-batch of the
    /// training, at most 1000; 1000 for weights of an unknown training]
    #[arg(long, value_name = "N")]
    pub(crate) bn_chunk: Option<usize>,

    /// How many of the largest eigenvalues [default: 1]
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,

    /// Compute the smallest eigenvalue too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) lambda_min: Option<bool>,

    /// An eigenvalue is found when its residual is at most this fraction of it [default: 0.001]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub(crate) rtol: Option<f64>,

    /// An eigenvalue is found only if the bound shows that nothing exceeds it by more than this fraction of it; `off` trusts the
    /// residual alone, which saves products and may miss a larger eigenvalue [default: 0.1]
    #[arg(long, value_name = "R|off", allow_negative_numbers = true)]
    pub(crate) bound_rtol: Option<BoundRtol>,

    /// Give up after this many Hessian-vector products [default: 500]
    #[arg(long, value_name = "N")]
    pub(crate) max_products: Option<usize>,

    /// Estimate the trace of the Hessian too, to 1 % or from this many probes [default of PROBES: 100]
    #[arg(long, value_name = "PROBES", num_args = 0..=1, require_equals = true, default_missing_value = "100")]
    pub(crate) trace: Option<usize>,

    /// Test the bound of the paper's appendix A.1 on the objective of SAM, L + ρ‖∇L‖ + ρ²λ_max/2, against the largest loss within
    /// this radius
    #[arg(long, value_name = "RHO", allow_negative_numbers = true)]
    pub(crate) sam_bound: Option<f64>,
}

/// Numbers of examples, separated by commas; the largest number there is stands for `all`.
#[derive(Clone, Debug)]
pub(crate) struct ExampleCounts(pub(crate) Vec<usize>);

impl FromStr for ExampleCounts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = |part: &str| match part.trim() {
            "all" => Ok(usize::MAX),
            part => part.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
                format!("'{part}' is not a number of examples; write 5000, all, or 1000,5000,all")
            }),
        };
        text.split(',').map(count).collect::<Result<_, _>>().map(Self)
    }
}

impl MeasureArgs {
    /// The numbers of examples that are asked for.
    pub(crate) fn counts(&self) -> &[usize] {
        self.examples.as_ref().map_or(&[], |counts| &counts.0)
    }

    /// The number of examples that is asked for, where it is a number.
    pub(crate) fn asked_examples(&self) -> Option<usize> {
        self.examples
            .as_ref()
            .and_then(|counts| counts.0.first().copied())
            .filter(|count| *count < usize::MAX)
    }
}
