//! The nodes that patterns are sought in.

use crate::model::{Node, Value};

/// The nodes of a description, by their places. A fused node takes the last place of its members.
pub(super) struct Nodes<'a> {
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) outputs: &'a [Value],
}

impl Nodes<'_> {
    pub(super) fn at(&self, place: usize) -> Option<&Node> {
        self.nodes.get(place)?.as_ref()
    }

    /// The only node that uses `value`, unless the value is an output too.
    pub(super) fn only_user(&self, value: Value) -> Option<(usize, &Node)> {
        let uses = |(place, node): (usize, &'_ Option<Node>)| {
            node.as_ref().filter(|node| node.inputs.contains(&value)).map(|_| place)
        };
        let mut users = self.nodes.iter().enumerate().filter_map(uses);
        let place = users.next().filter(|_| users.next().is_none() && !self.outputs.contains(&value))?;
        Some((place, self.at(place)?))
    }

    /// The node that makes `value`.
    pub(super) fn maker(&self, value: Value) -> Option<(usize, &Node)> {
        let place =
            self.nodes.iter().position(|node| node.as_ref().is_some_and(|node| node.output == value))?;
        Some((place, self.at(place)?))
    }

    /// Puts `fused` in the place of its members.
    pub(super) fn replace(&mut self, members: &[usize], fused: Node) {
        members.iter().for_each(|&place| self.nodes[place] = None);
        if let Some(&last) = members.iter().max() {
            self.nodes[last] = Some(fused);
        }
    }
}
