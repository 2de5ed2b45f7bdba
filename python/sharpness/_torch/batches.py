"""The data of an operator: read once, kept, divided into chunks."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, WeightedRandomSampler

from sharpness._errors import InvalidInputError
from sharpness._torch import trees

EXPECTED = (
    "data must be a DataLoader, an iterable of batches or one batch; "
    "a batch is (inputs, targets), or the inputs alone if loss_fn is None"
)


@dataclass(frozen=True)
class Batch:
    """Inputs and targets of some examples, as the loader gave them."""

    inputs: Any
    targets: Any
    examples: int


def read(data: Any, *, paired: bool, notes: list[str]) -> list[Batch]:
    """Read all batches of `data` in one pass, so that shuffling and augmentation are drawn once.

    Parameters
    ----------
    data
        A DataLoader, an iterable of batches, or one batch.
    paired
        Whether a batch is ``(inputs, targets)``. Otherwise all of it is the model's input.
    notes
        What the reader of a result should know is appended here.

    Raises
    ------
    InvalidInputError
        If there is no example, or something that is not a batch.
    """
    if isinstance(data, (str, bytes, torch.nn.Module)) or not isinstance(data, (Iterable, Tensor)):
        raise InvalidInputError(f"{EXPECTED}; got {type(data).__name__}")
    _describe_loader(data, notes)
    batches, skipped = [], 0
    with random_states_kept(_generators(data)), torch.inference_mode(False):
        for index, raw in enumerate([data] if _is_batch(data, paired) else data):
            batch = _batch(raw, index, paired)
            if batch.examples:
                batches.append(batch)
            else:
                skipped += 1
    if skipped:
        notes.append(f"{skipped} empty batches were skipped")
    if not batches:
        raise InvalidInputError("data holds no examples")
    return batches


def divide(batches: list[Batch], size: int | None, notes: list[str]) -> list[Batch]:
    """Divide the examples into chunks of `size`, in order; the last one may be short.

    Batches whose examples differ in shape (padded to different lengths, say) cannot be joined. They are
    then divided one by one, which leaves a short chunk at the end of each.
    """
    if size is None:
        return batches
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InvalidInputError(f"chunk must be a number of examples of at least 1, got {size!r}")
    for batch in batches:
        _require_rows(batch)
    if len(batches) > 1 and _joinable(batches):
        batches = [_join(batches)]
    elif len(batches) > 1:
        notes.append("examples differ in shape between batches, so chunks end where batches end")
    return [chunk for batch in batches for chunk in _pieces(batch, size)]


@contextmanager
def random_states_kept(generators: Iterable[torch.Generator] = ()) -> Iterator[None]:
    """Restore the given generators and the global ones of Python, NumPy and PyTorch's CPU on exit."""
    python, cpu = random.getstate(), torch.get_rng_state()
    states = [(generator, generator.get_state()) for generator in generators]
    numpy = sys.modules.get("numpy")
    legacy = numpy.random.get_state() if numpy is not None else None
    try:
        yield
    finally:
        random.setstate(python)
        torch.set_rng_state(cpu)
        for generator, state in states:
            generator.set_state(state)
        if numpy is not None:
            numpy.random.set_state(legacy)


def _is_batch(data: Any, paired: bool) -> bool:
    """Tell one batch from a sequence of batches."""
    if isinstance(data, (Tensor, Mapping)):
        return True
    if not isinstance(data, (tuple, list)):
        return False
    if any(isinstance(part, Tensor) for part in data):
        return True
    return paired and len(data) == 2 and all(isinstance(part, Mapping) for part in data)


