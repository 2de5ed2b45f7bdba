//! Measurements of small networks on the digits.

use std::cell::Cell;

use sharpness_curvature::{DENSE_LIMIT, EigenParams, dense};
use sharpness_data::{Error as DataError, Subset, class_balanced};
use sharpness_kernels::Cpu;
use sharpness_network::Weights;
use sharpness_network::architectures::{Architecture, ModelConfig};
use sharpness_network::op::{BatchNorm, Pass};
use sharpness_network::operators::{Chunks, Curvature, Matrix};
use sharpness_training::measures::{LambdaMin, Measurement};
use sharpness_training::settings::MeasureConfig;
use sharpness_training::{Budget, Error, Memory, Phase};

use crate::measures_problem::{MEMORY, Problem, Subsample};

fn mlp() -> ModelConfig {
    ModelConfig { hidden: vec![12], ..ModelConfig::new(Architecture::Mlp) }
}

fn cnn(arch: Architecture) -> ModelConfig {
    ModelConfig { width_divisor: 4, ..ModelConfig::new(arch) }
}

fn config() -> MeasureConfig {
    MeasureConfig {
        examples: 60,
        chunk: Some(25),
        rtol: 1e-6,
        max_products: 2000,
        ..MeasureConfig::default()
    }
}

/// The same, and λ_min.
fn config_with_lambda_min() -> MeasureConfig {
    MeasureConfig { asked: [("lambda_min".to_owned(), true.into())].into(), ..config() }
}

#[track_caller]
fn assert_close(label: &str, own: f64, expected: f64, tolerance: f64) {
    let error = (own - expected).abs();
    assert!(error <= tolerance, "{label}: {own} instead of {expected}, off by {error:e}");
}

/// The same numbers, but for the time that it took.
fn without_seconds(measurement: Measurement) -> Measurement {
    Measurement { seconds: 0.0, costs: Vec::new(), ..measurement }
}

#[test]
fn eigenvalues_are_those_of_the_dense_hessian() {
    for (model, bn, batch_norm) in [
        (mlp(), BatchNorm::Batch, BatchNorm::Running),
        (cnn(Architecture::CnnBn), BatchNorm::Batch, BatchNorm::Batch),
    ] {
        let problem = Problem::new(Cpu::<f64>::default(), &model);
        let config = MeasureConfig { bn, top_k: 3, ..config_with_lambda_min() };
        let measured = problem.measure(&config, MEMORY).unwrap();

        let dim = problem.engine.network.parameters().len();
        assert!(dim <= DENSE_LIMIT, "the dense method takes dimension {dim}");
        let indices = config.subset.indices(problem.train.len(), config.examples, 0);
        let examples = Subsample::of(&problem.data, &indices);
        let chunks = Chunks { examples: config.chunk.unwrap(), memory_bytes: 1 << 28 };
        let pass = Pass { batch_norm, dropout: None };
        let (network, weights) = (&problem.engine.network, &problem.weights);
        let mut operator =
            Curvature::new(network, Matrix::Hessian, weights, pass, examples.source(), chunks, &|| false)
                .unwrap();
        let params = EigenParams { k: dim, max_products: dim, ..EigenParams::default() };
        let spectrum = dense(&mut operator, &params, &mut |_| ()).unwrap().pairs;
        let (largest, smallest) = (spectrum[0].value, spectrum[dim - 1].value);

        let tolerance = 1e-9 * largest;
        assert_close("loss", measured.loss, operator.loss(), 1e-13);
        assert_eq!(measured.top.len(), 3, "three eigenvalues");
        for (own, expected) in measured.top.iter().zip(&spectrum) {
            assert!(own.converged, "{own:?}");
            assert_close("one of the top", own.value, expected.value, tolerance);
        }
        assert_eq!(measured.lambda_max, measured.top[0], "the first of the top");
        let (max, min) = (&measured.lambda_max, &measured.outcome::<LambdaMin>().unwrap());
        assert_close("λ_min", min.value, smallest, tolerance);
        for (eigenvalue, expected) in [(max, largest), (min, smallest)] {
            let (lower, upper) = (eigenvalue.lower.unwrap(), eigenvalue.upper.unwrap());
            assert!(lower <= expected && expected <= upper, "{expected} lies in [{lower}, {upper}]");
            let [below, above] = eigenvalue.interval.unwrap();
            assert!(below <= eigenvalue.value - eigenvalue.residual, "{eigenvalue:?}");
            assert!(
                above >= eigenvalue.value + eigenvalue.residual
                    && above - below < 2.1 * eigenvalue.residual + tolerance,
                "{eigenvalue:?}"
            );
            assert!(eigenvalue.certified, "{eigenvalue:?}");
        }
        assert_eq!(max.lower_failure_probability, Some(0.0), "the lower bound of λ_max is certain");
        assert_eq!(min.upper_failure_probability, Some(0.0), "the upper bound of λ_min is certain");
    }
}

