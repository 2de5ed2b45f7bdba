//! `cargo xtask mpi`: the program on several MPI ranks of this machine. Trainings and measurements have the bits of one process, and
//! survive the loss of a rank and signals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::step::{Action, Invocation, Step, Tool};

const MPI: Tool = Tool {
    name: "MPI",
    probe: "mpirun --version",
    install: "an MPI library and libclang, on Debian `apt-get install libopenmpi-dev openmpi-bin libclang-dev`",
};

/// A training that takes seconds, with statistics of batch norm, dropout's masks and batches that ranks share unevenly.
const TRAINING: &str = "train --arch cnn-bn --dataset digits --width-divisor 4 --train-examples 400 --batch-size 100 \
    --micro-batch-size 15 --max-epochs 15 --target-accuracy 1 --momentum 0.9 --examples 200 --bn-chunk 30 --trace=10 --threads 1 \
    --checkpoint-seconds 0";

/// A rank that has not done what is asked of it within this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clippy for the whole workspace, with MPI where it is installed.
pub(crate) fn clippy(root: &Path) -> Invocation {
    let has_mpi = Invocation::new(MPI.probe).succeeds(root);
    let feature = if has_mpi { " --features sharpness-cli/mpi" } else { "" };
    Invocation::new(&format!("cargo clippy --workspace --all-targets{feature} -- -D warnings"))
}

/// The step of `cargo xtask test`.
pub(crate) fn step() -> Step {
    Step::new("mpi", Action::Check(check, "cargo xtask mpi")).with_tool(MPI)
}

/// Builds the program with MPI and checks it.
///
/// # Errors
/// MPI is missing, or a check fails.
pub(crate) fn check(root: &Path) -> Result<()> {
    // With the features of the whole workspace, so that the dependencies are those of its tests.
    Invocation::new("cargo build --workspace --features sharpness-cli/mpi").run(root)?;
    let folder = root.join("target/mpi");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let check = Check { program: target.join("debug/sharpness"), folder };
    let alone = check.run(1, &check.training("alone", ""))?;
    ensure!(has_ended(&alone), "one process alone: {}", told(&alone));
    check.same_bits_on_ranks()?;
    check.same_measurement()?;
    check.survives_a_killed_rank()?;
    check.saves_on_a_signal()?;
    check.reports_errors_once()
}

/// The program, and where its runs are.
struct Check {
    program: PathBuf,
    folder: PathBuf,
}

impl Check {
    /// The command of `ranks` processes with these arguments.
    fn command(&self, ranks: usize, arguments: &str) -> Command {
        let mut command = if ranks == 1 {
            Command::new(&self.program)
        } else {
            let mut command = Command::new("mpirun");
            command.args(["-n", &ranks.to_string()]).arg(&self.program);
            // Open MPI otherwise refuses the root of a container, and more ranks than cores.
            for variable in ["ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe"]
            {
                command.env(format!("OMPI_{variable}"), "1");
            }
            command
        };
        command.args(arguments.split_whitespace()).stdin(Stdio::null());
        command
    }

    fn run(&self, ranks: usize, arguments: &str) -> Result<Output> {
        self.command(ranks, arguments).output().context("cannot start the program")
    }

    /// The training in the directory `name`.
    fn training(&self, name: &str, further: &str) -> String {
        format!("{TRAINING} --out {} {further}", self.folder.join(name).display())
    }

    /// What a run leaves that must have the same bits: the weights, and the measurement without times and memory.
    fn content(&self, name: &str) -> Result<(Vec<u8>, Value)> {
        let run = self.folder.join(name);
        let weights =
            fs::read(run.join("weights.safetensors")).with_context(|| format!("{name} has no weights"))?;
        let measurements = fs::read_dir(run.join("measurements"))?;
        let files = measurements.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let [file] = files.as_slice() else { anyhow::bail!("{name} has {} measurements", files.len()) };
        let record: Value = serde_json::from_slice(&fs::read(file)?)?;
        Ok((weights, numbers(&record["measurement"])))
    }

    fn is_as_alone(&self, name: &str) -> Result<()> {
        ensure!(
            self.content(name)? == self.content("alone")?,
            "{name} has other bits than one process alone"
        );
        Ok(())
    }

    fn same_bits_on_ranks(&self) -> Result<()> {
        for ranks in [2, 4] {
            let name = format!("{ranks}-ranks");
            let trained = self.run(ranks, &self.training(&name, ""))?;
            ensure!(has_ended(&trained), "{ranks} ranks: {}", told(&trained));
            self.is_as_alone(&name)?;

            let kept = String::from_utf8_lossy(&trained.stdout).matches("Kept in").count();
            ensure!(kept == 1, "{ranks} ranks print one report, not {kept}:\n{}", told(&trained));
        }
        Ok(())
    }

    fn same_measurement(&self) -> Result<()> {
        let run = self.folder.join("alone");
        let arguments = format!(
            "measure --run {} --json --threads 1 --bn-chunk 17 --top-k 2 --lambda-min --gauss-newton=10",
            run.display()
        );
        let [alone, shared] = [self.run(1, &arguments)?, self.run(3, &arguments)?];
        let document = |output: &Output| -> Result<Value> {
            serde_json::from_slice(&output.stdout).with_context(|| told(output))
        };
        let [alone, shared] = [document(&alone)?, document(&shared)?];
        ensure!(shared["ranks"] == 3, "the report names the ranks: {shared}");
        ensure!(numbers(&alone) == numbers(&shared), "measured alone:\n{alone}\nby 3 ranks:\n{shared}");
        Ok(())
    }

