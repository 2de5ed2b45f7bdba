//! λ_max along the step between two iterates.

use std::cell::RefCell;

use sharpness_kernels::Cpu;
use sharpness_network::Weights;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::op::BatchNorm;
use sharpness_training::measures::{
    BetweenIterates, BetweenIteratesOutcome, Iterates, Measurement, interpolate, measure,
};
use sharpness_training::settings::MeasureConfig;
use sharpness_training::{Error, MeasureProgress};

use crate::measures_problem::{MEMORY, Problem, Watching};

type F64 = Problem<Cpu<f64>>;

fn config() -> MeasureConfig {
    MeasureConfig {
        examples: 60,
        chunk: Some(30),
        rtol: 1e-7,
        max_products: 2000,
        ..MeasureConfig::default()
    }
}

/// A network with batch norm and two points of it, whose running statistics differ too.
fn problem() -> (F64, Weights) {
    let model = ModelConfig { width_divisor: 4, ..ModelConfig::new(Architecture::CnnBn) };
    let problem = F64::new(Cpu::default(), &model);
    let mut to = Weights::initial(&problem.engine.network, 2);
    to.state.iter_mut().for_each(|x| *x += 0.5);
    (problem, to)
}

fn searched(
    problem: &F64,
    next: &Weights,
    config: &MeasureConfig,
    report: &mut dyn FnMut(&MeasureProgress),
) -> Result<Measurement, Error> {
    let mut config = config.clone();
    config.asked.insert("between_iterates".to_owned(), true.into());
    let at = Iterates { next: Some(next), ..Iterates::only(&problem.weights) };
    measure(problem.subject(&config, MEMORY), at, &Watching { report: RefCell::new(report), stop: &|| false })
}

fn between(measured: &Measurement) -> BetweenIteratesOutcome {
    measured.outcome::<BetweenIterates>().unwrap()
}

#[test]
fn the_ends_are_plain_measurements_and_the_maximum_is_no_smaller() {
    for bn in [BatchNorm::Batch, BatchNorm::Running] {
        let config = MeasureConfig { bn, ..config() };
        let (mut problem, to) = problem();
        let between = between(&searched(&problem, &to, &config, &mut |_| ()).unwrap());
        let first = problem.measure(&config, MEMORY).unwrap();
        problem.weights = to;
        let last = problem.measure(&config, MEMORY).unwrap();

        assert_eq!(between.points.len(), 8, "eight points");
        for (point, plain) in [(&between.points[0], &first), (&between.points[7], &last)] {
            assert!((point.loss - plain.loss).abs() <= 1e-13, "{point:?} and {plain:?}");
            let error = (point.lambda_max - plain.lambda_max.value).abs();
            assert!(error <= 1e-10 * point.lambda_max, "{point:?} and {plain:?}");
            assert!(between.maximum >= point.lambda_max, "{between:?}");
        }
        for (i, point) in (0_u32..).zip(&between.points) {
            assert!((point.t - f64::from(i) / 7.0).abs() < 1e-15, "{point:?} is point {i}");
            assert!(point.converged && point.residual <= 1e-7 * point.lambda_max, "{point:?}");
        }
        let at = between.points.iter().find(|point| (point.t - between.at).abs() < 1e-15).unwrap();
        assert!((at.lambda_max - between.maximum).abs() <= 0.0, "{between:?}");
    }
}

#[test]
fn weights_and_running_statistics_are_interpolated_exactly_at_the_ends() {
    let (problem, to) = problem();
    let from = &problem.weights;
    assert_eq!(&interpolate(from, &to, 0.0), from, "t = 0");
    assert_eq!(interpolate(from, &to, 1.0), to, "t = 1");
    let middle = interpolate(from, &to, 0.5);
    let flat = |weights: &Weights| [weights.parameters.clone(), weights.state.clone()].concat();
    for ((middle, from), to) in flat(&middle).iter().zip(flat(from)).zip(flat(&to)) {
        assert!((middle - 0.5 * (from + to)).abs() < 1e-15, "{middle} between {from} and {to}");
    }
}

#[test]
fn progress_counts_the_points_and_an_error_names_one() {
    let (problem, mut to) = problem();
    let mut points = Vec::new();
    searched(&problem, &to, &config(), &mut |progress| points.extend(progress.point)).unwrap();
    points.dedup();
    assert_eq!(points, [1, 2, 3, 4, 5, 6, 7, 8].map(|i| (i, 8)), "each point once, in order");

    to.parameters[0] = f64::INFINITY;
    let error = searched(&problem, &to, &config(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert!(error.to_string().contains("between the iterates"), "{error}");
}

#[test]
fn without_a_next_iterate_there_is_nothing_to_search() {
    let (problem, _) = problem();
    let asked = [("between_iterates".to_owned(), true.into())].into();
    let error = problem.measure(&MeasureConfig { asked, ..config() }, MEMORY).unwrap_err();
    assert!(matches!(error, Error::MeasureSetting { name: "between_iterates", .. }), "{error}");
}
