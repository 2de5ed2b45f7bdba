//! The loss around weights, against the loops of the reference backend and finite differences.

use std::cell::RefCell;

use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};

use sharpness_network::backend::{Activation, Backend, Reference, Shape};
use sharpness_network::op::{BatchNorm, Init, Pass, TapeKind};
use sharpness_network::ops::{AveragePool, BatchNorm2d, Convolution, Elementwise, Flatten, Linear};
use sharpness_network::{Model, Sums, Weights};
use sharpness_training::landscape::{Directions, Landscape, Plane, PlaneSettings, Values};
use sharpness_training::settings::MeasureConfig;
use sharpness_training::{Error, Result};

use crate::measures_problem::{MEMORY, Problem, Subsample, Watching};

pub(crate) const BATCH: Pass = Pass { batch_norm: BatchNorm::Batch, dropout: None };

/// Two networks, one of them with batch norm. Their activation is smooth, so that losses have third derivatives.
pub(crate) fn networks() -> [ModelConfig; 2] {
    let smooth = |arch| ModelConfig { activation: Activation::Gelu, ..ModelConfig::new(arch) };
    [
        ModelConfig { hidden: vec![12, 7], ..smooth(Architecture::Mlp) },
        ModelConfig { width_divisor: 8, ..smooth(Architecture::CnnBn) },
    ]
}

pub(crate) fn config() -> MeasureConfig {
    MeasureConfig {
        examples: 60,
        chunk: Some(25),
        rtol: 1e-7,
        max_products: 2000,
        ..MeasureConfig::default()
    }
}

const SETTINGS: PlaneSettings =
    PlaneSettings { directions: Directions::Eigenvectors, dimensions: 1, radius: None, points: 9 };

/// The landscape, and the directions.
fn landscape<B: Backend>(
    problem: &Problem<B>,
    settings: PlaneSettings,
) -> Result<(Landscape, Vec<Vec<f64>>)> {
    let measured = settings.measurement(&config());
    let mut report = |_: &_| ();
    let watching = Watching { report: RefCell::new(&mut report), stop: &|| false };
    let plane = Plane::new(problem.subject(&measured, MEMORY), &problem.weights, settings, None, &watching)?;
    let values: Vec<Values> = (0..plane.len()).map(|point| plane.value(point)).collect::<Result<_>>()?;
    Ok((plane.landscape(&values), plane.vectors().to_vec()))
}

/// Loss and accuracy of the measured examples by the plain loops of the reference backend.
pub(crate) fn direct(problem: &Problem<Reference>, parameters: &[f64], state: &[f64]) -> Sums {
    let config = config();
    let numbers = config.subset.indices(problem.train.len(), config.examples, 0);
    let network = &problem.engine.network;
    let (parameters, state) = (network.upload(parameters), network.upload(state));
    let mut sums = Sums::default();
    for chunk in numbers.chunks(25) {
        let examples = Subsample::of(&problem.data, chunk);
        let mut tape = network.tape(chunk.len(), TapeKind::Values);
        examples.load(network, &mut tape, chunk);
        let of_chunk = network.value(&parameters, &state, &BATCH, &mut tape);
        sums.loss += of_chunk.loss / 60.0;
        sums.correct += of_chunk.correct / 60.0;
    }
    sums
}

/// The weights moved by multiples of the directions.
fn moved(weights: &Weights, directions: &[Vec<f64>], place: &[f64]) -> Vec<f64> {
    let mut parameters = weights.parameters.clone();
    for (i, w) in parameters.iter_mut().enumerate() {
        *w += directions.iter().zip(place).map(|(direction, c)| c * direction[i]).sum::<f64>();
    }
    parameters
}

