//! Stochastic gradient descent as PyTorch defines it (`torch.optim.SGD` without dampening).

use sharpness_network::backend::{Backend, Sgd as Rule, View, ViewMut};

use crate::config::TrainingConfig;

/// The rule of the update, as [`Backend::sgd`] follows it, and the buffer of momentum.
#[derive(Debug)]
pub(super) struct Sgd<B: Backend> {
    rule: Rule,
    momentum: Option<Momentum<B>>,
}

/// The buffer of momentum.
#[derive(Debug)]
struct Momentum<B: Backend> {
    buffer: B::Buffer,
    /// Whether a step has been made.
    started: bool,
}

impl<B: Backend> Sgd<B> {
    /// `buffer` continues a run with momentum; without it the first step starts the buffer.
    pub(super) fn new(backend: &B, config: &TrainingConfig, dim: usize, buffer: Option<&[f64]>) -> Self {
        let momentum = (config.momentum > 0.0).then(|| {
            let mut momentum = Momentum { buffer: backend.buffer(dim), started: buffer.is_some() };
            if let Some(buffer) = buffer {
                backend.upload(buffer, &mut momentum.buffer);
            }
            momentum
        });
        let rule = Rule {
            learning_rate: config.learning_rate,
            weight_decay: config.weight_decay,
            momentum: config.momentum,
            nesterov: config.nesterov,
        };
        Self { rule, momentum }
    }

    /// The momentum buffer, once a step has been made.
    pub(super) fn buffer(&self) -> Option<&B::Buffer> {
        self.momentum.as_ref().filter(|momentum| momentum.started).map(|momentum| &momentum.buffer)
    }

    /// Moves the `parameters: [dim]` along `gradient: [dim]`.
    pub(super) fn update(
        &mut self,
        backend: &B,
        dim: usize,
        gradient: &B::Buffer,
        parameters: &mut B::Buffer,
    ) {
        let buffer = self.momentum.as_mut().map(|momentum| {
            momentum.started = true;
            ViewMut::new(&mut momentum.buffer, 0, dim)
        });
        let parameters = ViewMut::new(parameters, 0, dim);
        backend.sgd(&self.rule, View::new(gradient, 0, dim), buffer, parameters);
    }
}
