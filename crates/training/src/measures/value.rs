//! The mean loss of measured examples at any weights, and its gradient: forward passes, or forward and backward ones, without
//! products.

use sharpness_network::backend::{Accumulate, Backend};
use sharpness_network::op::TapeKind;
use sharpness_network::sum::{Dealt, GroupSums, WideSum};
use sharpness_network::{HostBatch, Sums, Tape, Weights};

use super::problem::{Problem, stopped};
use crate::Result;

/// The mean loss of measured examples as a function of the parameters, with the buffers of its passes, allocated once. Batch norm
/// uses the statistics that the measurement names; its running ones are fixed.
///
/// Once the operator and the solver are done, its buffers and six vectors of the length of the parameters fit in the least memory of
/// a measurement.
pub(crate) struct Objective<'p, 'a, B: Backend> {
    problem: &'p Problem<'a, B>,
    tape: Tape<B>,
    host: HostBatch,
    parameters: B::Buffer,
    state: B::Buffer,
    slope: Option<Slope<B>>,
    /// Whether the outputs are normalized before the loss.
    normalized: bool,
}

/// The buffers of a gradient: that of a chunk, and the sum.
struct Slope<B: Backend> {
    chunk: B::Buffer,
    total: WideSum<B>,
}

impl<'p, 'a, B: Backend> Objective<'p, 'a, B> {
    /// The loss alone, with the running statistics of `weights`.
    pub(crate) fn values(problem: &'p Problem<'a, B>, weights: &Weights) -> Self {
        Self::new(problem, weights, TapeKind::Values)
    }

    /// The loss and its gradient, with the running statistics of `weights`.
    pub(crate) fn gradients(problem: &'p Problem<'a, B>, weights: &Weights) -> Self {
        Self::new(problem, weights, TapeKind::Gradient)
    }

    fn new(problem: &'p Problem<'a, B>, weights: &Weights, kind: TapeKind) -> Self {
        let (network, dim) = (problem.network(), weights.parameters.len());
        let slope = (kind == TapeKind::Gradient)
            .then(|| Slope { chunk: network.backend().buffer(dim), total: WideSum::default() });
        Self {
            problem,
            tape: network.tape(problem.chunk(), kind),
            host: HostBatch::default(),
            parameters: network.backend().buffer(dim),
            state: network.upload(&weights.state),
            slope,
            normalized: false,
        }
    }

    /// The same of the network's outputs centred and scaled to unit length, if `normalized`.
    pub(super) fn normalized(self, normalized: bool) -> Self {
        Self { normalized, ..self }
    }

    /// The mean loss and the accuracy of the examples with the given numbers. They may be no finite numbers. Cost: a forward pass.
    ///
    /// # Errors
    /// [`Error::MeasureStopped`](crate::Error::MeasureStopped), asked between chunks.
    pub(crate) fn value(&mut self, numbers: &[u32], parameters: &[f64]) -> Result<Sums> {
        let Self { problem, tape, host, parameters: at, state, normalized, .. } = self;
        let (network, pass) = (problem.network(), problem.pass());
        network.backend().upload(parameters, at);
        let dealt = dealt(problem, tape, numbers);
        let sums = sum(problem, (tape, host), (dealt, numbers), |_, tape| {
            if *normalized {
                network.normalized_value(at, state, pass, tape)
            } else {
                network.value(at, state, pass, tape)
            }
        })?;
        Ok(sums.mean(numbers.len()))
    }

    /// The mean loss and the accuracy of the examples with the given numbers, and in `gradient` the gradient of the loss. They may
    /// be no finite numbers. Cost: a gradient. Chunks are [summed](sharpness_network::sum) in double precision.
    ///
    /// # Errors
    /// As [`Self::value`].
    ///
    /// # Panics
    /// If it is for [values](Self::values) alone, or `gradient` has another length than the parameters.
    pub(crate) fn gradient(
        &mut self,
        numbers: &[u32],
        parameters: &[f64],
        gradient: &mut [f64],
    ) -> Result<Sums> {
        let Self { problem, tape, host, parameters: at, state, slope, normalized } = self;
        let Some(Slope { chunk: part, total }) = slope else { panic!("the objective is for values alone") };
        let (network, pass) = (problem.network(), problem.pass());
        network.backend().upload(parameters, at);
        total.clear();
        let scale = 1.0 / numbers.len() as f64;
        let dealt = dealt(problem, tape, numbers);
        let sums = sum(problem, (tape, host), (dealt, numbers), |group, tape| {
            let of_chunk = if *normalized {
                network.normalized_gradient(at, state, pass, tape, scale, Accumulate::Set, part)
            } else {
                network.gradient(at, state, pass, tape, scale, Accumulate::Set, part)
            };
            total.add(network, dealt, group, part);
            of_chunk
        })?;
        total.finish(network, dealt, gradient);
        Ok(sums.mean(numbers.len()))
    }
}

