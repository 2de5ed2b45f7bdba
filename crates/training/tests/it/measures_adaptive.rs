//! Worst-case adaptive sharpness against the expansion, brute force and finite differences, with and without normalized outputs.

use sharpness_network::HostBatch;
use sharpness_network::op::TapeKind;
use sharpness_training::measures::{AdaptiveAverage, AdaptiveWorst};

use crate::moved_weights::{Moved, along, assert_close, dot, networks, norm, random_directions, times};

/// `|w| ⊙ x`.
fn scaled(w: &[f64], x: &[f64]) -> Vec<f64> {
    w.iter().zip(x).map(|(w, x)| w.abs() * x).collect()
}

fn sign(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.signum()).collect()
}

#[test]
fn the_worst_case_is_that_of_the_expansion_for_small_radii() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (_, gradient) = moved.gradient(parameters);
        let (steepest, hessian) = (scaled(parameters, &gradient), moved.hessian());
        let (l2, linf) = (2e-3, 1e-5);
        let found =
            moved.outcome::<AdaptiveWorst>(&format!("{{ l2 = [{l2}], linf = [{linf}], batch_size = 60 }}"));
        for (rho, points, direction) in [
            (l2, &found.l2, steepest.iter().map(|x| x / norm(&steepest)).collect()),
            (linf, &found.linf, sign(&gradient)),
        ] {
            let v: Vec<f64> = direction;
            let moved_by = scaled(parameters, &v);
            let first = dot(&gradient, &moved_by);
            let second = dot(&moved_by, &times(&hessian, &moved_by));
            let expected = rho * first + 0.5 * rho * rho * second;
            assert_close(
                "to second order",
                points[0].value.unwrap(),
                expected,
                0.05 * rho * rho * second.abs(),
            );
        }
    }
}

#[test]
fn no_point_tried_at_random_is_worse_than_the_worst_case() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let (loss, gradient) = moved.gradient(parameters);
        let found =
            moved.outcome::<AdaptiveWorst>("{ l2 = [0.1, 0.3, 1.0], linf = [0.01, 0.05], batch_size = 60 }");
        let steepest = scaled(parameters, &gradient);
        let product = scaled(parameters, &times(&moved.hessian(), &scaled(parameters, &steepest)));
        let third = random_directions(parameters.len(), 1).remove(0);
        for point in &found.l2 {
            let span = [steepest.clone(), product.clone(), third.clone()];
            let largest = moved.brute_force(point.rho, &span, f64::abs, |w| moved.loss(w)) - loss;
            assert!(largest <= 1.001 * point.value.unwrap(), "{largest} exceeds {point:?}");
            assert!(
                largest > 0.1 * point.value.unwrap(),
                "the subspace holds steep points: {largest}, {point:?}"
            );
        }
        for point in &found.linf {
            for direction in [&gradient, &product, &third] {
                let v = scaled(parameters, &sign(direction));
                let rise = moved.loss(&along(parameters, point.rho, &v)) - loss;
                assert!(rise <= 1.001 * point.value.unwrap(), "{rise} exceeds {point:?}");
            }
        }
        for points in [&found.l2, &found.linf] {
            assert!(points.windows(2).all(|pair| pair[0].value < pair[1].value), "monotone: {points:?}");
        }
        assert_eq!(found.linf_largest_rho, found.linf[1].value, "the largest radius");
        assert_eq!(found.l2[0].standard_error, None, "nothing is known from one batch");
    }
}

#[test]
fn batches_have_a_mean_and_a_standard_error() {
    let [moved, _] = networks();
    let settings = "{ l2 = [0.01], linf = [], batch_size = 20 }";
    let found = moved.outcome::<AdaptiveWorst>(settings);
    let parameters = &moved.weights().parameters;
    let (_, gradient) = moved.gradient(parameters);
    let whole = 0.01 * norm(&scaled(parameters, &gradient));
    let (value, error) = (found.l2[0].value.unwrap(), found.l2[0].standard_error.unwrap());
    assert!(value > whole && error > 0.0 && error < value, "batches have larger gradients: {found:?}");
    assert_eq!((found.examples, found.linf_smallest_rho), (60, None), "three batches, and no radius");
}

/// The mean cross-entropy of outputs that are centred and scaled to unit length, from the network's outputs alone.
fn normalized_loss(moved: &Moved, parameters: &[f64]) -> f64 {
    let network = &moved.problem.engine.network;
    let (source, numbers) = moved.examples.source();
    let mut tape = network.tape(numbers.len(), TapeKind::Values);
    HostBatch::default().load(network, &mut tape, source, numbers);
    let (at, state) = (network.upload(parameters), network.upload(&moved.weights().state));
    network.value(&at, &state, &moved.pass, &mut tape);
    let outputs = network.outputs(&tape);
    let loss = |(row, number): (&[f64], &u32)| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let length = row.iter().map(|z| (z - mean).powi(2)).sum::<f64>().sqrt();
        let z: Vec<f64> = row.iter().map(|z| (z - mean) / length).collect();
        z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[source.label(*number) as usize]
    };
    outputs.chunks_exact(10).zip(numbers).map(loss).sum::<f64>() / numbers.len() as f64
}

#[test]
fn normalized_outputs_have_the_loss_of_their_definition_and_its_gradient() {
    for moved in networks() {
        let parameters = &moved.weights().parameters;
        let loss = normalized_loss(&moved, parameters);
        let gradient: Vec<f64> = (0..parameters.len())
            .map(|i| {
                let at = |step: f64| {
                    let mut moved_parameters = parameters.clone();
                    moved_parameters[i] += step;
                    normalized_loss(&moved, &moved_parameters)
                };
                (at(1e-5) - at(-1e-5)) / 2e-5
            })
            .collect();
        // A step along the gradient: a wrong gradient would rise less.
        let steepest = scaled(parameters, &gradient);
        let rho = 1e-4;
        let settings = format!("{{ l2 = [{rho}], linf = [], batch_size = 60, normalize_logits = true }}");
        let found = moved.outcome::<AdaptiveWorst>(&settings);
        let v: Vec<f64> = steepest.iter().map(|x| rho * x / norm(&steepest)).collect();
        let expected = normalized_loss(&moved, &along(parameters, 1.0, &scaled(parameters, &v))) - loss;
        assert_close("along the gradient", found.l2[0].value.unwrap(), expected, 1e-4 * expected);
        assert_close("its length", expected, rho * norm(&steepest), 1e-2 * expected);
    }
}

#[test]
fn normalized_outputs_do_not_change_with_their_scale() {
    let [moved, _] = networks();
    // The last layer of the network is linear: its scale is that of the outputs.
    let scaled_by = |factor: f64| {
        let mut other = networks()[0].problem.weights.clone();
        let table = moved.problem.engine.network.parameters().tensors().to_vec();
        for tensor in &table[table.len() - 2..] {
            other.parameters[tensor.range()].iter_mut().for_each(|w| *w *= factor);
        }
        other
    };
    let at = |factor: f64, normalize: bool| {
        let mut moved = networks().into_iter().next().unwrap();
        moved.problem.weights = scaled_by(factor);
        let settings = format!("{{ draws = 4, batch_size = 60, normalize_logits = {normalize} }}");
        moved.outcome::<AdaptiveAverage>(&settings).l2_largest_rho.unwrap()
    };
    let plain = at(1.0, true);
    assert_close("three times the outputs", at(3.0, true), plain, 1e-10 * plain.abs());
    assert!((at(3.0, false) / at(1.0, false) - 1.0).abs() > 1e-3, "without, it does");
}
