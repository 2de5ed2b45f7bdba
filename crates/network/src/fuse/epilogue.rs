//! A convolution, linear layer or batch norm with the ReLU and the 2x2 max pooling after it.

use super::nodes::Nodes;
use crate::backend::{Activation, Epilogue, Fusion};
use crate::model::Node;
use crate::ops::{BatchNorm2d, Convolution, Elementwise, Linear, MaxPool, Operation};

pub(super) fn fuse(nodes: &mut Nodes<'_>, fuses: &dyn Fn(Fusion) -> bool) {
    for place in 0..nodes.nodes.len() {
        if let Some((members, fused)) = found(nodes, place, fuses) {
            nodes.replace(&members, fused);
        }
    }
}

/// The members of a chain that begins at `place`, and the op that takes their place.
fn found(nodes: &Nodes<'_>, place: usize, fuses: &dyn Fn(Fusion) -> bool) -> Option<(Vec<usize>, Node)> {
    let first = nodes.at(place)?;
    let can_pool = match first.operation {
        Operation::Convolution(Convolution { epilogue: Epilogue::None, .. })
        | Operation::BatchNorm2d(BatchNorm2d { epilogue: Epilogue::None, .. }) => true,
        Operation::Linear(Linear { epilogue: Epilogue::None, .. }) => false,
        _ => return None,
    };
    let (second, relu) = nodes.only_user(first.output).filter(|_| fuses(Fusion::Relu))?;
    let Operation::Elementwise(Elementwise(Activation::Relu)) = relu.operation else { return None };
    let (mut members, mut epilogue, mut output) = (vec![place, second], Epilogue::Relu, relu.output);
    if let Some((third, pool)) = nodes.only_user(output).filter(|_| can_pool && fuses(Fusion::ReluMaxPool))
        && matches!(pool.operation, Operation::MaxPool(MaxPool { kernel: 2, stride: 2 }))
    {
        members.push(third);
        (epilogue, output) = (Epilogue::ReluMaxPool, pool.output);
    }
    let mut fused = Node { output, ..first.clone() };
    match &mut fused.operation {
        Operation::Convolution(op) => op.epilogue = epilogue,
        Operation::BatchNorm2d(op) => op.epilogue = epilogue,
        Operation::Linear(op) => op.epilogue = epilogue,
        _ => return None,
    }
    Some((members, fused))
}
