//! Rewrites a description into ops that a backend computes in one pass. Each file has one pattern.

mod epilogue;
mod fixup;

use crate::backend::Fusion;
use crate::model::{Node, Value};

/// The nodes with all that `fuses` allows fused, in an order in which each follows its inputs.
pub(crate) fn fuse(nodes: Vec<Node>, outputs: &[Value], fuses: &dyn Fn(Fusion) -> bool) -> Vec<Node> {
    let mut nodes = Nodes { nodes: nodes.into_iter().map(Some).collect(), outputs };
    fixup::fuse(&mut nodes, fuses);
    epilogue::fuse(&mut nodes, fuses);
    nodes.nodes.into_iter().flatten().collect()
}

/// The nodes of a description, by their places. A fused node takes the last place of its members.
struct Nodes<'a> {
    nodes: Vec<Option<Node>>,
    outputs: &'a [Value],
}

impl Nodes<'_> {
    fn at(&self, place: usize) -> Option<&Node> {
        self.nodes.get(place)?.as_ref()
    }

    /// The only node that uses `value`, unless the value is an output too.
    fn only_user(&self, value: Value) -> Option<(usize, &Node)> {
        let uses = |(place, node): (usize, &'_ Option<Node>)| {
            node.as_ref().filter(|node| node.inputs.contains(&value)).map(|_| place)
        };
        let mut users = self.nodes.iter().enumerate().filter_map(uses);
        let place = users.next().filter(|_| users.next().is_none() && !self.outputs.contains(&value))?;
        Some((place, self.at(place)?))
    }

    /// The node that makes `value`.
    fn maker(&self, value: Value) -> Option<(usize, &Node)> {
        let place =
            self.nodes.iter().position(|node| node.as_ref().is_some_and(|node| node.output == value))?;
        Some((place, self.at(place)?))
    }

    /// Puts `fused` in the place of its members.
    fn replace(&mut self, members: &[usize], fused: Node) {
        members.iter().for_each(|&place| self.nodes[place] = None);
        if let Some(&last) = members.iter().max() {
            self.nodes[last] = Some(fused);
        }
    }
}
