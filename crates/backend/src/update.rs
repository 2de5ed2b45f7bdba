//! Steps of optimizers. A new one is a type with its [`UpdateFunction`], a variant, and a row in `visit`, all in this file.

use crate::{Device, Scalar, View, ViewMut};

/// The step of an optimizer from a gradient `g` at the parameters `w`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam, with AdamW's weight decay.
    Adam(Adam),
}

impl Update {
    /// Calls `visitor` with the function, so that a loop over parameters is compiled for it.
    #[inline]
    pub fn visit<V: UpdateVisitor>(self, visitor: V) -> V::Output {
        match self {
            Self::Sgd(sgd) if sgd.momentum > 0.0 => visitor.visit(Momentum(sgd)),
            Self::Sgd(sgd) => visitor.visit(Plain(sgd)),
            Self::Adam(adam) => visitor.visit(adam),
        }
    }

    /// The number of vectors that the optimizer keeps from step to step, each as long as the parameters. They start as zeros.
    pub fn states(self) -> usize {
        self.visit(States)
    }
}

/// The numbers of `torch.optim.SGD` without dampening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The step size η.
    pub learning_rate: f64,
    /// The weight decay λ.
    pub weight_decay: f64,
    /// The momentum μ.
    pub momentum: f64,
    /// Whether the direction is Nesterov's.
    pub nesterov: bool,
}

/// The numbers of `torch.optim.AdamW` (Kingma and Ba 2015; Loshchilov and Hutter 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The step size η.
    pub learning_rate: f64,
    /// The decoupled weight decay λ.
    pub weight_decay: f64,
    /// The decay rates β₁ and β₂ of the moments.
    pub betas: [f64; 2],
    /// What is added to the denominator.
    pub epsilon: f64,
    /// The number of this step, from 1, by which the moments are corrected.
    pub step: u32,
}

/// An update as a function of one parameter.
pub trait UpdateFunction<const STATES: usize>: Copy + Send + Sync {
    /// `(g, w, states)` to the next `(w, states)`. What depends on the step alone is computed here, once.
    fn function<R: Scalar>(self) -> impl Fn(R, R, [R; STATES]) -> (R, [R; STATES]) + Send + Sync;
}

/// What [`Update::visit`] calls.
pub trait UpdateVisitor {
    /// The result.
    type Output;
    /// Works with the function `U`.
    fn visit<const STATES: usize, U: UpdateFunction<STATES>>(self, function: U) -> Self::Output;
}

struct States;

impl UpdateVisitor for States {
    type Output = usize;
    fn visit<const STATES: usize, U: UpdateFunction<STATES>>(self, _: U) -> usize {
        STATES
    }
}

/// SGD without momentum: `g ← g + λ w`, `w ← w − η g`.
#[derive(Clone, Copy)]
struct Plain(Sgd);

impl UpdateFunction<0> for Plain {
    #[inline]
    fn function<R: Scalar>(self) -> impl Fn(R, R, [R; 0]) -> (R, [R; 0]) + Send + Sync {
        let [rate, decay] = [-self.0.learning_rate, self.0.weight_decay].map(R::from_f64);
        let decays = self.0.weight_decay > 0.0;
        move |g, w, []| {
            let g = if decays { g + decay * w } else { g };
            (w + rate * g, [])
        }
    }
}

/// SGD with momentum: `g ← g + λ w`, `b ← μ b + g`, `w ← w − η d` with `d = b`, or `g + μ b` with Nesterov's.
#[derive(Clone, Copy)]
struct Momentum(Sgd);

impl UpdateFunction<1> for Momentum {
    #[inline]
    fn function<R: Scalar>(self) -> impl Fn(R, R, [R; 1]) -> (R, [R; 1]) + Send + Sync {
        let Sgd { learning_rate, weight_decay, momentum, nesterov } = self.0;
        let [rate, decay, momentum] = [-learning_rate, weight_decay, momentum].map(R::from_f64);
        let decays = weight_decay > 0.0;
        move |g, w, [b]| {
            let g = if decays { g + decay * w } else { g };
            let b = momentum * b + g;
            let direction = if nesterov { g + momentum * b } else { b };
            (w + rate * direction, [b])
        }
    }
}

/// With the moments `m` and `v`:
///
/// ```text
/// w ← w − η λ w
/// m ← m + (1 − β₁) (g − m)
/// v ← β₂ v + (1 − β₂) g²
/// w ← w − η m / (1 − β₁ᵗ) / (√v / √(1 − β₂ᵗ) + ε)
/// ```
impl UpdateFunction<2> for Adam {
    #[inline]
    fn function<R: Scalar>(self) -> impl Fn(R, R, [R; 2]) -> (R, [R; 2]) + Send + Sync {
        let Self { learning_rate, weight_decay, betas: [beta1, beta2], epsilon, step } = self;
        let correction = |beta: f64| 1.0 - beta.powf(f64::from(step));
        let numbers = [
            1.0 - learning_rate * weight_decay,
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            -learning_rate / correction(beta1),
            correction(beta2).sqrt(),
            epsilon,
        ];
        let [shrink, first, beta2, second, rate, root, epsilon] = numbers.map(R::from_f64);
        move |g, w, [m, v]| {
            let m = m + first * (g - m);
            let v = beta2 * v + second * g * g;
            (shrink * w + rate * (m / (v.sqrt() / root + epsilon)), [m, v])
        }
    }
}

/// Steps of optimizers. See the [crate] for what all kernels promise.
pub trait Updates: Device {
    /// Moves the `parameters` along the `gradient`, and the vectors that the optimizer keeps.
    ///
    /// # Panics
    /// If `states` has another length than [`Update::states`], or the vectors differ in length.
    fn update(
        &self,
        update: Update,
        gradient: View<'_, Self::Buffer>,
        states: &mut [Self::Buffer],
        parameters: ViewMut<'_, Self::Buffer>,
    );
}
