//! Pipes, devices, directories and files that are far too large in the place of every file that the program reads: it neither waits
//! nor fills the memory, but says what is there.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::program::{Ended, command, measurement_file, run, text};

/// The address space of the program, in KiB: far more than it needs, and far less than a file that has no end.
const MEMORY_KIB: usize = 3 << 20;
/// A program that is not done by then waits for something.
const PATIENCE: Duration = Duration::from_secs(120);

const RECIPE: &str = "seeds = [0]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], max_epochs = 2, \
                      examples = 50, rtol = 0.1 }\nfigure = { kind = \"lines\" }\n";

/// What is in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hostile {
    Pipe,
    Endless,
    Directory,
    Huge,
}

impl Hostile {
    const ALL: [Self; 4] = [Self::Pipe, Self::Endless, Self::Directory, Self::Huge];

    /// Puts it in the place of a file.
    fn put(self, path: &Path) {
        // Nothing may be there yet.
        let _ = fs::remove_file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Self::Pipe => {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success(), "a pipe is made")
            }
            Self::Endless => symlink("/dev/zero", path).unwrap(),
            Self::Directory => fs::create_dir(path).unwrap(),
            Self::Huge => File::create(path).unwrap().set_len(1 << 40).unwrap(),
        }
    }
}

/// Runs the program with little memory, and stops it if it waits for something.
fn ended_soon(arguments: &[&str]) -> Ended {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\""));
    limited.arg(command(&[]).get_program()).args(arguments).env_remove("SHARPNESS_DATA");
    limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (start, mut child) = (Instant::now(), limited.spawn().unwrap());
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{arguments:?} waits for something");
        }
        sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Copies a store or a run.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// A store with one run, and where that is in it.
fn store(dir: &Path) -> (PathBuf, PathBuf) {
    fs::write(dir.join("recipe.toml"), RECIPE).unwrap();
    let store = dir.join("store");
    run(&["sweep", text(&dir.join("recipe.toml")), "--store", text(&store)]).out_with(0);
    let id = fs::read_dir(&store).unwrap().next().unwrap().unwrap().file_name();
    (store, PathBuf::from(id))
}

