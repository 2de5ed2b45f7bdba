//! Every rule in `f32` is the rule in `f64` to rounding.

use sharpness_kernels::Real;
use sharpness_network::backend::Accumulate;
use sharpness_network::op::BatchNorm;

use crate::cases::{self, Case};
use crate::harness::{Operands, Rules, assert_near};

/// Some eighty units of the last place of `f32` (6e-8).
const F32_ROUNDING: f64 = 5e-6;

/// By how much the terms of a rule exceed results of order 1 because they cancel: batch norm of a single element divides its
/// deviation, which is zero, by `ε^(1/2)`, with `ε = 1e-5`.
fn cancellation(case: &Case) -> f64 {
    let single = case.n * case.inputs[0].pixels() == 1 && case.pass.batch_norm == BatchNorm::Batch;
    if single && case.double.kind() == "batch_norm" { 1e5_f64.sqrt() } else { 1.0 }
}

/// The results of the four rules.
fn results<R: Real>(rules: &mut Rules<'_, R>, o: &Operands) -> [(&'static str, Vec<f64>); 4] {
    let blank = o.at.filled(f64::NAN);
    let adjoint = (o.dy.as_slice(), o.dy_dot.as_slice());
    [
        ("value", rules.value(&o.at)),
        ("tangent", rules.tangent(&o.at, &o.dot)),
        ("gradient", rules.gradient(&o.at, &o.dy, &blank, Accumulate::Set).flat()),
        (
            "gradient's tangent",
            rules.gradient_tangent(&o.at, adjoint, &o.dot, &blank, Accumulate::Set).flat(),
        ),
    ]
}

#[test]
fn single_precision_is_double_precision_to_rounding() {
    for case in cases::all() {
        let mut double = Rules::<f64>::new(case.double.as_ref(), &case);
        let mut single = Rules::<f32>::new(case.single.as_ref(), &case);
        let o = double.operands(10);
        for ((rule, want), (_, got)) in results(&mut double, &o).into_iter().zip(results(&mut single, &o)) {
            let tolerance = F32_ROUNDING * cancellation(&case);
            assert_near(&got, &want, tolerance, &format!("{rule} of {}", case.name));
        }
    }
}
