//! Sweeps of one store on two machines. Each sees it through a mount of its own (`tests/delayed_mount.py`): another device,
//! no locks in common, delayed operations, cached attributes.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::{TempDir, tempdir};

use crate::program::{Ended, command, python_with, run, text};
use crate::racing::count;
use crate::skip::skip;

/// After how long without a renewal a lease expires.
const EXPIRY: Duration = Duration::from_secs(3);
/// The longest delay of an operation, in seconds.
const DELAY: &str = "0.002";

/// A run that takes seconds, with an operation of the file system at every step.
const LONG: &str = "seeds = [0]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [16], batch_size = 50, \
    max_epochs = 12, target_accuracy = 1.0, momentum = 0.9, dropout = 0.1, examples = 100, rtol = 0.1 }\n";
const SHORT: &str = "seeds = [0, 1, 2, 3, 4, 5]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], \
    batch_size = 50, max_epochs = 1, examples = 50, rtol = 0.5 }\n";

/// A mount of a folder.
struct Mount {
    server: Child,
    at: PathBuf,
}

impl Mount {
    /// Mounts `folder` at `at`; what is missing if that is impossible here.
    fn new(python: &Path, folder: &Path, at: PathBuf, seed: &str) -> Result<Self, String> {
        fs::create_dir(&at).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delayed_mount.py");
        let mut server = Command::new(python);
        server.arg(script).arg(folder).arg(&at).args([DELAY, seed]).stderr(Stdio::piped());
        let mut mount = Self { server: server.spawn().unwrap(), at };
        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        while device(&mount.at) == device(folder) {
            if mount.server.try_wait().unwrap().is_some() {
                let problem = std::io::read_to_string(mount.server.stderr.take().unwrap()).unwrap();
                return Err(format!("no folder can be mounted with FUSE: {problem}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        signal(&self.server, "CONT");
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn signal(child: &Child, name: &str) {
    // The shell's own `kill`: the program of that name is not on every machine.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
}

/// Two machines with one store, and what a sweep leaves that nobody disturbs.
struct Machines {
    // Before the folder, so that it is dropped first.
    mounts: [Mount; 2],
    folder: TempDir,
    recipe: PathBuf,
    expected: BTreeMap<String, String>,
}

impl Machines {
    /// `None`, and the test skips, if this machine cannot mount a folder.
    fn new(recipe: &str) -> Option<Self> {
        let Some(python) = python_with(&["fusepy", "fuse"]) else {
            skip("there is no Python with fusepy; install it with `apt-get install python3-fusepy`");
            return None;
        };
        let folder = tempdir().unwrap();
        fs::create_dir(folder.path().join("shared")).unwrap();
        let mount = |number: &str| {
            Mount::new(&python, &folder.path().join("shared"), folder.path().join(number), number)
        };
        let mounts = match (mount("1"), mount("2")) {
            (Ok(first), Ok(second)) => [first, second],
            (Err(missing), _) | (_, Err(missing)) => {
                skip(&missing);
                return None;
            }
        };
        let path = folder.path().join("recipe.toml");
        fs::write(&path, recipe).unwrap();
        let whole = folder.path().join("whole");
        run(&["sweep", text(&path), "--store", text(&whole), "--threads", "1"]).out_with(0);
        Some(Self { expected: numbers(&whole), mounts, folder, recipe: path })
    }

    /// Starts a sweep on a machine.
    fn sweep(&self, machine: usize) -> Sweep {
        let store = self.mounts[machine].at.join("store");
        let mut sweep = command(&["sweep", text(&self.recipe), "--store", text(&store), "--threads", "1"]);
        sweep
            .args(["--checkpoint-seconds", "0"])
            .env("SHARPNESS_LEASE_SECONDS", EXPIRY.as_secs().to_string());
        // Files rather than pipes, so that they can be read while it runs.
        let number = fs::read_dir(self.folder.path()).unwrap().count();
        let log = self.folder.path().join(format!("log-{number}"));
        let out = File::create(log.with_extension("out")).unwrap();
        sweep.stdout(out).stderr(File::create(log.with_extension("err")).unwrap());
        Sweep { child: sweep.spawn().unwrap(), log }
    }

    /// The store as the file server sees it.
    fn store(&self) -> PathBuf {
        self.folder.path().join("shared/store")
    }

    /// The only run of the store.
    fn only_run(&self) -> PathBuf {
        let entries = fs::read_dir(self.store()).into_iter().flatten();
        let runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(runs.len() < 2, "one run: {runs:?}");
        runs.into_iter().next().unwrap_or_default()
    }

    /// How many processes have started the only run.
    fn starts(&self) -> usize {
        let provenance = fs::read(self.only_run().join("provenance.json")).unwrap_or_default();
        let starts: serde_json::Value = serde_json::from_slice(&provenance).unwrap_or_default();
        starts.as_array().map_or(0, Vec::len)
    }
}

/// A sweep that runs.
struct Sweep {
    child: Child,
    log: PathBuf,
}

impl Sweep {
    fn read(&self, extension: &str) -> String {
        fs::read_to_string(self.log.with_extension(extension)).unwrap()
    }

    /// Waits for a condition, which must come before the sweep ends.
    #[track_caller]
    fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "it ended before {what}:\n{}",
                self.read("err")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ended(mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        Ended { code, out: self.read("out"), err: self.read("err") }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the runs of a store hold but for times, memory, and who made them; and every name, so that nothing is left over.
fn numbers(store: &Path) -> BTreeMap<String, String> {
    let mut numbers = BTreeMap::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(store).unwrap().display().to_string();
            let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            let lines =
                content.lines().filter(|line| !line.contains("seconds\"") && !line.contains("bytes\""));
            let is_own = ["provenance.json", "checkpoint.safetensors"].iter().any(|own| name.ends_with(own));
            numbers.insert(name, if is_own { String::new() } else { lines.collect::<Vec<_>>().join("\n") });
        }
    }
    numbers
}

#[test]
fn sweeps_on_two_machines_make_each_run_once() {
    let Some(machines) = Machines::new(SHORT) else { return };
    let mut made = 0;
    let sweeps = [machines.sweep(0), machines.sweep(1), machines.sweep(0), machines.sweep(1)];
    for ended in sweeps.map(Sweep::ended) {
        let err = ended.err.clone();
        let out = ended.out_with(0);
        assert!(out.contains("6 of 6 done"), "a sweep that ends has all runs:\n{out}\n{err}");
        made += 6 - count(&out, " before") - count(&out, " by another process");
    }
    assert_eq!(made, 6, "each run is made once");
    assert_eq!(numbers(&machines.store()), machines.expected, "as on one machine");
}

#[test]
fn a_killed_process_of_another_machine_is_replaced_when_its_lease_expires_and_a_living_one_is_not() {
    let Some(machines) = Machines::new(LONG) else { return };
    let mut first = machines.sweep(0);
    first.wait_until("its first checkpoint", |_| machines.only_run().join("checkpoint.safetensors").exists());
    let mut second = machines.sweep(1);
    second.wait_until("it waits", |second| second.read("err").contains("waiting for another process"));
    std::thread::sleep(2 * EXPIRY);
    first.wait_until("it is killed", |_| true);
    assert_eq!(machines.starts(), 1, "a process that lives keeps its run:\n{}", second.read("err"));
    signal(&first.child, "KILL");
    let out = second.ended().out_with(0);
    assert_eq!((count(&out, " of 1 done"), count(&out, " by another process")), (1, 0), "{out}");
    assert_eq!(machines.starts(), 2, "it resumed the run");
    assert_eq!(numbers(&machines.store()), machines.expected, "as on one machine");
}

/// Stops something of the first machine while it works, lets the second take over and finish, and lets the first continue.
fn stop(machines: &Machines, stop: impl Fn(&Sweep, &str)) {
    let mut first = machines.sweep(0);
    first.wait_until("its first checkpoint", |_| machines.only_run().join("checkpoint.safetensors").exists());
    stop(&first, "STOP");
    let out = machines.sweep(1).ended().out_with(0);
    assert_eq!((count(&out, " of 1 done"), count(&out, " by another process")), (1, 0), "{out}");
    let finished = contents(&machines.store());
    stop(&first, "CONT");
    let ended = first.ended();
    let err = ended.err.clone();
    assert!(err.contains("waiting for another process that is running it"), "it knows what happened:\n{err}");
    let out = ended.out_with(0);
    assert_eq!((count(&out, " of 1 done"), count(&out, " by another process")), (1, 1), "{out}\n{err}");
    assert_eq!(contents(&machines.store()), finished, "the first machine writes nothing more");
    assert_eq!(numbers(&machines.store()), machines.expected, "as on one machine");
}

/// All files of a store, each with its inode and times, so that no write goes unnoticed.
fn contents(store: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut contents = BTreeMap::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::metadata(&path).unwrap();
            if found.is_dir() {
                folders.push(path);
            } else {
                contents.insert(path, (found.ino(), found.mtime(), found.mtime_nsec()));
            }
        }
    }
    contents
}

#[test]
fn a_process_that_was_stopped_for_too_long_writes_nothing_when_it_continues() {
    let Some(machines) = Machines::new(LONG) else { return };
    stop(&machines, |first, name| signal(&first.child, name));
}

#[test]
fn operations_that_hang_for_too_long_change_nothing_when_they_take_effect() {
    let Some(machines) = Machines::new(LONG) else { return };
    stop(&machines, |_, name| signal(&machines.mounts[0].server, name));
}
