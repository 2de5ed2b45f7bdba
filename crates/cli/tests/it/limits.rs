//! Limits on memory, address space and threads: each is kept or refused, with one line.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Ended, command, ended, run, text};

const MIB: f64 = 1_048_576.0;

/// The program under a limit of the shell's `ulimit`.
fn under(limit: &str, arguments: &[&str]) -> Command {
    let program = command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(program.get_program());
    shell
        .args(program.get_args())
        .env_remove("SHARPNESS_DATA")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null());
    shell
}

/// Runs the program to its end, and gives the peak of its resident set in bytes.
fn watched(arguments: &[&str]) -> (Ended, f64) {
    let folder = tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
    let [to_out, to_err] = [&out, &err].map(|path| Stdio::from(fs::File::create(path).unwrap()));
    let mut program = command(arguments);
    program.envs(std::env::var_os("SHARPNESS_DATA").map(|data| ("SHARPNESS_DATA", data)));
    let mut child = program.stdout(to_out).stderr(to_err).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    let code = loop {
        let found = fs::read_to_string(&status).unwrap_or_default();
        let kib = found.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        peak = kib.map_or(peak, |kib| 1024.0 * kib.trim().parse::<f64>().unwrap());
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let [out, err] = [out, err].map(|path| fs::read_to_string(path).unwrap());
    (Ended { code, out, err }, peak)
}

/// The smallest limit that the program names, in MiB.
#[track_caller]
fn smallest(arguments: &[&str]) -> u32 {
    run_with_data(&[arguments, &["--memory", "1MiB"]].concat()).smallest_memory()
}

fn run_with_data(arguments: &[&str]) -> Ended {
    watched(arguments).0
}

/// Asserts that the smallest limit that is named works and is kept, as a larger one is, and that a smaller one is refused.
#[track_caller]
fn keeps_its_limits(arguments: &[&str]) {
    let smallest = smallest(arguments);
    let refused = format!("{}KiB", smallest * 1024 * 9 / 10);
    run_with_data(&[arguments, &["--memory", &refused]].concat()).refuses(2, &["--memory must be at least"]);
    for mib in [smallest, smallest + smallest / 4, 2 * smallest] {
        let (ended, peak) = watched(&[arguments, &["--memory", &format!("{mib}MiB")]].concat());
        let described = format!("{arguments:?} with {mib} MiB of at least {smallest}");
        assert!(matches!(ended.code, Some(0 | 4 | 5)), "{described}: {}", ended.err);
        assert!(peak > 0.0 && peak <= f64::from(mib) * MIB, "{described} took {} MiB", peak / MIB);
        let Ok(report) = serde_json::from_str::<Value>(&ended.out) else { continue };
        let (memory, reported) = (report.pointer("/measurement/memory"), report["peak_bytes"].as_f64());
        let predicted =
            memory.or_else(|| report.get("memory")).map(|memory| memory["predicted_bytes"].as_f64());
        if let (Some(predicted), Some(reported)) = (predicted.flatten(), reported) {
            assert!(reported <= f64::from(mib) * MIB, "{described} reports {} MiB", reported / MIB);
            let ratio = predicted / reported;
            assert!(
                (0.85..=2.0).contains(&ratio),
                "{described}: {} MiB predicted, {} MiB taken",
                predicted / MIB,
                reported / MIB
            );
        }
    }
}

#[test]
fn training_keeps_its_limit() {
    let folder = tempdir().unwrap();
    for (index, further) in [
        &["--arch", "mlp"][..],
        &["--arch", "mlp", "--hidden", "1024,1024", "--momentum", "0.9", "--through-training", "0.1"],
        &["--arch", "cnn", "--through-training", "0.1"],
        &["--arch", "cnn", "--trace=8", "--between-iterates", "--top-k", "4", "--lambda-min"],
        &["--arch", "cnn-bn", "--sam-rho", "0.1"],
        &["--arch", "cnn-bn", "--bn-chunk", "200", "--through-training", "0.1", "--trace=8"],
    ]
    .into_iter()
    .enumerate()
    {
        let out = folder.path().join(index.to_string());
        let small = ["--max-epochs", "1", "--train-examples", "300", "--rtol", "0.1", "--json"];
        let train = [&["train", "--dataset", "digits"][..], &small].concat();
        keeps_its_limits(&[&train[..], further].concat());
        let kept = [&train[..], further, &["--out", text(&out), "--memory", "1GiB"]].concat();
        assert!(matches!(run(&kept).code, Some(0 | 4 | 5)), "{further:?}");
        let measure = ["measure", "--run", text(&out), "--rtol", "0.1", "--json"];
        keeps_its_limits(&measure);
    }
}

#[test]
fn the_data_set_is_part_of_the_limit() {
    let train =
        ["train", "--arch", "vgg11", "--width-divisor", "16", "--dataset", "cifar10", "--max-epochs", "1"];
    let small =
        ["--train-examples", "200", "--examples", "200", "--bn-chunk", "50", "--rtol", "0.3", "--json"];
    let train = [&train[..], &small].concat();
    if run_with_data(&[&train[..], &["--no-measure"]].concat()).err.contains("was not found") {
        println!("SKIPPED: no CIFAR-10");
        return;
    }
    assert!(smallest(&train) > 175, "the images alone take 176 MiB");
    keeps_its_limits(&train);
    keeps_its_limits(&[&train[..], &["--through-training", "0.3"]].concat());
}

const RECIPE: &str = r#"seeds = [0, 1]
fixed = { arch = "cnn", data.name = "digits", max_epochs = 1, rtol = 0.1, batch_size = 50, through_training = 0.1 }
grid = { learning_rate = [0.01, 0.02] }
[figure]
kind = "lines"
x = "learning_rate"
"#;

#[test]
fn sweeps_keep_their_limit() {
    let folder = tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    fs::write(&recipe, RECIPE).unwrap();
    let store = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sweep = |jobs: &'static str, name: &str, memory: &str| {
        let store = store(name);
        watched(&["sweep", text(&recipe), "--store", &store, "--jobs", jobs, "--memory", memory])
    };
    let mut least = 0;
    for jobs in ["1", "2"] {
        let smallest = smallest(&["sweep", text(&recipe), "--store", &store("none"), "--jobs", jobs]);
        assert!(smallest > least, "two runs at once take more than one: {smallest}");
        least = smallest;
        for (name, mib) in [("smallest", smallest), ("roomy", 2 * smallest)] {
            let (ended, peak) = sweep(jobs, &format!("{name}{jobs}"), &format!("{mib}MiB"));
            assert_eq!(ended.code, Some(0), "{jobs} jobs with {mib} MiB: {}", ended.err);
            assert!(peak <= f64::from(mib) * MIB, "{jobs} jobs with {mib} MiB took {} MiB", peak / MIB);
        }
    }
    assert!(!Path::new(&store("none")).exists(), "a sweep that is refused makes nothing");
    let figure = ["figure", text(&recipe), "--store", &store("roomy1"), "--examples", "100,all", "--out"];
    let out = store("figures");
    keeps_its_limits(&[&figure[..], &[&out]].concat());
    keeps_its_limits(&["figure", text(&recipe), "--store", &store("roomy1"), "--out", &out]);
    let reproduce = ["reproduce", "fig8", "--scale", "smoke", "--store", &store("none"), "--out", &out];
    let (alone, compared) =
        (smallest(&reproduce), smallest(&[&reproduce[..], &["--examples", "100,all"]].concat()));
    assert!(compared > alone, "a comparison that does not fit is refused before the runs are made");
    assert!(!Path::new(&store("none")).exists(), "no run was made");
}

