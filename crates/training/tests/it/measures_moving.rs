//! What holds of all measures that move the weights: threads, precision, memory.

use sharpness_kernels::Cpu;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::backend::Backend;
use sharpness_training::settings::MeasureConfig;
use sharpness_training::{Budget, Error};
use toml::Table;

use crate::measures_problem::{MEMORY, Problem};

/// All of them, with small budgets.
const ALL: &str = "
foret = { rho = 0.05, steps = 3 }
m_sharpness = { m = 20, groups = 2 }
first_order_flatness = { steps = 2 }
adaptive_worst = { iterations = 5, l2 = [0.5], linf = [0.002], batch_size = 20, batches = 2 }
adaptive_average = { draws = 2, l2 = [0.1], linf = [0.2], batch_size = 20 }
pac_bayes = { draws = 2, drop = 0.02 }
local_volume = { directions = 2 }
critical_step_size = 0.01
";

fn config() -> MeasureConfig {
    let asked: Table = ALL.parse().unwrap();
    MeasureConfig {
        examples: 60,
        chunk: Some(25),
        asked: asked.into_iter().collect(),
        ..MeasureConfig::default()
    }
}

fn problem<B: Backend>(backend: B) -> Problem<B> {
    let model = ModelConfig { width_divisor: 4, ..ModelConfig::new(Architecture::CnnBn) };
    Problem::new(backend, &model)
}

#[test]
fn threads_change_no_bit_of_the_measures_that_move_the_weights() {
    let measure = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| problem(Cpu::<f32>::default()).measure(&config(), MEMORY).unwrap().outcomes)
    };
    let one = measure(1);
    assert_eq!(one.len(), 8, "all of them");
    assert_eq!(one, measure(2), "1 and 2 threads");
}

#[test]
fn single_and_double_precision_agree_on_the_measures_that_move_the_weights() {
    let single = problem(Cpu::<f32>::default()).measure(&config(), MEMORY).unwrap().outcomes;
    let double = problem(Cpu::<f64>::default()).measure(&config(), MEMORY).unwrap().outcomes;
    for (measure, key, tolerance) in [
        ("foret", "value", 1e-3),
        ("m_sharpness", "value", 1e-3),
        ("first_order_flatness", "value", 1e-3),
        ("adaptive_worst", "l2_largest_rho", 1e-2),
        ("adaptive_worst", "linf_largest_rho", 1e-2),
        ("adaptive_average", "l2_largest_rho", 1e-2),
        ("adaptive_average", "linf_largest_rho", 1e-2),
        ("local_volume", "typical", 1e-3),
        ("critical_step_size", "value", 1e-2),
    ] {
        let [own, other] = [&single, &double].map(|outcomes| outcomes[measure][key].as_f64().unwrap());
        assert!((own - other).abs() <= tolerance * other.abs(), "{measure}.{key}: {own} and {other}");
    }
}

#[test]
fn memory_changes_no_result_of_the_measures_that_move_the_weights() {
    let problem = problem(Cpu::<f64>::default());
    let roomy = problem.measure(&config(), MEMORY).unwrap();
    let Err(Error::Memory { needed_bytes, .. }) = problem.measure(&config(), Budget::of(1000)) else {
        panic!("1000 bytes do not suffice")
    };
    let tight = problem.measure(&config(), Budget::of(needed_bytes)).unwrap();
    assert!(tight.memory.predicted_bytes <= needed_bytes, "{:?} of {needed_bytes}", tight.memory);
    for measure in ["m_sharpness", "adaptive_average", "adaptive_worst", "pac_bayes", "local_volume"] {
        assert_eq!(roomy.outcomes[measure], tight.outcomes[measure], "{measure}");
    }
}

#[test]
fn a_stop_ends_the_measures_that_move_the_weights() {
    let problem = problem(Cpu::<f64>::default());
    for (name, settings) in config().asked {
        let asked = std::cell::Cell::new(0);
        let moving = std::cell::Cell::new(false);
        let stop = || {
            asked.set(asked.get() + u32::from(moving.get()));
            asked.get() > 3
        };
        let mut report = |progress: &sharpness_training::MeasureProgress| {
            moving.set(moving.get() || matches!(progress.phase, sharpness_training::Phase::Measure(_)));
        };
        let config = MeasureConfig { asked: [(name.clone(), settings)].into(), ..config() };
        let error = problem.measure_with(&config, MEMORY, &mut report, &stop).unwrap_err();
        assert!(matches!(error, Error::MeasureStopped), "{name}: {error}");
        assert_eq!(asked.get(), 4, "{name} is not asked again");
    }
}
