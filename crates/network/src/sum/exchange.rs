//! The sum of what is left of all ranks.

use super::tree::{Dealt, Part, Tree};
use crate::ranks::{Communicator, share};

/// How numbers are sent, and rounded when they are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Two numbers in single precision in a word.
    Single,
    /// One number in double precision.
    Double,
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of single precision, and halves of words")]
impl Words {
    const fn count(self, numbers: usize) -> usize {
        match self {
            Self::Single => numbers.div_ceil(2),
            Self::Double => numbers,
        }
    }

    fn pack(self, numbers: &[f64], words: &mut Vec<u64>) {
        let bits = |x: &f64| u64::from((*x as f32).to_bits());
        match self {
            Self::Single => words.extend(
                numbers
                    .chunks(2)
                    .map(|pair| bits(&pair[0]) | pair.get(1).map_or(0, |second| bits(second) << 32)),
            ),
            Self::Double => words.extend(numbers.iter().map(|x| x.to_bits())),
        }
    }

    fn unpack(self, words: &[u64], numbers: usize) -> Vec<f64> {
        let single = |bits: u64| f64::from(f32::from_bits(bits as u32));
        match self {
            Self::Single => {
                words.iter().flat_map(|&word| [single(word), single(word >> 32)]).take(numbers).collect()
            }
            Self::Double => words.iter().map(|&word| f64::from_bits(word)).collect(),
        }
    }

    fn add(self, x: &[f64], y: &mut [f64]) {
        match self {
            // Rounding to single precision after a sum in double precision gives the sum in single precision.
            Self::Single => y.iter_mut().zip(x).for_each(|(y, x)| *y = f64::from((*y + x) as f32)),
            Self::Double => y.iter_mut().zip(x).for_each(|(y, x)| *y += x),
        }
    }
}

/// The sum of the parts of all ranks; `read` gives a part of this one by its number. Each rank sends about twice its parts and the sum.
pub(super) fn combine(
    communicator: &dyn Communicator,
    dealt: Dealt,
    dim: usize,
    words: Words,
    read: &dyn Fn(usize) -> Vec<f64>,
) -> Vec<f64> {
    let (rank, size) = dealt.rank;
    let slice = |rank| share(dim, size, rank);
    let parts: Vec<Vec<Part<()>>> = (0..size).map(|rank| dealt.parts_of(rank)).collect();
    let own = slice(rank).len();
    let mut slices: Vec<Vec<Vec<f64>>> = vec![Vec::new(); size];
    for round in 0..parts.iter().map(Vec::len).max().unwrap_or(0) {
        let has_part = |rank: usize| round < parts[rank].len();
        let (mut outgoing, mut counts) = (Vec::new(), vec![0; size]);
        if has_part(rank) {
            let part = read(round);
            outgoing.reserve(words.count(dim) + size);
            (0..size).for_each(|to| words.pack(&part[slice(to)], &mut outgoing));
            counts = (0..size).map(|to| words.count(slice(to).len())).collect();
        }
        let expected: Vec<usize> =
            (0..size).map(|from| if has_part(from) { words.count(own) } else { 0 }).collect();
        let incoming = communicator.exchange(&outgoing, &counts, &expected);
        let mut rest = incoming.as_slice();
        for from in (0..size).filter(|&from| has_part(from)) {
            slices[from].push(words.unpack(rest.split_off(..words.count(own)).unwrap_or_default(), own));
        }
    }
    let mut tree = Tree::default();
    for (part, value) in parts.into_iter().flatten().zip(slices.into_iter().flatten()) {
        let Part { level, first, count, .. } = part;
        tree.push(dealt, Part { level, first, count, value }, &mut |x: &Vec<f64>, y| words.add(x, y));
    }
    let total = tree.parts.swap_remove(0).value;
    let mut packed = Vec::with_capacity(words.count(own));
    words.pack(&total, &mut packed);
    let counts: Vec<usize> = (0..size).map(|rank| words.count(slice(rank).len())).collect();
    let all = communicator.gather(&packed, &counts);
    let mut rest = all.as_slice();
    let next =
        |rank: usize| words.unpack(rest.split_off(..counts[rank]).unwrap_or_default(), slice(rank).len());
    (0..size).flat_map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_words() {
        let numbers = [1.5, -0.0, f64::from(f32::MIN_POSITIVE), 3.25e8, -7.0];
        for length in 0..=numbers.len() {
            for words in [Words::Single, Words::Double] {
                let mut packed = Vec::new();
                words.pack(&numbers[..length], &mut packed);
                assert_eq!(packed.len(), words.count(length));
                let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&words.unpack(&packed, length)), bits(&numbers[..length]), "{words:?}");
            }
        }
    }
}
