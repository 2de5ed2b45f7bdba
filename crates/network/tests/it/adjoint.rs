//! The gradient is the adjoint of the tangent: `⟨ȳ, J (ẋ, ẇ)⟩ = ⟨Jᵀ ȳ, (ẋ, ẇ)⟩`.

use sharpness_network::backend::Accumulate;

use crate::cases;
use crate::harness::{Rules, dot, norm};

/// Both sides are sums of a few thousand products, made in different orders in `f64`.
const ROUNDING: f64 = 1e-12;

#[test]
fn gradient_is_the_adjoint_of_tangent() {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(1);
        for direction in [o.dot.clone(), o.dot.without_x()] {
            if direction.w.is_empty() && direction.x.iter().all(Option::is_none) {
                continue;
            }
            let y_dot = rules.tangent(&o.at, &direction);
            let gradient = rules.gradient(&o.at, &o.dy, &o.at.filled(f64::NAN), Accumulate::Set);
            let (left, right) = (dot(&o.dy, &y_dot), gradient.dot(&direction));
            let size = norm(&o.dy) * norm(&y_dot) + norm(&gradient.flat()) * norm(&direction.flat());
            assert!((left - right).abs() <= ROUNDING * size.max(1.0), "{}: {left} is not {right}", case.name);
        }
    }
}