def _batch(raw: Any, index: int, paired: bool) -> Batch:
    inputs, targets = raw, None
    if paired:
        if isinstance(raw, Mapping):
            raise InvalidInputError(
                f"batch {index} is a dict and loss_fn is given; pass pairs (inputs, targets), "
                "or loss_fn=None if the model computes its own loss from the dict"
            )
        if not isinstance(raw, Sequence) or isinstance(raw, str) or len(raw) != 2:
            size = f" of length {len(raw)}" if isinstance(raw, (Sequence, Tensor)) else ""
            raise InvalidInputError(f"{EXPECTED}; batch {index} is a {type(raw).__name__}{size}")
        inputs, targets = raw
    count = trees.examples(inputs)
    if count is None:
        # A batch of graphs, say: an object of its own, with one target per example.
        count = trees.examples(targets)
    if count is None:
        raise InvalidInputError(f"{EXPECTED}; the inputs of batch {index} hold no tensor")
    return Batch(_usable(inputs), _usable(targets), count)


def _usable(tree: Any) -> Any:
    """Detach tensors, and copy those made in inference mode, which autograd refuses."""
    return trees.map_tensors(lambda t: t.clone() if t.is_inference() else t.detach(), tree)


def _sampler(loader: DataLoader[Any]) -> Any:
    batch_sampler = loader.batch_sampler
    return batch_sampler.sampler if isinstance(batch_sampler, BatchSampler) else loader.sampler


def _generators(data: Any) -> list[torch.Generator]:
    owners = [data, _sampler(data)] if isinstance(data, DataLoader) else []
    found = (getattr(owner, "generator", None) for owner in owners)
    return [generator for generator in found if isinstance(generator, torch.Generator)]


def _describe_loader(data: Any, notes: list[str]) -> None:
    if not isinstance(data, DataLoader):
        return
    sampler = _sampler(data)
    if isinstance(sampler, (RandomSampler, WeightedRandomSampler)):
        notes.append("the loader shuffles: the batches of one pass were kept for all products")
    if data.drop_last:
        notes.append("the loader has drop_last=True: examples of a short last batch are left out")


def divisible(batch: Batch) -> bool:
    """Tell whether all tensors of a batch have its examples in their first dimension."""
    leaves, _ = trees.flatten((trees.plain(batch.inputs), trees.plain(batch.targets)))
    rows = (isinstance(x, Tensor) and x.dim() > 0 and x.shape[0] == batch.examples for x in leaves)
    return all(row or leaf is None for row, leaf in zip(rows, leaves, strict=True))


def _require_rows(batch: Batch) -> None:
    if not trees.tensors(batch.inputs):
        raise InvalidInputError("chunk divides tensors by examples, but the inputs hold none; leave it unset")
    for tensor in trees.tensors(batch.targets):
        if tensor.dim() == 0 or tensor.shape[0] != batch.examples:
            raise InvalidInputError(
                f"chunk divides batches by examples, but inputs have {batch.examples} and targets have "
                f"shape {list(tensor.shape)}; put examples in the first dimension or leave chunk unset"
            )


def _joinable(batches: list[Batch]) -> bool:
    def signature(batch: Batch) -> list[Any]:
        leaves, spec = trees.flatten((trees.plain(batch.inputs), trees.plain(batch.targets)))
        return [spec] + [
            (leaf.dtype, leaf.device, leaf.shape[1:])
            if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == batch.examples
            else leaf is None
            for leaf in leaves
        ]

    first = signature(batches[0])
    return False not in first and all(signature(batch) == first for batch in batches[1:])


def _join(batches: list[Batch]) -> Batch:
    flat = [trees.flatten((trees.plain(b.inputs), trees.plain(b.targets))) for b in batches]
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    joined = [None if parts[0] is None else torch.cat(parts) for parts in columns]
    inputs, targets = trees.unflatten(joined, flat[0][1])
    return Batch(inputs, targets, sum(batch.examples for batch in batches))


def _pieces(batch: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, batch.examples, size):
        yield piece(batch, start, min(start + size, batch.examples))


def piece(batch: Batch, start: int, stop: int) -> Batch:
    """Take examples `start` to `stop` of a batch."""
    return Batch(
        trees.rows(batch.inputs, batch.examples, start, stop),
        trees.rows(batch.targets, batch.examples, start, stop),
        stop - start,
    )
