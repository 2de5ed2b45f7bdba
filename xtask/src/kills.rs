//! `cargo xtask kills [--slurm] [N [SEED]]`: kill the processes of sweeps at N random moments. No run may be lost or made twice to
//! completion, and every number must have the bits of a sweep that nobody disturbed.
//!
//! Two workers sweep one store. Each pretends to be a machine of its own, so that the other takes over its runs when their
//! leases expire, and itself when it is started again, at once. A third of the kills follow directly after a file was
//! completed. Some workers are stopped instead, for longer than the expiry, and continue when another has their run.
//!
//! The kernel counts completions: inotify reports every `result.json` and every measurement that is renamed into its place,
//! whichever process did so, and whether or not it lived to tell.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// How many sweeps share the store.
const WORKERS: usize = 2;
/// How long they wait for each other's leases.
const EXPIRY_SECS: u64 = 1;
/// The longest time from one kill to the next, of a stop, and of a round without any.
const LONGEST_LIFE: Duration = Duration::from_millis(1200);
const STOP: Duration = Duration::from_millis(2500);
const PATIENCE: Duration = Duration::from_secs(300);
/// The number of the signal that no process survives.
const SIGKILL: i32 = 9;
/// One in so many kills is a stop.
const STOPS: u32 = 10;

const RECIPE: &str = "seeds = [0, 1, 2, 3, 4, 5, 6, 7]\nfixed = { arch = \"mlp\", data.name = \"digits\", \
    hidden = [16], batch_size = 50, max_epochs = 4, target_accuracy = 1.0, momentum = 0.9, dropout = 0.1, examples = 200, \
    rtol = 0.01 }\n";

/// What a run leaves that does not depend on who made it, and when.
type Numbers = BTreeMap<String, Vec<u8>>;

/// The program, and where it works.
struct Kills {
    program: PathBuf,
    folder: PathBuf,
    random: ChaCha8Rng,
    /// Where the workers are tasks of arrays, unless they are processes.
    slurm: Option<Slurm>,
}

/// What happened in a round.
#[derive(Default)]
struct Round {
    kills: usize,
    stops: usize,
    starts: usize,
}

