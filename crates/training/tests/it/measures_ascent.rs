//! Foret's sharpness, m-sharpness, first-order flatness and the critical step size against their definitions.

use sharpness_data::{Part, PartExamples};
use sharpness_kernels::Cpu;
use sharpness_network::Weights;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_training::measures::{CriticalStepSize, FirstOrderFlatness, Foret, MSharpness, SamBound};
use sharpness_training::settings::MeasureConfig;

use crate::measures_problem::{MEMORY, Problem};
use crate::moved_weights::{
    EXAMPLES, along, assert_close, config, dot, networks, norm, random_directions, times,
};

#[test]
fn foret_sharpness_is_that_of_the_expansion_in_a_small_ball() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (_, gradient) = moved.gradient(parameters);
        let hessian = moved.hessian();
        let rho = 1e-3;
        let found = moved.outcome::<Foret>(&format!("{rho}"));
        // The maximum of the quadratic expansion in the ball, by ascent with the dense Hessian.
        let mut direction = gradient.clone();
        let mut expected = 0.0;
        for _ in 0..100 {
            let length = norm(&direction);
            let moved: Vec<f64> = direction.iter().map(|x| rho * x / length).collect();
            let product = times(&hessian, &moved);
            expected = dot(&gradient, &moved) + 0.5 * dot(&moved, &product);
            direction = along(&gradient, 1.0, &product);
        }
        let second = expected - rho * norm(&gradient);
        assert_close("to second order", found.value, expected, 1e-2 * second.abs());
        assert!(found.value <= found.second_order + 1e-3 * rho * rho, "bounded: {found:?}");
    }
}

#[test]
fn no_point_tried_at_random_has_a_larger_loss_than_foret_sharpness() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let loss = moved.loss(parameters);
        let (_, gradient) = moved.gradient(parameters);
        let mut before = 0.0;
        for rho in [0.01, 0.1, 0.3] {
            let found = moved.outcome::<Foret>(&format!("{{ rho = {rho}, steps = 40 }}"));
            assert!(found.value > before, "monotone: {found:?}");
            before = found.value;
            for third in random_directions(parameters.len(), 2) {
                let product = times(&moved.hessian(), &gradient);
                let span = [gradient.clone(), product, third];
                let largest = moved.brute_force(rho, &span, |_| 1.0, |w| moved.loss(w)) - loss;
                assert!(largest <= 1.001 * found.value, "{largest} exceeds {found:?}");
                assert!(
                    largest >= 0.5 * found.value,
                    "the subspace holds steep points: {largest}, {found:?}"
                );
            }
        }
    }
}

#[test]
fn foret_sharpness_and_the_bound_of_sam_share_their_search() {
    for moved in networks() {
        let measured = moved.measure::<Foret>("0.1");
        let bound = moved.outcome::<SamBound>("0.1");
        let foret = measured.outcome::<Foret>().unwrap();
        assert_close("the rise", foret.value, bound.maximum - measured.loss, 0.0);
        assert_eq!(foret.gradients, bound.gradients, "the same ascents");
        assert_close("the bound", foret.second_order, bound.bound - measured.loss, 1e-14);
    }
}

#[test]
fn m_sharpness_of_one_group_is_the_rise_of_sam_s_step() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (loss, gradient) = moved.gradient(parameters);
        let found = moved.outcome::<MSharpness>("{ m = 1000, rho = 0.1 }");
        let expected = moved.loss(&along(parameters, 0.1 / norm(&gradient), &gradient)) - loss;
        assert_eq!((found.m, found.groups), (EXAMPLES, 1), "all measured examples");
        assert_close("one step", found.value.unwrap(), expected, 1e-12);
        assert_eq!(found.standard_error, None, "nothing is known from one group");
        let further = moved.outcome::<MSharpness>("{ m = 1000, rho = 0.1, steps = 40 }").value.unwrap();
        assert!(expected - 1e-12 <= further, "more steps find no less: {expected} and {further}");
    }
}

