"""What the solvers apply: a callable or a PyTorch model as an operator on NumPy vectors."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, cast

import numpy as np

from sharpness import _arrays
from sharpness._arrays import ArrayLike, Vector
from sharpness._errors import InvalidInputError, SharpnessError
from sharpness._results import Solve, Step

#: By how much two products with one vector may differ, and how far ⟨v, A w⟩ may be from ⟨w, A v⟩, relative to the products.
TOLERANCES = {np.dtype(np.float64): (1e-9, 1e-5), np.dtype(np.float32): (1e-5, 1e-3)}


#: What any solver holds at once.
FEWEST_VECTORS = 4


#: The process in which the solver's threads run. They do not survive a fork.
_process: int | None = None


class OperatorOptions(TypedDict, total=False):
    """How a PyTorch model becomes an operator; see `lambda_max`."""

    kind: Literal["hessian", "ggn", "fisher"]
    parameters: str | Sequence[str] | None
    batch_norm: Literal["batch", "running"]
    chunk: int | None
    weights: Callable[[Any, Any], float] | None
    product: Literal["auto", "forward-over-reverse", "double-backward", "finite-differences"]
    device: Any


class ModelOptions(OperatorOptions, total=False):
    """All options of a model; see `lambda_max`."""

    recompute: bool | None


#: The bounds of results in float32 allow for this many times the rounding of a product measured on a few examples.
MARGIN = 4.0


@dataclass
class Operator:
    """A symmetric operator on NumPy vectors."""

    apply: Callable[[Vector], Vector]
    dim: int
    #: Whether products are in less than double precision.
    is_single: bool
    #: The relative error of a product beyond the rounding of its precision.
    product_error: float = 0.0
    #: The tolerances of the solver's own checks; None if the operator is already checked.
    tolerances: tuple[float, float] | None = None
    #: The same operator in double precision, if `apply` is not.
    exact: Callable[[Vector], Vector] | None = None
    #: A product on a few examples, and the same one in float64, if the rounding of products is measured by these.
    sample: Callable[[Vector], tuple[Vector, Vector]] | None = None
    #: The parameters of a model as one vector.
    weights: Callable[[], Vector] | None = None
    #: Name, first index and length of each parameter of a model in that vector.
    layout: Sequence[tuple[str, int, int]] = ()
    #: Where to start if the user does not say: near the leading eigenvectors, if that is known.
    start: list[Vector] = field(default_factory=list)
    #: The same operator over PyTorch tensors such as `like`, if it takes those.
    on_tensors: Callable[[Any], Any] | None = None
    like: Any = None
    #: The solver's vectors as the user's arrays.
    restore: Callable[[Vector], ArrayLike] = lambda vector: vector
    report: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def arguments(self, check: bool) -> dict[str, Any]:
        """Return what the extension module needs to know."""
        return {
            "apply": self.apply,
            "dim": self.dim,
            "is_single": self.is_single,
            "product_error": self.product_error,
            "tolerances": self.tolerances if check else None,
        }


class SinglePrecision(Exception):
    """The first product shows that a callable computes in float32; the solve starts again with such vectors."""


#: Messages of exceptions that may be about the kind or the precision of a vector.
ABOUT_VECTORS = re.compile("numpy|ndarray|tensor|dtype|double|float", re.IGNORECASE)


class _Callable:
    """A user's `hvp`, with vectors converted on the way in and out.

    Without `like`, the first product finds out what the function takes.
    """

    def __init__(self, hvp: Callable[[ArrayLike], ArrayLike], dim: int, like: ArrayLike | None) -> None:
        self._hvp = hvp
        self._dim = dim
        self._is_known = like is not None
        #: The first product, until the precision is known.
        self._kept: Vector | None = None
        self.convert = _arrays.converter(like)
        self.is_single = bool(_arrays.is_single(like))

    def __call__(self, vector: Vector) -> Vector:
        if self._kept is not None:
            product, self._kept = self._kept, None
            return product
        if self._is_known:
            return self._product(self.convert, vector)
        self.convert, product = self._find_out(vector)
        self._is_known = True
        if product.dtype == np.float32:
            self._kept, self.is_single = product, True
            raise SinglePrecision
        return product

    def _product(self, convert: Callable[[Vector], ArrayLike], vector: Vector) -> Vector:
        product = _arrays.to_numpy(self._hvp(convert(vector)), "the result of hvp")
        if product.size != self._dim:
            raise InvalidInputError(
                f"the result of hvp has {product.size} entries, but the operator has dimension {self._dim}"
            )
        return product

    def _find_out(self, vector: Vector) -> tuple[Callable[[Vector], ArrayLike], Vector]:
        """Return the first kind of vectors that the function takes, and its product."""
        raised: Exception | None = None
        for convert in _arrays.kinds():
            try:
                return convert, self._product(convert, vector)
            except (AttributeError, RuntimeError, TypeError, ValueError) as error:
                if isinstance(error, SharpnessError) or not ABOUT_VECTORS.search(str(error)):
                    raise
                raised = raised or error
        assert raised is not None, "there is a kind"
        raise raised


def of_callable(
    hvp: Callable[[ArrayLike], ArrayLike], dim: int | None, like: ArrayLike | None
) -> Callable[[], Operator]:
    """Return what builds the operator of `hvp`: once more after `SinglePrecision`."""
    if not callable(hvp):
        raise InvalidInputError(
            f"the operator is a {type(hvp).__name__}: pass a PyTorch module, or a function hvp(v) that returns A v. "
            "For a matrix use lambda v: A @ v"
        )
    if dim is None and like is not None:
        dim = _arrays.length(like)
    if dim is None:
        raise InvalidInputError(
            "pass dim, the number of entries of a vector, or like, an array such as hvp takes"
        )
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
        raise InvalidInputError(f"dim = {dim!r}: it must be a whole number of at least 1")
    _check_size(int(dim))
    if like is not None and _arrays.length(like) != dim:
        raise InvalidInputError(f"like has {_arrays.length(like)} entries, but dim = {dim}")
    apply = _Callable(hvp, int(dim), like)

    def build() -> Operator:
        single = apply.is_single
        notes = (
            ["products are in float32; the bounds assume that each is accurate to 1e-6 of the norm"]
            if single
            else []
        )
        tolerances = TOLERANCES[np.dtype(np.float32 if single else np.float64)]
        return Operator(
            apply,
            int(dim),
            single,
            tolerances=tolerances,
            on_tensors=hvp if _arrays.is_torch(like) else None,
            like=like,
            restore=lambda vector: apply.convert(vector),
            notes=notes,
        )

    return build


def _check_size(dim: int) -> None:
    """Refuse vectors that no machine like this one can hold, which would end the process."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return
    if 8 * FEWEST_VECTORS * dim > memory:
        raise InvalidInputError(
            f"dim = {dim}: {FEWEST_VECTORS} vectors take {8 * FEWEST_VECTORS * dim / 2**30:.3g} GiB, but this machine has "
            f"{memory / 2**30:.3g} GiB"
        )


