//! Tables of runs as files.

use std::collections::BTreeMap;

use parquet::basic::Type as Physical;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use serde_json::Value;
use sharpness_data::{DatasetName, Standardization, Subset};
use sharpness_kernels::ConvolutionAlgorithm;
use sharpness_network::architectures::Architecture;
use sharpness_network::backend::Activation;
use sharpness_network::backend::Loss;
use sharpness_network::op::BatchNorm;
use sharpness_runs::{Identity, Report, RunTable, Start, TrainReport};
use sharpness_training::measures::{
    AdaptivePoint, BetweenIteratesOutcome, Eigenvalue, FrobeniusOutcome, Iterate, Measurement,
    SamBoundOutcome, TraceOutcome,
};
use sharpness_training::optimizers::{
    AdamConfig, BnStats, Cosine, OptimizerConfig, SamConfig, ScheduleConfig, SgdConfig, Step,
};
use sharpness_training::settings::{
    BoundRtol, Cadence, DataConfig, MeasureConfig, ModelConfig, Precision, RunConfig, TrainingConfig,
};
use sharpness_training::{ColumnType, Memory, Outcome, TrackedLambdaMax};

fn eigenvalue(value: f64) -> Eigenvalue {
    Eigenvalue {
        value,
        residual: 0.01,
        lower: Some(value - 0.01),
        lower_failure_probability: Some(0.0),
        upper: Some(value + 1.0),
        upper_failure_probability: Some(0.01),
        interval: Some([value - 0.01, value + 0.01]),
        products: 20,
        converged: true,
        certified: true,
    }
}

/// A report in which nothing is missing. Nothing is filled in from defaults, so that a new value cannot be forgotten here.
fn full() -> Report {
    let config = RunConfig {
        seed: 3,
        precision: Precision::F32,
        convolution: ConvolutionAlgorithm::Direct,
        data: DataConfig {
            name: DatasetName::Digits,
            standardize: Standardization::Pixel,
            train_examples: Some(100),
            seed: 0,
        },
        model: ModelConfig {
            arch: Architecture::Mlp,
            activation: Activation::Relu,
            hidden: vec![16, 8],
            dropout: 0.0,
            width_divisor: 1,
        },
        training: TrainingConfig {
            loss: Loss::SoftmaxCrossEntropy,
            learning_rate: 1.0,
            batch_size: 10,
            micro_batch_size: 10,
            optimizer: OptimizerConfig::Sgd(SgdConfig { momentum: 0.0, nesterov: false, weight_decay: 0.0 }),
            schedule: ScheduleConfig::default(),
            warmup_steps: 0,
            sam: Some(SamConfig { rho: 0.1, adaptive: false, m: Some(5), bn_stats: BnStats::First }),
            target_accuracy: 1.0,
            max_epochs: 10,
            through_training: Some(0.1),
            through_every: Some(Cadence::Epochs(2)),
            through_measures: vec!["trace".to_owned()],
        },
        measure: MeasureConfig {
            examples: 100,
            subset: Subset::Every,
            bn: BatchNorm::Batch,
            chunk: Some(100),
            top_k: 2,
            rtol: 1e-3,
            bound_rtol: BoundRtol(Some(0.1)),
            max_products: 500,
            asked: asked(),
        },
    };
    let Identity { training: training_id, run: id } = Identity::of(&config).unwrap();
    Report { id, training_id, config, training: training(), measurement: Some(measurement()) }
}

/// Every measure.
fn asked() -> BTreeMap<String, toml::Value> {
    [
        ("lambda_min", true.into()),
        ("between_iterates", true.into()),
        ("trace", toml::Value::from(10)),
        ("frobenius", toml::Value::from(10)),
        ("sam_bound", 0.05.into()),
        ("effective_rank", toml::Value::from(10)),
        ("diagonal", toml::Value::from(10)),
        ("per_layer", "*".into()),
        ("density", toml::Value::from(5)),
        ("gradient_overlap", true.into()),
        ("gauss_newton", toml::Value::from(10)),
        ("empirical_fisher", toml::Value::from(10)),
        ("monte_carlo_fisher", toml::Value::from(10)),
        ("adaptive_hessian", toml::Value::from(10)),
        ("adam_sharpness", true.into()),
        ("batch_sharpness", toml::Value::from(5)),
        ("relative_flatness", "*".into()),
        ("fisher_rao", true.into()),
        ("foret", 0.05.into()),
        ("m_sharpness", toml::Value::from(128)),
        ("first_order_flatness", 0.05.into()),
        ("adaptive_worst", toml::Value::from(20)),
        ("adaptive_average", toml::Value::from(20)),
        ("pac_bayes", toml::Value::from(10)),
        ("local_volume", toml::Value::from(20)),
        ("critical_step_size", 0.01.into()),
    ]
    .map(|(name, asked)| (name.to_owned(), asked))
    .into()
}