#[test]
fn m_sharpness_of_single_examples_is_the_mean_of_their_rises() {
    let [moved, _] = networks();
    let parameters = &moved.weights().parameters;
    let rise = |one| {
        let (loss, gradient) = moved.gradient_of(parameters, Some(one));
        moved.value(&along(parameters, 0.05 / norm(&gradient), &gradient), Some(one)).loss - loss
    };
    let rises: Vec<f64> = (0..60).map(rise).collect();
    let count = rises.len() as f64;
    let mean = rises.iter().sum::<f64>() / count;
    let variance = rises.iter().map(|rise| (rise - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let found = moved.outcome::<MSharpness>("{ m = 1, groups = 1000 }");
    assert_eq!(found.groups, EXAMPLES, "as many as there are");
    assert_close("mean", found.value.unwrap(), mean, 1e-12);
    assert_close("standard error", found.standard_error.unwrap(), (variance / count).sqrt(), 1e-12);
}

#[test]
fn first_order_flatness_is_that_of_the_expansion_in_a_small_ball() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (_, gradient) = moved.gradient(parameters);
        let (length, product) = (norm(&gradient), times(&moved.hessian(), &gradient));
        let rho = 1e-4;
        let found = moved.outcome::<FirstOrderFlatness>(&format!("{rho}"));
        let slope = norm(&product) / length;
        assert_close("to first order", found.value / rho, length + rho * slope, 0.1 * rho * slope);
        let mut before = 0.0;
        for rho in [0.01, 0.1] {
            let found = moved.outcome::<FirstOrderFlatness>(&format!("{{ rho = {rho}, steps = 20 }}"));
            let third = random_directions(parameters.len(), 1).remove(0);
            let span = [gradient.clone(), product.clone(), third];
            let largest = rho * moved.brute_force(rho, &span, |_| 1.0, |w| norm(&moved.gradient(w).1));
            assert!(largest <= 1.001 * found.value, "{largest} exceeds {found:?}");
            assert!(found.value > before && found.value >= rho * length, "monotone: {found:?}");
            before = found.value;
        }
    }
}

#[test]
fn the_critical_step_is_the_first_at_which_a_scan_finds_the_loss_to_rise() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (loss, gradient) = moved.gradient(parameters);
        let found = moved.outcome::<CriticalStepSize>("1e-4");
        let [below, above] = found.interval.unwrap();
        assert!(above <= below * 1.0001 && found.resolved, "{found:?}");
        let rises = |step: f64| moved.loss(&along(parameters, -step, &gradient)) > loss;
        let first = (1..2000).map(|i| above * f64::from(i) / 1500.0).find(|step| rises(*step)).unwrap();
        assert!(first >= below * (1.0 - 1.0 / 1500.0), "no earlier one: {first} before {found:?}");
        assert!(first <= above * (1.0 + 1.0 / 1500.0), "no later one: {first} after {found:?}");
        assert_close("sharpness", found.value.unwrap(), 2.0 / found.step_size.unwrap(), 1e-12);
        let coarse = moved.outcome::<CriticalStepSize>("true");
        let [low, high] = coarse.interval.unwrap();
        assert!(low <= above && below <= high, "the intervals overlap: {found:?}, {coarse:?}");
        assert!((5..=20).contains(&coarse.passes), "{coarse:?}");
    }
}

#[test]
fn an_ascent_has_the_bits_of_linearizations() {
    let model = ModelConfig { width_divisor: 4, ..ModelConfig::new(Architecture::CnnBn) };
    let problem = Problem::new(Cpu::<f32>::default(), &model);
    let config = MeasureConfig { chunk: Some(25), ..config("foret", "{ rho = 0.01, steps = 2 }") };
    let measured = problem.measure(&config, MEMORY).unwrap();
    let (network, weights) = (&problem.engine.network, &problem.weights);
    let numbers = config.subset.indices(problem.train.len(), EXAMPLES, 0);
    let examples = PartExamples::new(&problem.data, Part::Train);
    let chunks = Chunks { examples: 25, memory_bytes: 0 };
    let pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };
    let at = |weights: &Weights| {
        Curvature::new(network, Matrix::Hessian, weights, pass, (&examples, &numbers), chunks, &|| false)
            .map(|operator| (operator.loss(), operator.gradient().to_vec()))
            .unwrap()
    };
    let (loss, mut direction) = at(weights);
    let mut largest = loss;
    for _ in 0..2 {
        let length = norm(&direction);
        direction.iter_mut().for_each(|x| *x *= 0.01 / length);
        let parameters = weights.parameters.iter().zip(&direction).map(|(w, e)| w + e).collect();
        let here = at(&Weights { parameters, state: weights.state.clone() });
        (largest, direction) = (largest.max(here.0), here.1);
    }
    let found = measured.outcome::<Foret>().unwrap().value;
    assert!(found > 0.0, "the loss rises along its gradient");
    assert_close("the same sums", found, largest - loss, 0.0);
}
