//! Every choice that a run depends on. Two runs with the same configuration are the same run; its hash is the run's name.
//!
//! Where data lie, how many threads work, where and how often to save: none of these changes a result, so none is here.

mod bound_rtol;
pub(crate) mod file;
pub(crate) mod identity;
mod validation;

pub use bound_rtol::BoundRtol;
pub use file::ConfigFile;
use serde::{Deserialize, Serialize};
use sharpness_kernels::ConvolutionAlgorithm;
use sharpness_network::architectures::{Architecture, ModelConfig};

use crate::data::{DatasetName, Standardization, Subset};

/// A training run and the measurement at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The seed of the training's random streams: weights, order of the examples, dropout. It also draws the measured examples
    /// where they are chosen at random. [`DataConfig::seed`] draws the examples that are trained on.
    pub seed: u64,
    /// The precision of the engine.
    pub precision: Precision,
    /// How convolutions are computed.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub convolution: ConvolutionAlgorithm,
    /// The examples.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// How it is trained.
    pub training: TrainingConfig,
    /// What is measured at its end.
    pub measure: MeasureConfig,
}

/// The precision of activations and parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Precision {
    #[default]
    F32,
    F64,
}

fn is_auto(algorithm: &ConvolutionAlgorithm) -> bool {
    *algorithm == ConvolutionAlgorithm::Auto
}

/// Which examples, and how they are standardised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set.
    pub name: DatasetName,
    /// How pixels are centred and scaled.
    pub standardize: Standardization,
    /// Train on a class-balanced subset of the training set of this size; on all of it if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_examples: Option<usize>,
    /// The seed that draws this subset: runs with different seeds train on the same examples. Unset in runs made before this key
    /// existed, whose own seed drew the subset; see [`RunConfig::data_seed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The loss of an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Softmax cross-entropy.
    #[default]
    CrossEntropy,
    /// Half the squared distance of the outputs to the one-hot target.
    SquaredError,
}

/// SGD or SAM until a training accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// The loss.
    pub loss: LossName,
    /// The step size η.
    pub learning_rate: f64,
    /// Examples of one step; the last batch of an epoch may be smaller.
    pub batch_size: usize,
    /// Examples whose gradient is computed at once; also the batch of batch norm.
    pub micro_batch_size: usize,
    /// Momentum, as PyTorch defines it.
    pub momentum: f64,
    /// Nesterov's momentum, as PyTorch defines it.
    pub nesterov: bool,
    /// The factor of the weights that is added to the gradient.
    pub weight_decay: f64,
    /// Sharpness-aware minimization; plain SGD where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sam: Option<SamConfig>,
    /// Training ends at the first epoch end with at least this accuracy on the whole training set, in evaluation mode.
    pub target_accuracy: f64,
    /// Training ends after this many epochs in any case.
    pub max_epochs: u32,
}

/// Sharpness-aware minimization (Foret et al. 2021, algorithm 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamConfig {
    /// The radius ρ of the perturbation.
    pub rho: f64,
    /// Adaptive SAM (Kwon et al. 2021): the perturbation is scaled by the weights.
    pub adaptive: bool,
    /// Examples that share a perturbation (m-sharpness); the whole batch where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<usize>,
    /// Which passes move the running statistics of batch norm.
    pub bn_stats: BnStats,
}

/// Which of SAM's two passes move the running statistics of batch norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BnStats {
    /// The pass at the weights only (Foret et al. 2021).
    #[default]
    First,
    /// Both passes, as in the code of the paper (Kaur, Cohen, Lipton 2022).
    Both,
}

/// The statistics of batch norm in a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BnMode {
    /// Those of each chunk, as the training objective has it; differentiated through.
    #[default]
    Batch,
    /// The running ones, as constants.
    Running,
}