@contextmanager
def of_model(model: Any, loss_fn: Any, data: Any, check: bool, options: ModelOptions) -> Iterator[Operator]:
    """Build the operator of a PyTorch model; restores the model on exit."""
    import torch

    from sharpness._torch import ModelOperator

    recompute = options.get("recompute")
    own = cast(OperatorOptions, {name: value for name, value in options.items() if name != "recompute"})
    operator = ModelOperator(model, loss_fn, data, **own)
    convert = _arrays.converter(operator.like)
    with operator:
        if check:
            operator.check()
        # At a minimum the gradient leans towards the leading eigenvectors, and it costs less than a product.
        start = _arrays.to_numpy(operator.gradient(), "the gradient")
        report = operator.report()

        def apply(vector: Vector) -> Vector:
            return _arrays.to_numpy(operator(convert(vector)), "a product")

        def exact(vector: Vector) -> Vector:
            return _arrays.to_numpy(operator.exact(torch.from_numpy(vector)), "a product")

        def sample(vector: Vector) -> tuple[Vector, Vector]:
            found, expected = operator.sample_products(torch.from_numpy(vector))
            return _arrays.to_numpy(found, "a product"), _arrays.to_numpy(expected, "a product")

        single = bool(_arrays.is_single(operator.like))
        error, notes = float(report["product_error"] or 0.0), list(report["notes"])
        # Of half precision, the bounds would say little without it.
        wanted = error > 0.0 if recompute is None else recompute
        recomputed = single and wanted and operator.has_exact
        measured = single and check and not recomputed and operator.rounding is not None
        if measured:
            assert operator.rounding is not None, "it is measured"
            error = max(error, MARGIN * operator.rounding)
            notes.append(
                f"products are in float32: the bounds allow for {MARGIN:g} times their rounding on the first examples, "
                f"{operator.rounding:.1e}; recompute=True computes the result in float64"
            )
        yield Operator(
            apply,
            operator.dim,
            single,
            product_error=error,
            exact=exact if recomputed else None,
            sample=sample if measured else None,
            weights=lambda: _arrays.to_numpy(operator.weights(), "the parameters"),
            layout=[(name, offset, math.prod(shape)) for name, shape, offset in operator.layout],
            start=[start] if np.linalg.norm(start) > 0 else [],
            on_tensors=operator,
            like=operator.like,
            restore=convert,
            report=report,
            notes=notes,
        )


