//! Damage done to a file.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Calls `check` with `content` cut at each of `places`, changed there by one seeded byte, and with a hundred copies changed at random
/// places. The second argument of `check` says what the damage is.
pub(crate) fn for_each_damage(
    content: &[u8],
    places: impl Iterator<Item = usize>,
    mut check: impl FnMut(&[u8], &str),
) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for place in places {
        check(&content[..place], &format!("cut at byte {place}"));
        let mut damaged = content.to_owned();
        damaged[place] ^= random.random_range(1..=255_u8);
        check(&damaged, &format!("byte {place} set to {}", damaged[place]));
    }
    for round in 0..100 {
        let mut damaged = content.to_owned();
        for _ in 0..random.random_range(2..20) {
            let place = random.random_range(0..damaged.len());
            damaged[place] = random.random();
        }
        check(&damaged, &format!("random damage {round}"));
    }
}