#[test]
fn threads_change_no_bit() {
    let problem = || Problem::new(Cpu::<f32>::default(), &ModelConfig::new(Architecture::CnnBn));
    let config = MeasureConfig { rtol: 1e-3, ..config() };
    let measure = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let measurement = pool.install(|| problem().measure(&config, MEMORY).map(without_seconds).unwrap());
        // Each thread has scratch of its own.
        Measurement { memory: Memory::default(), ..measurement }
    };
    assert_eq!(measure(1), measure(2), "1 and 2 threads");
}

#[test]
fn memory_changes_the_time_and_not_the_result() {
    let problem = Problem::new(Cpu::<f64>::default(), &cnn(Architecture::Cnn));
    let roomy = problem.measure(&config(), MEMORY).unwrap();
    assert_eq!(roomy.cached_chunks, roomy.chunks, "everything is kept");
    let bounded = |bytes| problem.measure(&config(), Budget::of(bytes));
    let Err(Error::Memory { needed_bytes, available_bytes, .. }) = bounded(1000) else {
        panic!("1000 bytes do not suffice")
    };
    assert_eq!(available_bytes, 1000, "the bound given");
    assert!(bounded(needed_bytes - 1).is_err(), "one byte less than needed");
    let tight = bounded(needed_bytes).unwrap();
    assert_eq!(tight.cached_chunks, 0, "nothing is kept");
    assert!(tight.lambda_max.converged, "{:?}", tight.lambda_max);
    let value = roomy.lambda_max.value;
    assert_close("loss", tight.loss, roomy.loss, 0.0);
    assert_close("λ_max", tight.lambda_max.value, value, 1e-10 * value);
}

#[test]
fn a_stop_ends_the_measurement_at_once() {
    let problem = Problem::new(Cpu::<f64>::default(), &mlp());
    for questions in [0, 4, 10] {
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > questions
        };
        let error = problem.measure_with(&config(), MEMORY, &mut |_| (), &stop).unwrap_err();
        assert!(matches!(error, Error::MeasureStopped), "{error}");
        assert_eq!(asked.get(), questions + 1, "not asked again");
    }
}

#[test]
fn examples_come_from_the_training_set_in_use() {
    let mut problem = Problem::new(Cpu::<f64>::default(), &mlp());
    let labels = problem.data.dataset().train().labels();
    problem.train = class_balanced(labels, 10, 200, 3).unwrap();
    let measure = |subset| {
        let config = MeasureConfig { subset, examples: 40, ..config() };
        let measured = problem.measure(&config, MEMORY).unwrap();
        let places = subset.indices(200, 40, 0);
        let chosen: Vec<u32> = places.iter().map(|&place| problem.train[place as usize]).collect();
        assert_close("loss", measured.loss, problem.mean_loss(&chosen), 1e-13);
        assert_eq!((measured.examples, measured.subset), (40, subset), "what was measured");
        measured.loss
    };
    let [every, first, random] = Subset::ALL.map(measure);
    assert!((every - first).abs() > 1e-6 && (every - random).abs() > 1e-6, "other examples, other losses");
    let all = problem.measure(&MeasureConfig { examples: 10_000, ..config() }, MEMORY).unwrap();
    assert_eq!(all.examples, 200, "no more than there are");
}

#[test]
fn batch_norm_is_labelled_and_matters() {
    let problem = Problem::new(Cpu::<f64>::default(), &cnn(Architecture::CnnBn));
    let measure =
        |bn, chunk| problem.measure(&MeasureConfig { bn, chunk: Some(chunk), ..config() }, MEMORY).unwrap();
    let (batch, running) = (measure(BatchNorm::Batch, 25), measure(BatchNorm::Running, 25));
    assert_eq!((batch.batch_norm.as_str(), batch.batch_norm_chunk), ("batch", Some(25)), "batch statistics");
    assert_eq!((running.batch_norm.as_str(), running.batch_norm_chunk), ("running", None), "running ones");
    assert!((batch.loss - running.loss).abs() > 1e-6, "the two losses differ");
    assert!((measure(BatchNorm::Batch, 30).loss - batch.loss).abs() > 1e-9, "so do those of two chunks");
    assert_close("running", measure(BatchNorm::Running, 7).loss, running.loss, 1e-13);
    let plain = Problem::new(Cpu::<f64>::default(), &mlp()).measure(&config(), MEMORY).unwrap();
    assert_eq!((plain.batch_norm.as_str(), plain.batch_norm_chunk), ("none", None), "no batch norm");
}

