//! Recipes: which runs they ask for, and what they say of mistakes.

use std::path::Path;

use sharpness_data::DatasetName;
use sharpness_network::architectures::Architecture;
use sharpness_runs::{Error, Filter, Identity, Plan};
use sharpness_training::optimizers::{OptimizerConfig, SgdConfig};
use sharpness_training::settings::RunConfig;

const HEAD: &str = "fixed = { arch = \"mlp\", data.name = \"digits\" }\n";

fn parse(text: &str) -> Result<Plan, Error> {
    Plan::parse(Path::new("recipe.toml"), text)
}

fn labels(text: &str) -> Vec<String> {
    parse(text).unwrap().runs.iter().map(|run| format!("{}: {}", run.block, run.label())).collect()
}

/// The run that `train` makes with the same settings.
fn by_hand(change: impl FnOnce(&mut RunConfig)) -> Identity {
    let mut config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    change(&mut config);
    config.training.micro_batch_size = config.training.micro_batch_size.min(config.training.batch_size);
    config.measure.examples = config.measure.examples.min(1442);
    Identity::of(&config).unwrap()
}

#[test]
fn a_grid_has_every_combination_and_seeds_change_fastest() {
    let text = format!("seeds = [0, 1]\n{HEAD}[grid]\nlearning_rate = [0.1, 0.2]\n");
    let expected = [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)];
    let runs = parse(&text).unwrap().runs;
    assert_eq!(runs.len(), expected.len(), "two step sizes and two seeds");
    for (run, (learning_rate, seed)) in runs.iter().zip(expected) {
        let id = by_hand(|config| (config.training.learning_rate, config.seed) = (learning_rate, seed));
        assert_eq!(run.identity, id, "η = {learning_rate}, seed {seed} is the run that `train` makes");
        assert_eq!(run.label(), format!("learning_rate={learning_rate} seed={seed}"), "the label");
    }
}

#[test]
fn blocks_have_settings_of_their_own_on_top_of_the_recipe() {
    let text = format!(
        "title = \"Two regimes\"\n{HEAD}grid = {{ batch_size = [10, 20] }}\n\
         [[block]]\nname = \"plain\"\n\
         [[block]]\nname = \"one size\"\nfixed = {{ batch_size = 30 }}\n\
         [[block]]\nzip = {{ learning_rate = [0.1, 0.2], dropout = [0.3, 0.4] }}\nfixed = {{ batch_size = 5 }}\n"
    );
    let expected = [
        "plain: batch_size=10",
        "plain: batch_size=20",
        "one size: ",
        "block 3: dropout=0.3 learning_rate=0.1",
        "block 3: dropout=0.4 learning_rate=0.2",
    ];
    assert_eq!(labels(&text), expected, "the runs of three blocks");
    assert_eq!(parse(&text).unwrap().title, "Two regimes", "the title");
}

#[test]
fn a_run_that_is_asked_for_twice_counts_once() {
    let text = format!(
        "seeds = [0, 0, 1]\n{HEAD}[[block]]\ngrid = {{ learning_rate = [0.1, 1e-1, 0.10] }}\n\
         [[block]]\ngrid = {{ learning_rate = [0.1, 1] }}\n[[block]]\ngrid = {{ learning_rate = [1.0] }}\n"
    );
    let plan = parse(&text).unwrap();
    let of_block = |name: &str| plan.runs.iter().filter(|run| run.block == name).count();
    assert_eq!(
        ["block 1", "block 2", "block 3"].map(of_block),
        [2, 4, 2],
        "two seeds of each step size of a block"
    );
    assert_eq!(plan.distinct().count(), 4, "two step sizes and two seeds, whichever block asks for them");
}

#[test]
fn a_ratio_gives_the_setting_that_is_missing() {
    let grid = "grid = { learning_rate = [0.005, 0.01, 0.025] }\n";
    let text = format!("{HEAD}{grid}derive = {{ \"batch_size / learning_rate\" = [20000, 10000] }}\n");
    let sizes: Vec<usize> =
        parse(&text).unwrap().runs.iter().map(|run| run.config.training.batch_size).collect();
    assert_eq!(sizes, [100, 200, 500, 50, 100, 250], "batch sizes of one ratio after the other");
    let text =
        format!("{HEAD}[grid]\nbatch_size = [100, 300]\n[derive]\n\"batch_size / learning_rate\" = 10000\n");
    let runs = parse(&text).unwrap().runs;
    let id = by_hand(|config| (config.training.batch_size, config.training.learning_rate) = (300, 0.03));
    assert_eq!(runs[1].identity, id, "a derived number is the same run as a written one");
}