#[test]
fn every_point_is_the_loss_of_the_moved_weights() {
    for model in networks() {
        let problem = Problem::<Cpu<f64>>::new(Cpu::default(), &model);
        let reference = Problem::new(Reference, &model);
        for directions in Directions::ALL {
            for (dimensions, points) in [(1, 5), (2, 3)] {
                let settings = PlaneSettings { directions, dimensions, points, ..SETTINGS };
                let (found, vectors) = landscape(&problem, settings).unwrap();
                assert_eq!(found.points.len(), if dimensions == 1 { 5 } else { 9 }, "{directions:?}");
                for point in &found.points {
                    let at = moved(&problem.weights, &vectors, &point.place);
                    let expected = direct(&reference, &at, &problem.weights.state);
                    let loss = point.values.loss.unwrap();
                    let error = (loss - expected.loss).abs();
                    assert!(error <= 1e-10 * expected.loss, "{directions:?} at {:?}: {loss}", point.place);
                    assert!((point.values.accuracy - expected.correct).abs() < 1e-12, "{directions:?}");
                }
                let (first, last) = (&found.points[0].place, &found.points[found.points.len() - 1].place);
                let radius = found.axes[0].coordinates[points - 1];
                assert_eq!(first, &vec![-radius; dimensions], "the first corner");
                assert_eq!(last, &vec![radius; dimensions], "the last corner");
                assert_eq!(found.points[found.points.len() / 2].place, vec![0.0; dimensions], "the middle");
                if dimensions == 2 {
                    assert!(found.points[1].place == [0.0, -radius], "the first coordinate changes fastest");
                }
            }
        }
    }
}

#[test]
fn the_prediction_has_the_derivatives_of_finite_differences() {
    for model in networks() {
        let problem = Problem::<Cpu<f64>>::new(Cpu::default(), &model);
        let reference = Problem::new(Reference, &model);
        for directions in Directions::ALL {
            let settings = PlaneSettings { directions, dimensions: 2, points: 3, ..SETTINGS };
            let (found, vectors) = landscape(&problem, settings).unwrap();
            let loss = |place: [f64; 2]| {
                let at = moved(&problem.weights, &vectors, &place);
                direct(&reference, &at, &problem.weights.state).loss
            };
            let h = 1e-4 / found.axes[0].norm;
            let quadratic = &found.quadratic;
            let close = |name: &str, own: f64, expected: f64, size: f64| {
                assert!((own - expected).abs() <= 1e-4 * size, "{directions:?} {name}: {own}, {expected}");
            };
            let size = quadratic.curvatures[0][0].abs();
            close("loss", quadratic.loss, loss([0.0, 0.0]), 1e-6);
            close("slope", quadratic.slopes[0], (loss([h, 0.0]) - loss([-h, 0.0])) / (2.0 * h), 1.0);
            close("slope", quadratic.slopes[1], (loss([0.0, h]) - loss([0.0, -h])) / (2.0 * h), 1.0);
            let second = (loss([h, 0.0]) - 2.0 * loss([0.0, 0.0]) + loss([-h, 0.0])) / (h * h);
            close("curvature", quadratic.curvatures[0][0], second, size);
            let crossed = loss([h, h]) - loss([h, -h]) - loss([-h, h]) + loss([-h, -h]);
            close("mixed curvature", quadratic.curvatures[0][1], crossed / (4.0 * h * h), size);
            close("symmetry", quadratic.curvatures[1][0], quadratic.curvatures[0][1], 0.0);
        }
    }
}

/// A network with batch norm and without max pooling, whose loss has kinks.
fn without_max_pooling() -> Model {
    let mut model = Model::default();
    let images = model.input("images", Shape::new(1, 8, 8));
    let value = model.push("conv", Convolution::same(1, 6, Init::Normal(0.4), None), &[images]).unwrap();
    let value = model.push("norm", BatchNorm2d::new(6), &[value]).unwrap();
    let value = model.push("activation", Elementwise(Activation::Gelu), &[value]).unwrap();
    let value = model.push("pool", AveragePool::Global, &[value]).unwrap();
    let value = model.push("flatten", Flatten, &[value]).unwrap();
    let value = model.push("classifier", Linear::torch_default(6, 10), &[value]).unwrap();
    model.output(value);
    model
}

#[test]
fn the_error_of_the_prediction_is_of_third_order() {
    let mlp = Problem::<Cpu<f64>>::new(Cpu::default(), &networks()[0]);
    for problem in [mlp, Problem::of_model(Cpu::default(), &without_max_pooling())] {
        for directions in Directions::ALL {
            let deviation = |radius: f64| {
                let settings = PlaneSettings { directions, dimensions: 2, radius: Some(radius), points: 9 };
                landscape(&problem, settings).unwrap().0.deviation
            };
            // Lengths of directions differ.
            let radius = if directions == Directions::Random { 0.005 } else { 0.02 };
            let (wide, narrow) = (deviation(radius), deviation(radius / 2.0));
            let ratio = wide.difference / narrow.difference;
            assert!((6.0..10.0).contains(&ratio), "{directions:?}: half the radius, {ratio} of the error");
            assert_eq!((wide.points, wide.not_finite), (9, 0), "the inner quarter");
            assert!(wide.relative.unwrap() < 0.2, "{directions:?}: {wide:?}");
        }
    }
}

