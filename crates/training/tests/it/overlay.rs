//! Settings over settings: tables with a kind, measures in their short and long forms, errors.

use std::collections::BTreeMap;

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_training::measures::{SamBound, Trace, asked};
use sharpness_training::optimizers::{OptimizerConfig, SgdConfig};
use sharpness_training::settings::RunConfig;
use toml::{Table, Value};

fn base() -> RunConfig {
    RunConfig::new(DatasetName::Digits, Architecture::Mlp)
}

fn over(base: &RunConfig, text: &str) -> RunConfig {
    base.overlaid(&text.parse().unwrap()).unwrap()
}

/// The key and the problem of a table that is refused.
fn refused(text: &str) -> (String, String) {
    base().overlaid(&text.parse().unwrap()).unwrap_err()
}

fn sgd(config: &RunConfig) -> &SgdConfig {
    let OptimizerConfig::Sgd(sgd) = &config.training.optimizer else { panic!("the optimizer is SGD") };
    sgd
}

#[test]
fn what_a_table_leaves_out_stays() {
    let mut config = base();
    (config.seed, config.training.batch_size) = (3, 20);
    let changed = over(&config, "training.learning_rate = 1\nmodel.hidden = [4]");
    assert_eq!((changed.seed, changed.training.batch_size), (3, 20), "what was set before");
    assert!((changed.training.learning_rate - 1.0).abs() < 1e-15, "1 stands for 1.0");
    assert_eq!(changed.model.hidden, [4], "a list is replaced");
    assert_eq!(over(&config, ""), config, "nothing changes nothing");
    let written = Table::try_from(&config).unwrap();
    assert_eq!(base().overlaid(&written).unwrap(), config, "a configuration that is written and read");
}

#[test]
fn a_table_of_the_same_kind_adds_to_the_settings() {
    let config = over(&base(), "training.optimizer = { momentum = 0.9 }");
    let expected = SgdConfig { momentum: 0.9, ..SgdConfig::default() };
    assert_eq!(sgd(&config), &expected, "without a name");
    let config = over(&config, "training.optimizer = { name = 'sgd', weight_decay = 0.1 }");
    assert_eq!(sgd(&config), &SgdConfig { weight_decay: 0.1, ..expected.clone() }, "with the same name");
    let config = over(&config, "training.optimizer.nesterov = true");
    assert_eq!(sgd(&config), &SgdConfig { weight_decay: 0.1, nesterov: true, ..expected }, "key by key");
}

#[test]
fn another_data_set_leaves_the_other_settings_of_the_data() {
    let subset = over(&base(), "data = { train_examples = 500, seed = 3, standardize = 'channel' }");
    let other = over(&subset, "data.name = 'mnist'");
    assert_eq!(other.data.name, DatasetName::Mnist, "the data set changes");
    assert_eq!((other.data.train_examples, other.data.seed), (Some(500), 3), "the subset stays");
    assert_eq!(other.data.standardize, subset.data.standardize, "so does the standardization");
}

#[test]
fn an_error_in_a_table_with_a_kind_names_its_key() {
    let (key, problem) = refused("training.optimizer = { name = 'lion', beta = 0.9 }");
    assert_eq!(
        (key.as_str(), problem.as_str()),
        ("training.optimizer.name", "must be one of sgd, adam"),
        "a kind"
    );
    let (key, problem) = refused("training.schedule.name = 3");
    assert_eq!(
        (key.as_str(), problem.as_str()),
        ("training.schedule.name", "must be one of constant, step, cosine"),
        "a type"
    );
    let (key, problem) = refused("training.optimizer.momentum = 2");
    assert_eq!(key, "training.optimizer.momentum", "a range: {problem}");
    assert_eq!(problem, "must be at least 0 and below 1, got 2", "a range");
    let (key, problem) = refused("training.optimizer.moment = 0.9");
    assert_eq!(key, "training.optimizer.moment", "an unknown key: {problem}");
    assert!(problem.contains("momentum") && problem.contains("weight_decay"), "those that it has: {problem}");
    let (key, _) = refused("training.optimizer = 3");
    assert_eq!(key, "training.optimizer", "no table");
}