#[test]
fn settings_may_be_named_whole_and_nested() {
    let text = "[fixed]\nmodel.arch = \"mlp\"\n\"data.name\" = \"digits\"\ntraining.sam.rho = 0.1\n\
                [fixed.measure]\nexamples = 100\nrtol = 1e-2\n";
    let runs = parse(text).unwrap().runs;
    assert_eq!(
        runs[0].config.training.sam.as_ref().map(|sam| sam.rho),
        Some(0.1),
        "a key of a table in a table"
    );
    assert_eq!(runs[0].config.measure.examples, 100, "a number that was asked for");
    assert_eq!(runs[0].label(), "", "nothing changes");
}

#[test]
fn settings_may_be_named_as_older_versions_named_them() {
    let sgd = SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 1e-4 };
    let expected = by_hand(|config| config.training.optimizer = OptimizerConfig::Sgd(sgd));
    for settings in [
        "momentum = 0.9\nnesterov = true\nweight_decay = 1e-4\n",
        "training.momentum = 0.9\ntraining.nesterov = true\ntraining.weight_decay = 1e-4\n",
        "[fixed.training]\nmomentum = 0.9\nnesterov = true\nweight_decay = 1e-4\n",
        "[fixed.training.optimizer]\nname = \"sgd\"\nmomentum = 0.9\nnesterov = true\nweight_decay = 1e-4\n",
        "optimizer = \"sgd\"\nmomentum = 0.9\nnesterov = true\nweight_decay = 1e-4\n",
    ] {
        let text = format!("[fixed]\narch = \"mlp\"\ndata.name = \"digits\"\n{settings}");
        assert_eq!(parse(&text).unwrap().runs[0].identity, expected, "{text}");
    }
    let tracked = by_hand(|config| config.training.through_training = Some(0.01));
    for key in ["through_training", "measure.through_training", "training.through_training"] {
        let text = format!("[fixed]\narch = \"mlp\"\ndata.name = \"digits\"\n{key} = 0.01\n");
        assert_eq!(parse(&text).unwrap().runs[0].identity, tracked, "{text}");
    }
}

#[test]
fn a_short_key_that_could_be_several_is_refused_with_all_of_them() {
    // λ_max and SAM's bound have a radius each, data and runs a seed, and data sets and optimizers a name.
    for (key, value, candidates) in AMBIGUOUS {
        let text = format!("{HEAD}[grid]\n{key} = [{value}]\n");
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.starts_with("recipe.toml, line 3: "), "{message}");
        assert!(message.contains(&format!("'{key}' is ambiguous")), "{message}");
        for candidate in *candidates {
            assert!(message.contains(candidate), "{candidate} is not offered: {message}");
        }
        for candidate in *candidates {
            let text = format!("{HEAD}[grid]\n{candidate} = [{value}]\n");
            let message = parse(&text).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(!message.contains("ambiguous"), "{candidate} is one key: {message}");
        }
    }
    for (key, whole) in [("rho", "training.sam.rho"), ("seed", "seed"), ("trace", "measure.trace")] {
        let setting = &parse(&format!("{HEAD}[grid]\n{key} = [2]\n")).unwrap().runs[0].settings[0];
        assert_eq!(setting.0, whole, "{key} has one meaning");
    }
}

/// Short keys, a value, and what they could be.
const AMBIGUOUS: &[(&str, &str, &[&str])] =
    &[("name", "\"sgd\"", &["data.name", "training.optimizer.name", "training.schedule.name"])];