#[test]
fn random_directions_have_the_norms_of_the_filters_and_no_part_in_biases() {
    for model in networks() {
        let problem = Problem::<Cpu<f64>>::new(Cpu::default(), &model);
        let settings = PlaneSettings { directions: Directions::Random, dimensions: 2, points: 3, ..SETTINGS };
        let vectors = landscape(&problem, settings).unwrap().1;
        let length = |part: &[f64]| part.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut filters = 0;
        for direction in &vectors {
            for tensor in problem.engine.network.parameters().tensors() {
                let (own, weights) =
                    (&direction[tensor.range()], &problem.weights.parameters[tensor.range()]);
                if tensor.shape.len() < 2 {
                    assert!(own.iter().all(|x| x.abs() <= 0.0), "{} has no part", tensor.name);
                    continue;
                }
                let size = tensor.len() / tensor.shape[0];
                for (own, weights) in own.chunks(size).zip(weights.chunks(size)) {
                    let (own, expected) = (length(own), length(weights));
                    assert!((own - expected).abs() <= 1e-12 * expected, "{}: {own}, {expected}", tensor.name);
                    filters += 1;
                }
            }
        }
        assert!(filters > 30, "{filters} filters");
        assert_ne!(vectors[0], vectors[1], "two draws");
        assert_eq!(vectors, landscape(&problem, settings).unwrap().1, "the seed decides");
    }
}

#[test]
fn eigenvectors_are_those_of_the_measurement() {
    for model in networks() {
        let problem = Problem::<Cpu<f64>>::new(Cpu::default(), &model);
        let found = landscape(&problem, PlaneSettings { dimensions: 2, points: 3, ..SETTINGS }).unwrap().0;
        let measured = problem.measure(&MeasureConfig { top_k: 2, ..config() }, MEMORY).unwrap();
        for (i, one) in measured.top.iter().enumerate() {
            let curvature = found.quadratic.curvatures[i][i];
            assert!((curvature - one.value).abs() <= 1e-9 * one.value, "{curvature}, {}", one.value);
            assert!((found.axes[i].norm - 1.0).abs() < 1e-12, "a unit vector");
            assert!(found.axes[i].residual <= 1e-6 * one.value, "the residual");
            assert!(found.quadratic.slopes[i] >= 0.0, "along the gradient");
        }
        assert!(found.quadratic.curvatures[0][1].abs() < 1e-5, "two eigenvectors");
        assert!(found.is_converged(1e-6) && !found.is_converged(1e-15), "its residuals decide");
        let expected = 3.0 * (2.0 * found.quadratic.loss / found.quadratic.curvatures[0][0]).sqrt();
        assert!((found.axes[0].coordinates[2] - expected).abs() < 1e-9 * expected, "the default radius");
    }
}

#[test]
fn a_loss_that_overflows_is_a_gap() {
    let problem = Problem::<Cpu<f64>>::new(Cpu::default(), &networks()[0]);
    let settings =
        PlaneSettings { directions: Directions::Random, radius: Some(1e160), points: 3, ..SETTINGS };
    let found = landscape(&problem, settings).unwrap().0;
    assert_eq!(found.points[0].values.loss, None, "it is not finite");
    assert!(found.points[1].values.loss.is_some(), "the weights themselves");
    assert_eq!(found.deviation.not_finite, 2, "both neighbours");
}

#[test]
fn impossible_landscapes_are_refused() {
    let problem = Problem::<Cpu<f64>>::new(Cpu::default(), &networks()[0]);
    for (settings, name) in [
        (PlaneSettings { dimensions: 3, ..SETTINGS }, "--dimensions"),
        (PlaneSettings { dimensions: 0, ..SETTINGS }, "--dimensions"),
        (PlaneSettings { points: 2, ..SETTINGS }, "--points"),
        (PlaneSettings { dimensions: 2, points: usize::MAX, ..SETTINGS }, "--points"),
        (PlaneSettings { radius: Some(0.0), ..SETTINGS }, "--radius"),
        (PlaneSettings { radius: Some(f64::NAN), ..SETTINGS }, "--radius"),
    ] {
        let refused = landscape(&problem, settings);
        assert!(
            matches!(refused, Err(Error::MeasureSetting { name: wrong, .. }) if wrong == name),
            "{settings:?}: {refused:?}"
        );
    }
}
