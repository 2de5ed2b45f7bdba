//! Processes that share the examples of a sum: the ranks of MPI.
//!
//! Every rank calls the same functions with the same arguments in the same order, and differs from the others only in the terms
//! that it adds. Whatever decides about a call, such as a request to stop or a bound on memory, must be agreed on first.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// The messages between the ranks. Words are the bits of numbers. A call returns on a rank once it has its own part of the result;
/// an implementation ends the process if another rank is gone.
pub trait Communicator: Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Sends the next `outgoing_counts[r]` words of `outgoing` to each rank `r`, and returns those that all ranks sent to this one, in
    /// the order of the ranks: `incoming_counts[r]` from rank `r`.
    fn exchange(&self, outgoing: &[u64], outgoing_counts: &[usize], incoming_counts: &[usize]) -> Vec<u64>;

    /// The words of all ranks, in the order of the ranks: `counts[r]` of rank `r`.
    fn gather(&self, own: &[u64], counts: &[usize]) -> Vec<u64>;
}

/// The ranks that share a sum. The default is one process alone.
#[derive(Clone, Debug, Default)]
pub struct Ranks(Option<Arc<dyn Communicator>>);

impl Ranks {
    /// The ranks of `communicator`.
    pub fn new(communicator: Arc<dyn Communicator>) -> Self {
        Self(Some(communicator).filter(|communicator| communicator.size() > 1))
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |communicator| communicator.size())
    }

    /// The number of this one, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |communicator| communicator.rank())
    }

    /// Whether this is the rank that reports and writes files.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The messages between several ranks.
    pub(crate) fn communicator(&self) -> Option<&dyn Communicator> {
        self.0.as_deref()
    }

    /// The words of each rank.
    pub fn gather(&self, own: &[u64]) -> Vec<Vec<u64>> {
        let Some(communicator) = self.communicator() else { return vec![own.to_vec()] };
        let counts = communicator.gather(&[own.len() as u64], &vec![1; communicator.size()]);
        let counts: Vec<usize> = counts.into_iter().map(number).collect();
        let all = communicator.gather(own, &counts);
        let mut rest = all.as_slice();
        let next = |&count: &usize| rest.split_off(..count).unwrap_or_default().to_vec();
        counts.iter().map(next).collect()
    }

    /// Whether `flag` is raised on any rank.
    pub fn any(&self, flag: bool) -> bool {
        if self.size() == 1 { flag } else { self.gather(&[u64::from(flag)]).iter().any(|one| one == &[1]) }
    }

    /// The bytes of each rank.
    pub fn gather_bytes(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let (whole, rest) = own.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let whole = whole.iter().map(|word| u64::from_le_bytes(*word));
        let words = [own.len() as u64].into_iter().chain(whole).chain([u64::from_le_bytes(last)]);
        let bytes = |words: &Vec<u64>| {
            let mut bytes: Vec<u8> = words.iter().skip(1).flat_map(|word| word.to_le_bytes()).collect();
            bytes.truncate(words.first().map_or(0, |&length| number(length)));
            bytes
        };
        self.gather(&words.collect::<Vec<_>>()).iter().map(bytes).collect()
    }

    /// The words that the first rank gives; those of the others are ignored.
    pub fn from_first(&self, words: &[u64]) -> Vec<u64> {
        self.gather(if self.is_first() { words } else { &[] }).swap_remove(0)
    }
}

/// A number that was sent as a word.
fn number(word: u64) -> usize {
    usize::try_from(word).expect("ranks send numbers of their own size")
}

/// Part number `index` of `count` things in order, dealt into `parts` parts as evenly as possible.
pub(crate) fn share(count: usize, parts: usize, index: usize) -> Range<usize> {
    index * count / parts..(index + 1) * count / parts
}
