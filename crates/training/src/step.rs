//! One step: the gradient of a batch, at SAM's perturbed point if SAM is on, and the optimizer's update.

use sharpness_network::backend::{Accumulate, Backend, View, ViewMut};
use sharpness_network::op::{Pass, TapeKind};
use sharpness_network::sum::{Dealt, GroupSums, NarrowSum};
use sharpness_network::{Examples, HostBatch, Network, Ranks, Sums, Tape, Weights};

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
    gradient: NarrowSum<B>,
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
    ascent: NarrowSum<B>,
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
            ascent: NarrowSum::default(),
        });
        Self {
            network,
            parameters: network.upload(&weights.parameters),
            statistics: network.upload(&weights.state),
            gradient: NarrowSum::default(),
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
    /// micro-batches, whose gradients are [summed](sharpness_network::sum) and whose statistics batch norm uses. Both passes of SAM
    /// have the same dropout masks, and so the same function. Ranks share the groups, or the micro-batches of a single one.
    ///
    /// Cost: one gradient of the batch, two with SAM.
    pub fn step(&mut self, examples: &dyn Examples, batch: &[u32], at: &Moment) -> Sums {
        let Self { network, parameters, statistics, gradient, tape, host, rule, perturbation } = self;
        let (pass, mean, ranks) = (&at.pass, 1.0 / batch.len() as f64, network.ranks());
        let mut sweep = Sweep { network, tape, host, examples, pass, statistics, addends: Vec::new() };
        let (sums, gradient) = match perturbation {
            None => sweep.gradient(batch, (parameters, mean), ranks, gradient, true),
            Some(Perturbation { sam, group, bn_stats, ascent }) => {
                let of_both = *bn_stats == BnStats::Both;
                match group.filter(|group| *group < batch.len()) {
                    None => {
                        let (sums, ascent) = sweep.gradient(batch, (parameters, mean), ranks, ascent, true);
                        let perturbed =
                            sam.perturb(network.backend(), network.parameters(), parameters, ascent);
                        let (_, gradient) =
                            sweep.gradient(batch, (perturbed, mean), ranks, gradient, of_both);
                        (sums, gradient)
                    }
                    Some(size) => {
                        let perturbed = Perturbed { sam, ascent, parameters, mean, of_both };
                        sweep.gradient_of_groups(batch, size, perturbed, gradient)
                    }
                }
            }
        };
        if sums.loss.is_finite() {
            let dim = network.parameters().len();
            let (gradient, parameters) = (View::new(gradient, 0, dim), ViewMut::new(parameters, 0, dim));
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
    /// What this rank's micro-batches add to the statistics, if there are others.
    addends: Vec<u64>,
}

/// What the perturbed gradients of groups depend on.
struct Perturbed<'a, B: Backend> {
    sam: &'a mut Sam<B>,
    ascent: &'a mut NarrowSum<B>,
    parameters: &'a B::Buffer,
    /// The factor of the sum of the losses.
    mean: f64,
    /// Whether both passes move the running statistics.
    of_both: bool,
}

impl<B: Backend> Sweep<'_, B> {
    /// `scale ·` the gradient of the sum of the losses of the examples with the given numbers, at `parameters`. `ranks` share them.
    fn gradient<'s>(
        &mut self,
        numbers: &[u32],
        (parameters, scale): (&B::Buffer, f64),
        ranks: &Ranks,
        sum: &'s mut NarrowSum<B>,
        moves_statistics: bool,
    ) -> (Sums, &'s B::Buffer) {
        let (network, size) = (self.network, self.tape.capacity());
        let dealt = Dealt::new(numbers.len().div_ceil(size), ranks);
        let mut sums = GroupSums::default();
        sum.clear();
        for (group, range) in dealt.own_chunks(numbers.len(), size) {
            let (out, accumulate) = sum.slot(network, dealt, group);
            let at = (parameters, scale);
            sums.add(group, self.micro_batch(&numbers[range], at, accumulate, out, moves_statistics));
        }
        self.share_statistics(ranks);
        (finished(&sums, dealt, ranks), sum.finish(network, dealt, ranks))
    }

    /// The gradient of the mean loss of a batch, each of whose groups of `size` examples has its own perturbation. A group is the work of
    /// one rank.
    fn gradient_of_groups<'s>(
        &mut self,
        batch: &[u32],
        size: usize,
        perturbed: Perturbed<'_, B>,
        sum: &'s mut NarrowSum<B>,
    ) -> (Sums, &'s B::Buffer) {
        let Perturbed { sam, ascent, parameters, mean, of_both } = perturbed;
        let (network, ranks, micro_batch) = (self.network, self.network.ranks(), self.tape.capacity());
        let dealt = Dealt::new(batch.len().div_ceil(size), ranks);
        let mut sums = GroupSums::default();
        sum.clear();
        for (place, range) in dealt.own_chunks(batch.len(), size) {
            let group = &batch[range];
            let (at, alone) = ((parameters, 1.0 / group.len() as f64), Ranks::default());
            let (at_iterate, ascent) = self.gradient(group, at, &alone, ascent, true);
            let moved = sam.perturb(network.backend(), network.parameters(), parameters, ascent);
            for numbers in group.chunks(micro_batch) {
                let (out, accumulate) = sum.slot(network, dealt, place);
                self.micro_batch(numbers, (moved, mean), accumulate, out, of_both);
            }
            sums.add(place, at_iterate);
        }
        self.share_statistics(ranks);
        (finished(&sums, dealt, ranks), sum.finish(network, dealt, ranks))
    }

    /// `out (+)= scale ·` the gradient of the sum of the losses of a micro-batch, at `parameters`.
    fn micro_batch(
        &mut self,
        numbers: &[u32],
        (parameters, scale): (&B::Buffer, f64),
        accumulate: Accumulate,
        out: &mut B::Buffer,
        moves_statistics: bool,
    ) -> Sums {
        let Self { network, tape, host, examples, pass, statistics, addends } = self;
        host.load(network, tape, *examples, numbers);
        let sums = network.gradient(parameters, statistics, pass, tape, scale, accumulate, out);
        match moves_statistics {
            true if network.ranks().size() > 1 => {
                addends.extend(network.statistics(pass, tape).into_iter().map(f64::to_bits));
            }
            true => network.update_state(pass, tape, statistics),
            false => {}
        }
        sums
    }

    /// Moves the running statistics by all micro-batches of all `ranks` in order.
    fn share_statistics(&mut self, ranks: &Ranks) {
        if ranks.size() > 1 && !self.network.state().is_empty() {
            let all = ranks.gather(&self.addends).concat();
            let all: Vec<f64> = all.into_iter().map(f64::from_bits).collect();
            self.network.add_statistics(&all, self.statistics);
            self.addends.clear();
        }
    }
}

/// The sums of a step, which is never stopped half-way.
fn finished(sums: &GroupSums, dealt: Dealt, ranks: &Ranks) -> Sums {
    sums.finish(dealt, ranks, false).unwrap_or_default()
}
