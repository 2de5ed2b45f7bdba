"""The curvature of each layer: the diagonal blocks of a model's matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from sharpness import _arrays, _congruence, _estimators, _operators, _solvers
from sharpness._arrays import ArrayLike
from sharpness._errors import InvalidInputError
from sharpness._operators import ModelOptions
from sharpness._results import Eigenvalue, Estimate, new_axes, table_html, verdict

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Products of a block with a unit vector below so many roundings of the whole matrix's Frobenius norm count as 0. The bias in front of
#: a batch norm has such a block.
ROUNDINGS = 32.0
#: What `per_layer` can list.
KINDS = ("parameter", "module")


@dataclass(frozen=True)
class Layer:
    """The diagonal block of one parameter, or of the parameters of one module.

    Attributes
    ----------
    name : str
        The name of the parameter or module.
    parameters : int
        The rows of the block.
    lambda_max : Eigenvalue
        Its largest eigenvalue.
    trace : Estimate
        Its trace.
    """

    name: str
    parameters: int
    lambda_max: Eigenvalue
    trace: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers without the vector."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "lambda_max": self.lambda_max.to_dict(),
            "trace": self.trace.to_dict(),
        }


class Layers(Sequence[Layer]):
    """The diagonal blocks of a model's matrix, in the order of its parameters."""

    def __init__(self, layers: Sequence[Layer], notes: Sequence[str]) -> None:
        self._layers = tuple(layers)
        self.notes = tuple(notes)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Layer]: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequence[Layer]:
        return self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    @property
    def products(self) -> int:
        """Products of all solves."""
        # The traces share theirs.
        return sum(layer.lambda_max.products for layer in self._layers) + self._layers[0].trace.products

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers without the vectors."""
        return {"layers": [layer.to_dict() for layer in self._layers], "products": self.products}

    def __repr__(self) -> str:
        each = ", ".join(f"{layer.name}: {layer.lambda_max.value:.4g}" for layer in self._layers)
        return f"Layers({each})"

    def _repr_html_(self) -> str:
        names = ["", "parameters", "λ_max", "residual", "trace", "standard error", "converged"]
        rows = [
            [
                layer.name,
                str(layer.parameters),
                f"{layer.lambda_max.value:.6g}",
                f"{layer.lambda_max.residual:.2g}",
                f"{layer.trace.value:.6g}",
                f"{layer.trace.standard_error:.2g}",
                verdict(layer.lambda_max.converged and layer.trace.converged),
            ]
            for layer in self._layers
        ]
        return table_html(names, rows, [f"{self.products} products", *self.notes])

    def plot(self, ax: Any = None, *, of: str = "lambda_max") -> Any:
        """Draw ``"lambda_max"`` or ``"trace"`` of each layer as bars with their errors, with Matplotlib; returns the axes."""
        if of not in ("lambda_max", "trace"):
            raise InvalidInputError(f"of = {of!r}: must be 'lambda_max' or 'trace'")
        found = [getattr(layer, of) for layer in self._layers]
        errors = [one.residual if of == "lambda_max" else one.standard_error for one in found]
        ax = new_axes() if ax is None else ax
        ax.barh([layer.name for layer in self._layers], [one.value for one in found], xerr=errors)
        ax.invert_yaxis()
        ax.set_xlabel("largest eigenvalue of the block" if of == "lambda_max" else "trace of the block")
        return ax


def per_layer(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    by: str = "parameter",
    blocks: Mapping[str, tuple[int, int]] | None = None,
    dim: int | None = None,
    rtol: float = 1e-3,
    bound_rtol: float | None = 0.1,
    max_products: int = 500,
    trace_rtol: float = 0.05,
    max_probes: int = 100,
    seed: int = 0,
    scale: ArrayLike | str | None = None,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Layers:
    """Compute largest eigenvalue and trace of the diagonal block of every parameter or module of a model.

    The traces of all blocks come from the same probes. The eigenvalues take products of their own, each as expensive as one of the
    whole matrix.

    Parameters
    ----------
    by : {"parameter", "module"}
        A block per parameter, or per module: all parameters that it has itself.
    blocks : mapping of str to pair of int, optional
        The first index of each block, by its name, and the one after its last. Callables need it.
    rtol, bound_rtol, max_products
        Of each eigenvalue, as for `eigenpairs`.
    trace_rtol, max_probes
        Of the traces, as `rtol` and `max_probes` of `trace`: the probes end when all traces meet it, which those of small blocks
        may not.
    operator, loss_fn, data, dim, seed, scale, like, check, progress, **options
        As for `lambda_max`; `parameters` chooses which are listed.

    Returns
    -------
    Layers

    Examples
    --------
    >>> import torch, sharpness
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    >>> data = (torch.randn(32, 8), torch.randint(3, (32,)))
    >>> r = sharpness.per_layer(model, torch.nn.CrossEntropyLoss(), data, by="module")
    >>> [layer.name for layer in r], r[0].parameters
    (['0', '2'], 144)
    """
    if blocks is None and not _arrays.is_torch_module(operator):
        raise InvalidInputError(
            f"the operator is a {type(operator).__name__}, which has no layers: pass blocks={{name: (start, stop)}}, or a PyTorch module"
        )
    if by not in KINDS:
        raise InvalidInputError(f"by = {by!r}: must be 'parameter' or 'module'")
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
        named = (
            _blocks(build().layout, by)
            if blocks is None
            else [(name, *ends) for name, ends in blocks.items()]
        )
        _require(named)
        settings = {"rtol": trace_rtol, "max_probes": max_probes, "seed": seed, "squared_norm": True}
        ranges = [(start, stop) for _, start, stop in named]
        found = _estimators.shared(build, {**settings, "blocks": ranges}, check, progress)
        # Of a callable, the first product shows the precision.
        whole = build()
        rounding = float(np.finfo(np.float32 if whole.is_single else np.float64).eps)
        floor = ROUNDINGS * rounding * math.sqrt(found["squared_norm"].value)
        eigen = {"rtol": rtol, "bound_rtol": bound_rtol, "max_products": max_products, "seed": seed}
        layers = []
        for (name, start, stop), trace in zip(named, found["blocks"], strict=True):
            block = _congruence.block(build, start, stop, floor)
            # The whole operator is already checked; what is left of a block may be rounding, which is not symmetric.
            top = _solvers.largest(block, eigen, False, progress)
            layers.append(Layer(name, stop - start, _up_to(top, floor), trace))
    return Layers(layers, whole.notes)


def _blocks(layout: Sequence[tuple[str, int, int]], by: str) -> list[tuple[str, int, int]]:
    """Return name, first index and the one after the last of each block."""
    if by == "parameter":
        return [(name, start, start + size) for name, start, size in layout if size]
    found = []
    for module, parameters in groupby(layout, lambda entry: entry[0].rpartition(".")[0]):
        members = list(parameters)
        start, stop = members[0][1], members[-1][1] + members[-1][2]
        if stop > start:
            found.append((module or "(model)", start, stop))
    return found


def _require(blocks: Sequence[tuple[str, int, int]]) -> None:
    """Require whole numbers; the extension module requires that they are ranges within the dimension."""
    if not blocks:
        raise InvalidInputError("blocks is empty: name at least one")
    for name, *ends in blocks:
        if not all(isinstance(end, (int, np.integer)) and end >= 0 for end in ends):
            raise InvalidInputError(f"the block {name!r} is {tuple(ends)}: it must be two indices, from 0")


def _up_to(top: Eigenvalue, floor: float) -> Eigenvalue:
    """Return the eigenvalue of a block whose products count as 0 with the bounds that this has."""
    if top.value != 0.0 or top.residual != 0.0:
        return top
    return replace(top, residual=floor, lower=-floor, upper=floor, interval=(-floor, floor))
