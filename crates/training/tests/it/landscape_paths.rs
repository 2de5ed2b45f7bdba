//! Loss and accuracy between two weights, and curves.

use std::cell::RefCell;

use sharpness_data::Part;
use sharpness_kernels::Cpu;
use sharpness_network::Weights;
use sharpness_network::backend::Reference;
use sharpness_network::op::{BatchNorm, TapeKind};
use sharpness_training::landscape::{
    BetweenEnds, CurveSettings, CurveState, Path, PathPoint, barrier, bezier, places, segment, train_curve,
};
use sharpness_training::settings::MeasureConfig;
use sharpness_training::{Error, Result, evaluate};

use crate::landscape::{BATCH, config, direct, networks};
use crate::measures_problem::{MEMORY, Problem, Subsample, Watching};

type F64 = Problem<Cpu<f64>>;

fn points(problem: &F64, config: &MeasureConfig, places: &[(f64, Vec<f64>)]) -> Result<Vec<PathPoint>> {
    let mut report = |_: &_| ();
    let watching = Watching { report: RefCell::new(&mut report), stop: &|| false };
    let path = Path::new(problem.subject(config, MEMORY), &watching)?;
    places.iter().map(|(t, parameters)| path.value(*t, parameters.clone())).collect()
}

/// Another network of the same shape.
fn other(problem: &F64) -> Weights {
    Weights::initial(&problem.engine.network, 2)
}

/// The averages of the statistics of chunks, each as the limit of many updates of the running ones.
fn statistics(problem: &Problem<Reference>, parameters: &[f64]) -> Vec<f64> {
    let numbers = config().subset.indices(problem.train.len(), 60, 0);
    let network = &problem.engine.network;
    let buffer = network.upload(parameters);
    let mut total = vec![0.0; network.state().len()];
    for chunk in numbers.chunks(25) {
        let mut state = network.upload(&problem.weights.state);
        let mut tape = network.tape(chunk.len(), TapeKind::Values);
        Subsample::of(&problem.data, chunk).load(network, &mut tape, chunk);
        network.value(&buffer, &state, &BATCH, &mut tape);
        (0..400).for_each(|_| network.update_state(&BATCH, &mut tape, &mut state));
        total.iter_mut().zip(&state).for_each(|(total, one)| *total += one * chunk.len() as f64 / 60.0);
    }
    total
}

#[test]
fn every_point_is_the_loss_of_the_weights_between() {
    for model in networks() {
        let (problem, reference) = (F64::new(Cpu::default(), &model), Problem::new(Reference, &model));
        let (from, to) = (&problem.weights, other(&problem));
        for t in [-0.25, 0.0, 0.3, 1.0] {
            let at = segment(&from.parameters, &to.parameters, t);
            let found = points(&problem, &config(), &[(t, at.clone())]).unwrap()[0];
            let mixed: Vec<f64> =
                from.parameters.iter().zip(&to.parameters).map(|(a, b)| (1.0 - t) * a + t * b).collect();
            let train = direct(&reference, &mixed, &from.state);
            let state = statistics(&reference, &mixed);
            let test = evaluate(
                &reference.engine.network,
                &reference.data,
                Part::Test,
                &Weights { parameters: mixed, state },
            );
            for (name, found, expected) in [("train", found.train, train), ("test", found.test, test)] {
                let loss = found.loss.unwrap();
                let error = (loss - expected.loss).abs();
                assert!(error <= 1e-9 * expected.loss, "{name} at {t}: {loss}, {}", expected.loss);
                assert!((found.accuracy - expected.correct).abs() < 1e-12, "{name} at {t}");
            }
        }
        assert_eq!(segment(&from.parameters, &to.parameters, 0.0), from.parameters, "the first end");
        assert_eq!(segment(&from.parameters, &to.parameters, 1.0), to.parameters, "the second end");
    }
}

