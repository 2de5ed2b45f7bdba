//! The gradient's tangent is the derivative of the gradient along `(ẋ, ẇ, dȳ)`, and symmetric.

use sharpness_network::backend::Accumulate;

use crate::cases::{self, Case};
use crate::harness::{Joint, Operands, Rules, assert_near, combine, norm};
use crate::tangent::{DIFFERENCE, STEP};

/// Sums of a few thousand terms in `f64`.
const ROUNDING: f64 = 1e-12;

/// Every case that has a derivative along the direction, with and without a tangent of the inputs.
fn for_each_direction(seed: u64, mut f: impl FnMut(&Case, &mut Rules<'_, f64>, &Operands, &Joint)) {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(seed);
        f(&case, &mut rules, &o, &o.dot);
        if !o.dot.w.is_empty() {
            f(&case, &mut rules, &o, &o.dot.without_x());
        }
    }
}

#[test]
fn gradient_tangent_is_the_central_difference_of_gradient() {
    for_each_direction(6, |case, rules, o, direction| {
        let blank = o.at.filled(f64::NAN);
        let mut at = |step: f64| {
            let dy = combine(&o.dy, step, &o.dy_dot);
            rules.gradient(&o.at.plus(step, direction), &dy, &blank, Accumulate::Set).flat()
        };
        let want: Vec<f64> = combine(&at(STEP), -1.0, &at(-STEP)).iter().map(|d| d / (2.0 * STEP)).collect();
        let adjoint = (o.dy.as_slice(), o.dy_dot.as_slice());
        let got = rules.gradient_tangent(&o.at, adjoint, direction, &blank, Accumulate::Set);
        assert_near(&got.flat(), &want, DIFFERENCE, &case.name);
    });
}

#[test]
fn the_hessian_of_an_op_is_symmetric() {
    for case in cases::all() {
        let mut rules = Rules::<f64>::new(case.double.as_ref(), &case);
        let o = rules.operands(7);
        let (blank, still) = (o.at.filled(f64::NAN), vec![0.0; o.dy.len()]);
        let mut hessian =
            |v: &Joint| rules.gradient_tangent(&o.at, (&o.dy, &still), v, &blank, Accumulate::Set);
        let (hu, hv) = (hessian(&o.dot), hessian(&o.other));
        let (left, right) = (o.other.dot(&hu), o.dot.dot(&hv));
        let size = norm(&hu.flat()) * norm(&o.other.flat());
        assert!((left - right).abs() <= ROUNDING * size.max(1.0), "{}: {left} is not {right}", case.name);
    }
}

#[test]
fn adding_adds_what_overwriting_writes() {
    for_each_direction(8, |case, rules, o, direction| {
        let adjoint = (o.dy.as_slice(), o.dy_dot.as_slice());
        let blank = o.at.filled(f64::NAN);
        let set = rules.gradient_tangent(&o.at, adjoint, direction, &blank, Accumulate::Set);
        let add = rules.gradient_tangent(&o.at, adjoint, direction, &o.other, Accumulate::Add);
        assert_near(&add.flat(), &o.other.plus(1.0, &set).flat(), ROUNDING, &case.name);
    });
}

#[test]
fn inputs_that_need_no_gradient_change_nothing_else() {
    for_each_direction(9, |case, rules, o, direction| {
        let adjoint = (o.dy.as_slice(), o.dy_dot.as_slice());
        let blank = o.at.filled(f64::NAN);
        let whole = rules.gradient_tangent(&o.at, adjoint, direction, &blank, Accumulate::Set);
        let part = rules.gradient_tangent(&o.at, adjoint, direction, &blank.without_x(), Accumulate::Set);
        assert_near(&part.w, &whole.w, 0.0, &case.name);
    });
}
