//! Which rank adds which terms, and in which order sums are added.

use std::ops::Range;

use smallvec::SmallVec;

use crate::ranks::{Ranks, share};

/// The most groups, and so the most ranks that can share a sum.
pub(super) const GROUPS: usize = 64;
/// How many sums are added in order to one of the next level.
const FAN: usize = 4;

/// Which terms of a sum are added by which rank.
#[derive(Clone, Copy, Debug)]
pub struct Dealt {
    terms: usize,
    groups: usize,
    /// The number of this rank, and how many there are.
    pub(super) rank: (usize, usize),
}

impl Dealt {
    /// A sum of `terms` terms.
    pub fn new(terms: usize, ranks: &Ranks) -> Self {
        Self { terms, groups: terms.min(GROUPS), rank: (ranks.rank(), ranks.size()) }
    }

    /// The terms of this rank in order, each after the number of its group.
    pub fn own(self) -> impl Iterator<Item = (usize, usize)> {
        self.groups_of(self.rank.0).flat_map(move |group| self.terms_of(group).map(move |term| (group, term)))
    }

    /// The terms of this rank in order, each after the number of its group, if a term is a chunk of `chunk` of `count` examples: the
    /// places of its examples. The last chunk may be smaller.
    pub fn own_chunks(self, count: usize, chunk: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.own().map(move |(group, index)| (group, index * chunk..((index + 1) * chunk).min(count)))
    }

    /// The number of terms.
    pub(crate) const fn terms(self) -> usize {
        self.terms
    }

    /// The number of terms of each rank.
    pub(crate) fn lengths(self) -> impl Iterator<Item = usize> {
        let length = move |rank| self.groups_of(rank).map(|group| self.terms_of(group).len()).sum();
        (0..self.rank.1).map(length)
    }

    fn groups_of(self, rank: usize) -> Range<usize> {
        share(self.groups, self.rank.1, rank)
    }

    fn terms_of(self, group: usize) -> Range<usize> {
        share(self.terms, self.groups, group)
    }

    /// Whether every group is one term, so that adding it to the sum before it saves a vector and changes nothing.
    pub(super) const fn is_plain(self) -> bool {
        self.terms == self.groups
    }

    /// What is left of the groups of `rank` once it has added up what it can.
    pub(super) fn parts_of(self, rank: usize) -> Vec<Part<()>> {
        let mut tree = Tree::default();
        self.groups_of(rank).for_each(|group| tree.push(self, Part::group(group, ()), &mut |(), ()| ()));
        tree.parts.into_vec()
    }

    /// The most vectors that a rank holds at once; `joins` if terms may be added to the sum of the groups before.
    pub(super) fn vectors(self, joins: bool) -> usize {
        let of_rank = |rank| {
            let (mut tree, mut most) = (Tree::default(), 1);
            for group in self.groups_of(rank) {
                let joins =
                    joins && self.is_plain() && tree.parts.last().is_some_and(|last| last.precedes(0, group));
                most = most.max(tree.parts.len() + usize::from(!joins));
                tree.push(self, Part::group(group, ()), &mut |(), ()| ());
            }
            most
        };
        (0..self.rank.1).map(of_rank).max().unwrap_or(1)
    }

    /// Bytes of the exchange of a vector of `dim` numbers, on the rank that holds most.
    pub(super) fn exchange_bytes(self, dim: usize) -> usize {
        if self.rank.1 == 1 {
            return 0;
        }
        let parts: usize = (0..self.rank.1).map(|rank| self.parts_of(rank).len()).sum();
        // A vector in words, those received of one round, the slices of all parts, and the result.
        let slices = parts.saturating_mul(dim.div_ceil(self.rank.1));
        dim.saturating_mul(4).saturating_add(slices).saturating_mul(size_of::<f64>())
    }
}

/// The sum of `count` consecutive sums of a level, from number `first`; the groups are level 0. Several of them begin at a multiple of
/// [`FAN`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<V> {
    pub(super) level: u32,
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) value: V,
}

impl<V> Part<V> {
    pub(super) const fn group(first: usize, value: V) -> Self {
        Self { level: 0, first, count: 1, value }
    }

