//! Flags become settings: those that are given, and no others.

use std::collections::BTreeMap;

use clap::Command;
use clap::error::ErrorKind;
use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_training::ColumnType;
use sharpness_training::flags::{command, flag, given, keys, lookup};
use sharpness_training::measures::{Measure, Visitor, each};
use sharpness_training::settings::RunConfig;
use toml::{Table, Value};

/// The settings that a command line gives.
fn table(flags: &[&str]) -> Table {
    given(&command().try_get_matches_from(flags).unwrap()).unwrap()
}

fn toml(text: &str) -> Table {
    text.parse().unwrap()
}

/// A configuration with these flags over a file.
fn over(file: &str, flags: &[&str]) -> RunConfig {
    let base = RunConfig::new(DatasetName::Digits, Architecture::Mlp).overlaid(&toml(file)).unwrap();
    base.overlaid(&table(flags)).unwrap()
}

#[test]
fn only_flags_that_are_given_are_settings() {
    assert_eq!(table(&[]), Table::new(), "no flag, no setting");
    assert_eq!(table(&["--lr", "0.1"]), toml("training.learning_rate = 0.1"), "one flag");
    assert_eq!(table(&["--lr", "0.05"]), toml("training.learning_rate = 0.05"), "a flag with its default");
    let many = ["--seed=3", "--arch=cnn", "--dataset=mnist", "--bn=running", "--momentum=0.9", "--nesterov"];
    let expected = "seed = 3\nmodel.arch = 'cnn'\ndata.name = 'mnist'\nmeasure.bn = 'running'\n\
        training.optimizer = { momentum = 0.9, nesterov = true }\n";
    assert_eq!(table(&many), toml(expected), "flags of all tables");
    assert_eq!(table(&["--optimizer=sgd"]), toml("training.optimizer.name = 'sgd'"), "the name of a kind");
    assert_eq!(table(&["--nesterov=false"]), toml("training.optimizer.nesterov = false"), "a switch is off");
    assert_eq!(
        table(&["--bound-rtol=off"]),
        toml("measure.bound_rtol = 'off'"),
        "a word in place of a number"
    );
    assert_eq!(table(&["--examples=all"]), toml(&format!("measure.examples = {}", i64::MAX)), "all examples");
}

#[test]
fn a_list_is_one_setting() {
    assert_eq!(table(&["--hidden=64,32,16"]), toml("model.hidden = [64, 32, 16]"), "three widths");
    assert_eq!(table(&["--hidden", "8"]), toml("model.hidden = [8]"), "one width");
    assert_eq!(over("model.hidden = [1, 2, 3]", &["--hidden=5,4"]).model.hidden, [5, 4], "none is left over");
}

#[test]
fn flags_of_sam_fill_in_the_others() {
    assert_eq!(table(&["--sam-rho=0.1"]), toml("training.sam.rho = 0.1"), "the radius");
    assert_eq!(table(&["--asam"]), toml("training.sam.adaptive = true"), "adaptive");
    let sam = over("", &["--asam"]).training.sam.unwrap();
    assert!(sam.adaptive && (sam.rho - 0.05).abs() < 1e-15, "with the default radius: {sam:?}");
    let sam = over("training.sam = { rho = 0.3, m = 5 }", &["--asam"]).training.sam.unwrap();
    assert!(sam.adaptive && sam.m == Some(5) && (sam.rho - 0.3).abs() < 1e-15, "over a file: {sam:?}");
    assert_eq!(over("", &["--lr=0.1"]).training.sam, None, "without a flag there is no SAM");
}

#[test]
fn a_measure_has_a_flag() {
    for (flags, expected) in [
        (&["--trace"][..], "measure.trace = true"),
        (&["--trace=7"], "measure.trace = 7"),
        (&["--trace=false"], "measure.trace = false"),
        (&["--lambda-min"], "measure.lambda_min = true"),
        (&["--lambda-min=false"], "measure.lambda_min = false"),
        (&["--between-iterates"], "measure.between_iterates = true"),
        (&["--sam-bound", "0.1"], "measure.sam_bound = 0.1"),
        (&["--foret=0.1", "--m-sharpness"], "measure.foret = 0.1\nmeasure.m_sharpness = true"),
        (&["--trace=7", "--lambda-min"], "measure.trace = 7\nmeasure.lambda_min = true"),
    ] {
        assert_eq!(table(flags), toml(expected), "{flags:?}");
    }
}