fn training() -> TrainReport {
    let step = TrackedLambdaMax {
        step: 0,
        value: 1.0,
        residual: 0.1,
        products: 3,
        converged: true,
        loss: None,
        gradient_norm: None,
        overlap: None,
        outcomes: Default::default(),
    };
    TrainReport {
        outcome: Outcome::Converged,
        epochs: 5,
        steps: 50,
        train_accuracy: Some(1.0),
        train_loss: Some(0.1),
        test_accuracy: Some(0.9),
        test_loss: Some(0.2),
        last_batch_loss: Some(0.1),
        seconds: 2.0,
        parameters: 1000,
        train_examples: 100,
        test_examples: 50,
        lambda_max: vec![step],
    }
}

fn measurement() -> Measurement {
    let point = Iterate { t: 0.0, lambda_max: 5.0, residual: 0.1, loss: 0.1, products: 9, converged: true };
    let trace = TraceOutcome { value: 9.0, standard_error: 0.1, probes: 10 };
    let frobenius = FrobeniusOutcome { value: 4.0, standard_error: 0.1, probes: 10 };
    let sam_bound = SamBoundOutcome {
        rho: 0.05,
        maximum: 1.0,
        bound: 2.0,
        refuted: false,
        tightness: Some(0.5),
        gradients: 9,
    };
    let between_iterates = BetweenIteratesOutcome { points: vec![point], maximum: 5.0, at: 0.0 };
    Measurement {
        loss: 0.1,
        accuracy: 1.0,
        gradient_norm: 0.5,
        parameter_norm: Some(2.0),
        examples: 100,
        subset: Subset::Every,
        batch_norm: "none".to_owned(),
        batch_norm_chunk: Some(100),
        precision: "f32".to_owned(),
        parameters: 1000,
        lambda_max: eigenvalue(5.0),
        top: vec![eigenvalue(5.0), eigenvalue(4.0)],
        chunks: 1,
        cached_chunks: 1,
        ranks: 2,
        memory: Memory { predicted_bytes: 3, operator_bytes: 2, solver_bytes: 1 },
        seconds: 1.0,
        costs: Default::default(),
        vectors: Vec::new(),
        outcomes: [
            ("lambda_min", serde_json::to_value(eigenvalue(-1.0))),
            ("trace", serde_json::to_value(trace)),
            ("frobenius", serde_json::to_value(frobenius)),
            ("sam_bound", serde_json::to_value(sam_bound)),
            ("between_iterates", serde_json::to_value(between_iterates)),
        ]
        .map(|(name, outcome)| (name.to_owned(), outcome.unwrap()))
        .into_iter()
        .chain(moving_the_weights())
        .chain(of_other_matrices())
        .collect(),
    }
}

/// The outcomes of the measures of other matrices, layers, densities, batches and norms.
fn of_other_matrices() -> Vec<(String, Value)> {
    let estimate = serde_json::json!({ "value": 1.0, "standard_error": 0.1 });
    let trace = serde_json::json!({ "value": 9.0, "standard_error": 0.1, "probes": 10 });
    let spectrum =
        serde_json::json!({ "lambda_max": eigenvalue(5.0), "top": [eigenvalue(5.0)], "trace": trace });
    let mut adam = serde_json::to_value(eigenvalue(5.0)).unwrap();
    adam["edge_of_stability"] = 38.0.into();
    let outcomes = serde_json::json!({
        "effective_rank": { "trace": estimate, "frobenius": estimate },
        "diagonal": { "norm": 1.0, "error_norm": 0.1, "negative_share": 0.2, "probes": 10 },
        "per_layer": {
            "layers": [{ "name": "fc1", "parameters": 9, "lambda_max": eigenvalue(3.0), "trace": trace }],
            "maximum": 3.0,
        },
        "density": {
            "probes": [[[1.0, 1.0]]], "steps": 1, "products": 1, "range": [1.0, 1.0],
            "trace": estimate, "frobenius": estimate, "negative_share": estimate,
        },
        "gradient_overlap": { "shares": [0.5], "total": 0.5 },
        "gauss_newton": spectrum,
        "empirical_fisher": spectrum,
        "monte_carlo_fisher": spectrum,
        "adaptive_hessian": spectrum,
        "adam_sharpness": adam,
        "batch_sharpness": {
            "value": 1.0, "standard_error": 0.1, "noise": estimate, "noise_scale": estimate,
            "batch_size": 10, "batches": 5,
        },
        "relative_flatness": { "layer": "fc3.weight", "value": 1.0, "standard_error": 0.1, "probes": 10 },
        "fisher_rao": { "value": 1.0, "empirical": 2.0 },
    });
    outcomes.as_object().unwrap().clone().into_iter().collect()
}

