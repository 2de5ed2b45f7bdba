"""Effective ranks: how many eigenvalues make up the spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sharpness import _congruence, _estimators, _operators, _solvers
from sharpness._arrays import ArrayLike
from sharpness._operators import ModelOptions
from sharpness._results import Density, Eigenvalue, Estimate, table_html

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class EffectiveRank:
    """Effective ranks, and what they were computed from.

    Attributes
    ----------
    trace_rank, stable_rank, entropy_rank : tuple of float
        ``trace / lambda_max``, ``norm_F**2 / lambda_max**2`` and ``exp(-sum(p * log(p)))`` (see `Density.entropy_rank`), each with
        its standard error: that of the probes, and for the first two the residual of `lambda_max`. NaN without a positive eigenvalue.
    lambda_max : Eigenvalue
        The largest eigenvalue.
    trace, squared_norm : Estimate
        The trace and the squared Frobenius norm, from the same products.
    density : Density
        The density of the eigenvalues.
    """

    trace_rank: tuple[float, float]
    stable_rank: tuple[float, float]
    entropy_rank: tuple[float, float]
    lambda_max: Eigenvalue = field(repr=False)
    trace: Estimate = field(repr=False)
    squared_norm: Estimate = field(repr=False)
    density: Density = field(repr=False)

    def effective_dimension(self, alpha: float) -> tuple[float, float]:
        """Return ``sum(x / (x + alpha))`` over the positive eigenvalues, and its standard error."""
        return self.density.effective_dimension(alpha)

    @property
    def products(self) -> int:
        """Products of all solves."""
        # The trace and the norm share theirs.
        return self.lambda_max.products + self.trace.products + self.density.products

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers should know."""
        return self.lambda_max.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers."""
        ranks = {name: getattr(self, name) for name in ("trace_rank", "stable_rank", "entropy_rank")}
        whole = {name: getattr(self, name).to_dict() for name in ("lambda_max", "trace", "squared_norm")}
        return {**ranks, **whole}

    def _repr_html_(self) -> str:
        names = {"trace_rank": "trace / λ_max", "stable_rank": "‖A‖² / λ_max²", "entropy_rank": "entropy"}
        rows = [
            [name, f"{value:.6g}", f"± {error:.2g}"]
            for name, (value, error) in ((title, getattr(self, name)) for name, title in names.items())
        ]
        return table_html(["effective rank", "value", "standard error"], rows, self.notes)


def effective_rank(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    rtol: float = 1e-2,
    max_probes: int = 200,
    probes: int = 10,
    steps: int = 80,
    seed: int = 0,
    scale: ArrayLike | str | None = None,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> EffectiveRank:
    """Estimate effective ranks of an operator, with standard errors.

    Parameters
    ----------
    rtol, max_probes
        Of the trace and the squared Frobenius norm, which share their probes; as for `trace`.
    probes, steps
        Of the density; as for `density`.
    operator, loss_fn, data, dim, seed, scale, like, check, progress, **options
        As for `lambda_max`.

    Returns
    -------
    EffectiveRank

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> diagonal = np.repeat([0.0, 2.0], 100)
    >>> r = sharpness.effective_rank(lambda v: diagonal * v, dim=200, probes=50, steps=10)
    >>> round(r.trace_rank[0], 6), round(r.stable_rank[0], 6), abs(r.entropy_rank[0] - 100) < 4 * r.entropy_rank[1]
    (100.0, 100.0, True)
    """
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
        top = _solvers.largest(build, {"seed": seed}, check, progress)
        settings = {"rtol": rtol, "max_probes": max_probes, "seed": seed, "trace": True, "squared_norm": True}
        found = _estimators.shared(build, settings, check, progress)
        density = _estimators.quadrature(
            build, {"probes": probes, "steps": steps, "seed": seed}, check, progress
        )
    trace, square = found["trace"], found["squared_norm"]
    value, error = top.value, top.residual
    return EffectiveRank(
        _quotient(trace, value, error),
        _quotient(square, value * abs(value), 2 * abs(value) * error),
        density.entropy_rank(),
        top,
        trace,
        square,
        density,
    )


def _quotient(numerator: Estimate, denominator: float, error: float) -> tuple[float, float]:
    """Return a quotient and its standard error to first order."""
    if denominator <= 0:
        return math.nan, math.nan
    value = numerator.value / denominator
    return value, math.hypot(numerator.standard_error / denominator, value * error / denominator)