/// What a program that is short of something must not say.
#[track_caller]
fn ends_in_one_line(ended: &Ended, described: &str) {
    for bad in ["panicked", "memory allocation of", "RUST_BACKTRACE", "Custom {", "Os {"] {
        assert!(!ended.err.contains(bad), "{described}: {}", ended.err);
    }
    assert!(
        ended.code.is_some_and(|code| code < 100),
        "{described} ended with {:?}: {}",
        ended.code,
        ended.err
    );
    if !matches!(ended.code, Some(0 | 4 | 5)) {
        let errors = ended.err.lines().filter(|line| line.starts_with("error:")).count();
        assert_eq!(errors, 1, "{described}: {}", ended.err);
    }
}

#[test]
fn too_little_address_space_is_one_line() {
    let folder = tempdir().unwrap();
    let mut refused = 0;
    for (index, mib) in (100..1000).step_by(75).enumerate() {
        let out = folder.path().join(index.to_string());
        let wide =
            ["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "2048,2048", "--max-epochs", "1"];
        let train = [&wide[..], &["--examples", "100", "--rtol", "0.3", "--out", text(&out)]].concat();
        let ended = ended(under(&format!("-v {}", mib * 1024), &train));
        ends_in_one_line(&ended, &format!("{mib} MiB of address space"));
        refused += usize::from(ended.code == Some(1));
    }
    assert!(refused > 0, "a training of 4 million parameters takes more than 100 MiB");
}

#[test]
fn too_few_threads_are_one_line() {
    let train = ["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--max-epochs", "1"];
    let many = ended(under("-v 1000000", &[&train[..], &["--threads", "1000"]].concat()));
    ends_in_one_line(&many, "1000 threads in 1 GB");
    // The threads that have started may find the memory at its end before the next one does.
    many.refuses(1, &["(ulimit -v)"]);

    let folder = tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    fs::write(&recipe, RECIPE).unwrap();
    let store = folder.path().join("runs");
    let sweep = ["sweep", text(&recipe), "--store", text(&store), "--jobs", "1000"];
    let many = ended(under("-v 1000000", &sweep));
    ends_in_one_line(&many, "1000 jobs in 1 GB");
    // As above, memory may end first.
    let is_memory = many.err.contains("out of memory");
    many.refuses(1, if is_memory { &["(ulimit -v)"] } else { &["cannot start the threads", "--jobs"] });
}

#[test]
fn unwritable_places_are_one_line() {
    let folder = tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    fs::write(
        &recipe,
        RECIPE.replace("max_epochs = 1", "max_epochs = 1, hidden = [4]").replace("cnn", "mlp"),
    )
    .unwrap();
    let store = folder.path().join("runs");
    run(&["sweep", text(&recipe), "--store", text(&store)]).out_with(0);
    let nowhere = "/proc/sharpness";
    let train = ["train", "--arch", "mlp", "--dataset", "digits", "--hidden", "4", "--max-epochs", "1"];
    for arguments in [
        [&train[..], &["--out", nowhere]].concat(),
        vec!["sweep", text(&recipe), "--store", nowhere],
        vec!["figure", text(&recipe), "--store", text(&store), "--out", nowhere],
        vec!["report", "--store", text(&store), "--out", nowhere],
    ] {
        let ended = run(&arguments);
        assert!(ended.err.contains(nowhere), "{arguments:?} names the place: {}", ended.err);
        ends_in_one_line(&ended, &format!("{arguments:?}"));
        assert_eq!(ended.code, Some(1), "{arguments:?}");
    }
}
