//! Stochastic gradient descent as PyTorch defines it (`torch.optim.SGD` without dampening).

use sharpness_network::backend::{Accumulate, Backend, View, ViewMut};

use crate::config::TrainingConfig;

/// From a gradient `g` at the parameters `w`, with weight decay λ, momentum μ and step size η:
///
/// ```text
/// g ← g + λ w
/// b ← g in the first step, μ b + g in later ones
/// d = g without momentum, b with it, g + μ b with Nesterov's
/// w ← w − η d
/// ```
#[derive(Debug)]
pub(super) struct Sgd<B: Backend> {
    learning_rate: f64,
    weight_decay: f64,
    nesterov: bool,
    momentum: Option<Momentum<B>>,
}

/// The buffer `b` of momentum.
#[derive(Debug)]
struct Momentum<B: Backend> {
    factor: f64,
    buffer: B::Buffer,
    /// Where the next `b` is made, since kernels do not work in place.
    next: B::Buffer,
    /// Whether a step has been made.
    started: bool,
}

impl<B: Backend> Sgd<B> {
    /// `buffer` continues a run with momentum; without it the first step starts the buffer.
    pub(super) fn new(backend: &B, config: &TrainingConfig, dim: usize, buffer: Option<&[f64]>) -> Self {
        let momentum = (config.momentum > 0.0).then(|| {
            let mut momentum = Momentum {
                factor: config.momentum,
                buffer: backend.buffer(dim),
                next: backend.buffer(dim),
                started: buffer.is_some(),
            };
            if let Some(buffer) = buffer {
                backend.upload(buffer, &mut momentum.buffer);
            }
            momentum
        });
        let (learning_rate, weight_decay) = (config.learning_rate, config.weight_decay);
        Self { learning_rate, weight_decay, nesterov: config.nesterov, momentum }
    }

    /// The momentum buffer, once a step has been made.
    pub(super) fn buffer(&self) -> Option<&B::Buffer> {
        self.momentum.as_ref().filter(|momentum| momentum.started).map(|momentum| &momentum.buffer)
    }

    /// Moves the `parameters: [dim]` along `gradient: [dim]`, which is used as scratch.
    pub(super) fn update(
        &mut self,
        backend: &B,
        dim: usize,
        gradient: &mut B::Buffer,
        parameters: &mut B::Buffer,
    ) {
        if self.weight_decay > 0.0 {
            add(backend, dim, self.weight_decay, parameters, gradient);
        }
        let direction = match &mut self.momentum {
            None => gradient,
            Some(momentum) => {
                let mut terms = vec![(1.0, View::new(&*gradient, 0, dim))];
                if momentum.started {
                    terms.insert(0, (momentum.factor, View::new(&momentum.buffer, 0, dim)));
                }
                let next = ViewMut::new(&mut momentum.next, 0, dim);
                backend.linear_combination(&terms, Accumulate::Set, next);
                std::mem::swap(&mut momentum.buffer, &mut momentum.next);
                momentum.started = true;
                if self.nesterov {
                    add(backend, dim, momentum.factor, &momentum.buffer, gradient);
                    gradient
                } else {
                    &mut momentum.buffer
                }
            }
        };
        add(backend, dim, -self.learning_rate, direction, parameters);
    }
}

/// `y += a x`.
fn add<B: Backend>(backend: &B, dim: usize, a: f64, x: &B::Buffer, y: &mut B::Buffer) {
    let y = ViewMut::new(y, 0, dim);
    backend.linear_combination(&[(a, View::new(x, 0, dim))], Accumulate::Add, y);
}
