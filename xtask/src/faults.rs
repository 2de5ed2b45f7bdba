//! `cargo xtask faults`: fail every system call with which a sweep reads and writes, one at a time, or kill the sweep there.
//! The next sweep must complete all runs, with the same bits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};

/// System calls, and the errors to inject into each. [`KILL`] kills the process.
const FAULTS: &[(&str, &[&str])] = &[
    ("mkdir", &["ENOSPC", "EACCES"]),
    ("openat", &["EMFILE", "ENOSPC", "EIO"]),
    ("flock", &["ENOLCK"]),
    ("statx", &["EIO"]),
    ("read", &["EIO"]),
    ("ftruncate", &["EIO"]),
    ("write", &["ENOSPC", "EIO"]),
    ("fsync,fdatasync", &["EIO", "ENOSPC"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("mkdir,flock,rename,unlink,rmdir,fsync", &[KILL]),
];

/// Not an error, but a signal: the process is killed between two system calls.
const KILL: &str = "KILL";

/// The fewest faults to expect: with fewer, the sweep no longer does what this tests.
const LEAST: usize = 300;

const RECIPE: &str = "seeds = [0, 1]\nfixed = { arch = \"mlp\", data.name = \"digits\", hidden = [4], batch_size = 50, \
    max_epochs = 3, target_accuracy = 1.0, momentum = 0.9, examples = 50, rtol = 0.5 }\n";

/// A sweep and its expected result.
struct Faults {
    program: PathBuf,
    folder: PathBuf,
    expected: BTreeMap<PathBuf, Vec<u8>>,
}

/// Injects all faults and reports those from which the next sweep does not recover.
///
/// # Errors
/// `strace` is missing, a sweep cannot run, or a fault is permanent.
pub(crate) fn check(root: &Path) -> Result<()> {
    let strace = Command::new("strace").arg("-V").output();
    ensure!(strace.is_ok(), "strace is missing; install it, on Debian with `apt-get install strace`");
    let folder = root.join("target/faults");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("recipe.toml"), RECIPE)?;
    let mut faults =
        Faults { program: root.join("target/release/sharpness"), folder, expected: BTreeMap::new() };
    faults.sweep(&["env"])?;
    faults.expected = faults.take_weights()?;
    ensure!(faults.expected.len() == 2, "a sweep without faults must complete both runs");
    let (mut count, mut permanent) = (0, Vec::new());
    for (calls, errors) in FAULTS {
        for error in *errors {
            let before = count;
            // Fail one call, or that and all later ones as on a full disk, until there is no such call.
            let rests: &[&str] = if *error == KILL { &[""] } else { &["", "+"] };
            for (number, rest) in (1..).flat_map(|number| rests.iter().map(move |rest| (number, rest))) {
                let kind = if *error == KILL { "signal" } else { "error" };
                let fault = format!("{calls}:{kind}={error}:when={number}{rest}");
                match faults.inject(&fault)? {
                    None => break,
                    Some(Ok(())) => count += 1,
                    Some(Err(problem)) => {
                        count += 1;
                        println!("{fault}: {problem}");
                        permanent.push(fault);
                    }
                }
            }
            println!("{:4} faults: {calls} fails with {error}", count - before);
        }
    }
    println!("{count} faults, {} permanent", permanent.len());
    ensure!(permanent.is_empty(), "permanent: {}", permanent.join(", "));
    ensure!(count >= LEAST, "only {count} faults were injected, fewer than {LEAST}");
    Ok(())
}

impl Faults {
    /// Sweeps with a fault and then without. Returns `None` if there was no call to fail, and otherwise what
    /// went wrong, if anything.
    fn inject(&self, fault: &str) -> Result<Option<Result<(), String>>> {
        let trace = self.folder.join("trace");
        let (trace_file, inject) = (trace.display().to_string(), format!("inject={fault}"));
        let strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", &trace_file, "-e", &inject];
        let first = self.sweep(&strace)?;
        let is_injected = ["(INJECTED)", "killed by SIGKILL"]
            .iter()
            .any(|sign| fs::read_to_string(&trace).is_ok_and(|trace| trace.contains(sign)));
        if !is_injected {
            self.take_weights()?;
            return Ok(None);
        }
        let problem = self.judge(&first, fault.contains(KILL))?;
        Ok(Some(problem.map_or(Ok(()), Err)))
    }

    fn judge(&self, first: &Output, is_kill: bool) -> Result<Option<String>> {
        let error = String::from_utf8_lossy(&first.stderr).into_owned();
        let second = self.sweep(&["env"])?;
        let has_same_bits = self.take_weights()? == self.expected;
        Ok(if (first.status.code().is_none() && !is_kill) || error.contains("panicked") {
            Some(format!("the sweep exited with {}: {error}", first.status))
        } else if !second.status.success() {
            let again = String::from_utf8_lossy(&second.stderr);
            Some(format!("the next sweep exited with {}: {again}after: {error}", second.status))
        } else if !has_same_bits {
            Some("the next sweep produced different weights".to_owned())
        } else {
            None
        })
    }

    /// Runs a sweep, started by the command `by`.
    fn sweep(&self, by: &[&str]) -> Result<Output> {
        let [program, arguments @ ..] = by else { bail!("no command to start the sweep with") };
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.program).arg("sweep").arg(self.folder.join("recipe.toml"));
        command.arg("--store").arg(self.store()).args(["--threads", "1"]);
        command.output().with_context(|| format!("cannot start {program}"))
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Returns the final weights of all finished runs and removes the store.
    fn take_weights(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut weights = BTreeMap::new();
        for entry in fs::read_dir(self.store())? {
            let entry = entry?;
            if entry.path().join("result.json").is_file() {
                weights.insert(entry.file_name().into(), fs::read(entry.path().join("weights.safetensors"))?);
            }
        }
        fs::remove_dir_all(self.store())?;
        Ok(weights)
    }
}
