//! A setting has one range: flags and files accept the same values, with the same message.

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_training::flags::command;
use sharpness_training::settings::RunConfig;

fn base() -> RunConfig {
    RunConfig::new(DatasetName::Digits, Architecture::Mlp)
}

/// A flag, a key and a value outside of the range, and the message.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("--lr <ETA>", "training.learning_rate", "-1", "must be a finite number above 0, got -1"),
    ("--lr <ETA>", "training.learning_rate", "0", "must be a finite number above 0, got 0"),
    ("--lr <ETA>", "training.learning_rate", "inf", "must be a finite number above 0, got inf"),
    ("--lr <ETA>", "training.learning_rate", "nan", "must be a finite number above 0, got NaN"),
    ("--sam-rho <RHO>", "training.sam.rho", "-0.5", "must be a finite number, at least 0, got -0.5"),
    (
        "--weight-decay <FACTOR>",
        "training.optimizer.weight_decay",
        "inf",
        "must be a finite number, at least 0, got inf",
    ),
    ("--momentum <M>", "training.optimizer.momentum", "1", "must be at least 0 and below 1, got 1"),
    ("--dropout <P>", "model.dropout", "1.5", "must be at least 0 and below 1, got 1.5"),
    ("--target-accuracy <A>", "training.target_accuracy", "99", "must be above 0 and at most 1, got 99"),
    ("--target-accuracy <A>", "training.target_accuracy", "0", "must be above 0 and at most 1, got 0"),
    ("--rtol <R>", "measure.rtol", "1", "must be above 0 and below 1, got 1"),
    ("--bound-rtol <R|off>", "measure.bound_rtol", "0", "must be above 0 and below 1, got 0"),
    ("--through-training <TOL>", "training.through_training", "1", "must be above 0 and below 1, got 1"),
    ("--batch-size <B>", "training.batch_size", "0", "must be at least 1, got 0"),
    ("--train-examples <N>", "data.train_examples", "0", "must be at least 1, got 0"),
    ("--sam-m <M>", "training.sam.m", "0", "must be at least 1, got 0"),
    ("--max-epochs <N>", "training.max_epochs", "0", "must be at least 1, got 0"),
    ("--trace[=<PROBES>]", "measure.trace", "1", "must be at least 2, got 1"),
    ("--sam-bound <RHO>", "measure.sam_bound", "0.0", "must be a finite number above 0, got 0"),
    ("--foret[=<RHO>]", "measure.foret", "0.0", "must be a finite number above 0, got 0"),
    ("--m-sharpness[=<M>]", "measure.m_sharpness", "0", "must be at least 1, got 0"),
    ("--pac-bayes[=<DRAWS>]", "measure.pac_bayes", "1", "must be at least 2, got 1"),
    (
        "--critical-step-size[=<RTOL>]",
        "measure.critical_step_size",
        "1.0",
        "must be above 0 and below 1, got 1",
    ),
];

#[test]
fn a_flag_and_a_file_refuse_a_value_with_the_same_message() {
    for (flag, key, value, message) in REFUSED {
        let name = flag.split([' ', '[']).next().unwrap();
        let error = command().try_get_matches_from([format!("{name}={value}")]).unwrap_err().to_string();
        let expected = format!("invalid value '{value}' for '{flag}': {message}");
        assert!(error.contains(&expected), "{expected:?} is not in {error:?}");
        let (found, problem) = base().overlaid(&format!("{key} = {value}").parse().unwrap()).unwrap_err();
        assert!(found.starts_with(key), "{key}: the key is {found}");
        assert_eq!(problem, *message, "{key} = {value}");
    }
}

#[test]
fn a_list_is_checked_number_by_number() {
    let error = command().try_get_matches_from(["--hidden=4,0"]).unwrap_err().to_string();
    assert!(
        error.contains("invalid value '0' for '--hidden <W,W,...>': must be at least 1, got 0"),
        "{error}"
    );
    let refused = base().overlaid(&"model.hidden = [4, 0]".parse().unwrap()).unwrap_err();
    assert_eq!(refused, ("model.hidden".to_owned(), "must be at least 1, got 0".to_owned()), "in a file");
}

#[test]
fn the_ends_of_ranges_are_accepted() {
    for (flag, key, value) in [
        ("--lr", "training.learning_rate", "1e300"),
        ("--sam-rho", "training.sam.rho", "0"),
        ("--momentum", "training.optimizer.momentum", "0"),
        ("--weight-decay", "training.optimizer.weight_decay", "0"),
        ("--target-accuracy", "training.target_accuracy", "1"),
        ("--batch-size", "training.batch_size", "1"),
        ("--max-epochs", "training.max_epochs", "4294967295"),
        ("--seed", "seed", "9223372036854775807"),
        ("--trace", "measure.trace", "2"),
    ] {
        command().try_get_matches_from([format!("{flag}={value}")]).unwrap();
        base().overlaid(&format!("{key} = {value}").parse().unwrap()).unwrap();
    }
}

#[test]
fn text_in_place_of_a_number_is_told() {
    for (flag, message) in [
        ("--lr=fast", "expected a number, got 'fast'"),
        ("--batch-size=-1", "expected a whole number, got '-1'"),
        ("--max-epochs=4294967296", "expected a whole number, got '4294967296'"),
        ("--seed=9223372036854775808", "must be at most 9223372036854775807, got 9223372036854775808"),
        ("--bound-rtol=on", "expected a number below 1, such as 0.1, or `off`"),
    ] {
        let error = command().try_get_matches_from([flag]).unwrap_err().to_string();
        assert!(error.contains(message), "{message:?} is not in {error:?}");
    }
}
