//! The tangent is the derivative of the value along `(ẋ, ẇ)`.

use crate::cases;
use crate::harness::{Rules, assert_near, combine};

/// The step of central differences. Inputs lie at least 1/512 apart and from zero, so that it changes no maximum and no sign.
pub(crate) const STEP: f64 = 1e-5;
/// Truncation, `STEP²` times a third derivative (up to 1e3 in batch norm), and rounding, 1e-15 of values up to 30 over `STEP`.
pub(crate) const DIFFERENCE: f64 = 2e-7;

#[test]
fn tangent_is_the_central_difference_of_value() {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(2);
        let (plus, minus) = (rules.value(&o.at.plus(STEP, &o.dot)), rules.value(&o.at.plus(-STEP, &o.dot)));
        let want: Vec<f64> = combine(&plus, -1.0, &minus).iter().map(|d| d / (2.0 * STEP)).collect();
        let got = rules.tangent(&o.at, &o.dot);
        assert_near(&got, &want, DIFFERENCE, &case.name);
    }
}

#[test]
fn a_missing_input_tangent_is_zero() {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(3);
        // Only an op with parameters has a derivative while none of its inputs has one.
        if o.dot.w.is_empty() {
            continue;
        }
        let zero = o.dot.filled(0.0).x;
        let missing = rules.tangent(&o.at, &o.dot.without_x());
        let zeros = rules.tangent(&o.at, &crate::harness::Joint { x: zero, w: o.dot.w.clone() });
        assert_near(&missing, &zeros, 1e-15, &case.name);
    }
}
