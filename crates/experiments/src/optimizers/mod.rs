//! Steps of SGD and SAM on a network: all arithmetic on the device, host work only to load images.
//!
//! | file | subject |
//! | --- | --- |
//! | `sgd.rs` | the update from a gradient |
//! | `sam.rs` | the perturbed point at which SAM takes its gradient |
//! | `edge_of_stability.rs` | the curvature above which they diverge |

mod edge_of_stability;
mod sam;
mod sgd;

use sharpness_network::backend::{Accumulate, Backend, Pixels, View};
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::{Network, Sums, Tape, Weights};

pub use self::edge_of_stability::EdgeOfStability;
use self::sam::Sam;
use self::sgd::Sgd;
use crate::config::{BnStats, TrainingConfig};

/// All images of a source of examples.
#[derive(Clone, Copy, Debug)]
pub enum Images<'a> {
    /// Bytes, which the device makes numbers of.
    Pixels(Pixels<'a>),
    /// Numbers, `[examples, c, h, w]`.
    Numbers(&'a [f64]),
}

/// Where the images and labels of numbered examples come from.
pub trait Examples: std::fmt::Debug {
    /// All images.
    fn images(&self) -> Images<'_>;
    /// The label of an example.
    fn label(&self, number: u32) -> u32;
}

/// A batch on its way to a tape; allocated once.
#[derive(Debug, Default)]
pub(crate) struct HostBatch {
    images: Vec<f64>,
    labels: Vec<u32>,
}

impl HostBatch {
    /// Loads the examples with the given numbers onto the tape.
    pub(crate) fn load<B: Backend>(
        &mut self,
        network: &Network<B>,
        tape: &mut Tape<B>,
        examples: &dyn Examples,
        numbers: &[u32],
    ) {
        let Self { images, labels } = self;
        labels.clear();
        labels.extend(numbers.iter().map(|&number| examples.label(number)));
        match examples.images() {
            Images::Pixels(pixels) => network.load_pixels(tape, &pixels, labels, numbers),
            Images::Numbers(all) => {
                let len = network.input().elements();
                images.clear();
                numbers.iter().for_each(|&i| images.extend_from_slice(&all[i as usize * len..][..len]));
                network.load(tape, images, labels, numbers);
            }
        }
    }
}

/// An iterate of SGD or SAM on a network, and the buffers of a step, which are allocated once.
#[derive(Debug)]
pub struct Optimizer<'n, B: Backend> {
    network: &'n Network<B>,
    parameters: B::Buffer,
    state: B::Buffer,
    gradient: B::Buffer,
    tape: Tape<B>,
    host: HostBatch,
    sgd: Sgd<B>,
    perturbation: Option<Perturbation<B>>,
}

/// SAM's part of a step.
#[derive(Debug)]
struct Perturbation<B: Backend> {
    sam: Sam<B>,
    /// Examples that share a perturbation; the whole batch where absent.
    group: Option<usize>,
    bn_stats: BnStats,
    /// The gradient of one group at the weights.
    ascent: B::Buffer,
}

impl<'n, B: Backend> Optimizer<'n, B> {
    /// An optimizer that starts at `weights`. `momentum` continues a run with momentum.
    ///
    /// The configuration is taken to be valid (see [`RunConfig::validate`](crate::config::RunConfig::validate)).
    ///
    /// # Panics
    /// If `weights` or `momentum` have other lengths than the network's.
    pub fn new(
        network: &'n Network<B>,
        config: &TrainingConfig,
        weights: &Weights,
        momentum: Option<&[f64]>,
    ) -> Self {
        let (backend, dim) = (network.backend(), network.parameters().len());
        let group = config.sam.as_ref().and_then(|sam| sam.m);
        let perturbation = config.sam.as_ref().map(|sam| Perturbation {
            sam: Sam::new(backend, sam, dim),
            group,
            bn_stats: sam.bn_stats,
            ascent: backend.buffer(dim),
        });
        Self {
            network,
            parameters: network.upload(&weights.parameters),
            state: network.upload(&weights.state),
            gradient: backend.buffer(dim),
            tape: network.tape(config.micro_batch(), TapeKind::Gradient),
            host: HostBatch::default(),
            sgd: Sgd::new(backend, config, dim, momentum),
            perturbation,
        }
    }

