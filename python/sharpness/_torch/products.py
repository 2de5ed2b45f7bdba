"""Products of one chunk with a vector, for each kind of matrix."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from sharpness._errors import InvalidInputError
from sharpness._torch import trees
from sharpness._torch.point import Chunk, Point

Kind = Literal["hessian", "ggn", "fisher"]
Method = Literal["forward-over-reverse", "double-backward", "finite-differences"]
Parts = tuple[Tensor, ...]
Vector = Sequence[Tensor]

with warnings.catch_warnings():
    # The first jvp loads rules that PyTorch compiles with the deprecated torch.jit.script.
    warnings.simplefilter("ignore")
    torch.func.jvp(torch.sin, (torch.zeros((), device="cpu"),), (torch.zeros((), device="cpu"),))


def gradient(point: Point, chunk: Chunk, primals: Vector | None = None) -> Parts:
    """Return the gradient of the mean loss of a placed chunk."""
    with point.graph(primals) as leaves:
        return _reverse((point.loss(leaves, chunk),), leaves)


def hessian(point: Point, chunk: Chunk, vector: Vector, method: Method) -> Parts:
    """Return ``H v`` for the Hessian of the mean loss of a placed chunk."""
    if method == "forward-over-reverse":
        gradients = torch.func.grad(lambda primals: point.loss(primals, chunk))
        return tuple(_forward(gradients, point, vector))
    with point.graph() as leaves:
        first = _reverse((point.loss(leaves, chunk),), leaves, keep=True)
        return _reverse(first, leaves, vector)


def ggn(point: Point, chunk: Chunk, vector: Vector, method: Method) -> Parts:
    """Return ``J^T H_L J v``, where J is the Jacobian of the outputs and H_L the loss's Hessian at them."""
    rebuild: list[Callable[[Sequence[Tensor]], Any]] = []

    def outputs(primals: Vector) -> Parts:
        leaves, structure = trees.flatten(point.outputs(primals, chunk))
        places = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]

        def rebuilt(values: Sequence[Tensor]) -> Any:
            filled = dict(zip(places, values, strict=True))
            return trees.unflatten([filled.get(i, leaf) for i, leaf in enumerate(leaves)], structure)

        rebuild[:] = [rebuilt]
        return tuple(leaves[i] for i in places)

    forward = method == "forward-over-reverse"
    tangents: Parts = _forward(outputs, point, vector) if forward else ()
    with point.graph() as leaves:
        values = outputs(leaves)
        if not forward:
            tangents = _forward_by_reverse(values, leaves, vector)
        at = tuple(value.detach().requires_grad_() for value in values)
        loss = point.loss_at(rebuild[0](at), chunk.targets, chunk.terms)
        curved = _reverse(_reverse((loss,), at, keep=True), at, tangents)
        return _reverse(values, leaves, curved)


def fisher(point: Point, chunk: Chunk, vector: Vector, method: Method) -> Parts:
    """Return ``F v`` for the mean over examples, weighted by loss terms, of ``g g^T``.

    With ``d_i = <g_i, v>``, that is the gradient of the mean of ``d_i`` times the loss of example i, so no
    gradient of a single example is ever stored.
    """
    kept = [i for i, terms in enumerate(chunk.example_terms) if terms > 0]

    def losses(primals: Vector) -> Tensor:
        return example_losses(point, primals, chunk, kept)

    forward = method == "forward-over-reverse"
    along: Parts = (_forward(losses, point, vector),) if forward else ()
    with point.graph() as leaves:
        values = losses(leaves)
        if not forward:
            along = _forward_by_reverse((values,), leaves, vector)
        shares = [chunk.example_terms[i] / chunk.terms for i in kept]
        weights = torch.tensor(shares, dtype=values.dtype, device=values.device)
        return _reverse((values,), leaves, (along[0].detach() * weights,))


PRODUCTS: dict[Kind, Callable[[Point, Chunk, Vector, Method], Parts]] = {
    "hessian": hessian,
    "ggn": ggn,
    "fisher": fisher,
}


