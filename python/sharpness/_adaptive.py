"""Adaptive sharpness: the curvature relative to the magnitudes of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharpness import _congruence, _estimators, _operators, _solvers
from sharpness._arrays import ArrayLike
from sharpness._operators import ModelOptions
from sharpness._results import Eigenvalue, Estimate, table_html, verdict

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class Adaptive:
    """The adaptive sharpness to second order.

    Attributes
    ----------
    lambda_max : Eigenvalue
        The largest eigenvalue of ``D A D``. To second order the worst loss within ``norm(d / abs(w)) <= rho`` of a minimum is
        higher by ``rho**2 / 2`` times that.
    trace : Estimate
        The trace of ``D A D``; ``rho**2 / 2`` times that is, to second order, the mean increase under noise of standard deviation
        ``rho * abs(w)``.
    """

    lambda_max: Eigenvalue
    trace: Estimate

    @property
    def products(self) -> int:
        """Products of both solves."""
        return self.lambda_max.products + self.trace.products

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers should know."""
        return self.lambda_max.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers without the vector."""
        return {"lambda_max": self.lambda_max.to_dict(), "trace": self.trace.to_dict()}

    def _repr_html_(self) -> str:
        top, trace = self.lambda_max, self.trace
        rows = [
            ["largest eigenvalue", f"{top.value:.6g}", f"± {top.residual:.2g}", verdict(top.converged)],
            ["trace", f"{trace.value:.6g}", f"± {trace.standard_error:.2g}", verdict(trace.converged)],
        ]
        return table_html(["", "value", "residual or standard error", "converged"], rows, self.notes)


def adaptive(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    scale: ArrayLike | str = _congruence.MAGNITUDE,
    rtol: float = 1e-3,
    bound_rtol: float | None = 0.1,
    max_products: int = 500,
    trace_rtol: float = 1e-2,
    max_probes: int = 1000,
    seed: int = 0,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Adaptive:
    """Compute largest eigenvalue and trace of ``D A D`` with ``D = diag(abs(w))``: the adaptive sharpness to second order.

    It does not change if the rows of a layer are rescaled and the next layer undoes it (Kwon et al. 2021, ASAM; Andriushchenko et al.
    2023, *A modern look at the relationship between sharpness and generalization*, with worst and average case).

    Parameters
    ----------
    scale : array or "magnitude"
        The diagonal of `D`, for a callable the magnitudes of its parameters.
    rtol, bound_rtol, max_products
        Of the eigenvalue, as for `eigenpairs`.
    trace_rtol, max_probes
        Of the trace, as `rtol` and `max_probes` of `trace`.
    operator, loss_fn, data, dim, seed, like, check, progress, **options
        As for `lambda_max`.

    Returns
    -------
    Adaptive

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> w, diagonal = np.linspace(-1.0, 1.0, 200), np.full(200, 3.0)
    >>> r = sharpness.adaptive(lambda v: diagonal * v, dim=200, scale=abs(w))
    >>> round(r.lambda_max.value, 3), bool(np.isclose(r.trace.value, 3.0 * (w @ w)))
    (3.0, True)
    """
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
        eigen = {"rtol": rtol, "bound_rtol": bound_rtol, "max_products": max_products, "seed": seed}
        top = _solvers.largest(build, eigen, check, progress)
        probes = {"rtol": trace_rtol, "max_probes": max_probes, "seed": seed, "trace": True}
        return Adaptive(top, _estimators.shared(build, probes, check, progress)["trace"])
