//! The provenance of a run: an entry for each start. Names do not depend on it.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::json::read_json;

/// The starts of a run in order; the content of `provenance.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provenance {
    /// One entry for each start.
    pub starts: Vec<Start>,
}

/// A start of a process that worked on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The version of the program.
    pub version: String,
    /// The commit of the build; none outside a Git checkout. A `+` means that files were modified.
    pub commit: Option<String>,
    /// The command line.
    pub command: Vec<String>,
    /// The name of the machine.
    pub host: Option<String>,
    /// Its processor.
    pub processor: Option<String>,
    /// The vector instructions in use.
    pub instruction_set: String,
    /// The number of threads.
    pub threads: usize,
    /// The number of processes that shared the work; absent if it was one alone.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
    /// The backend.
    pub backend: String,
    /// Seconds since 1970.
    pub time: u64,
}

impl Start {
    /// This process.
    pub fn now() -> Self {
        let instruction_set = sharpness_kernels::simd::detect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SHARPNESS_COMMIT").map(str::to_owned),
            command: command_line(),
            host: host(),
            processor: processor(),
            instruction_set: instruction_set
                .map_or_else(|_| "unknown".to_owned(), |set| set.name().to_owned()),
            threads: rayon::current_num_threads(),
            ranks: RANKS.get().copied().unwrap_or(1),
            backend: "cpu".to_owned(),
            time: seconds_since_1970(),
        }
    }
}

impl Provenance {
    /// Reads the file at `path`; empty if there is none.
    ///
    /// # Errors
    /// [`DamagedRun`](crate::Error::DamagedRun) or [`Io`](crate::Error::Io) if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(read_json(path)?.unwrap_or_default())
    }
}

static COMMAND_LINE: OnceLock<Vec<String>> = OnceLock::new();

/// Says which command line this process executes, if it is not the one that started it: that of an interpreter names a script, or
/// nothing that could be repeated. The first call counts.
pub fn set_command_line(arguments: Vec<String>) {
    // A later call has nothing to add.
    let _ = COMMAND_LINE.set(arguments);
}

static RANKS: OnceLock<usize> = OnceLock::new();

/// Says how many processes share the work of this one. The first call counts.
pub fn set_ranks(ranks: usize) {
    let _ = RANKS.set(ranks);
}

const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_one(ranks: &usize) -> bool {
    *ranks == 1
}

/// The command line that this process executes.
fn command_line() -> Vec<String> {
    let of_process = || std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    COMMAND_LINE.get().cloned().unwrap_or_else(of_process)
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "records say when something began; no result depends on it")]
pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The name of this machine.
pub(crate) fn host() -> Option<String> {
    let of_system = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    of_system.or_else(|| std::env::var("HOSTNAME").ok()).map(|name| name.trim().to_owned())
}

/// The name of this machine's processor.
fn processor() -> Option<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}
