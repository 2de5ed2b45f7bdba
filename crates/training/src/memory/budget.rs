//! A bound on the memory of the process.

use sharpness_network::Ranks;

use super::available::reachable_bytes;
use crate::{Error, Result};

/// Bytes of the program itself, and of what it holds besides numbers.
const PROGRAM_BYTES: usize = 28 << 20;
/// Bytes per thread.
const THREAD_BYTES: usize = 64 << 10;

/// A bound on the memory of the process (its peak resident set), and how much of it is already taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes to use if they make the work faster.
    limit: usize,
    /// Bytes to use if less does not suffice.
    most: usize,
    /// Whether a user set the limit.
    is_asked: bool,
    /// Bytes that other things take.
    taken: usize,
    /// The number of tasks at the same time, with equal shares.
    sharers: usize,
}

impl Budget {
    /// A bound of this many bytes, all of it free.
    pub const fn of(bytes: usize) -> Self {
        Self { limit: bytes, most: bytes, is_asked: true, taken: 0, sharers: 1 }
    }

    /// The bound of this process: what the user asked for, or half of the available memory (all of it if less does not
    /// suffice). The program and the threads of the current rayon pool take their part.
    pub fn of_process(asked: Option<usize>) -> Self {
        let reachable = reachable_bytes();
        let limit = asked.map_or(reachable / 2, |asked| asked.min(reachable));
        let most = asked.map_or(reachable, |_| limit);
        let taken = PROGRAM_BYTES + rayon::current_num_threads() * THREAD_BYTES;
        Self { limit, most, is_asked: asked == Some(limit), taken, sharers: 1 }
    }

    /// This budget of a process that shares the memory of its machine with others, `processes` in all: its part, unless a user
    /// set the bound, which is then each one's own.
    #[must_use]
    pub const fn on_shared_machine(self, processes: usize) -> Self {
        if self.is_asked {
            return self;
        }
        Self { limit: self.limit / processes, most: self.most / processes, ..self }
    }

    /// The budget that each of `ranks` can keep, so that all of them decide alike.
    #[must_use]
    pub fn agreed(self, ranks: &Ranks) -> Self {
        let Self { limit, most, is_asked, taken, sharers } = self;
        let all = ranks.gather(&[limit, most, usize::from(is_asked), taken].map(|word| word as u64));
        let of_all =
            |place: usize| all.iter().map(move |words| usize::try_from(words[place]).unwrap_or(usize::MAX));
        Self {
            limit: of_all(0).min().unwrap_or(limit),
            most: of_all(1).min().unwrap_or(most),
            is_asked: of_all(2).any(|asked| asked == 1),
            taken: of_all(3).max().unwrap_or(taken),
            sharers,
        }
    }

    /// This budget after another `bytes` are taken.
    #[must_use]
    pub const fn less(self, bytes: usize) -> Self {
        Self { taken: self.taken.saturating_add(self.sharers.saturating_mul(bytes)), ..self }
    }

    /// The share of each of `sharers` in what is left.
    #[must_use]
    pub fn shared_by(self, sharers: usize) -> Self {
        Self { sharers: sharers.max(1), ..self }
    }

    /// The bytes of the bound.
    pub const fn bytes(&self) -> usize {
        self.limit
    }

    /// Whether a user set the bound, so that work that would exceed it must not start.
    pub const fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The bytes that are left for work that needs at least `needed`.
    ///
    /// # Errors
    /// [`Error::Memory`] if they are fewer.
    pub fn left(&self, needed: usize) -> Result<usize> {
        let share = |bytes: usize| bytes.saturating_sub(self.taken) / self.sharers;
        if needed > share(self.most) {
            let Self { most: available_bytes, is_asked, .. } = *self;
            return Err(Error::Memory { needed_bytes: self.total(needed), available_bytes, is_asked });
        }
        Ok(share(self.limit).max(needed))
    }

    /// The bytes of the process while all sharers use `bytes`.
    pub(crate) const fn total(&self, bytes: usize) -> usize {
        self.taken.saturating_add(self.sharers.saturating_mul(bytes))
    }
}

impl Default for Budget {
    /// The default budget of this process.
    fn default() -> Self {
        Self::of_process(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_bound_that_is_named_works() {
        for budget in [Budget::of(40), Budget::of(60).less(20), Budget::of(100).less(20).shared_by(3).less(5)]
        {
            let Err(Error::Memory { needed_bytes, .. }) = budget.left(50) else {
                panic!("{budget:?} leaves less than 50")
            };
            let with = |bytes: usize| Budget { limit: bytes, most: bytes, ..budget };
            assert_eq!(with(needed_bytes).left(50).unwrap(), 50, "{budget:?}");
            assert!(with(needed_bytes - 1).left(50).is_err(), "{budget:?}");
        }
    }

    #[test]
    fn without_a_wish_more_than_half_is_used_where_less_will_not_do() {
        let budget = Budget { limit: 50, most: 100, is_asked: false, taken: 10, sharers: 1 };
        assert_eq!(budget.left(20).unwrap(), 40, "half of all, less what is taken");
        assert_eq!(budget.left(80).unwrap(), 80, "what is needed");
        let Err(Error::Memory { needed_bytes, available_bytes, is_asked }) = budget.left(91) else {
            panic!("91 and 10 are more than 100")
        };
        assert_eq!((needed_bytes, available_bytes, is_asked), (101, 100, false), "with what is taken");
    }
}