/// Files that users name.
#[test]
fn files_that_users_name_are_regular_and_bounded() {
    let dir = tempdir().unwrap();
    let network = ["--arch", "mlp", "--dataset", "digits", "--hidden", "4"];
    let path = dir.path().join("named");
    for hostile in Hostile::ALL {
        hostile.put(&path);
        let measure = [&["measure", "--weights", text(&path)][..], &network].concat();
        let bench = [&["bench", "--random", "--weights", text(&path)][..], &network].concat();
        for arguments in [
            measure,
            bench,
            vec!["train", "--config", text(&path)],
            vec!["sweep", text(&path)],
            vec!["sweep", text(&path), "--dry-run"],
            vec!["figure", text(&path)],
            vec!["claims", "--table", text(&path)],
            vec!["claims", "--published", "--findings", text(&path)],
        ] {
            ended_soon(&arguments).refuses(1, &[text(&path)]);
        }
        if hostile == Hostile::Directory {
            fs::remove_dir(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
    }
}

/// Files of a run.
#[test]
fn files_of_runs_are_regular_and_bounded() {
    let dir = tempdir().unwrap();
    let (store, id) = store(dir.path());
    let recipe = dir.path().join("recipe.toml");
    // The file, those that must be missing so that it is read, the command, and its exit code where the file is of no use.
    let (show, resume, measure) = (["runs", "show"], ["train", "--resume"], ["measure", "--run"]);
    let results = &["result.json"][..];
    let measurement = measurement_file(&store.join(&id));
    let measurement = text(measurement.strip_prefix(store.join(&id)).unwrap()).to_owned();
    for (file, missing, start, code) in [
        ("config.toml", &[][..], &measure[..], Some(1)),
        ("weights.safetensors", &[], &measure, Some(1)),
        ("config.toml", results, &resume, Some(1)),
        ("checkpoint.safetensors", results, &resume, Some(1)),
        ("metrics.jsonl", results, &resume, Some(1)),
        (".lease", results, &resume, Some(1)),
        ("result.json", &[], &show, Some(1)),
        ("result.json", &[], &["runs", "list"], None),
        ("result.json", &[], &["claims"], None),
        (&measurement, &[], &show, Some(1)),
        (&measurement, &[], &["runs", "list"], None),
        (&measurement, &[], &["claims"], None),
        ("provenance.json", &[], &show, None),
        ("state.json", results, &["runs", "list"], None),
        ("failure.json", results, &["runs", "list"], None),
        ("subset_sizes.json", &[], &["figure"], None),
    ] {
        for hostile in Hostile::ALL {
            // The lease is a directory.
            if (file, hostile) == (".lease", Hostile::Directory) {
                continue;
            }
            let copied = tempdir().unwrap();
            copy(&store, copied.path());
            let of_run = copied.path().join(&id);
            for file in missing {
                fs::remove_file(of_run.join(file)).unwrap();
            }
            let path = of_run.join(file);
            hostile.put(&path);
            let (of_run, of_store) = (text(&of_run), text(copied.path()));
            let figures = copied.path().join("figures");
            let rest = match start {
                ["train", ..] => vec!["--out", of_run],
                ["measure", ..] => vec![of_run],
                ["runs", "show"] => vec![text(&id), "--store", of_store],
                ["figure"] => vec![text(&recipe), "--store", of_store, "--out", text(&figures)],
                _ => vec!["--store", of_store],
            };
            let ended = ended_soon(&[start, &rest].concat());
            match code {
                Some(code) => ended.refuses(code, &[file]),
                None => assert!(
                    ended.code.is_some_and(|code| code < 2) && !ended.err.contains("panicked"),
                    "{hostile:?} as {file} ends {start:?} with {:?}:\n{}\n{}",
                    ended.code,
                    ended.out,
                    ended.err
                ),
            }
        }
    }
}

/// Files of data sets.
#[test]
fn data_files_are_regular_and_bounded() {
    for (name, file) in [
        ("mnist", "train-images-idx3-ubyte"),
        ("mnist", "train-images-idx3-ubyte.gz"),
        ("cifar10", "data_batch_1.bin"),
        ("cifar10", "cifar-10-binary.tar.gz"),
    ] {
        for hostile in Hostile::ALL {
            let dir = tempdir().unwrap();
            let others = ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
            let batches = [
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ];
            for other in others.iter().chain(&batches) {
                fs::write(dir.path().join(other), "").unwrap();
            }
            hostile.put(&dir.path().join(file));
            let data = ["--data-dir", text(dir.path())];
            let check = ended_soon(&[&["data", "check", name][..], &data].concat());
            check.refuses(1, &[file.trim_end_matches(".gz")]);
            ended_soon(&[&["data", "list"][..], &data].concat()).out_with(0);
        }
    }
}

/// Files that are written.
#[test]
fn only_regular_files_are_replaced() {
    let dir = tempdir().unwrap();
    let recipe = dir.path().join("recipe.toml");
    fs::write(&recipe, RECIPE).unwrap();
    for hostile in [Hostile::Pipe, Hostile::Endless, Hostile::Directory] {
        for file in ["page.html", "page.html.partial"] {
            let place = tempdir().unwrap();
            hostile.put(&place.path().join(file));
            let page = place.path().join("page.html");
            let store = place.path().join("store");
            fs::create_dir(&store).unwrap();
            ended_soon(&["report", "--out", text(&page), "--store", text(&store)]).refuses(1, &[file]);
            hostile.put(&place.path().join("run/.lease"));
            let run = place.path().join("run");
            let train =
                ["train", "--arch", "mlp", "--dataset", "digits", "--max-epochs", "1", "--out", text(&run)];
            if hostile != Hostile::Directory {
                ended_soon(&train).refuses(1, &[".lease"]);
            }
        }
    }
}

/// A link to a regular file is read as the file.
#[test]
fn links_to_regular_files_are_followed() {
    let dir = tempdir().unwrap();
    let (link, file) = (dir.path().join("link.toml"), dir.path().join("file.toml"));
    fs::write(&file, RECIPE).unwrap();
    symlink(&file, &link).unwrap();
    run(&["sweep", text(&link), "--dry-run"]).out_with(0);
}

/// What is written goes nowhere else: a link may lead to a file of the user, or be `/dev/stdout`.
#[test]
fn writing_neither_follows_nor_replaces_links() {
    let dir = tempdir().unwrap();
    let (store, id) = store(dir.path());
    let (page, recipe) = (dir.path().join("page.html"), dir.path().join("recipe.toml"));
    let precious = dir.path().join("precious");
    let (store_text, page_text, recipe_text) = (text(&store), text(&page), text(&recipe));
    let of_run = store.join(&id);
    let report = ["report", "--store", store_text, "--out", page_text];
    let sweep = ["sweep", recipe_text, "--store", store_text];
    let resume = ["train", "--resume", "--out", text(&of_run)];
    for (link, missing, arguments) in [
        (page.clone(), &[][..], &report[..]),
        (dir.path().join("page.html.partial"), &[], &report),
        (of_run.join("weights.safetensors"), &["result.json"], &sweep),
        (of_run.join("metrics.jsonl"), &["result.json", "checkpoint.safetensors"], &resume),
        (of_run.join(".lease"), &["result.json"], &resume),
    ] {
        fs::write(&precious, "precious").unwrap();
        missing.iter().for_each(|file| fs::remove_file(of_run.join(file)).unwrap());
        // The file of the run gives way to the link.
        let _ = fs::remove_file(&link);
        symlink(&precious, &link).unwrap();
        let ended = run(arguments);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{link:?}: what it leads to is kept");
        assert_eq!(fs::read_link(&link).unwrap(), precious, "the link is kept");
        assert!(ended.err.contains("symbolic link"), "{link:?}: the link is named:\n{}", ended.err);
        assert_eq!(ended.code, Some(1), "{link:?} is refused");
        fs::remove_file(&link).unwrap();
        run(&sweep).out_with(0);
    }
}