/// Kills `arguments[0]` times.
///
/// # Errors
/// A run is lost, made twice, or has other bits; a sweep fails.
pub(crate) fn check(root: &Path, arguments: &[&str]) -> Result<()> {
    let (slurm, arguments) = match arguments {
        ["--slurm", rest @ ..] => (Some(Slurm::start(root)?), rest),
        all => (None, all),
    };
    let number = |index: usize, default: u64| {
        arguments
            .get(index)
            .map_or(Ok(default), |text| text.parse().with_context(|| format!("'{text}' is no number")))
    };
    let (wanted, seed) = (number(0, 300)?, number(1, 0)?);
    let folder = root.join("target/kills");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("recipe.toml"), RECIPE)?;
    let random = ChaCha8Rng::seed_from_u64(seed);
    let mut kills = Kills { program: program(root)?, folder, random, slurm };
    let begun = Instant::now();
    let whole = kills.folder.join("whole");
    ensure!(kills.sweep(&whole, 0).status()?.success(), "a sweep without kills must succeed");
    let expected = numbers(&whole)?;
    let (mut total, mut rounds) = (Round::default(), 0);
    while total.kills < usize::try_from(wanted)? {
        rounds += 1;
        let store = kills.folder.join(format!("store-{rounds}"));
        let round = kills.round(&store, usize::try_from(wanted)? - total.kills)?;
        compare(&numbers(&store)?, &expected).with_context(|| format!("round {rounds}, seed {seed}"))?;
        println!("round {rounds}: {} kills, {} stops, {} starts", round.kills, round.stops, round.starts);
        total.kills += round.kills;
        total.stops += round.stops;
        total.starts += round.starts;
    }
    let runs = rounds * expected.keys().filter(|file| file.ends_with("result.json")).count();
    println!(
        "{} kills and {} stops of {WORKERS} workers with {} starts in {:.0} s, seed {seed}: of {runs} runs 0 lost, 0 made \
         twice to completion, all with the bits of undisturbed ones",
        total.kills,
        total.stops,
        total.starts,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

impl Kills {
    /// A sweep of `store` on a pretended machine.
    fn sweep(&self, store: &Path, machine: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("sweep").arg(self.folder.join("recipe.toml")).arg("--store").arg(store);
        command.args(["--threads", "1", "--checkpoint-seconds", "0"]);
        command.env("SHARPNESS_LEASE_SECONDS", EXPIRY_SECS.to_string());
        command.env("SHARPNESS_TEST_BOOT_ID", format!("machine-{machine}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Sweeps a store until it is complete, with at most `most` kills.
    fn round(&mut self, store: &Path, most: usize) -> Result<Round> {
        let mut completions = Completions::watch(store, &self.trainings(store)?)?;
        let mut workers =
            (0..WORKERS).map(|machine| self.start(store, machine)).collect::<Result<Vec<_>>>()?;
        let mut round = Round { starts: WORKERS, ..Round::default() };
        let (mut next, mut disturbed) = (self.moment(), Instant::now());
        let mut running = WORKERS;
        while running > 0 {
            let completed = completions.drain()?;
            ensure!(disturbed.elapsed() < PATIENCE, "the sweep does not end");
            running = 0;
            for worker in &mut workers {
                worker.continue_if_due()?;
                running += usize::from(!worker.has_succeeded()?);
            }
            if !next.is_due(completed) || round.kills == most {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            (next, disturbed) = (self.moment(), Instant::now());
            let machine = self.random.random_range(0..WORKERS);
            let victim = &mut workers[machine];
            if victim.has_succeeded()? {
                // Another one may still have work to do.
            } else if victim.stopped.is_none() && self.random.random_ratio(1, STOPS) {
                round.stops += usize::from(victim.stop()?);
            } else if victim.kill()? {
                *victim = self.start(store, machine)?;
                round.kills += 1;
                round.starts += 1;
            }
        }
        completions.drain()?;
        completions.check()?;
        Ok(round)
    }

    /// Starts a worker.
    fn start(&self, store: &Path, machine: usize) -> Result<Worker> {
        let mut sweep = self.sweep(store, machine);
        let task = self.slurm.as_ref().map(|_| Task { store: store.to_owned(), machine });
        if let Some(slurm) = &self.slurm {
            sweep = slurm.as_task(&sweep, &self.folder, machine);
        }
        Ok(Worker { child: sweep.spawn()?, task, stopped: None })
    }

    /// When to kill next.
    fn moment(&mut self) -> Moment {
        let delay = self.random.random_range(Duration::ZERO..LONGEST_LIFE);
        Moment { at: Instant::now() + delay, after_completion: self.random.random_ratio(1, 3) }
    }

    /// The names of the trainings of the recipe.
    fn trainings(&self, store: &Path) -> Result<Vec<String>> {
        let listed = self.sweep(store, 0).args(["--dry-run", "--json"]).stdout(Stdio::piped()).output()?;
        let listed: Value = serde_json::from_slice(&listed.stdout)?;
        let names = listed.as_array().context("no list of runs")?.iter();
        names
            .map(|run| run["training_id"].as_str().map(str::to_owned).context("a run without a name"))
            .collect()
    }
}

/// When to kill.
struct Moment {
    at: Instant,
    after_completion: bool,
}

impl Moment {
    /// Whether it has come; `completed` says whether a file was completed just now.
    fn is_due(&self, completed: bool) -> bool {
        let is_late = self.at <= Instant::now();
        // Where nothing is completed any more, the moment must still come.
        let is_overdue = self.at + LONGEST_LIFE <= Instant::now();
        is_overdue || (is_late && (completed || !self.after_completion))
    }
}

/// The program that was built last.
fn program(root: &Path) -> Result<PathBuf> {
    let built = ["debug", "release"].map(|profile| root.join("target").join(profile).join("sharpness"));
    let time = |program: &PathBuf| fs::metadata(program).and_then(|metadata| metadata.modified()).ok();
    let last = built.into_iter().filter(|program| program.exists()).max_by_key(time);
    last.context("the program is missing; build it with `cargo build`")
}

/// A private Slurm of one node, which stops when it is dropped.
struct Slurm {
    script: PathBuf,
    folder: PathBuf,
}

impl Slurm {
    fn start(root: &Path) -> Result<Self> {
        let slurm = Self { script: root.join(".ci/slurm"), folder: root.join("target/kills-slurm") };
        fs::create_dir_all(&slurm.folder)?;
        let started = Command::new(&slurm.script).arg("start").arg(&slurm.folder).status()?;
        ensure!(started.success(), "Slurm does not start; install it with `.ci/slurm install`");
        Ok(slurm)
    }

    /// A command that submits `sweep` as the task `machine` of an array, and ends with it and as it did.
    fn as_task(&self, sweep: &Command, folder: &Path, machine: usize) -> Command {
        let words = std::iter::once(sweep.get_program()).chain(sweep.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let log = folder.join("%A_%a.log");
        let mut task = Command::new("sbatch");
        task.args(["--wait", "--quiet", "--mem=1000"]).arg(format!("--array={machine}"));
        task.arg(format!("--output={}", log.display())).arg(format!("--wrap=exec {}", words.join(" ")));
        task.envs(sweep.get_envs().filter_map(|(name, value)| Some((name, value?))));
        task.env("SLURM_CONF", self.folder.join("slurm.conf")).stdin(Stdio::null()).stdout(Stdio::null());
        task
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = Command::new(&self.script).arg("stop").arg(&self.folder).status();
    }
}

/// A task of an array.
struct Task {
    store: PathBuf,
    machine: usize,
}

impl Task {
    /// Its process, while it runs.
    fn process(&self) -> Result<Option<u32>> {
        let machine = format!("SHARPNESS_TEST_BOOT_ID=machine-{}", self.machine);
        let store = self.store.display().to_string();
        let has = |process: &Path, file, word: &str| {
            let content = fs::read(process.join(file)).unwrap_or_default();
            content.split(|byte| *byte == 0).any(|found| found == word.as_bytes())
        };
        for entry in fs::read_dir("/proc")? {
            let process = entry?.path();
            let number = process.file_name().and_then(|name| name.to_str()?.parse().ok());
            if number.is_some() && has(&process, "cmdline", &store) && has(&process, "environ", &machine) {
                return Ok(number);
            }
        }
        Ok(None)
    }
}

/// A sweep.
struct Worker {
    /// Its process, or that which waits for its task.
    child: Child,
    task: Option<Task>,
    /// Until when it is stopped.
    stopped: Option<Instant>,
}

impl Worker {
    /// Whether it has ended, which it must do well unless it is killed.
    fn has_succeeded(&mut self) -> Result<bool> {
        let ended = self.child.try_wait()?;
        ensure!(
            ended.is_none_or(|status| status.success()),
            "a sweep that nobody killed ended with {ended:?}"
        );
        Ok(ended.is_some())
    }

    /// The process of the sweep; `None` if its task has not started or has ended. A child must not have been waited for.
    fn process(&self) -> Result<Option<u32>> {
        self.task.as_ref().map_or_else(|| Ok(Some(self.child.id())), Task::process)
    }

    /// Stops it, and whether it runs.
    fn stop(&mut self) -> Result<bool> {
        let Some(pid) = self.process()? else { return Ok(false) };
        self.stopped = Some(Instant::now() + STOP);
        signal(pid, "STOP")?;
        Ok(true)
    }

    fn continue_if_due(&mut self) -> Result<()> {
        if self.stopped.is_some_and(|until| until <= Instant::now()) {
            self.stopped = None;
            self.process()?.map_or(Ok(()), |pid| signal(pid, "CONT"))?;
        }
        Ok(())
    }

    /// Kills it, and whether it had not ended before.
    fn kill(&mut self) -> Result<bool> {
        let Some(pid) = self.process()? else { return Ok(false) };
        signal(pid, "KILL")?;
        self.stopped = None;
        if self.task.is_some() {
            while self.process()? == Some(pid) {
                std::thread::sleep(Duration::from_millis(2));
            }
            // It only waits for the end of the task.
            self.child.kill()?;
            self.child.wait()?;
            return Ok(true);
        }
        let status = self.child.wait()?;
        ensure!(status.success() || status.signal() == Some(SIGKILL), "a sweep ended with {status}");
        Ok(!status.success())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its number is another process's once it was waited for.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.kill();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to a process.
fn signal(pid: u32, name: &str) -> Result<()> {
    // The shell's own `kill`: the program of that name is not on every machine.
    let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {pid}")]).status()?;
    ensure!(sent.success(), "the signal {name} cannot be sent to {pid}");
    Ok(())
}

/// The completions of files in a store, as the kernel counts them.
struct Completions {
    inotify: Inotify,
    folders: BTreeMap<i32, PathBuf>,
    expected: usize,
    counts: BTreeMap<PathBuf, usize>,
}

impl Completions {
    /// Creates the directories of the trainings, and watches them.
    fn watch(store: &Path, trainings: &[String]) -> Result<Self> {
        let inotify = Inotify::init()?;
        let mut folders = BTreeMap::new();
        for training in trainings {
            let measurements = store.join(training).join("measurements");
            fs::create_dir_all(&measurements)?;
            for folder in [store.join(training), measurements] {
                let watched: WatchDescriptor = inotify.watches().add(&folder, WatchMask::MOVED_TO)?;
                folders.insert(watched.get_watch_descriptor_id(), folder);
            }
        }
        Ok(Self { inotify, folders, expected: 2 * trainings.len(), counts: BTreeMap::new() })
    }

    /// Reads what happened, and whether a file was completed.
    fn drain(&mut self) -> Result<bool> {
        let mut buffer = [0; 1 << 16];
        let mut completed = false;
        loop {
            let events = match self.inotify.read_events(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(completed),
                events => events?,
            };
            for event in events {
                ensure!(!event.mask.contains(EventMask::Q_OVERFLOW), "the kernel dropped events");
                let folder =
                    self.folders.get(&event.wd.get_watch_descriptor_id()).context("an unknown folder")?;
                let file = folder.join(event.name.context("an event without a name")?);
                if file.ends_with("result.json") || folder.ends_with("measurements") {
                    completed = true;
                    *self.counts.entry(file).or_default() += 1;
                }
            }
        }
    }

    /// Fails unless every run was completed exactly once.
    fn check(&self) -> Result<()> {
        let twice: Vec<_> = self.counts.iter().filter(|(_, count)| **count != 1).collect();
        ensure!(twice.is_empty(), "made twice to completion: {twice:?}");
        ensure!(self.counts.len() == self.expected, "lost: only {} of {}", self.counts.len(), self.expected);
        Ok(())
    }
}

/// The numbers of all runs of a store, by the path of their file.
///
/// # Errors
/// A file was damaged, or cannot be read.
fn numbers(store: &Path) -> Result<Numbers> {
    let mut numbers = Numbers::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ensure!(!name.contains(".damaged"), "{} was damaged", path.display());
            if path.is_dir() {
                folders.extend((!name.starts_with(".lease")).then_some(path));
                continue;
            }
            let content = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") if !["provenance.json", "state.json"].contains(&&*name) => without_times(&path)?,
                Some("jsonl" | "toml") => fs::read(&path)?,
                Some("safetensors") if name == "weights.safetensors" => fs::read(&path)?,
                _ => continue,
            };
            numbers.insert(path.strip_prefix(store)?.display().to_string(), content);
        }
    }
    Ok(numbers)
}

/// A file of JSON, a line per value, without the lines that tell seconds and memory.
fn without_times(path: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(path)?;
    let is_number = |line: &&str| !line.contains("seconds\"") && !line.contains("bytes\"");
    Ok(text.lines().filter(is_number).collect::<Vec<_>>().join("\n").into_bytes())
}

fn compare(found: &Numbers, expected: &Numbers) -> Result<()> {
    for (file, content) in expected {
        match found.get(file) {
            None => bail!("{file} is lost"),
            Some(found) => {
                ensure!(found == content, "{file} has other bits than that of an undisturbed sweep")
            }
        }
    }
    let more: Vec<_> = found.keys().filter(|file| !expected.contains_key(*file)).collect();
    ensure!(more.is_empty(), "an undisturbed sweep does not write {more:?}");
    Ok(())
}
