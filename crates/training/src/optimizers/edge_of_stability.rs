//! The edge of stability: the curvature above which gradient descent diverges on a quadratic (Cohen et al. 2021, section 2 and
//! appendix B).

/// The largest curvature at which an optimizer with these settings converges on `L(w) = a w² / 2`, as a function of its learning
/// rate η:
///
/// - SGD: `2/η`;
/// - with momentum β: `(2 + 2β)/η`;
/// - with Nesterov's momentum: `(2 + 2β)/(η (1 + 2β))`.
///
/// Weight decay λ adds `λ` to the curvature that the optimizer experiences. It is not part of the loss whose Hessian is
/// measured, so the edge is lower by `λ`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EdgeOfStability {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl EdgeOfStability {
    /// The edge of SGD with these settings.
    pub const fn new(momentum: f64, nesterov: bool, weight_decay: f64) -> Self {
        Self { momentum, nesterov, weight_decay }
    }

    /// The edge at a learning rate. It is not positive if weight decay alone makes the optimizer diverge.
    pub fn at(self, learning_rate: f64) -> f64 {
        self.factor() / learning_rate - self.weight_decay
    }

    /// The learning rate whose edge is a curvature.
    pub fn learning_rate(self, curvature: f64) -> f64 {
        self.factor() / (curvature + self.weight_decay)
    }

    /// The learning rate times the curvature that the optimizer experiences at the edge.
    fn factor(self) -> f64 {
        let heavy_ball = 2.0 + 2.0 * self.momentum;
        if self.nesterov { heavy_ball / (1.0 + 2.0 * self.momentum) } else { heavy_ball }
    }

    /// The formula of the edge with its values: `2/η`, or `(2 + 2β)/η with β = 0.9`.
    pub fn formula(self) -> String {
        let Self { momentum, nesterov, weight_decay } = self;
        let edge = match (momentum > 0.0, nesterov) {
            (false, _) => "2/η",
            (true, false) => "(2 + 2β)/η",
            (true, true) => "(2 + 2β)/(η (1 + 2β))",
        };
        let decay = if weight_decay > 0.0 { format!(" - {weight_decay}") } else { String::new() };
        let beta = if momentum > 0.0 { format!(" with β = {momentum}") } else { String::new() };
        format!("{edge}{decay}{beta}")
    }
}