def example_losses(point: Point, primals: Vector, chunk: Chunk, kept: Sequence[int]) -> Tensor:
    """Return the loss of each example in `kept`, as the loss of a batch of one."""
    terms = chunk.example_terms
    if point.loss_of.function is None:
        # The model computes its loss, so it must see each example alone.
        alone = [
            (trees.rows((chunk.inputs, chunk.targets), chunk.examples, i, i + 1), terms[i]) for i in kept
        ]
        return torch.stack([point.loss(primals, Chunk(x, y, 1, n)) for (x, y), n in alone])
    outputs = point.outputs(primals, chunk)
    for tensor in filter(_is_float, trees.tensors(outputs)):
        if tensor.dim() == 0 or tensor.shape[0] != chunk.examples:
            raise InvalidInputError(
                "the Fisher matrix needs one output per example, in the first dimension; "
                f"for {chunk.examples} examples the model returned shape {list(tensor.shape)}"
            )
    if point.mapped:
        try:
            return _mapped_losses(point, outputs, chunk, kept)
        except Exception:
            # Some losses cannot be mapped: they branch on values, say. Other errors come up again below.
            point.mapped = False
    pairs = [(trees.rows((outputs, chunk.targets), chunk.examples, i, i + 1), terms[i]) for i in kept]
    return torch.stack([point.loss_at(z, y, n) for (z, y), n in pairs])


def _mapped_losses(point: Point, outputs: Any, chunk: Chunk, kept: Sequence[int]) -> Tensor:
    leaves, structure = trees.flatten((trees.plain(outputs), trees.plain(chunk.targets)))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    chosen = torch.tensor(kept, device=leaves[places[0]].device)

    def alone(*values: Tensor) -> Tensor:
        filled = {i: value.unsqueeze(0) for i, value in zip(places, values, strict=True)}
        z, y = trees.unflatten([filled.get(i, leaf) for i, leaf in enumerate(leaves)], structure)
        return point.loss_at(z, y, 1.0)

    # Tensors of another first dimension fail here, and all go one by one.
    rows = [leaves[i].index_select(0, chosen) for i in places if leaves[i].shape[0] == chunk.examples]
    values: Tensor = torch.func.vmap(alone)(*rows)
    if not point.loss_of.sums:
        return values
    counts = [chunk.example_terms[i] for i in kept]
    return values / torch.tensor(counts, dtype=values.dtype, device=values.device)


def difference(point: Point, chunk: Chunk, direction: Vector, step: float) -> Parts:
    """Return the central difference of gradients along a direction, divided by ``2 step``."""
    above = gradient(point, chunk, point.shifted(direction, step))
    below = gradient(point, chunk, point.shifted(direction, -step))
    return tuple((a - b) / (2 * step) for a, b in zip(above, below, strict=True))


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _reverse(values: Vector, leaves: Vector, cotangents: Vector | None = None, keep: bool = False) -> Parts:
    """Return the gradient of ``sum <cotangent, value>``; values without a graph are constants.

    With `keep` the result can be differentiated again.
    """
    used = [i for i, value in enumerate(values) if value.requires_grad]
    if not used:
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    return torch.autograd.grad(
        [values[i] for i in used],
        tuple(leaves),
        None if cotangents is None else [cotangents[i] for i in used],
        create_graph=keep,
        allow_unused=True,
        materialize_grads=True,
    )


def _forward(function: Callable[[Vector], Any], point: Point, vector: Vector) -> Any:
    """Return the derivative of a function of the selected parameters along a vector."""
    return torch.func.jvp(function, (point.primals,), (tuple(vector),))[1]


def _forward_by_reverse(values: Vector, leaves: Vector, vector: Vector) -> Parts:
    """Return the derivative of values along a vector: the transpose of the transposed Jacobian."""
    dummies = tuple(torch.ones_like(value).requires_grad_() for value in values)
    used = [i for i, value in enumerate(values) if value.requires_grad]
    if not used:
        return tuple(torch.zeros_like(value) for value in values)
    pulled = torch.autograd.grad(
        [values[i] for i in used],
        tuple(leaves),
        [dummies[i] for i in used],
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return _reverse(pulled, dummies, vector)
