"""Nested tuples, lists and dicts of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a tree and its structure."""
    return pytree.tree_flatten(plain(tree))


def unflatten(leaves: list[Any], structure: Any) -> Any:
    """Put leaves back into a structure."""
    return pytree.tree_unflatten(leaves, structure)


def tensors(tree: Any) -> list[Tensor]:
    """Return the tensors of a tree, in order."""
    return [leaf for leaf in pytree.tree_leaves(plain(tree)) if isinstance(leaf, Tensor)]


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Apply a function to the tensors of a tree and keep everything else."""
    return pytree.tree_map(lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf, plain(tree))


def place(tree: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    """Move a tree to a device and, if `dtype` is given, cast its floating-point tensors.

    Objects that know how to move (``.to(device)``), such as batches of graphs, are moved but not cast.
    """

    def moved(tensor: Tensor) -> Tensor:
        if dtype is not None and tensor.is_floating_point():
            return tensor.to(device, dtype)
        return tensor.to(device)

    def sent(leaf: Any) -> Any:
        return leaf.to(device) if callable(getattr(leaf, "to", None)) else leaf

    return pytree.tree_map(lambda leaf: moved(leaf) if isinstance(leaf, Tensor) else sent(leaf), plain(tree))


def examples(tree: Any) -> int | None:
    """Return the number of examples: the first dimension of the first tensor that has one."""
    return next((tensor.shape[0] for tensor in tensors(tree) if tensor.dim() > 0), None)


def rows(tree: Any, count: int, start: int, stop: int) -> Any:
    """Take examples `start` to `stop` of every tensor whose first dimension is `count`."""

    def taken(tensor: Tensor) -> Tensor:
        return tensor[start:stop] if tensor.dim() > 0 and tensor.shape[0] == count else tensor

    return map_tensors(taken, tree)


def plain(tree: Any) -> Any:
    """Turn mappings that PyTorch does not take apart (such as Hugging Face's encodings) into dicts."""
    known = type(tree) in pytree.SUPPORTED_NODES
    return dict(tree) if isinstance(tree, Mapping) and not known else tree