@contextmanager
def build(
    operator: Any,
    loss_fn: Any,
    data: Any,
    dim: int | None,
    like: ArrayLike | None,
    check: bool,
    options: ModelOptions,
) -> Iterator[Callable[[], Operator]]:
    """Yield what builds the operator of a callable or a model."""
    _check_process()
    if _arrays.is_torch_module(operator):
        if data is None:
            raise InvalidInputError(
                "a model needs data: lambda_max(model, loss_fn, loader), or data= alone if the model returns its loss"
            )
        if dim is not None or like is not None:
            raise InvalidInputError("dim and like are for functions hvp(v); a model says them itself")
        if unknown := set(options) - set(ModelOptions.__annotations__):
            raise TypeError(
                f"unexpected keyword argument {min(unknown)!r}; the options of a model are {', '.join(ModelOptions.__annotations__)}"
            )
        with of_model(operator, loss_fn, data, check, options) as built:
            yield lambda: built
        return
    if loss_fn is not None or data is not None or options:
        given = [name for name, value in (("loss_fn", loss_fn), ("data", data)) if value is not None]
        raise InvalidInputError(
            f"{', '.join([*given, *options])}: only for PyTorch modules, but the operator is a {type(operator).__name__}"
        )
    yield of_callable(operator, dim, like)


def solve(found: dict[str, Any], operator: Operator, seconds: float, history: list[Step]) -> Solve:
    """Return how a result was computed, from the answer of the extension module."""
    return Solve(
        products=found["products"],
        check_products=found["check_products"],
        stop=found["stop"],
        spectrum=found.get("spectrum"),
        asymmetry=found.get("asymmetry"),
        rounding=found.get("rounding"),
        norm=found.get("norm"),
        seconds=seconds,
        seconds_in_products=found["seconds_in_products"],
        vectors_in=found.get("vectors_in", "host memory"),
        operator=operator.report,
        history=tuple(history),
        notes=tuple(operator.notes),
    )


def _check_process() -> None:
    global _process
    if _process is None:
        _process = os.getpid()
    if _process != os.getpid():
        raise SharpnessError(
            "this process was forked from one that had already run a solver, whose threads a fork loses: start workers with "
            f'multiprocessing.get_context("spawn") (on {sys.platform}, fork may be the default)'
        )
