//! One step: the gradient of a batch, at SAM's perturbed point if SAM is on, and the optimizer's update.

use sharpness_network::backend::{Accumulate, Backend, View, ViewMut};
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::{Examples, HostBatch, Network, Sums, Tape, Weights};

use crate::optimizers::{BnStats, Fused, Rule, Sam};
use crate::settings::TrainingConfig;

/// The number of a step, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The number of the step since the start of the run, from 0.
    pub step: u32,
    /// The step size.
    pub learning_rate: f64,
    /// The kind of pass.
    pub pass: Pass,
}

/// An iterate of an optimizer on a network, and the buffers of a step, allocated once.
#[derive(Debug)]
pub struct Optimizer<'n, B: Backend> {
    network: &'n Network<B>,
    parameters: B::Buffer,
    /// The running statistics of batch norm.
    statistics: B::Buffer,
    gradient: B::Buffer,
    tape: Tape<B>,
    host: HostBatch,
    rule: Box<dyn Rule<B>>,
    perturbation: Option<Perturbation<B>>,
}

/// SAM's part of a step.
#[derive(Debug)]
struct Perturbation<B: Backend> {
    sam: Sam<B>,
    /// Number of examples that share a perturbation; the whole batch if unset.
    group: Option<usize>,
    bn_stats: BnStats,
    /// The gradient of one group at the weights.
    ascent: B::Buffer,
}

impl<'n, B: Backend> Optimizer<'n, B> {
    /// An optimizer that starts at `weights`, with the vectors `state` of [`Self::state_vectors`], or zeros if there are none.
    ///
    /// The configuration is taken to be valid (see [`RunConfig::validate`](crate::settings::RunConfig::validate)).
    ///
    /// # Panics
    /// If `weights` or `state` have other lengths than the network's.
    pub fn new(
        network: &'n Network<B>,
        config: &TrainingConfig,
        weights: &Weights,
        state: &[Vec<f64>],
    ) -> Self {
        let rule = Fused::new(&config.optimizer, network.backend(), network.parameters().len(), state);
        Self::with_rule(network, config, weights, Box::new(rule))
    }

    /// As [`Self::new`], with a custom rule instead of the optimizer of `config`.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_rule(
        network: &'n Network<B>,
        config: &TrainingConfig,
        weights: &Weights,
        rule: Box<dyn Rule<B>>,
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
            statistics: network.upload(&weights.state),
            gradient: backend.buffer(dim),
            tape: network.tape(config.micro_batch(), TapeKind::Gradient),
            host: HostBatch::default(),
            rule,
            perturbation,
        }
    }

    /// The parameters, `[dim]`.
    pub const fn parameters(&self) -> &B::Buffer {
        &self.parameters
    }

    /// The running statistics of batch norm.
    pub const fn statistics(&self) -> &B::Buffer {
        &self.statistics
    }

    /// The iterate on the host.
    pub fn weights(&self) -> Weights {
        let download = |buffer, len| self.network.backend().download(View::new(buffer, 0, len));
        Weights {
            parameters: download(&self.parameters, self.network.parameters().len()),
            state: download(&self.statistics, self.network.state().len()),
        }
    }

    /// The optimizer's state vectors on the host, each `[dim]`.
    pub fn state_vectors(&self) -> Vec<Vec<f64>> {
        let (backend, dim) = (self.network.backend(), self.network.parameters().len());
        let vectors = self.rule.state();
        vectors.iter().map(|buffer| backend.download(View::new(buffer, 0, dim))).collect()
    }

    /// Takes a step on the mean loss of the examples `batch` and returns the sums of their losses before it. Does not
    /// update if the loss is not finite.
    ///
    /// The batch is split into groups that share a perturbation of SAM (one group without SAM), and each group into
    /// micro-batches, whose gradients are added and whose statistics batch norm uses. Both passes of SAM have the same
    /// dropout masks, and so the same function.
    ///
    /// Cost: one gradient of the batch, two with SAM.
    pub fn step(&mut self, examples: &dyn Examples, batch: &[u32], at: &Moment) -> Sums {
        let Self { network, parameters, statistics, gradient, tape, host, rule, perturbation } = self;
        let pass = &at.pass;
        let mean = 1.0 / batch.len() as f64;
        let mut sweep = Sweep { network, tape, host, examples, pass, statistics };
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
            let dim = network.parameters().len();
            let (gradient, parameters) = (View::new(&*gradient, 0, dim), ViewMut::new(parameters, 0, dim));
            rule.update(network.backend(), (at.step, at.learning_rate), gradient, parameters);
        }
        sums
    }
}

/// The common arguments of the gradients of a step.
#[derive(Debug)]
struct Sweep<'a, B: Backend> {
    network: &'a Network<B>,
    tape: &'a mut Tape<B>,
    host: &'a mut HostBatch,
    examples: &'a dyn Examples,
    pass: &'a Pass,
    statistics: &'a mut B::Buffer,
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
        let Self { network, tape, host, examples, pass, statistics } = self;
        let mut sums = Sums::default();
        for micro_batch in numbers.chunks(tape.capacity()) {
            host.load(network, tape, *examples, micro_batch);
            let of_micro_batch = network.gradient(parameters, statistics, pass, tape, scale, accumulate, out);
            if moves_statistics {
                network.update_state(pass, tape, statistics);
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
