//! A setting has one range: flags and files accept the same values, with the same message.

use sharpness_data::DatasetName;
use sharpness_network::models::Architecture;
use sharpness_training::flags::command;
use sharpness_training::settings::RunConfig;

fn base() -> RunConfig {
    RunConfig::new(DatasetName::Digits, Architecture::Mlp)
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
