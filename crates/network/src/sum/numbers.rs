//! Sums of losses and correct outputs.

use smallvec::SmallVec;

use super::tree::{Dealt, GROUPS, Part, Tree};
use crate::Error;
use crate::network::Sums;
use crate::ranks::Ranks;

/// Sums of numbers of each group of this rank.
#[derive(Clone, Debug, Default)]
pub struct GroupSums(SmallVec<[(usize, Sums); GROUPS]>);

impl GroupSums {
    /// Adds the numbers of the next term, which is of `group`.
    pub fn add(&mut self, group: usize, term: Sums) {
        match self.0.last_mut().filter(|(last, _)| *last == group) {
            Some((_, sums)) => sums.add(term),
            None => self.0.push((group, term)),
        }
    }

    /// The sums over all terms of all `ranks`.
    ///
    /// # Errors
    /// [`Error::Stopped`] if a rank `is_stopped` and its terms are incomplete. All ranks return it then.
    pub fn finish(&self, dealt: Dealt, ranks: &Ranks, is_stopped: bool) -> Result<Sums, Error> {
        let mut tree = Tree::default();
        let mut push = |group, sums| tree.push(dealt, Part::group(group, sums), &mut |x: &Sums, y| y.add(*x));
        if ranks.size() == 1 {
            if is_stopped {
                return Err(Error::Stopped);
            }
            self.0.iter().for_each(|(group, sums)| push(*group, *sums));
        } else {
            let own = self.0.iter().flat_map(|(_, sums)| [sums.loss.to_bits(), sums.correct.to_bits()]);
            let own: Vec<u64> = [u64::from(is_stopped)].into_iter().chain(own).collect();
            let all = ranks.gather(&own);
            if all.iter().any(|words| words.first() != Some(&0)) {
                return Err(Error::Stopped);
            }
            let pairs = all.iter().flat_map(|words| words[1..].as_chunks::<2>().0);
            for (group, bits) in pairs.enumerate() {
                let [loss, correct] = bits.map(f64::from_bits);
                push(group, Sums { loss, correct });
            }
        }
        Ok(tree.parts.first().map_or_else(Sums::default, |part| part.value))
    }
}