#[test]
fn the_flag_of_a_measure_overrides_a_file() {
    let asked = |file: &str, flags: &[&str]| over(file, flags).measure.asked;
    let of = |text: &str| -> BTreeMap<String, Value> { toml(text).into_iter().collect() };
    let trace = |probes| of(&format!("trace = {{ method = 'hutchinson', probes = {probes} }}"));
    assert_eq!(asked("", &["--trace=7"]), trace(7), "the value is the main setting");
    assert_eq!(asked("measure.trace = 50", &["--trace=7"]), trace(7), "another value");
    assert_eq!(asked("measure.trace = 50", &["--trace=false"]), of(""), "a measure is switched off");
    assert_eq!(asked("measure.trace = 50", &["--lr=1"]), trace(50), "another flag");
    assert_eq!(
        asked("measure.lambda_min = true", &["--lambda-min=false"]),
        of(""),
        "a switch is switched off"
    );
    assert_eq!(asked("measure.lambda_min = true", &[]), of("lambda_min = true"), "without the flag it stays");
}

#[test]
fn wrong_values_of_measures_are_refused() {
    for (flag, problem) in [
        ("--trace=1", "invalid value '1' for '--trace[=<PROBES>]': must be at least 2, got 1"),
        ("--lambda-min=3", "invalid value '3' for '--lambda-min[=<BOOL>]': must be true or false"),
        (
            "--sam-bound=-1",
            "invalid value '-1' for '--sam-bound <RHO>': must be a finite number above 0, got -1",
        ),
    ] {
        let error = command().try_get_matches_from([flag]).unwrap_err();
        assert!(error.to_string().contains(problem), "{flag}: {error}");
    }
    let error = command().try_get_matches_from(["--sam-bound"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue, "a radius is required: {error}");
}

#[test]
fn a_command_may_have_some_of_the_flags() {
    let some = ["measure.rtol", "measure.trace", "model.hidden"];
    let all = command();
    let some = all.get_arguments().filter(|arg| some.contains(&arg.get_id().as_str())).cloned();
    let command = Command::new("some").no_binary_name(true).args(some);
    let matches = command.try_get_matches_from(["--hidden=3,4", "--trace", "--rtol=0.01"]).unwrap();
    let expected = "model.hidden = [3, 4]\nmeasure = { trace = true, rtol = 0.01 }";
    assert_eq!(given(&matches).unwrap(), toml(expected), "those that it has");
}

#[test]
fn every_key_has_a_flag_and_a_type() {
    let keys = keys();
    for (key, expected) in [
        ("seed", ColumnType::Integer),
        ("model.arch", ColumnType::Text),
        ("model.hidden", ColumnType::Text),
        ("model.dropout", ColumnType::Double),
        ("training.max_epochs", ColumnType::Integer),
        ("training.optimizer.name", ColumnType::Text),
        ("training.optimizer.momentum", ColumnType::Double),
        ("training.optimizer.nesterov", ColumnType::Boolean),
        ("training.sam.m", ColumnType::Integer),
        ("measure.trace.probes", ColumnType::Integer),
        ("measure.sam_bound.rho", ColumnType::Double),
        ("measure.lambda_min", ColumnType::Boolean),
    ] {
        assert_eq!(keys.get(key), Some(&expected), "the type of {key}");
    }
    let without: Vec<&String> = keys.keys().filter(|key| flag(key).is_none()).collect();
    assert!(without.is_empty(), "no flag for {without:?}");
    assert_eq!(flag("training.learning_rate").as_deref(), Some("--lr"), "a name of its own");
    assert_eq!(flag("measure.max_products").as_deref(), Some("--max-products"), "the name of its key");
    assert_eq!(flag("measure.trace.probes").as_deref(), Some("--trace"), "that of its measure");
    assert_eq!(flag("measure.nothing"), None, "an unknown key");
}

#[test]
fn the_keys_are_those_of_a_configuration() {
    struct All<'a>(&'a mut BTreeMap<String, Value>);
    impl Visitor for All<'_> {
        fn visit<M: Measure>(&mut self) {
            self.0.insert(M::NAME.to_owned(), true.into());
        }
    }

    let optional = ["--sam-m=5", "--bn-chunk=7", "--train-examples=50", "--through-training=0.1"];
    let tracking = ["--through-every=2 epochs", "--through-measures=trace"];
    let mut config = over("", &[optional.as_slice(), &tracking].concat());
    each(&mut All(&mut config.measure.asked));
    // Unset by default.
    let batch_size = Value::Table(toml("batch_size = 7"));
    config.measure.asked.insert("batch_sharpness".to_owned(), batch_size);
    let written = |table: &str| {
        let laid_over = config.overlaid(&table.parse().unwrap()).unwrap();
        Table::try_from(laid_over).unwrap()
    };
    // No configuration has the settings of two kinds.
    let adam = "training = { optimizer.name = 'adam', schedule.name = 'step' }";
    let written = [written(""), written(adam), written("training.schedule.name = 'cosine'")];
    for key in keys().keys() {
        assert!(
            written.iter().any(|written| lookup(written, key).is_some()),
            "{key} is in none of {written:?}"
        );
    }
}