#[test]
fn between_a_network_and_itself_there_is_no_barrier() {
    for model in networks() {
        let problem = F64::new(Cpu::default(), &model);
        let weights = &problem.weights.parameters;
        let on_segment: Vec<(f64, Vec<f64>)> =
            places(-0.25, 1.25, 7).into_iter().map(|t| (t, segment(weights, weights, t))).collect();
        let found = points(&problem, &config(), &on_segment).unwrap();
        let barrier = barrier(found.iter().map(|point| (point.t, point.train.loss)));
        assert_eq!(barrier.value.map(f64::to_bits), Some(0), "exactly zero");
    }
}

#[test]
fn a_barrier_is_the_largest_excess_over_the_chord() {
    let losses = [(-0.5, 9.0), (0.0, 1.0), (0.25, 1.5), (0.5, 4.0), (1.0, 3.0), (1.5, 9.0)];
    let found = barrier(losses.map(|(t, loss)| (t, Some(loss))));
    assert_eq!((found.value, found.t), (Some(2.0), Some(0.5)), "4 above the chord at 2");
    let below = barrier([(0.0, Some(1.0)), (0.5, Some(0.1)), (1.0, Some(1.0))]);
    assert_eq!(below.value, Some(0.0), "never below zero");
    let gap = barrier([(0.0, Some(1.0)), (0.5, None), (1.0, Some(1.0))]);
    assert_eq!(gap.value, None, "an unknown loss may be the largest");
}

#[test]
fn places_include_the_ends() {
    assert_eq!(places(-0.25, 1.25, 4), [-0.25, 0.0, 0.25, 0.75, 1.0, 1.25], "added");
    let many = places(-0.25, 1.25, 31);
    assert!(many.len() == 31 && many[5].to_bits() == 0 && many[25].to_bits() == 1_f64.to_bits(), "{many:?}");
    assert_eq!(places(0.2, 0.8, 3), [0.2, 0.5, 0.8], "not beyond the range");
}

#[test]
fn a_curve_through_the_midpoint_is_the_segment() {
    let problem = F64::new(Cpu::default(), &networks()[0]);
    let (a, b) = (&problem.weights.parameters, &other(&problem).parameters);
    let middle = segment(a, b, 0.5);
    for t in places(0.0, 1.0, 9) {
        let straight = segment(a, b, t);
        let largest =
            bezier((a, &middle, b), t).iter().zip(&straight).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-15, "at {t}: {largest}");
    }
    assert_eq!(&bezier((a, &middle, b), 0.0), a, "the first end");
    assert_eq!(&bezier((a, &middle, b), 1.0), b, "the second end");
}

/// The states after each step of a training from `state` on, and the middle at the end.
fn trained_from(
    problem: &F64,
    to: &Weights,
    settings: CurveSettings,
    state: Option<CurveState>,
) -> Result<(Vec<CurveState>, Vec<f64>)> {
    let mut report = |_: &_| ();
    let watching = Watching { report: RefCell::new(&mut report), stop: &|| false };
    let ends = BetweenEnds { from: &problem.weights, to };
    let (config, mut states) = (config(), Vec::new());
    let state = state.unwrap_or_else(|| CurveState::start(ends));
    let mut keep = |state: &CurveState, _: f64| {
        states.push(state.clone());
        Ok::<(), Error>(())
    };
    let subject = problem.subject(&config, MEMORY);
    let middle = train_curve(subject, ends, &settings, state, &watching, &mut keep)?;
    Ok((states, middle))
}

fn trained(problem: &F64, to: &Weights, settings: CurveSettings) -> Result<Vec<f64>> {
    trained_from(problem, to, settings, None).map(|(_, middle)| middle)
}

