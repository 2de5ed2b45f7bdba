//! Messages by MPI.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};
use sharpness_network::{Communicator, Ranks};

/// Messages of more words than this are vectors, whose time is counted. Ranks have met before they exchange them.
const VECTOR: usize = 1 << 12;

/// Nanoseconds that went into the exchange of vectors.
static EXCHANGE: AtomicU64 = AtomicU64::new(0);

/// All processes that MPI started. It knows them itself, so that nothing is held here.
#[derive(Debug)]
struct World {
    rank: usize,
    size: usize,
}

/// Connects this process with the others.
///
/// # Errors
/// MPI cannot start.
pub(super) fn connect() -> Result<(Universe, Ranks)> {
    // Only this thread talks to other processes.
    let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).context("cannot start MPI")?;
    let world = universe.world();
    let number = |number: i32| usize::try_from(number).context("MPI gives this process no rank");
    let (rank, size) = (number(world.rank())?, number(world.size())?);
    Ok((universe, Ranks::new(Arc::new(World { rank, size }))))
}

/// Ends all processes with an exit code.
pub(super) fn abort(code: i32) -> ! {
    SimpleCommunicator::world().abort(code)
}

/// The time that went into the exchange of vectors.
pub(super) fn exchange_time() -> Duration {
    Duration::from_nanos(EXCHANGE.load(Ordering::Relaxed))
}

/// Numbers of words, and where those of each rank begin, as MPI wants them.
fn places(counts: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let number = |count: usize| i32::try_from(count).expect("MPI sends at most 2^31 words at once");
    let starts = counts.iter().scan(0, |next, count| {
        let start = *next;
        *next += count;
        Some(number(start))
    });
    (counts.iter().map(|&count| number(count)).collect(), starts.collect())
}

/// Counts the time of a message of `words` words.
fn timed<T>(words: usize, send: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let sent = send();
    if words > VECTOR {
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        EXCHANGE.fetch_add(nanos, Ordering::Relaxed);
    }
    sent
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn exchange(&self, outgoing: &[u64], outgoing_counts: &[usize], incoming_counts: &[usize]) -> Vec<u64> {
        let mut incoming = vec![0; incoming_counts.iter().sum()];
        let (send, receive) = (places(outgoing_counts), places(incoming_counts));
        let words = outgoing.len().max(incoming.len());
        let outgoing = Partition::new(outgoing, send.0, send.1);
        let mut into = PartitionMut::new(&mut incoming[..], receive.0, receive.1);
        timed(words, || SimpleCommunicator::world().all_to_all_varcount_into(&outgoing, &mut into));
        incoming
    }

    fn gather(&self, own: &[u64], counts: &[usize]) -> Vec<u64> {
        let mut all = vec![0; counts.iter().sum()];
        let (counts, starts) = places(counts);
        let words = all.len();
        let mut into = PartitionMut::new(&mut all[..], counts, starts);
        timed(words, || SimpleCommunicator::world().all_gather_varcount_into(own, &mut into));
        all
    }
}