    /// The parameters, `[dim]`.
    pub const fn parameters(&self) -> &B::Buffer {
        &self.parameters
    }

    /// The running statistics of batch norm.
    pub const fn state(&self) -> &B::Buffer {
        &self.state
    }

    /// The iterate on the host.
    pub fn weights(&self) -> Weights {
        let download = |buffer, len| self.network.backend().download(View::new(buffer, 0, len));
        Weights {
            parameters: download(&self.parameters, self.network.parameters().len()),
            state: download(&self.state, self.network.state().len()),
        }
    }

    /// The momentum buffer on the host, `[dim]`, once a step with momentum has been made.
    pub fn momentum(&self) -> Option<Vec<f64>> {
        let dim = self.network.parameters().len();
        self.sgd.buffer().map(|buffer| self.network.backend().download(View::new(buffer, 0, dim)))
    }

    /// One step on the mean loss of the examples `batch`, and the sums of their losses before it. A loss that is not finite makes
    /// no update.
    ///
    /// The batch is cut into groups that share a perturbation of SAM (one group in plain SGD), and each group into micro-batches,
    /// whose gradients are added and whose statistics batch norm uses. Both passes of SAM have the same dropout masks, so that
    /// they see the same function.
    ///
    /// Cost: one gradient of the batch, two with SAM.
    pub fn step(&mut self, examples: &dyn Examples, batch: &[u32], pass: &Pass) -> Sums {
        let Self { network, parameters, state, gradient, tape, host, sgd, perturbation } = self;
        let mean = 1.0 / batch.len() as f64;
        let mut sweep = Sweep { network, tape, host, examples, pass, state };
        let mut sums = Sums::default();
        match perturbation {
            None => sums = sweep.gradient(batch, parameters, mean, Accumulate::Set, gradient, true),
            Some(Perturbation { sam, group, bn_stats, ascent }) => {
                let mut accumulate = Accumulate::Set;
                for group in batch.chunks(group.unwrap_or(batch.len())) {
                    let mean_of_group = 1.0 / group.len() as f64;
                    let at_iterate =
                        sweep.gradient(group, parameters, mean_of_group, Accumulate::Set, ascent, true);
                    let table = network.parameters();
                    let perturbed = sam.perturb(network.backend(), table, parameters, ascent);
                    let moves_statistics = *bn_stats == BnStats::Both;
                    sweep.gradient(group, perturbed, mean, accumulate, gradient, moves_statistics);
                    add(&mut sums, at_iterate);
                    accumulate = Accumulate::Add;
                }
            }
        }
        if sums.loss.is_finite() {
            sgd.update(network.backend(), network.parameters().len(), gradient, parameters);
        }
        sums
    }
}

/// What the gradients of one step have in common.
#[derive(Debug)]
struct Sweep<'a, B: Backend> {
    network: &'a Network<B>,
    tape: &'a mut Tape<B>,
    host: &'a mut HostBatch,
    examples: &'a dyn Examples,
    pass: &'a Pass,
    state: &'a mut B::Buffer,
}

impl<B: Backend> Sweep<'_, B> {
    /// `out (+)= scale ·` the gradient of the sum of the losses of the examples with the given numbers, at `parameters`.
    fn gradient(
        &mut self,
        numbers: &[u32],
        parameters: &B::Buffer,
        scale: f64,
        mut accumulate: Accumulate,
        out: &mut B::Buffer,
        moves_statistics: bool,
    ) -> Sums {
        let Self { network, tape, host, examples, pass, state } = self;
        let mut sums = Sums::default();
        for micro_batch in numbers.chunks(tape.capacity()) {
            host.load(network, tape, *examples, micro_batch);
            let of_micro_batch = network.gradient(parameters, state, pass, tape, scale, accumulate, out);
            if moves_statistics {
                network.update_state(pass, tape, state);
            }
            add(&mut sums, of_micro_batch);
            accumulate = Accumulate::Add;
        }
        sums
    }
}

fn add(sums: &mut Sums, other: Sums) {
    sums.loss += other.loss;
    sums.correct += other.correct;
}
