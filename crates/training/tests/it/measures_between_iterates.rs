//! λ_max along the step between two iterates.

use sharpness_experiments::Error;
use sharpness_experiments::config::MeasureConfig;
use sharpness_experiments::measures::{BetweenIterates, MeasureProgress, between_iterates, interpolate};
use sharpness_network::architectures::{Architecture, Model};
use sharpness_network::{Cpu, Weights};

use crate::measures_problem::{MEMORY, Problem};

type F64 = Problem<Cpu<f64>>;

fn config() -> MeasureConfig {
    MeasureConfig { examples: 60, chunk: Some(30), rtol: 1e-7, max_products: 2000, ..MeasureConfig::new() }
}

/// A network with batch norm and two points of it, whose running statistics differ too.
fn problem() -> (F64, Weights) {
    let model = Model { width_divisor: 4, ..Model::new(Architecture::CnnBn) };
    let problem = F64::new(Cpu::default(), &model);
    let mut to = Weights::initial(&problem.network, 2);
    to.state.iter_mut().for_each(|x| *x += 0.5);
    (problem, to)
}

fn between(
    problem: &F64,
    to: &Weights,
    observer: &mut dyn FnMut(&MeasureProgress),
) -> Result<BetweenIterates, Error> {
    let Problem { network, data, train, weights } = problem;
    between_iterates(network, data, train, weights, to, &config(), 0, MEMORY, observer, &|| false)
}

#[test]
fn the_ends_are_plain_measurements_and_the_maximum_is_no_smaller() {
    for bn in [sharpness_experiments::config::BnMode::Batch, sharpness_experiments::config::BnMode::Running] {
        let config = MeasureConfig { bn, ..config() };
        let (mut problem, to) = problem();
        let Problem { network, data, train, weights } = &problem;
        let between =
            between_iterates(network, data, train, weights, &to, &config, 0, MEMORY, &mut |_| (), &|| false)
                .unwrap();
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
    between(&problem, &to, &mut |progress| points.extend(progress.point)).unwrap();
    points.dedup();
    assert_eq!(points, [1, 2, 3, 4, 5, 6, 7, 8].map(|i| (i, 8)), "each point once, in order");

    to.parameters[0] = f64::INFINITY;
    let error = between(&problem, &to, &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert!(error.to_string().contains("between the iterates"), "{error}");
}
