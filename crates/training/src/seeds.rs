//! One random stream per purpose, so that the draws for one purpose do not shift those for another.
//!
//! The weights of a run depend on its seed and its architecture alone: the same seed gives the same start whatever the
//! learning rate, the batch size, ρ or the dropout probability.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A purpose of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The initial weights.
    Weights,
    /// The order of the examples.
    Order,
    /// The dropout masks.
    Dropout,
    /// The subset of the training set to train on; its seed is `data.seed`, not the run's.
    Subset,
    /// Random directions around weights.
    Directions,
    /// The places and batches of the training of a curve between weights.
    Curve,
}

impl Purpose {
    /// The seed of this purpose's stream, derived from the seed `run` of a run or of its data.
    ///
    /// Both steps are bijections of 64 bits (the finaliser of splitmix64; Steele, Lea, Flood 2014), so two runs never share
    /// the seed of a purpose, and two purposes of a run never share a seed.
    pub const fn seed(self, run: u64) -> u64 {
        let tag: u64 = match self {
            Self::Weights => 0x7765_6967_6874_7300,
            Self::Order => 0x6f72_6465_7200_0000,
            Self::Dropout => 0x6472_6f70_6f75_7400,
            Self::Subset => 0x7375_6273_6574_0000,
            Self::Directions => 0x6469_7265_6374_0000,
            Self::Curve => 0x6375_7276_6500_0000,
        };
        finalise(finalise(run) ^ tag)
    }
}

const fn finalise(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Overwrites `order` with the examples `trained` in the order of epoch `epoch` (from 0) of the run with the seed `run`.
///
/// It depends on nothing else, so a run that is resumed within an epoch needs no generator state.
pub(crate) fn shuffle(run: u64, epoch: u32, trained: &[u32], order: &mut Vec<u32>) {
    order.clear();
    order.extend_from_slice(trained);
    let mut random = ChaCha8Rng::seed_from_u64(Purpose::Order.seed(run));
    random.set_stream(u64::from(epoch));
    order.shuffle(&mut random);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_runs_have_distinct_seeds() {
        use Purpose::{Curve, Directions, Dropout, Order, Subset, Weights};
        let purposes = [Weights, Order, Dropout, Subset, Directions, Curve];
        let seeds: std::collections::BTreeSet<u64> =
            (0..100).flat_map(|run| purposes.map(|purpose| purpose.seed(run))).collect();
        assert_eq!(seeds.len(), 600, "a seed occurs twice");
    }

    #[test]
    fn an_epoch_is_a_permutation_of_its_own() {
        let trained: Vec<u32> = (0..100).collect();
        let (mut first, mut again, mut second) = (Vec::new(), vec![7; 3], Vec::new());
        shuffle(1, 0, &trained, &mut first);
        shuffle(1, 0, &trained, &mut again);
        shuffle(1, 1, &trained, &mut second);
        assert_eq!(first, again, "the order is a function of seed and epoch");
        assert_ne!(first, second, "each epoch has its own order");
        second.sort_unstable();
        assert_eq!(second, trained, "every example occurs once");
    }
}