/// What is measured, and how exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureConfig {
    /// Examples of the training set that the loss is the mean over.
    pub examples: usize,
    /// Which of them.
    pub subset: Subset,
    /// The statistics of batch norm.
    pub bn: BnMode,
    /// Examples of a chunk: with batch statistics, the batch of batch norm. If unset, it follows from the training
    /// ([`RunConfig::measurement`]). The last chunk is shorter if it does not divide the number of examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<usize>,
    /// How many eigenvalues from the top.
    pub top_k: usize,
    /// Whether the smallest eigenvalue is computed too.
    pub lambda_min: bool,
    /// Whether λ_max is also sought between the final iterate and the next one (paper, section 3.5).
    pub between_iterates: bool,
    /// A pair counts as found when its residual is at most this fraction of the eigenvalue.
    pub rtol: f64,
    /// An eigenvalue counts as found only if the bound shows that nothing exceeds it by more than this fraction of it.
    #[serde(default = "BoundRtol::off", skip_serializing_if = "BoundRtol::is_off")]
    pub bound_rtol: BoundRtol,
    /// Hessian-vector products after which the solver gives up.
    pub max_products: usize,
    /// The most probes from which the trace of the Hessian is estimated; it is not where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<usize>,
    /// The radius ρ at which the bound of the paper's appendix A.1 on the objective of SAM is tested; it is not where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sam_bound: Option<f64>,
    /// λ_max is also measured before the first step and at the end of each epoch, to this relative residual; it is not where
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through_training: Option<f64>,
}

impl MeasureConfig {
    /// Examples of a chunk where nothing says how the network was trained, and the most if the chunk follows from the training:
    /// the authors of the paper took min(batch size, 1000).
    pub const DEFAULT_CHUNK: usize = 1000;

    /// 5,000 evenly strided examples, λ_max alone, residual below 10⁻³ of it, shown to be the largest to 10 %.
    pub const fn new() -> Self {
        Self {
            examples: 5000,
            subset: Subset::Every,
            bn: BnMode::Batch,
            chunk: None,
            top_k: 1,
            lambda_min: false,
            between_iterates: false,
            rtol: 1e-3,
            bound_rtol: BoundRtol(Some(0.1)),
            max_products: 500,
            trace: None,
            sam_bound: None,
            through_training: None,
        }
    }
}

impl Default for MeasureConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl RunConfig {
    /// The paper's protocol for an architecture on a data set: plain SGD at η = 0.05 with batches of 100, until 99 % train
    /// accuracy.
    pub fn new(name: DatasetName, arch: Architecture) -> Self {
        Self {
            seed: 0,
            precision: Precision::F32,
            convolution: ConvolutionAlgorithm::Auto,
            data: DataConfig {
                name,
                standardize: Standardization::Pixel,
                train_examples: None,
                seed: Some(0),
            },
            model: ModelConfig::new(arch),
            training: TrainingConfig {
                loss: LossName::CrossEntropy,
                learning_rate: 0.05,
                batch_size: 100,
                micro_batch_size: 1000,
                momentum: 0.0,
                nesterov: false,
                weight_decay: 0.0,
                sam: None,
                target_accuracy: 0.99,
                max_epochs: 1000,
            },
            measure: MeasureConfig::new(),
        }
    }

    /// The seed that draws the subset to train on.
    pub fn data_seed(&self) -> u64 {
        self.data.seed.unwrap_or(self.seed)
    }

    /// What is measured, with the chunk filled in. With batch statistics an unset chunk is the micro-batch of the training, so that
    /// batch norm sees batches of the size that it was trained with, at most [`MeasureConfig::DEFAULT_CHUNK`]. Otherwise chunks
    /// change nothing but rounding.
    pub fn measurement(&self) -> MeasureConfig {
        let has_batches = self.model.arch.has_batch_norm() && self.measure.bn == BnMode::Batch;
        let trained_with = if has_batches { self.training.micro_batch() } else { usize::MAX };
        let chunk = self.measure.chunk.unwrap_or(trained_with.min(MeasureConfig::DEFAULT_CHUNK));
        MeasureConfig { chunk: Some(chunk), ..self.measure.clone() }
    }
}

impl TrainingConfig {
    /// Examples of a full micro-batch, whose statistics batch norm uses in training: micro-batches never cross batches, nor the
    /// groups of SAM.
    pub fn micro_batch(&self) -> usize {
        let group = self.sam.as_ref().and_then(|sam| sam.m).unwrap_or(self.batch_size);
        self.micro_batch_size.min(group)
    }
}
