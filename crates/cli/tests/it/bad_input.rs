//! Absurd arguments and files that are missing, damaged or hostile: an error that says what to do, never a panic.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{command, ended, run, text};

/// `train` with a small network and these further arguments.
fn train<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--max-epochs", "1"];
    all.extend(arguments);
    all
}

/// `measure` with a small network, weights from `path` and these further arguments.
fn measure<'a>(path: &'a Path, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all =
        vec!["measure", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--weights", text(path)];
    all.extend(arguments);
    all
}

#[test]
fn absurd_arguments_of_training_are_refused() {
    for (arguments, part) in [
        (["--batch-size", "0"], "invalid value '0' for '--batch-size <B>': must be at least 1, got 0"),
        (["--lr", "nan"], "invalid value 'nan' for '--lr <ETA>': must be a finite number above 0, got NaN"),
        (["--lr", "inf"], "invalid value 'inf' for '--lr <ETA>': must be a finite number above 0, got inf"),
        (
            ["--lr", "-0.1"],
            "invalid value '-0.1' for '--lr <ETA>': must be a finite number above 0, got -0.1",
        ),
        (["--lr", "0"], "--lr"),
        (["--lr", "fast"], "--lr"),
        (["--micro-batch-size", "0"], "--micro-batch-size"),
        (["--micro-batch-size", "101"], "--micro-batch-size must be at most the batch size 100, got 101"),
        (
            ["--momentum", "1"],
            "invalid value '1' for '--momentum <M>': must be at least 0 and below 1, got 1",
        ),
        (["--weight-decay", "-1"], "--weight-decay"),
        (["--sam-rho", "-1"], "--sam-rho"),
        (["--sam-m", "3"], "--sam-rho RHO"),
        (
            ["--target-accuracy", "99"],
            "invalid value '99' for '--target-accuracy <A>': must be above 0 and at most 1, got 99",
        ),
        (["--max-epochs", "0"], "--max-epochs"),
        (["--threads", "0"], "--threads must be from 1"),
        (["--threads", "1000000"], "--threads must be from 1"),
        (["--arch", "nothing"], "vgg11"),
        (["--convolution", "fft"], "direct, winograd, auto"),
        (["--dataset", "nothing"], "cifar10"),
        (["--memory", "much"], "4GiB"),
        (["--hidden", "4,x"], "invalid value 'x' for '--hidden <W,W,...>': expected a whole number, got 'x'"),
        (["--checkpoint-epochs", "3"], "--out"),
    ] {
        let mut all = train(&[]);
        // A flag may be given once.
        if let Some(place) = all.iter().position(|argument| *argument == arguments[0]) {
            all.drain(place..place + 2);
        }
        all.extend(arguments);
        run(&all).refuses(2, &[part]);
    }
}

#[test]
fn instructions_that_no_processor_has_are_refused() {
    let mut program = command(&train(&[]));
    program.env("SHARPNESS_ISA", "sse9");
    ended(program).refuses(2, &["SHARPNESS_ISA is `sse9`, but this processor offers:", "portable"]);
}

#[test]
fn an_empty_choice_of_instructions_is_none() {
    let mut program = command(&train(&["--no-measure"]));
    program.env("SHARPNESS_ISA", "");
    ended(program).out_with(4);
}

#[test]
fn absurd_measurements_are_refused() {
    let weights = Path::new("weights.safetensors");
    for (arguments, part) in [
        (["--rtol", "0"], "invalid value '0' for '--rtol <R>': must be above 0 and below 1, got 0"),
        (["--rtol", "-1"], "--rtol"),
        (["--rtol", "nan"], "--rtol"),
        (
            ["--bound-rtol", "-1"],
            "invalid value '-1' for '--bound-rtol <R|off>': must be above 0 and below 1, got -1",
        ),
        (["--bound-rtol", "nan"], "--bound-rtol"),
        (["--rtol", "2"], "invalid value '2' for '--rtol <R>': must be above 0 and below 1, got 2"),
        (
            ["--bound-rtol", "1"],
            "invalid value '1' for '--bound-rtol <R|off>': must be above 0 and below 1, got 1",
        ),
        (["--bound-rtol", "on"], "expected a number below 1, such as 0.1, or `off`"),
        (["--trace=1", "--seed=0"], "invalid value '1' for '--trace[=<PROBES>]': must be at least 2, got 1"),
        (["--trace=many", "--seed=0"], "'--trace[=<PROBES>]': expected a number, got 'many'"),
        (["--sam-bound=far", "--seed=0"], "expected a number, got 'far'"),
        (["--lambda-min=maybe", "--seed=0"], "must be true or false"),
        (["--examples", "0"], "'0' is not a number of examples"),
        (["--examples", "1443"], "--examples must be at most 1442"),
        (["--bn-chunk", "0"], "--bn-chunk"),
        (["--top-k", "0"], "--top-k"),
        (["--max-products", "0"], "--max-products"),
        (["--match", "luck"], "order"),
    ] {
        run(&measure(weights, &arguments)).refuses(2, &[part]);
    }
    run(&train(&["--examples", "1443"])).refuses(2, &["--examples must be at most 1442"]);
}

