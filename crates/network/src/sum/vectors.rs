//! Sums of vectors in the layout of the parameters.

use super::exchange::{Words, combine};
use super::tree::{Dealt, Part, Tree};
use crate::backend::{Accumulate, Backend, View};
use crate::network::Network;
use crate::ranks::Ranks;

/// Vectors of one kind on a device.
trait Arithmetic {
    type Vector;
    /// Whether its terms may be added to the sum of the groups before.
    const JOINS: bool;
    /// A vector of any content.
    fn vector(&self) -> Self::Vector;
    /// `y += x`.
    fn add(&self, x: &Self::Vector, y: &mut Self::Vector);
}

/// Sums in double precision.
struct Wide<'n, B: Backend>(&'n Network<B>);

impl<B: Backend> Arithmetic for Wide<'_, B> {
    type Vector = B::Wide;
    const JOINS: bool = true;

    fn vector(&self) -> B::Wide {
        self.0.backend().wide(self.0.parameters().len())
    }

    fn add(&self, x: &B::Wide, y: &mut B::Wide) {
        self.0.backend().add_wide(x, y);
    }
}

/// Sums in the precision of the network. A kernel that adds to its output may round differently from one that writes it.
struct Narrow<'n, B: Backend>(&'n Network<B>);

impl<B: Backend> Arithmetic for Narrow<'_, B> {
    type Vector = B::Buffer;
    const JOINS: bool = false;

    fn vector(&self) -> B::Buffer {
        self.0.backend().buffer(self.0.parameters().len())
    }

    fn add(&self, x: &B::Buffer, y: &mut B::Buffer) {
        self.0.add_vectors(x, y);
    }
}

/// The part of this rank in a sum of vectors.
#[derive(Debug)]
struct Own<V> {
    tree: Tree<V>,
    /// The group whose terms are added now, and their sum; without a vector, they are added to the last part.
    open: Option<(usize, Option<V>)>,
}

impl<V> Default for Own<V> {
    fn default() -> Self {
        Self { tree: Tree::default(), open: None }
    }
}

impl<V> Own<V> {
    /// Forgets all terms, but keeps their vectors.
    fn clear(&mut self) {
        let open = self.open.take().and_then(|(_, vector)| vector);
        let parts = self.tree.parts.drain(..).map(|part| part.value);
        self.tree.free.extend(open.into_iter().chain(parts));
    }

    /// The vector for the next term, which is of `group`, and whether to add to it or to overwrite it.
    fn slot<A: Arithmetic<Vector = V>>(
        &mut self,
        dealt: Dealt,
        group: usize,
        with: &A,
    ) -> (&mut V, Accumulate) {
        let mut accumulate = Accumulate::Add;
        if self.open.as_ref().is_none_or(|(open, _)| *open != group) {
            self.close(dealt, with);
            let precedes = self.tree.parts.last().is_some_and(|last| last.precedes(0, group));
            if A::JOINS && dealt.is_plain() && precedes {
                self.open = Some((group, None));
            } else {
                accumulate = Accumulate::Set;
                self.open = Some((group, Some(self.tree.free.pop().unwrap_or_else(|| with.vector()))));
            }
        }
        match (&mut self.open, self.tree.parts.last_mut()) {
            (Some((_, Some(vector))), _) => (vector, accumulate),
            (_, Some(last)) => (&mut last.value, accumulate),
            (_, None) => unreachable!("a group without a vector follows another"),
        }
    }

    /// Ends the group whose terms are added.
    fn close<A: Arithmetic<Vector = V>>(&mut self, dealt: Dealt, with: &A) {
        let part = match self.open.take() {
            None => None,
            Some((group, Some(vector))) => Some(Part::group(group, vector)),
            Some((_, None)) => self.tree.parts.pop().map(|last| Part { count: last.count + 1, ..last }),
        };
        if let Some(part) = part {
            self.tree.push(dealt, part, &mut |x, y| with.add(x, y));
        }
    }
}

/// A sum of vectors in double precision, whose terms have that of the network.
#[derive(Debug)]
pub struct WideSum<B: Backend>(Own<B::Wide>);