#[test]
fn an_unknown_key_names_those_that_exist() {
    let (key, problem) = refused("measure.lambda_mid = true");
    assert_eq!(key, "measure.lambda_mid", "a measure: {problem}");
    assert!(
        problem.contains("`lambda_min`") && problem.contains("`sam_bound`"),
        "those that exist: {problem}"
    );
    let (key, problem) = refused("training.learning_rat = 0.1");
    assert_eq!(key, "training.learning_rat", "a setting: {problem}");
    assert!(problem.contains("learning_rate"), "those that exist: {problem}");
    let (key, problem) = refused("measure.trace = { probe = 3 }");
    assert_eq!(key, "measure.trace.probe", "a setting of a measure: {problem}");
    assert!(problem.contains("probes"), "those that it has: {problem}");
    let (key, _) = refused("trainings = 3");
    assert_eq!(key, "trainings", "a table");
}

fn measures(text: &str) -> BTreeMap<String, Value> {
    over(&base(), text).measure.asked
}

fn of(text: &str) -> BTreeMap<String, Value> {
    text.parse::<Table>().unwrap().into_iter().collect()
}

#[test]
fn a_measure_has_a_short_and_a_long_form() {
    let trace = of("trace = { method = 'hutchinson', probes = 7 }");
    for text in ["measure.trace = 7", "[measure.trace]\nprobes = 7\n", "measure = { trace = { probes = 7 } }"]
    {
        assert_eq!(measures(text), trace, "{text}");
    }
    assert_eq!(
        measures("measure.trace = true"),
        of("trace = { method = 'hutchinson', probes = 100 }"),
        "the default is filled in"
    );
    assert_eq!(
        measures("[measure.trace]"),
        of("trace = { method = 'hutchinson', probes = 100 }"),
        "in an empty table too"
    );
    assert_eq!(measures("measure.sam_bound = 0.1"), of("sam_bound = { rho = 0.1 }"), "a radius");
    assert_eq!(measures("measure.sam_bound = 1"), of("sam_bound = { rho = 1.0 }"), "1 stands for 1.0");
    let switch = of("lambda_min = true");
    for text in ["measure.lambda_min = true", "[measure.lambda_min]"] {
        assert_eq!(measures(text), switch, "a measure without settings: {text}");
    }
    assert_eq!(measures("measure = { trace = false, lambda_min = false }"), of(""), "what is not asked for");
    assert_eq!(refused("measure.lambda_min = 3").0, "measure.lambda_min", "no number is a switch");
    let (key, problem) = refused("measure.trace.probes = 1");
    assert_eq!(
        (key.as_str(), problem.as_str()),
        ("measure.trace.probes", "must be at least 2, got 1"),
        "a range"
    );
}

#[test]
fn measures_lie_over_each_other_by_name() {
    let both = over(&base(), "measure = { trace = 7, lambda_min = true }");
    let changed = over(&both, "measure.trace = 9");
    assert_eq!(
        changed.measure.asked,
        of("trace = { method = 'hutchinson', probes = 9 }\nlambda_min = true"),
        "one changes"
    );
    let changed = over(&both, "measure.lambda_min = false");
    assert_eq!(changed.measure.asked, of("trace = { method = 'hutchinson', probes = 7 }"), "one is left out");
    assert_eq!(over(&both, "[measure.trace]").measure.asked, both.measure.asked, "a table adds to a table");
}

#[test]
fn programs_ask_in_either_form() {
    let ask = |name: &str, value: Value| BTreeMap::from([(name.to_owned(), value)]);
    assert_eq!(
        asked::<Trace>(&ask("trace", 7.into())),
        Ok(Some(Trace { probes: 7, ..Trace::default() })),
        "the main setting"
    );
    assert_eq!(asked::<Trace>(&ask("trace", true.into())), Ok(Some(Trace::default())), "the default");
    assert_eq!(asked::<Trace>(&ask("trace", false.into())), Ok(None), "off");
    assert_eq!(asked::<Trace>(&ask("sam_bound", 0.1.into())), Ok(None), "another measure");
    assert_eq!(asked::<SamBound>(&ask("sam_bound", 0.1.into())), Ok(Some(SamBound { rho: 0.1 })), "a radius");
}

#[test]
fn a_table_without_a_network_or_data_is_no_configuration() {
    let of = |text: &str| RunConfig::of_table(text.parse().unwrap());
    let whole = "model.arch = 'cnn'\ndata.name = 'mnist'\n";
    assert_eq!(
        of(whole).unwrap(),
        RunConfig::new(DatasetName::Mnist, Architecture::Cnn),
        "the rest is default"
    );
    let missing = |key: &str| Err((key.to_owned(), "is missing".to_owned()));
    assert_eq!(of("data.name = 'mnist'"), missing("model.arch"), "no network");
    assert_eq!(of("model.arch = 'cnn'"), missing("data.name"), "no data");
}
