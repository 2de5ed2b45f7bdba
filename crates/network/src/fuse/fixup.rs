//! A 3x3 convolution with Fixup's numbers around it, a residual, and the ReLU after them.

use super::nodes::Nodes;
use crate::backend::{Activation, Epilogue, Fusion};
use crate::model::{Node, Value};
use crate::ops::{Convolution, Elementwise, FixupConvolution, Operation};

pub(super) fn fuse(nodes: &mut Nodes<'_>, fuses: &dyn Fn(Fusion) -> bool) {
    for place in 0..nodes.nodes.len() {
        if let Some((members, fused)) = found(nodes, place).filter(|_| fuses(Fusion::Fixup)) {
            nodes.replace(&members, fused);
        }
    }
}

/// The members of a chain around the convolution at `place`, and the op that takes their place.
fn found(nodes: &Nodes<'_>, place: usize) -> Option<(Vec<usize>, Node)> {
    let conv = nodes.at(place)?;
    let Operation::Convolution(Convolution {
        channels_in,
        channels_out,
        kernel: 3,
        stride,
        padding: 1,
        weight,
        bias: None,
        epilogue: Epilogue::None,
    }) = conv.operation
    else {
        return None;
    };
    let mut chain = Chain { nodes, members: vec![place], value: conv.output };
    let mut parameters = conv.parameters.clone();
    let scale = chain.follow(|op| matches!(op, Operation::ScalarScale(_)));
    parameters.extend(scale.into_iter().flat_map(|node| node.parameters.clone()));
    let bias = chain.follow(|op| matches!(op, Operation::ScalarBias(_)))?;
    parameters.extend(bias.parameters.clone());
    let before = chain.value;
    let add = chain.follow(|op| matches!(op, Operation::Add(_)));
    let residual = add.and_then(|add| add.inputs.iter().copied().find(|input| *input != before));
    chain.follow(|op| matches!(op, Operation::Elementwise(Elementwise(Activation::Relu))))?;
    let (mut input, mut members, output) = (conv.inputs[0], chain.members, chain.value);
    let shift = nodes.maker(input).filter(|(_, node)| {
        matches!(node.operation, Operation::ScalarBias(_)) && nodes.only_user(input).is_some()
    });
    if let Some((place, shift)) = shift {
        members.push(place);
        parameters.splice(..0, shift.parameters.clone());
        input = shift.inputs[0];
    }
    let (has_shift, has_scale) = (shift.is_some(), scale.is_some());
    let op = FixupConvolution { channels_in, channels_out, stride, has_shift, weight, has_scale };
    let inputs: Vec<Value> = std::iter::once(input).chain(residual).collect();
    // An adjoint is lent to one input at a time.
    (residual != Some(input)).then(|| {
        let (name, state) = (conv.name.clone(), Vec::new());
        (members, Node { name, operation: op.into(), inputs, output, parameters, state })
    })
}

/// Nodes that follow each other, each the only user of the value before it.
struct Chain<'n, 'a> {
    nodes: &'n Nodes<'a>,
    members: Vec<usize>,
    value: Value,
}

impl<'n> Chain<'n, '_> {
    /// The next node, which becomes a member if it is wanted.
    fn follow(&mut self, is_wanted: impl Fn(&Operation) -> bool) -> Option<&'n Node> {
        let (place, node) =
            self.nodes.only_user(self.value).filter(|(_, node)| is_wanted(&node.operation))?;
        self.members.push(place);
        self.value = node.output;
        Some(node)
    }
}