impl<B: Backend> Default for WideSum<B> {
    fn default() -> Self {
        Self(Own::default())
    }
}

impl<B: Backend> WideSum<B> {
    /// Bytes of a sum of `terms` terms: vectors, and the exchange between ranks, which sums share.
    pub(crate) fn bytes(network: &Network<B>, terms: usize) -> (usize, usize) {
        let (dealt, dim) = (Dealt::new(terms, network.ranks()), network.parameters().len());
        let vectors = dealt.vectors(true).saturating_mul(dim).saturating_mul(size_of::<f64>());
        (vectors, dealt.exchange_bytes(dim))
    }

    /// Forgets all terms.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds the next term of this rank, `x: [dim]`, which is of `group`.
    pub fn add(&mut self, network: &Network<B>, dealt: Dealt, group: usize, x: &B::Buffer) {
        let (total, accumulate) = self.0.slot(dealt, group, &Wide(network));
        let x = View::new(x, 0, network.parameters().len());
        match accumulate {
            Accumulate::Set => network.backend().widen(x, total),
            Accumulate::Add => network.backend().add_to_wide(x, total),
        }
    }

    /// `out: [dim]` = the sum of all terms of all ranks, once they have added theirs.
    pub fn finish(&mut self, network: &Network<B>, dealt: Dealt, out: &mut [f64]) {
        self.0.close(dealt, &Wide(network));
        let (backend, parts) = (network.backend(), &self.0.tree.parts);
        match network.ranks().communicator() {
            None => parts.iter().for_each(|part| backend.read_into(&part.value, out)),
            Some(communicator) => {
                let read = |k: usize| parts.get(k).map_or_else(Vec::new, |part| backend.read(&part.value));
                let total = combine(communicator, dealt, out.len(), Words::Double, &read);
                out.copy_from_slice(&total);
            }
        }
    }
}

/// A sum of vectors in the precision of the network.
#[derive(Debug)]
pub struct NarrowSum<B: Backend>(Own<B::Buffer>);

impl<B: Backend> Default for NarrowSum<B> {
    fn default() -> Self {
        Self(Own::default())
    }
}

impl<B: Backend> NarrowSum<B> {
    /// Forgets all terms.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The vector for the next term of this rank, which is of `group`, and whether to add to it or to overwrite it.
    pub fn slot(&mut self, network: &Network<B>, dealt: Dealt, group: usize) -> (&mut B::Buffer, Accumulate) {
        self.0.slot(dealt, group, &Narrow(network))
    }

    /// The sum of all terms of `ranks`, once they have added theirs.
    ///
    /// # Panics
    /// If there are none.
    pub fn finish(&mut self, network: &Network<B>, dealt: Dealt, ranks: &Ranks) -> &B::Buffer {
        let (backend, dim, with) = (network.backend(), network.parameters().len(), Narrow(network));
        self.0.close(dealt, &with);
        if let Some(communicator) = ranks.communicator() {
            let parts = &self.0.tree.parts;
            let read = |k: usize| {
                let part = parts.get(k).map(|part| View::new(&part.value, 0, dim));
                part.map_or_else(Vec::new, |part| backend.download(part))
            };
            let words =
                if backend.element_bytes() == size_of::<f32>() { Words::Single } else { Words::Double };
            let total = combine(communicator, dealt, dim, words, &read);
            self.0.clear();
            let mut vector = self.0.tree.free.pop().unwrap_or_else(|| with.vector());
            backend.upload(&total, &mut vector);
            self.0.tree.parts.push(Part::group(0, vector));
        }
        &self.0.tree.parts.first().expect("a sum has terms").value
    }

    /// Bytes of a sum of `terms` terms: vectors, and the exchange between ranks.
    pub fn bytes(network: &Network<B>, terms: usize) -> usize {
        let (dealt, dim) = (Dealt::new(terms, network.ranks()), network.parameters().len());
        let vectors =
            dealt.vectors(false).saturating_mul(dim).saturating_mul(network.backend().element_bytes());
        vectors.saturating_add(dealt.exchange_bytes(dim))
    }
}
