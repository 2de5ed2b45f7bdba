"""Which parameters an operator covers, and where each lies in the flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

from torch import Tensor, nn

from sharpness._errors import InvalidInputError


@dataclass(frozen=True)
class Entry:
    """One parameter: ``vector[offset : offset + prod(shape)]``."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


class Layout:
    """The selected parameters as one flat vector, in the order of ``named_parameters()``.

    A tied parameter occurs once, under its first name.
    """

    def __init__(self, selected: dict[str, nn.Parameter]) -> None:
        self.entries: list[Entry] = []
        offset = 0
        for name, parameter in selected.items():
            self.entries.append(Entry(name, tuple(parameter.shape), offset))
            offset += parameter.numel()
        self.dim = offset

    @property
    def names(self) -> list[str]:
        """Names in order."""
        return [entry.name for entry in self.entries]

    def split(self, vector: Tensor, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Cut a flat vector [dim] into tensors of the shapes, devices and dtypes of `like`."""
        # Cast first: a device may have no float64.
        return tuple(
            vector[entry.offset : entry.offset + entry.size]
            .reshape(entry.shape)
            .to(tensor.dtype)
            .to(tensor.device)
            for entry, tensor in zip(self.entries, like, strict=True)
        )

    def add_to(self, total: Tensor, parts: Sequence[Tensor], scale: float) -> None:
        """Add `scale` times the parts to a flat vector [dim], in the vector's dtype."""
        for entry, part in zip(self.entries, parts, strict=True):
            target = total[entry.offset : entry.offset + entry.size]
            target.add_(part.detach().reshape(-1).to(total.dtype).to(total.device), alpha=scale)


def select(model: nn.Module, patterns: str | Sequence[str] | None) -> dict[str, nn.Parameter]:
    """Return the parameters that the patterns name; without patterns, those that require gradients.

    Raises
    ------
    InvalidInputError
        If a pattern matches nothing, or a selected parameter cannot be differentiated.
    """
    parameters = dict(model.named_parameters())
    if patterns is None:
        selected = {name: p for name, p in parameters.items() if p.requires_grad}
        if not selected:
            raise InvalidInputError(
                "no parameter of the model requires gradients"
                + (f"; name some with parameters=..., of {_some(parameters)}" if parameters else "")
            )
    else:
        selected = _matched(model, patterns, parameters)
    for name, parameter in selected.items():
        _require_usable(name, parameter)
    if not sum(parameter.numel() for parameter in selected.values()):
        raise InvalidInputError(f"the selected parameters are empty: {_some(selected)}")
    return selected


def _matched(
    model: nn.Module, patterns: str | Sequence[str], parameters: dict[str, nn.Parameter]
) -> dict[str, nn.Parameter]:
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    if not wanted or not all(isinstance(pattern, str) for pattern in wanted):
        raise InvalidInputError(f"parameters must be a pattern or a list of patterns, got {patterns!r}")
    first_name = {id(parameter): name for name, parameter in parameters.items()}
    every = [(n, first_name[id(p)]) for n, p in model.named_parameters(remove_duplicate=False)]
    found: set[str] = set()
    for pattern in wanted:
        matches = {first for name, first in every if fnmatchcase(name, pattern)}
        if not matches:
            raise InvalidInputError(f"no parameter matches {pattern!r}; there are {_some(parameters)}")
        found |= matches
    return {name: parameter for name, parameter in parameters.items() if name in found}


def _require_usable(name: str, parameter: Tensor) -> None:
    kinds = [base.__name__ for base in type(parameter).__mro__]
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        raise InvalidInputError(f"parameter {name} is not initialized yet; run the model once on a batch")
    if "DTensor" in kinds or "FlatParameter" in kinds:
        raise InvalidInputError(f"parameter {name} is sharded over processes; gather the model first")
    if parameter.device.type == "meta":
        raise InvalidInputError(f"parameter {name} is on the meta device and has no values")
    if not parameter.is_floating_point():
        raise InvalidInputError(f"parameter {name} has dtype {parameter.dtype}; real parameters are needed")


def _some(parameters: dict[str, nn.Parameter], count: int = 6) -> str:
    names = list(parameters)
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest
