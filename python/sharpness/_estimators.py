"""Estimates from random probes: the trace, the Frobenius norm and the density of the eigenvalues."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpness import _native, _operators
from sharpness._arrays import ArrayLike
from sharpness._operators import ModelOptions, Operator, SinglePrecision
from sharpness._progress import Bar
from sharpness._results import Density, Estimate, Solve, Step

if TYPE_CHECKING:
    from typing_extensions import Unpack


def trace(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    rtol: float = 1e-2,
    max_probes: int = 1000,
    seed: int = 0,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Estimate:
    """Estimate the trace as the mean of ``v @ A @ v`` over random signs `v`, with its standard error.

    Parameters
    ----------
    rtol : float
        Stop when the standard error is at most this fraction of the estimate, with 95 % confidence.
    max_probes : int
        The most probes, each of one product.
    operator, loss_fn, data, dim, seed, like, check, progress, **options
        As for `lambda_max`.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> diagonal = np.linspace(0.0, 3.0, 200)
    >>> round(sharpness.trace(lambda v: diagonal * v, dim=200).value, 9)  # exact for diagonal matrices
    300.0
    """
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as build:
        return _estimate(_native.trace, build, (rtol, max_probes, seed), check, progress)


def frobenius_norm(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    rtol: float = 1e-2,
    max_probes: int = 1000,
    seed: int = 0,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Estimate:
    """Estimate the Frobenius norm from ``norm(A @ v)**2`` over random signs `v`, with its standard error.

    Arguments as for `trace`; `rtol` is that of the norm.

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> r = sharpness.frobenius_norm(lambda v: 2.0 * v, dim=100)
    >>> r.value
    20.0
    """
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as build:
        # The relative error of a square is twice that of its root.
        params = (min(2 * rtol, 0.999), max_probes, seed)
        square = _estimate(_native.squared_frobenius_norm, build, params, check, progress)
    root = float(np.sqrt(square.value))
    error = square.standard_error / (2 * root) if root > 0 else square.standard_error
    return Estimate(root, error, square.probes, square.converged, square.solve)


def density(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    probes: int = 10,
    steps: int = 80,
    seed: int = 0,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Density:
    """Estimate the density of the eigenvalues by stochastic Lanczos quadrature.

    Each probe, a random vector, takes `steps` products and gives as many nodes with weights, exact for polynomials of degree up to
    ``2 * steps - 1``. Their spread gives standard errors.

    Parameters
    ----------
    probes : int
        Random vectors, at least 2.
    steps : int
        Lanczos steps from each.
    operator, loss_fn, data, dim, seed, like, check, progress, **options
        As for `lambda_max`.

    Returns
    -------
    Density

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> diagonal = np.linspace(0.0, 3.0, 200)
    >>> r = sharpness.density(lambda v: diagonal * v, dim=200, steps=20)
    >>> mean, error = r.average(lambda x: x)
    >>> abs(mean - 1.5) < 4 * error
    True
    """
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as build:
        params = {"probes": probes, "steps": steps, "seed": seed}
        found, solve = _run(_native.density, build, params, ("products", probes * steps), check, progress)
        return Density(found["values"], found["weights"], found["dim"], solve)


def _estimate(
    estimator: Callable[..., dict[str, Any]],
    build: Callable[[], Operator],
    params: tuple[float, int, int],
    check: bool,
    progress: bool | None,
) -> Estimate:
    named = dict(zip(("rtol", "max_probes", "seed"), params, strict=True))
    found, solve = _run(estimator, build, named, ("probes", params[1]), check, progress)
    return Estimate(found["value"], found["standard_error"], found["products"], found["converged"], solve)


def _run(
    estimator: Callable[..., dict[str, Any]],
    build: Callable[[], Operator],
    params: dict[str, Any],
    work: tuple[str, int],
    check: bool,
    progress: bool | None,
) -> tuple[dict[str, Any], Solve]:
    """Run an estimator of the extension module, again if the first product shows that it is in float32."""
    operator = build()
    began = time.perf_counter()
    history: list[Step] = []
    with Bar(*work, progress) as bar:

        def report(*state: Any) -> None:
            history.append(Step(*state))
            bar.update(history[-1])

        try:
            found = estimator(operator.arguments(check), params, report)
        except SinglePrecision:
            operator = build()
            found = estimator(operator.arguments(check), params, report)
    solve = _operators.solve(found, operator, time.perf_counter() - began, history)
    return {**found, "dim": operator.dim}, solve