    /// Starts a training on `ranks` ranks, and waits until it has saved the step `step`.
    fn start(&self, name: &str, ranks: usize, step: u64) -> Result<Started> {
        let mut command = self.command(ranks, &self.training(name, ""));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let started = Started(Some(child));
        let saved = || -> Option<u64> {
            let state = fs::read(self.folder.join(name).join("state.json")).ok()?;
            serde_json::from_slice::<Value>(&state).ok()?["step"].as_u64()
        };
        let start = Instant::now();
        while saved().is_none_or(|saved| saved < step) {
            ensure!(start.elapsed() < PATIENCE, "{name} has not reached step {step}");
            sleep(Duration::from_millis(5));
        }
        Ok(started)
    }

    fn survives_a_killed_rank(&self) -> Result<()> {
        let started = self.start("killed", 2, 8)?;
        let ranks = started.ranks(&self.program)?;
        ensure!(ranks.len() == 2, "two ranks run: {ranks:?}");
        signal("KILL", ranks[1])?;
        let output = started.wait()?;
        ensure!(!output.status.success(), "a killed rank ends all: {}", told(&output));
        let message = String::from_utf8_lossy(&output.stderr).to_lowercase();
        ensure!(message.contains("kill"), "the launcher says why: {}", told(&output));
        ensure!(!ranks.iter().any(|rank| is_alive(*rank)), "no rank is left of {ranks:?}");
        let resumed = self.run(3, &self.training("killed", "--resume"))?;
        ensure!(has_ended(&resumed), "resumed: {}", told(&resumed));
        self.is_as_alone("killed")
    }

    fn saves_on_a_signal(&self) -> Result<()> {
        let started = self.start("stopped", 2, 4)?;
        let ranks = started.ranks(&self.program)?;
        signal("TERM", *ranks.last().context("ranks run")?)?;
        let output = started.wait()?;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(message.matches("stopped and saved").count() == 1, "one rank says so: {}", told(&output));
        ensure!(output.status.code() == Some(130), "stopped ranks: {}", told(&output));
        let resumed = self.run(1, &self.training("stopped", "--resume"))?;
        ensure!(has_ended(&resumed), "resumed alone: {}", told(&resumed));
        self.is_as_alone("stopped")
    }

    fn reports_errors_once(&self) -> Result<()> {
        let once = |output: &Output, text: &str, code: i32| -> Result<()> {
            let found = String::from_utf8_lossy(&output.stderr).matches(text).count();
            ensure!(found == 1, "'{text}' is told {found} times: {}", told(output));
            ensure!(output.status.code() == Some(code), "code {code}: {}", told(output));
            Ok(())
        };
        let existing = self.run(2, &self.training("alone", ""))?;
        once(&existing, "already holds a run", 1)?;
        once(&self.run(2, "train --arch mlp --dataset digits --lr -1")?, "--lr", 2)?;
        once(&self.run(2, "train --arch nothing")?, "nothing", 2)?;
        once(&self.run(2, "rescale --help-not")?, "--help-not", 2)?;
        let run = self.folder.join("alone");
        let single = self.run(2, &format!("landscape --run {}", run.display()))?;
        once(&single, "does not share its work", 2)?;
        let mut differing = self.command(2, "train --arch mlp --dataset digits --no-measure : -n 1");
        differing.arg(&self.program).args("train --arch mlp --dataset digits --seed 2".split(' '));
        once(&differing.output()?, "has other settings than rank 0", 1)
    }
}

/// A launcher and its ranks, which end with this value.
struct Started(Option<Child>);

impl Started {
    /// The processes of `program` below the launcher.
    fn ranks(&self, program: &Path) -> Result<Vec<u32>> {
        let launcher = self.0.as_ref().context("the launcher runs")?.id();
        let mut ranks = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let is_rank = fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|exe| exe == program);
            if is_rank && has_ancestor(process, launcher) {
                ranks.push(process);
            }
        }
        ranks.sort_unstable();
        Ok(ranks)
    }

    /// Waits for the end of the launcher.
    fn wait(mut self) -> Result<Output> {
        let mut child = self.0.take().context("the launcher runs")?;
        let start = Instant::now();
        while child.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                child.kill()?;
                anyhow::bail!("the ranks do not end: {}", told(&child.wait_with_output()?));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(child.wait_with_output()?)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // The launcher may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether `process` was started by `ancestor`, or by one that was.
fn has_ancestor(process: u32, ancestor: u32) -> bool {
    let parent = |process: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    std::iter::successors(Some(process), |process| parent(*process)).skip(1).any(|parent| parent == ancestor)
}

fn is_alive(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn signal(name: &str, process: u32) -> Result<()> {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status()?;
    ensure!(sent.success(), "cannot send {name} to {process}");
    Ok(())
}

/// Whether a training ran to its end: it converged, reached its last epoch, or has an eigenvalue that did not converge.
fn has_ended(output: &Output) -> bool {
    matches!(output.status.code(), Some(0 | 4 | 5))
}

/// What must not depend on ranks.
fn numbers(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        for field in ["seconds", "costs", "memory", "cached_chunks", "ranks", "peak_bytes"] {
            fields.remove(field);
        }
    }
    document
}

fn told(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{error}", output.status)
}