    /// Whether sum number `next` of `level` is added to this one.
    pub(super) const fn precedes(&self, level: u32, next: usize) -> bool {
        let is_next = self.level == level && self.first + self.count == next;
        is_next && self.first.is_multiple_of(FAN) && !next.is_multiple_of(FAN)
    }
}

/// As many as one process alone needs, so that its steps allocate nothing.
type Few<T> = SmallVec<[T; 4]>;

/// Sums of consecutive groups that wait for others, in order.
#[derive(Debug)]
pub(super) struct Tree<V> {
    pub(super) parts: Few<Part<V>>,
    /// Vectors that are no longer needed.
    pub(super) free: Few<V>,
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { parts: Few::new(), free: Few::new() }
    }
}

impl<V> Tree<V> {
    /// Adds the part that follows those before; `add` adds a value to another.
    pub(super) fn push(&mut self, dealt: Dealt, mut part: Part<V>, add: &mut impl FnMut(&V, &mut V)) {
        loop {
            let joins = self.parts.last().is_some_and(|before| before.precedes(part.level, part.first));
            if joins && let Some(mut before) = self.parts.pop() {
                add(&part.value, &mut before.value);
                before.count += part.count;
                self.free.push(std::mem::replace(&mut part, before).value);
            }
            let nodes = dealt.groups.div_ceil(FAN.pow(part.level));
            let end = part.first + part.count;
            let is_whole = part.first.is_multiple_of(FAN) && (end.is_multiple_of(FAN) || end == nodes);
            if nodes == 1 || !is_whole {
                self.parts.push(part);
                return;
            }
            part = Part { level: part.level + 1, first: part.first / FAN, count: 1, ..part };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(terms: usize, rank: usize, size: usize) -> Dealt {
        Dealt { terms, groups: terms.min(GROUPS), rank: (rank, size) }
    }

    fn kinds<V>(parts: &[Part<V>]) -> Vec<(u32, usize, usize)> {
        parts.iter().map(|part| (part.level, part.first, part.count)).collect()
    }

    /// The sum as a text that shows its order.
    fn order(terms: usize, size: usize) -> String {
        let mut root = Tree::default();
        let mut add = |x: &String, y: &mut String| *y = format!("({y}+{x})");
        for rank in 0..size {
            let own = dealt(terms, rank, size);
            let mut tree = Tree::default();
            own.groups_of(rank)
                .for_each(|group| tree.push(own, Part::group(group, group.to_string()), &mut add));
            assert_eq!(
                kinds(&tree.parts),
                kinds(&own.parts_of(rank)),
                "what others expect of rank {rank} of {size}"
            );
            tree.parts.into_iter().for_each(|part| root.push(own, part, &mut add));
        }
        assert_eq!(root.parts.len(), 1, "one sum is left of {terms} terms on {size} ranks");
        root.parts.swap_remove(0).value
    }

    #[test]
    fn the_order_of_a_sum_does_not_depend_on_the_number_of_ranks() {
        for terms in 1..200 {
            let alone = order(terms, 1);
            for size in (2..=9).chain([16, 63, 64, 65]) {
                assert_eq!(order(terms, size), alone, "{terms} terms on {size} ranks");
            }
        }
    }

    #[test]
    fn few_terms_are_added_in_their_order() {
        assert_eq!(order(3, 1), "((0+1)+2)");
        assert_eq!(order(5, 1), "((((0+1)+2)+3)+4)");
        assert_eq!(order(6, 1), "((((0+1)+2)+3)+(4+5))");
    }

    #[test]
    fn every_term_has_one_rank() {
        for (terms, size) in [(1, 1), (1, 3), (7, 2), (65, 3), (1000, 7), (130, 64)] {
            let all: Vec<usize> =
                (0..size).flat_map(|rank| dealt(terms, rank, size).own().map(|(_, term)| term)).collect();
            assert_eq!(all, (0..terms).collect::<Vec<_>>(), "{terms} terms on {size} ranks");
            assert_eq!(dealt(terms, 0, size).lengths().sum::<usize>(), terms);
        }
    }

    #[test]
    fn a_sum_holds_few_vectors() {
        for (terms, vectors) in [(1, 1), (4, 1), (5, 2), (16, 2), (64, 3), (65, 4), (4000, 4)] {
            assert_eq!(dealt(terms, 0, 1).vectors(true), vectors, "{terms} terms");
        }
    }
}
