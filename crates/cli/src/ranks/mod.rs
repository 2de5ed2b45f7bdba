//! Processes that `mpirun` or `srun` started together. They are the ranks that share the work of a command.

mod launcher;
#[cfg(feature = "mpi")]
mod world;

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;
use sharpness_network::Ranks;
use sharpness_training::settings::RunConfig;

use crate::exit::{Exit, Usage};
use crate::output;
use launcher::Launched;

/// What a command does if several processes run it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They share the work.
    Shared,
    /// Each would do the same.
    Single,
    /// Each does work of its own, or none that matters.
    Separate,
}

/// The processes that share the work.
#[derive(Debug)]
struct Together {
    ranks: Ranks,
    /// The machine of each.
    hosts: Vec<String>,
    /// How many run on this machine, and how many of them on the same cores.
    neighbours: (usize, usize),
}

static TOGETHER: OnceLock<Together> = OnceLock::new();

/// Keeps the connection of the ranks; its end is that of all.
#[derive(Default)]
pub(crate) struct Connection {
    #[cfg(feature = "mpi")]
    _universe: Option<mpi::environment::Universe>,
}

/// Connects the processes that were started together, if the command shares its work.
///
/// # Errors
/// The command cannot share its work, or this build has no MPI, or another one than the launcher.
pub(crate) fn start(sharing: Sharing) -> Result<Connection> {
    let Some(launched) = Launched::of_process() else { return Ok(Connection::default()) };
    match sharing {
        Sharing::Separate => Ok(Connection::default()),
        Sharing::Single => {
            let problem = "this command does not share its work; only `train`, `measure` and `bench` do";
            Err(Usage::new(launched.refusal(problem)).into())
        }
        Sharing::Shared => connect(&launched),
    }
}

#[cfg(not(feature = "mpi"))]
fn connect(launched: &Launched) -> Result<Connection> {
    let problem =
        "this build has no MPI, so that each would do all of the work; build it with `--features mpi`";
    Err(Usage::new(launched.refusal(problem)).into())
}

#[cfg(feature = "mpi")]
fn connect(launched: &Launched) -> Result<Connection> {
    let (universe, ranks) = world::connect()?;
    if ranks.size() != launched.size {
        let problem =
            format!("MPI finds {} of them: this build is for another MPI than the launcher", ranks.size());
        return Err(Usage::new(launched.refusal(&problem)).into());
    }
    let own = (launcher::host(), launcher::cores());
    let all = |text: &str| -> Vec<String> {
        ranks
            .gather_bytes(text.as_bytes())
            .iter()
            .map(|one| String::from_utf8_lossy(one).into_owned())
            .collect()
    };
    let (hosts, cores) = (all(&own.0), all(&own.1));
    let on_host = hosts.iter().filter(|host| **host == own.0).count();
    let on_cores =
        hosts.iter().zip(&cores).filter(|(host, cores)| (*host, *cores) == (&own.0, &own.1)).count();
    output::make_plain();
    if !ranks.is_first() {
        output::silence();
    }
    sharpness_runs::set_ranks(ranks.size());
    // A process connects once.
    let _ = TOGETHER.set(Together { ranks, hosts, neighbours: (on_host, on_cores) });
    Ok(Connection { _universe: Some(universe) })
}

/// Whether this process is the one to report what all find.
pub(crate) fn is_first_started() -> bool {
    Launched::of_process().is_none_or(|launched| launched.rank == 0)
}

/// The ranks that share the work of this command.
pub(crate) fn ranks() -> Ranks {
    TOGETHER.get().map_or_else(Ranks::default, |together| together.ranks.clone())
}

/// How many processes share the memory of this machine.
pub(crate) fn on_this_machine() -> usize {
    TOGETHER.get().map_or(1, |together| together.neighbours.0)
}

/// The number of threads by default, if several processes share cores.
pub(crate) fn threads() -> Option<usize> {
    let on_cores = TOGETHER.get()?.neighbours.1;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Some((cores / on_cores.max(1)).max(1))
}

/// The time that this process has spent on exchanging vectors with other ranks.
pub(crate) fn exchange_time() -> Duration {
    #[cfg(feature = "mpi")]
    return world::exchange_time();
    #[cfg(not(feature = "mpi"))]
    Duration::ZERO
}

/// Fails unless all ranks have the same `own` value of `what`, as words or as their digest.
fn check_same(what: &str, own: &str) -> Result<()> {
    let Some(Together { ranks, hosts, .. }) = TOGETHER.get() else { return Ok(()) };
    let all = ranks.gather_bytes(own.as_bytes());
    if let Some(rank) = (1..all.len()).find(|&rank| all[rank] != all[0]) {
        anyhow::bail!("rank {rank} on {} has other {what} than rank 0 on {}", hosts[rank], hosts[0]);
    }
    Ok(())
}

/// Fails unless all ranks have the same program, settings and labels, and compute with the same instructions.
///
/// # Errors
/// A rank that differs.
pub(crate) fn check_work(config: &RunConfig, labels: &[u8]) -> Result<()> {
    let instructions = sharpness_kernels::simd::detect().map_or("none", |set| set.name());
    check_same(
        "instructions (choose those of all with SHARPNESS_ISA) or another version",
        &format!("{} {instructions}", env!("CARGO_PKG_VERSION")),
    )?;
    check_same("settings", &serde_json::to_string(config)?)?;
    check_same("data", &digest(labels.iter().map(|label| u64::from(*label))))
}

/// Fails unless all ranks have read the same numbers.
///
/// # Errors
/// A rank that differs.
pub(crate) fn check_weights(numbers: &[f64]) -> Result<()> {
    if ranks().size() == 1 {
        Ok(())
    } else {
        check_same("weights", &digest(numbers.iter().map(|x| x.to_bits())))
    }
}

/// A digest (FNV-1a over words) that differs if a word does.
fn digest(words: impl Iterator<Item = u64>) -> String {
    let add = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
    format!("{:016x}", words.fold(0xcbf2_9ce4_8422_2325, add))
}

/// Waits until all ranks have come here.
pub(crate) fn wait() {
    ranks().any(false);
}

/// Reports an error and ends all ranks with its exit code; returns if there are no others.
pub(crate) fn fail(message: &str, exit: Exit) {
    /// Other ranks mostly fail for the same reason. The first then ends them before they repeat it.
    const PATIENCE: Duration = Duration::from_secs(3);
    let Some(Together { ranks, hosts, .. }) = TOGETHER.get() else { return output::error(message) };
    if !ranks.is_first() {
        std::thread::sleep(PATIENCE);
    }
    let rank = ranks.rank();
    output::error(&format!("rank {rank} on {}: {message}", hosts[rank]));
    #[cfg(feature = "mpi")]
    world::abort(exit as i32);
    #[cfg(not(feature = "mpi"))]
    let _ = exit;
}