/// The outcomes of the measures that move the weights.
fn moving_the_weights() -> Vec<(String, Value)> {
    let point = AdaptivePoint { rho: 0.5, value: Some(0.1), standard_error: None, accuracy_drop: Some(0.2) };
    let adaptive = serde_json::json!({
        "l2": [point], "linf": [point], "examples": 9,
        "l2_smallest_rho": 0.1, "l2_largest_rho": 0.2, "linf_smallest_rho": 0.1, "linf_largest_rho": 0.2,
    });
    let outcomes = serde_json::json!({
        "foret": { "rho": 0.05, "value": 0.1, "second_order": 0.2, "gradients": 9 },
        "m_sharpness": { "rho": 0.05, "m": 9, "groups": 2, "value": 0.1, "standard_error": 0.01 },
        "first_order_flatness": { "rho": 0.05, "value": 0.1, "gradients": 9 },
        "adaptive_worst": adaptive,
        "adaptive_average": adaptive,
        "pac_bayes": {
            "sigma": 0.5, "sigma_interval": [0.4, 0.6], "value": 4.5, "magnitude_sigma": 0.5,
            "magnitude_interval": [0.4, 0.6], "magnitude_value": 4.5, "passes": 9,
        },
        "local_volume": {
            "value": 9.5, "standard_error": 0.1, "effective_directions": 1.5, "typical": 9.6,
            "typical_standard_error": 0.1, "radius": 0.5, "directions": 9, "passes": 99,
        },
        "critical_step_size": {
            "step_size": 0.5, "interval": [0.4, 0.6], "value": 4.5, "value_interval": [3.5, 5.5],
            "resolved": true, "passes": 9,
        },
    });
    outcomes.as_object().unwrap().clone().into_iter().collect()
}

/// The report of a run that diverged in its first step: most of its values are missing.
fn diverged() -> Report {
    let mut report = full();
    report.config.training.sam = None;
    report.config.data.train_examples = None;
    report.training = TrainReport {
        outcome: Outcome::Diverged,
        train_accuracy: None,
        train_loss: None,
        test_accuracy: None,
        test_loss: None,
        last_batch_loss: None,
        lambda_max: Vec::new(),
        ..report.training
    };
    report.measurement = None;
    report
}

fn column(name: &str) -> usize {
    RunTable::columns().iter().position(|(column, _)| column == name).unwrap()
}

fn read(reports: &[Report]) -> SerializedFileReader<bytes::Bytes> {
    let file = RunTable::new(reports).unwrap().parquet().unwrap();
    SerializedFileReader::new(bytes::Bytes::from(file)).unwrap()
}

/// The names and types of the columns of a Parquet file.
fn schema(reports: &[Report]) -> Vec<(String, Physical)> {
    let file = read(reports);
    let columns = file.metadata().file_metadata().schema_descr().columns().to_vec();
    columns.iter().map(|column| (column.name().to_owned(), column.physical_type())).collect()
}

#[test]
fn every_value_of_a_report_has_a_column_that_fits_it() {
    // No run has the settings of two kinds.
    let other = |optimizer, schedule| {
        let mut report = full();
        (report.config.training.optimizer, report.config.training.schedule) = (optimizer, schedule);
        report
    };
    let adam = || OptimizerConfig::Adam(AdamConfig::default());
    let step = other(adam(), ScheduleConfig::Step(Step::default()));
    let cosine = other(adam(), ScheduleConfig::Cosine(Cosine::default()));
    let mut table = RunTable::new(&[step, cosine]).unwrap();
    let start = Start { commit: Some("c0ffee".to_owned()), ranks: 2, ..Start::now() };
    let start = Start { host: Some("host".to_owned()), processor: Some("a processor".to_owned()), ..start };
    table.push(&full(), Some(&start)).unwrap();
    for (index, (name, kind)) in RunTable::columns().iter().enumerate() {
        let cell = table.rows.iter().map(|row| &row[index]).find(|cell| !cell.is_null());
        let cell = cell.unwrap_or_else(|| panic!("no report has a value for {name}"));
        let fits = match kind {
            ColumnType::Integer => cell.is_i64(),
            ColumnType::Double => cell.is_f64(),
            ColumnType::Boolean => cell.is_boolean(),
            // --bound-rtol is a number or `off`.
            ColumnType::Text if name == "config.measure.bound_rtol" => cell.is_string() || cell.is_number(),
            ColumnType::Text => cell.is_string() || cell.is_array(),
        };
        assert!(fits, "the column {name} of type {kind:?} has {cell}");
    }
}

