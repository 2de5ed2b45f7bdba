//! Rewrites a description into ops that a backend computes in one pass. Each file has one pattern.

mod epilogue;
mod fixup;
mod nodes;

use crate::backend::Fusion;
use crate::model::{Node, Value};
use nodes::Nodes;

/// The nodes with all that `fuses` allows fused, in an order in which each follows its inputs.
pub(crate) fn fuse(nodes: Vec<Node>, outputs: &[Value], fuses: &dyn Fn(Fusion) -> bool) -> Vec<Node> {
    let mut nodes = Nodes { nodes: nodes.into_iter().map(Some).collect(), outputs };
    fixup::fuse(&mut nodes, fuses);
    epilogue::fuse(&mut nodes, fuses);
    nodes.nodes.into_iter().flatten().collect()
}
