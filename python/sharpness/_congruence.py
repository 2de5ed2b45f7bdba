"""Operators made from another one: ``D A D`` with a diagonal `D`, and the diagonal blocks of `A`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sharpness import _arrays
from sharpness._arrays import ArrayLike, Vector
from sharpness._errors import InvalidInputError
from sharpness._operators import MARGIN, Operator

#: The scale that is named by this: the magnitudes of a model's parameters.
MAGNITUDE = "magnitude"

#: Maps vectors, of NumPy or PyTorch, into those of the operator, and its products back.
Map = Callable[[Any], Any]


def scaled(build: Callable[[], Operator], scale: ArrayLike | str | None) -> Callable[[], Operator]:
    """Return what builds the operator ``D A D``, where `scale` is the diagonal of `D`; the operator itself without `scale`.

    Raises
    ------
    InvalidInputError
        If `scale` is not a finite vector of the dimension, or asks for the parameters of a callable.
    """
    if scale is None:
        return build

    def build_scaled() -> Operator:
        operator = build()
        diagonal = _diagonal(scale, operator)

        def multiply(vector: Any) -> Any:
            if not _arrays.is_torch(vector):
                return diagonal * vector
            import torch

            return torch.from_numpy(diagonal).to(vector) * vector

        made = _mapped(operator, operator.dim, multiply, multiply)
        return replace(
            made,
            start=[multiply(one) for one in operator.start],
            report={**operator.report, "scale": scale if isinstance(scale, str) else "given"},
        )

    return build_scaled


def block(build: Callable[[], Operator], start: int, stop: int, floor: float) -> Callable[[], Operator]:
    """Return what builds the block ``A[start:stop, start:stop]``.

    Products whose norm is at most `floor` times that of the vector are 0.
    """

    def build_block() -> Operator:
        operator = build()

        def embed(vector: Any) -> Any:
            whole: Any
            if _arrays.is_torch(vector):
                whole = vector.new_zeros(operator.dim)
            else:
                whole = np.zeros(operator.dim, vector.dtype)
            whole[start:stop] = vector
            return whole

        def above_floor(product_of: Map) -> Map:
            def product(vector: Any) -> Any:
                found = product_of(vector)
                small = bool((found * found).sum() <= floor**2 * (vector * vector).sum())
                return found * 0.0 if small else found

            return product

        made = _mapped(operator, stop - start, embed, lambda product: product[start:stop])
        made.apply = above_floor(made.apply)
        made.exact = None if made.exact is None else above_floor(made.exact)
        made.on_tensors = None if made.on_tensors is None else above_floor(made.on_tensors)
        starts = [one[start:stop] for one in operator.start]
        like = None if operator.like is None else operator.like[start:stop]
        return replace(made, start=[one for one in starts if np.linalg.norm(one) > 0], like=like)

    return build_block


def _mapped(operator: Operator, dim: int, into: Map, back: Map) -> Operator:
    """Return the operator ``v -> back(A into(v))``."""
    apply, exact, on_tensors = operator.apply, operator.exact, operator.on_tensors
    sample = operator.sample

    def mapped_sample(vector: Vector) -> tuple[Vector, Vector]:
        assert sample is not None, "only called if there is one"
        found, expected = sample(into(vector))
        return back(found), back(expected)

    made = replace(
        operator,
        apply=lambda vector: back(apply(into(vector))),
        dim=dim,
        exact=None if exact is None else lambda vector: back(exact(into(vector))),
        on_tensors=None if on_tensors is None else lambda vector: back(on_tensors(into(vector))),
        sample=None if sample is None else mapped_sample,
        notes=list(operator.notes),
    )
    if sample is not None:
        made.product_error = max(operator.product_error, MARGIN * _rounding(dim, mapped_sample))
    return made


def _rounding(dim: int, sample: Callable[[Vector], tuple[Vector, Vector]]) -> float:
    """Return how far a product on a few examples is from the one in float64, relative to it."""
    vector = np.random.default_rng(0).standard_normal(dim)
    # One product turns the vector towards the leading eigenvectors, whose products matter.
    turned = np.asarray(sample(vector)[0], np.float64)
    norm = float(np.linalg.norm(turned))
    found, expected = sample(turned / norm if norm > 0 else vector)
    size = float(np.linalg.norm(expected))
    return float(np.linalg.norm(found - expected)) / size if size > 0 else 0.0


def _diagonal(scale: ArrayLike | str, operator: Operator) -> npt.NDArray[np.float64]:
    if isinstance(scale, str):
        if scale != MAGNITUDE:
            raise InvalidInputError(
                f"scale = {scale!r}: must be {MAGNITUDE!r}, for the magnitudes of a model's parameters, or a vector"
            )
        if operator.weights is None:
            raise InvalidInputError(
                f"scale = {MAGNITUDE!r} is for PyTorch modules: pass the vector of magnitudes instead"
            )
        return np.abs(np.asarray(operator.weights(), np.float64))
    diagonal = np.asarray(_arrays.to_numpy(scale, "scale"), np.float64)
    if diagonal.size != operator.dim:
        raise InvalidInputError(
            f"scale has {diagonal.size} entries, but the operator has dimension {operator.dim}"
        )
    wrong = np.flatnonzero(~np.isfinite(diagonal))
    if wrong.size:
        raise InvalidInputError(f"entry {wrong[0]} of scale is {diagonal[wrong[0]]}: it must be finite")
    return diagonal