#[test]
fn options_that_do_not_fit_the_architecture_are_refused() {
    run(&train(&["--dropout", "1"]))
        .refuses(2, &["invalid value '1' for '--dropout <P>': must be at least 0 and below 1, got 1"]);
    run(&["train", "--arch", "vgg11", "--dataset", "digits"]).refuses(2, &["--dataset", "vgg11", "32x32"]);
    run(&["train", "--dataset", "digits"]).refuses(2, &["--arch"]);
    run(&["train", "--arch", "mlp"]).refuses(2, &["--dataset"]);
    run(&train(&["--train-examples", "1443"])).refuses(2, &["--train-examples must be at most the 1442"]);
    run(&train(&["--train-examples", "0"])).refuses(2, &["--train-examples"]);
}

#[test]
fn a_network_that_no_memory_holds_is_refused_with_its_size() {
    let arguments = ["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "1048576,1048576"];
    run(&arguments).refuses(2, &["--hidden", "1099591319562", "choose smaller widths"]);
}

#[test]
fn weights_that_are_no_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    run(&measure(&path, &[])).refuses(1, &["w.safetensors", "No such file"]);
    run(&measure(folder.path(), &[])).refuses(1, &["directory"]);

    let huge_header = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    let lying_header = [1_000_u64.to_le_bytes().as_slice(), b"{}"].concat();
    let past_the_end =
        br#"{"fc1.weight":{"dtype":"F32","shape":[4,64],"data_offsets":[0,99999999999]}}"#.as_slice();
    let huge_shape =
        br#"{"fc1.weight":{"dtype":"F32","shape":[4611686018427387904,16],"data_offsets":[0,4]}}"#.as_slice();
    let with_header = |header: &[u8]| [(header.len() as u64).to_le_bytes().as_slice(), header].concat();
    for (name, bytes) in [
        ("an empty file", Vec::new()),
        ("three bytes", b"abc".to_vec()),
        ("a text", b"these are no weights, but some English words".to_vec()),
        ("a header of 2^64 bytes", huge_header),
        ("a header that is cut", lying_header),
        ("a tensor past the end", with_header(past_the_end)),
        ("a shape that overflows", with_header(huge_shape)),
        ("no tensor", with_header(b"{}")),
        ("zeros", vec![0; 4096]),
    ] {
        fs::write(&path, bytes).unwrap();
        let ended = run(&measure(&path, &[]));
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.err);
        ended.refuses(1, &["w.safetensors"]);
    }
}

#[test]
fn damaged_data_files_are_refused_with_file_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ] {
        fs::write(folder.path().join(name), [0, 0, 8, 3, 0, 0]).unwrap();
    }
    let arguments = ["train", "--arch", "mlp", "--dataset", "mnist", "--data-dir", text(folder.path())];
    run(&arguments).refuses(1, &["train-images-idx3-ubyte", "at byte"]);
}

#[test]
fn a_missing_data_set_names_the_way_out() {
    let empty = tempfile::tempdir().unwrap();
    let mut program = command(&["train", "--arch", "vgg11", "--dataset", "cifar10"]);
    program.env("HOME", empty.path()).env("XDG_CACHE_HOME", empty.path());
    ended(program).refuses(1, &["sharpness data fetch cifar10", "--data-dir"]);
}

#[test]
fn errors_of_a_configuration_name_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    let start = "[model]\narch = \"mlp\"\nhidden = [4]\n\n[data]\nname = \"digits\"\n\n[training]\n";
    for (rest, code, parts) in [
        ("batch_size = -3\n", 2, &["run.toml, line 9", "training.batch_size"][..]),
        ("batchsize = 3\n", 2, &["run.toml, line 9", "batchsize", "batch_size"]),
        ("learning_rate = \"high\"\n", 2, &["run.toml, line 9", "training.learning_rate"]),
        (
            "learning_rate = 0.1\n\n[measure]\nbn = \"none\"\n",
            2,
            &["run.toml, line 12", "measure.bn", "running"],
        ),
        ("learning_rate = = 3\n", 2, &["run.toml, line 9"]),
        ("max_epochs = 0\n", 2, &["run.toml, line 9", "training.max_epochs: must be at least 1, got 0"]),
    ] {
        fs::write(&path, format!("{start}{rest}")).unwrap();
        run(&["train", "--config", text(&path)]).refuses(code, parts);
    }
    run(&["train", "--config", "missing.toml"]).refuses(1, &["missing.toml", "No such file"]);
}

#[test]
fn a_run_directory_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "here").unwrap();
    let inside = file.join("run");
    run(&train(&["--out", text(&file)])).refuses(1, &["file"]);
    run(&train(&["--out", text(&inside)])).refuses(1, &["file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "here", "what was there is untouched");
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let out = folder.path().join("run");
    let mut program = command(&train(&["--out", text(&out)]));
    let shared = tempfile::tempdir().unwrap();
    if fs::write(folder.path().join("probe"), "").is_ok() {
        // Root may write everywhere, so the program runs as nobody, from a folder that nobody may enter.
        fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = shared.path().join("sharpness");
        // By another process: a file that this one has open for writing cannot be run while another test starts a program.
        assert!(Command::new("cp").arg(program.get_program()).arg(&copy).status().unwrap().success());
        program = Command::new(copy);
        program.args(train(&["--out", text(&out)])).uid(65534).gid(65534);
    }
    ended(program).refuses(1, &["run", "Permission denied"]);
}