#[test]
fn a_resumed_curve_ends_in_the_same_bits() {
    let settings = CurveSettings { steps: 60, learning_rate: 0.05, batch_size: 50 };
    let problem = F64::new(Cpu::default(), &networks()[1]);
    let to = other(&problem);
    let (states, middle) = trained_from(&problem, &to, settings, None).unwrap();
    assert_eq!(states.iter().map(|state| state.step).collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    for at in [0, 27, 28, 58, 59] {
        let (_, again) = trained_from(&problem, &to, settings, Some(states[at].clone())).unwrap();
        let same = middle.iter().zip(&again).all(|(x, y)| x.to_bits() == y.to_bits());
        assert!(same, "resumed after {} steps", at + 1);
    }
}

#[test]
fn training_a_curve_lowers_the_loss_on_it_and_is_repeatable() {
    let settings = CurveSettings { steps: 300, learning_rate: 0.05, batch_size: 50 };
    for model in networks() {
        let problem = F64::new(Cpu::default(), &model);
        let to = other(&problem);
        let middle = trained(&problem, &to, settings).unwrap();
        let again = trained(&problem, &to, settings).unwrap();
        assert!(middle.iter().zip(&again).all(|(x, y)| x.to_bits() == y.to_bits()), "the same bits");
        let (a, b) = (&problem.weights.parameters, &to.parameters);
        let at = |t| [(t, segment(a, b, t)), (t, bezier((a, &middle, b), t))];
        let found = points(&problem, &config(), &at(0.5)).unwrap();
        let [straight, curved] = [found[0].train.loss.unwrap(), found[1].train.loss.unwrap()];
        assert!(curved < 0.7 * straight, "untrained ends, a trained middle: {straight}, {curved}");
    }
}

/// One step by hand: plain loops on the one batch of the whole training set, differentiated by finite differences.
#[test]
fn a_step_of_the_curve_follows_the_gradient_of_its_place() {
    let problem = F64::new(Cpu::default(), &networks()[0]);
    let to = other(&problem);
    let count = problem.train.len();
    let settings = CurveSettings { steps: 1, learning_rate: 1e-3, batch_size: count };
    let middle = trained(&problem, &to, settings).unwrap();
    let (a, b) = (&problem.weights.parameters, &to.parameters);
    let start = segment(a, b, 0.5);
    let step: Vec<f64> = middle.iter().zip(&start).map(|(m, s)| (m - s) / -1e-3).collect();
    let loss = |middle: &[f64], t: f64| {
        let parameters = bezier((a, middle, b), t);
        let moved = Problem {
            weights: Weights { parameters, state: Vec::new() },
            ..F64::new(Cpu::default(), &networks()[0])
        };
        moved.mean_loss(&problem.train)
    };
    // The place is unknown here: the slope along the step must be the square of its length for one t.
    let length: f64 = step.iter().map(|x| x * x).sum();
    let h = 1e-4;
    let shifted = |h: f64| -> Vec<f64> { start.iter().zip(&step).map(|(s, d)| s + h * d).collect() };
    let slope = |t: f64| (loss(&shifted(h), t) - loss(&shifted(-h), t)) / (2.0 * h);
    let fits = (1..100).map(|i| f64::from(i) / 100.0).any(|t| {
        let ratio = slope(t) / length;
        (ratio - 1.0).abs() < 0.05
    });
    assert!(fits, "no place of the curve has this gradient");
}

#[test]
fn what_has_no_answer_is_refused() {
    let problem = F64::new(Cpu::default(), &networks()[1]);
    let running = MeasureConfig { bn: BatchNorm::Running, ..config() };
    let refused = points(&problem, &running, &[]);
    assert!(matches!(refused, Err(Error::MeasureSetting { name: "--bn", .. })), "{refused:?}");
    let to = other(&problem);
    for (settings, name) in [
        (CurveSettings { steps: 0, learning_rate: 0.1, batch_size: 10 }, "--curve-steps"),
        (CurveSettings { steps: 1, learning_rate: -0.1, batch_size: 10 }, "--curve-lr"),
        (CurveSettings { steps: 1, learning_rate: 0.1, batch_size: 1_000_000 }, "--curve-batch-size"),
    ] {
        let refused = trained(&problem, &to, settings);
        assert!(
            matches!(refused, Err(Error::MeasureSetting { name: wrong, .. }) if wrong == name),
            "{settings:?}: {refused:?}"
        );
    }
}