/// Which rank has which chunks that fit the tape.
fn dealt<B: Backend>(problem: &Problem<'_, B>, tape: &Tape<B>, numbers: &[u32]) -> Dealt {
    Dealt::new(numbers.len().div_ceil(tape.capacity()), problem.network().ranks())
}

/// The sums over the chunks of all ranks; `of_chunk` receives the group of a chunk and the tape with its examples.
///
/// # Errors
/// [`Error::MeasureStopped`](crate::Error::MeasureStopped), asked before every chunk.
fn sum<B: Backend>(
    problem: &Problem<'_, B>,
    (tape, host): (&mut Tape<B>, &mut HostBatch),
    (dealt, numbers): (Dealt, &[u32]),
    mut of_chunk: impl FnMut(usize, &mut Tape<B>) -> Sums,
) -> Result<Sums> {
    let network = problem.network();
    let (mut sums, mut is_stopped) = (GroupSums::default(), false);
    for (group, range) in dealt.own_chunks(numbers.len(), tape.capacity()) {
        is_stopped = problem.is_stopped();
        if is_stopped {
            break;
        }
        host.load(network, tape, problem.examples(), &numbers[range]);
        sums.add(group, of_chunk(group, tape));
    }
    sums.finish(dealt, network.ranks(), is_stopped).map_err(stopped)
}

impl<B: Backend> Problem<'_, B> {
    /// The mean loss and the accuracy of all measured examples at `weights`. They may be no finite numbers. Cost: a forward pass.
    ///
    /// # Errors
    /// [`Error::MeasureStopped`](crate::Error::MeasureStopped).
    pub(crate) fn value(&self, weights: &Weights) -> Result<Sums> {
        Objective::values(self, weights).value(self.numbers(), &weights.parameters)
    }
}

#[cfg(test)]
mod tests {
    use sharpness_kernels::Cpu;
    use sharpness_network::Network;
    use sharpness_network::architectures::{Architecture, ModelConfig};
    use sharpness_network::backend::{Loss, Shape};

    use super::*;
    use crate::engine::Engine;
    use crate::measures::least_bytes;
    use crate::settings::{BoundRtol, MeasureConfig};

    /// Bytes of the passes of `chunk` examples, with their buffers and six vectors.
    fn bytes<B: Backend>(network: &Network<B>, chunk: usize) -> usize {
        let (element, dim) = (network.backend().element_bytes(), network.parameters().len());
        let host = chunk * (network.input().elements() * size_of::<f64>() + 2 * size_of::<u32>());
        let buffers = dim * (2 * element + size_of::<f64>()) + network.state().len() * element;
        let tape = network.tape_bytes(chunk, TapeKind::Gradient) + network.scratch_bytes(chunk);
        host + buffers + tape + 6 * dim * size_of::<f64>()
    }

    fn check<B: Backend>(backend: B, arch: Architecture, examples: usize) {
        let model = ModelConfig { width_divisor: 4, hidden: vec![30], ..ModelConfig::new(arch) };
        let model = model.model(Shape::new(3, 32, 32), 10).unwrap();
        let network = Network::compile(&model, backend, Loss::SoftmaxCrossEntropy);
        let engine = Engine { network, double: None };
        let config = MeasureConfig { bound_rtol: BoundRtol(None), examples, ..MeasureConfig::default() };
        // Those of a measurement at its end: the weights, and what the solver found.
        let held = 4 * engine.network.parameters().len() * size_of::<f64>();
        let (own, least) = (bytes(&engine.network, examples), least_bytes(&engine, &config, examples));
        assert!(held + own <= least, "{arch:?}, {examples} examples: {held} + {own} of {least} bytes");
    }

    #[test]
    fn its_buffers_and_six_vectors_fit_in_the_least_memory() {
        for arch in [Architecture::Mlp, Architecture::CnnBn, Architecture::Vgg11Bn] {
            for examples in [1, 200] {
                check(Cpu::<f32>::default(), arch, examples);
                check(Cpu::<f64>::default(), arch, examples);
            }
        }
    }
}