#[test]
fn the_report_has_its_contract_s_fields() {
    let problem = Problem::new(Cpu::<f32>::default(), &mlp());
    let measured = problem.measure(&MeasureConfig { rtol: 1e-3, ..config() }, MEMORY).unwrap();
    let json = serde_json::to_value(&measured).unwrap();
    for field in ["loss", "accuracy", "gradient_norm", "examples", "seconds", "chunks", "cached_chunks"] {
        assert!(json[field].is_number(), "{field} in {json}");
    }
    assert_eq!((&json["subset"], &json["precision"]), (&"every".into(), &"f32".into()), "names");
    let has = |field: &str| json.as_object().unwrap().contains_key(field);
    assert!(has("batch_norm_chunk") && json["batch_norm_chunk"].is_null(), "no batch norm in {json}");
    for measure in ["lambda_min", "trace", "sam_bound", "between_iterates"] {
        assert!(!has(measure), "{measure} was not asked for, and is in {json}");
    }
    for field in ["value", "residual", "upper", "upper_failure_probability", "products"] {
        assert!(json["lambda_max"][field].is_number(), "λ_max's {field} in {json}");
    }
    assert!(
        json["lambda_max"]["lower"].is_null(),
        "nothing is known of the rounding without a check: {json}"
    );
    assert_eq!(json["lambda_max"]["converged"], true, "f32 reaches a residual of a thousandth");
    let back: Measurement = serde_json::from_value(json).unwrap();
    assert_eq!(back.examples, measured.examples, "it can be read again");
}

#[test]
fn a_solver_that_gives_up_still_reports() {
    let problem = Problem::new(Cpu::<f64>::default(), &mlp());
    let measured =
        problem.measure(&MeasureConfig { max_products: 6, rtol: 1e-12, ..config() }, MEMORY).unwrap();
    assert!(!measured.lambda_max.converged, "{:?}", measured.lambda_max);
    assert!(measured.lambda_max.products <= 6, "{:?}", measured.lambda_max);
    assert!(measured.lambda_max.residual > 0.0, "{:?}", measured.lambda_max);
}

#[test]
fn impossible_requests_are_errors() {
    let mut problem = Problem::new(Cpu::<f64>::default(), &mlp());
    let error = |problem: &Problem<Cpu<f64>>, config| problem.measure(&config, MEMORY).unwrap_err();
    let asked = |config| error(&problem, config);
    assert!(
        matches!(asked(MeasureConfig { chunk: Some(0), ..config() }), Error::MeasureSetting { .. }),
        "chunk"
    );
    assert!(
        matches!(asked(MeasureConfig { examples: 0, ..config() }), Error::Data(DataError::EmptySubset)),
        "examples"
    );
    for config in [
        MeasureConfig { top_k: 0, ..config() },
        MeasureConfig { top_k: 1_000_000_000, ..config() },
        MeasureConfig { rtol: f64::NAN, ..config() },
        MeasureConfig { rtol: -1.0, ..config() },
        MeasureConfig { max_products: 0, ..config() },
    ] {
        let error = asked(config.clone());
        let expected = matches!(error, Error::Eigenvalue(_) | Error::Memory { .. });
        assert!(expected, "{error} for {config:?}");
    }

    problem.weights.parameters[3] = f64::MAX;
    let text = error(&problem, config()).to_string();
    assert!(text.contains("at the given weights is") && text.contains("loss"), "{text}");
    problem.weights = Weights::initial(&problem.engine.network, 0);
    problem.train.clear();
    assert!(matches!(error(&problem, config()), Error::Data(DataError::EmptySubset)), "no training set");
}

#[test]
fn progress_names_its_phase() {
    let problem = Problem::new(Cpu::<f64>::default(), &mlp());
    let mut seen = Vec::new();
    let config = config_with_lambda_min();
    let measured =
        problem.measure_with(&config, MEMORY, &mut |progress| seen.push(*progress), &|| false).unwrap();
    let mut phases: Vec<Phase> = seen.iter().map(|progress| progress.phase).collect();
    phases.dedup();
    assert_eq!(phases, [Phase::Gradient, Phase::LambdaMax, Phase::Measure("lambda_min")], "in this order");
    let last = seen.iter().rfind(|progress| progress.phase == Phase::LambdaMax).unwrap();
    assert_close("last estimate", last.value, measured.lambda_max.value, 1e-6 * last.value.abs());
}

#[test]
fn the_default_memory_is_plausible() {
    let bytes = Budget::default().left(0).unwrap();
    assert!((1 << 20..1 << 50).contains(&bytes), "{bytes} bytes");
}