#[test]
fn mistakes_are_told_with_file_line_and_what_would_be_right() {
    let ratio = "derive = { \"batch_size / learning_rate\" = 20000 }\n";
    let cases = [
        (format!("{HEAD}[grid\n"), 2, "invalid TOML"),
        (format!("{HEAD}[grid]\nlearning_rat = [1]\n"), 3, "did you mean 'learning_rate'"),
        (format!("{HEAD}[gird]\nlearning_rate = [1]\n"), 2, "did you mean 'grid'"),
        (format!("batch_size = 10\n{HEAD}"), 1, "move it to [fixed]"),
        (format!("{HEAD}[grid]\nlearning_rate = 0.1\n"), 3, "must be a list"),
        (format!("{HEAD}[grid]\nlearning_rate = [0.1, \"fast\"]\n"), 3, "expected f64"),
        (format!("{HEAD}[grid]\nlearning_rate = [0.1, -1]\n"), 3, "above 0"),
        (format!("{HEAD}\n\n[grid]\nbatch_size = [100, 5000]\n"), 5, "at most the 1442 examples"),
        (format!("{HEAD}zip = {{ learning_rate = [1, 2], batch_size = [1] }}\n"), 2, "the same length"),
        ("fixed = { data.name = \"digits\" }\n".to_owned(), 1, "lack model.arch"),
        (format!("{HEAD}seeds = 3\n"), 2, "list of whole numbers"),
        (format!("{HEAD}{ratio}"), 2, "one of training.batch_size and training.learning_rate must be given"),
        (format!("{HEAD}grid = {{ batch_size = [1], learning_rate = [1] }}\n{ratio}"), 3, "both given"),
        (format!("{HEAD}grid = {{ learning_rate = [1e-6] }}\n{ratio}"), 3, "not a whole number"),
        (format!("{HEAD}derive = {{ \"batch_size\" = 1 }}\n"), 2, "is not a ratio of two settings"),
        (format!("{HEAD}seeds = [1]\ngrid = {{ seed = [2] }}\n"), 2, "given twice"),
        (
            format!(
                "{HEAD}zip = {{ learning_rate = [1], dropout = [0.1] }}\n[[block]]\nfixed = {{ dropout = 0.2 }}\n"
            ),
            3,
            "give both or neither",
        ),
        (format!("{HEAD}block = 1\n"), 2, "write [[block]]"),
        (format!("title = \"a\\u001b[2J\"\n{HEAD}"), 1, "title contains the character U+001B"),
        (format!("{HEAD}[[block]]\nname = \"a\\u0000\"\n"), 3, "name contains the character U+0000"),
        (format!("{HEAD}[[block]]\npanel = \"a\\u202e\"\n"), 3, "panel contains the character U+202E"),
        (format!("{HEAD}[[block]]\nname = \"a\\uffff\"\n"), 3, "name contains the character U+FFFF"),
        (format!("{HEAD}[figure]\nnote = \"a\\u0085\"\n"), 2, "figure contains the character U+0085"),
        (format!("{HEAD}grid.examples = [10, 1443]\n"), 2, "must be at most 1442"),
        (format!("{HEAD}grid.hidden = [[4], [0]]\n"), 2, "model.hidden: must be at least 1, got 0"),
        (format!("{HEAD}grid.hidden = [[4], [-4]]\n"), 2, "model.hidden"),
        (format!("{HEAD}grid.dropout = [0, 1]\n"), 2, "below 1"),
        (format!("{HEAD}grid.top_k = [1, 100000000]\n"), 2, "the number of parameters"),
        ("[fixed]\narch = \"vgg11\"\ndata.name = \"digits\"\n".to_owned(), 3, "at least 32x32"),
    ];
    for (text, line, part) in cases {
        let message = parse(&text).unwrap_err().to_string();
        let place = format!("recipe.toml, line {line}: ");
        assert!(message.starts_with(&place), "{text}\nmust be refused at {place}\n{message}");
        assert!(message.contains(part), "{text}\nmust say '{part}':\n{message}");
    }
}

#[test]
fn filters_choose_runs_by_settings() {
    let config = RunConfig::new(DatasetName::Digits, Architecture::Mlp);
    for (text, expected) in [
        ("learning_rate=0.05", true),
        ("training.learning_rate = 5e-2", true),
        ("learning_rate=0.1", false),
        ("arch=mlp", true),
        ("arch=vgg11", false),
        ("batch_size=100", true),
        ("rho=0.1", false),
    ] {
        assert_eq!(Filter::parse(text).unwrap().matches(&config).unwrap(), expected, "{text}");
    }
    for (text, part) in [("learning_rate", "learning_rate=0.1"), ("batchsize=1", "did you mean 'batch_size'")]
    {
        let message = Filter::parse(text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
