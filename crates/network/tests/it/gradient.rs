//! The gradient: where it goes. That it is the derivative is the business of `adjoint` and `tangent`.

use sharpness_network::backend::Accumulate;

use crate::cases;
use crate::harness::{Joint, Rules, assert_near};

/// A sum on top of numbers of order 1, in `f64`.
const ROUNDING: f64 = 1e-13;

#[test]
fn adding_adds_what_overwriting_writes() {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(4);
        let set = rules.gradient(&o.at, &o.dy, &o.at.filled(f64::NAN), Accumulate::Set);
        let add = rules.gradient(&o.at, &o.dy, &o.other, Accumulate::Add);
        assert_near(&add.flat(), &o.other.plus(1.0, &set).flat(), ROUNDING, &case.name);
    }
}

#[test]
fn an_input_that_needs_no_gradient_changes_nothing_else() {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(5);
        let blank = o.at.filled(f64::NAN);
        let whole = rules.gradient(&o.at, &o.dy, &blank, Accumulate::Set);
        for skipped in 0..blank.x.len() {
            let mut target = blank.clone();
            target.x[skipped] = None;
            let part = rules.gradient(&o.at, &o.dy, &target, Accumulate::Set);
            let mut want: Joint = whole.clone();
            want.x[skipped] = None;
            assert_near(&part.flat(), &want.flat(), 0.0, &case.name);
        }
    }
}