#[test]
fn the_types_of_columns_do_not_depend_on_the_runs() {
    let full = full();
    let expected = schema(std::slice::from_ref(&full));
    for (reports, which) in
        [(vec![diverged()], "one that diverged"), (vec![], "none"), (vec![full, diverged()], "both")]
    {
        assert_eq!(schema(&reports), expected, "the columns of the table of {which}");
    }
    let kind = |name: &str| expected[column(name)].1;
    assert_eq!(kind("training.train_loss"), Physical::DOUBLE, "a loss is a number in double precision");
    assert_eq!(kind("config.training.learning_rate"), Physical::DOUBLE, "also where all are whole");
    assert_eq!(kind("config.data.train_examples"), Physical::INT64, "a count is a whole number");
}

#[test]
fn a_parquet_file_holds_every_value_and_nulls() {
    let file = read(&[full(), diverged()]);
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2, "a row for each run");
    let (first, second) = (&rows[0], &rows[1]);
    assert_eq!(*first.get_string(column("id")).unwrap(), full().id, "the name of the run");
    assert_eq!(first.get_string(column("config.model.hidden")).unwrap(), "[16,8]", "lists are JSON");
    assert_eq!(second.get_long(column("config.seed")).unwrap(), 3, "whole numbers");
    assert!(first.get_bool(column("measurement.lambda_min.converged")).unwrap(), "truth values");
    let lambda_max = first.get_double(column("measurement.lambda_max.value")).unwrap();
    assert!((lambda_max - 5.0).abs() < f64::EPSILON, "numbers, not {lambda_max}");
    for name in ["training.train_loss", "measurement.lambda_max.value", "config.training.sam.rho"] {
        assert!(second.get_double(column(name)).is_err(), "{name} of a run that has none is null");
    }
    assert_eq!(read(&[]).get_row_iter(None).unwrap().count(), 0, "no runs are no rows");
}

#[test]
fn no_run_is_named_like_a_number() {
    let table = RunTable::new(&[full(), diverged()]).unwrap();
    let names: Vec<&Value> = table.rows.iter().map(|row| &row[0]).collect();
    for name in names {
        let name = name.as_str().unwrap();
        assert!(name.starts_with('r') && name.len() == 17, "a letter and 16 digits: {name}");
        assert!(name.parse::<f64>().is_err(), "{name} is a number");
    }
}

/// Whether a setting is a number or a word does not depend on the kind of the file.
#[test]
fn a_table_that_is_read_again_has_the_cells_that_were_written() {
    let mut off = full();
    off.config.measure.bound_rtol = BoundRtol::off();
    let table = RunTable::new(&[full(), off, diverged()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.parquet");
    std::fs::write(&path, table.parquet().unwrap()).unwrap();
    let again = RunTable::read(&path).unwrap();
    let bound = column("config.measure.bound_rtol");
    let bounds: Vec<&Value> = again.rows.iter().map(|row| &row[bound]).collect();
    assert_eq!(bounds, [&Value::from(0.1), &Value::from("off"), &Value::from(0.1)], "a number or a word");
    for (row, written) in again.rows.iter().zip(&table.rows) {
        for (index, (name, _)) in RunTable::columns().iter().enumerate() {
            // Lists are text in a file.
            let written = if written[index].is_array() {
                written[index].to_string().into()
            } else {
                written[index].clone()
            };
            assert_eq!(row[index], written, "{name}");
        }
    }
}

/// Figures drawn from a committed table are those of the store that it was exported from.
#[test]
fn the_reports_of_a_table_are_those_it_was_written_from() {
    let written = [full(), diverged()];
    let table = RunTable::new(&written).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.parquet");
    std::fs::write(&path, table.parquet().unwrap()).unwrap();
    let reports = RunTable::read(&path).unwrap().reports().unwrap();
    assert_eq!(RunTable::new(&reports).unwrap(), table, "no cell is lost");
    for (report, written) in reports.iter().zip(&written) {
        let [read, known] = [report, written].map(|report| Identity::of(&report.config).unwrap());
        assert_eq!(read, known, "the settings are the same");
    }
}
