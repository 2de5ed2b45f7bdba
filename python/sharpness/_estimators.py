"""Estimates from random probes: the trace, the Frobenius norm and the density of the eigenvalues."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sharpness import _congruence, _native, _operators
from sharpness._arrays import ArrayLike
from sharpness._errors import InvalidInputError
from sharpness._operators import ModelOptions, Operator, SinglePrecision
from sharpness._progress import Bar
from sharpness._results import Density, Estimate, Solve, Step, table_html

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: The dimension of the subspace of Hutch++, unless the user says it.
SKETCH = 30


def trace(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    rtol: float = 1e-2,
    max_probes: int = 1000,
    method: str = "hutchinson",
    sketch: int | None = None,
    seed: int = 0,
    scale: ArrayLike | str | None = None,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Estimate:
    """Estimate the trace, with its standard error.

    ``"hutchinson"`` is the mean of ``v @ A @ v`` over random signs `v`. The other methods need fewer products if few eigenvalues make
    up most of the Frobenius norm, as those of many Hessians do, and more if all have about the same magnitude. ``"hutch++"`` (Meyer
    et al. 2021) takes the trace on a subspace near the leading eigenvectors exactly, and Hutchinson's estimate of the rest.
    ``"xtrace"`` (Epperly et al. 2024) uses every random vector for both; it needs no size of the subspace, keeps two vectors in
    memory per two products, and its standard error, the jackknife's, is conservative.

    Parameters
    ----------
    rtol : float
        Stop when the standard error is at most this fraction of the estimate, with 95 % confidence.
    max_probes : int
        The most probes, each of one product.
    method : {"hutchinson", "hutch++", "xtrace"}
        How to estimate.
    sketch : int, optional
        The dimension of the subspace of ``"hutch++"``, which takes two products per dimension; by default a third of `max_probes`, and
        at most 30.
    operator, loss_fn, data, dim, seed, scale, like, check, progress, **options
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
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
        estimator = _trace_estimator(method, sketch, max_probes)
        return _estimate(estimator, build, (rtol, max_probes, seed), check, progress)


def frobenius_norm(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    rtol: float = 1e-2,
    max_probes: int = 1000,
    seed: int = 0,
    scale: ArrayLike | str | None = None,
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
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
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
    scale: ArrayLike | str | None = None,
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
    operator, loss_fn, data, dim, seed, scale, like, check, progress, **options
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
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
        return quadrature(build, {"probes": probes, "steps": steps, "seed": seed}, check, progress)


def quadrature(
    build: Callable[[], Operator], params: dict[str, int], check: bool, progress: bool | None
) -> Density:
    """Estimate the density; `params` are `probes`, `steps` and `seed`."""
    work = ("products", params["probes"] * params["steps"])
    found, solve = _run(_native.density, build, params, work, check, progress)
    return Density(found["values"], found["weights"], found["dim"], solve)


@dataclass(frozen=True)
class Diagonal:
    """The diagonal of an operator, estimated from random probes.

    Attributes
    ----------
    values, standard_errors : array
        The entries, unbiased means over the probes, and their standard errors, both of shape ``(dim,)``.
    probes : int
        The number of probes, each of one product.
    solve : Solve
        How it was computed.
    """

    values: npt.NDArray[np.float64] = field(repr=False)
    standard_errors: npt.NDArray[np.float64] = field(repr=False)
    probes: int
    solve: Solve = field(repr=False, compare=False)

    @property
    def relative_error(self) -> float:
        """The norm of the standard errors relative to that of the values."""
        return float(np.linalg.norm(self.standard_errors) / np.linalg.norm(self.values))

    @property
    def products(self) -> int:
        """Products of the solver."""
        return self.solve.products

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers should know."""
        return self.solve.notes

    def _repr_html_(self) -> str:
        row = [
            str(self.values.size),
            f"{self.values.sum():.6g}",
            f"{self.relative_error:.2g}",
            str(self.probes),
        ]
        return table_html(["entries", "sum", "relative error", "probes"], [row], self.solve.notes)


def diagonal(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    probes: int = 100,
    seed: int = 0,
    scale: ArrayLike | str | None = None,
    like: ArrayLike | None = None,
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Diagonal:
    """Estimate the diagonal as the mean of ``v * (A @ v)`` over random signs `v`, with standard errors (Bekas et al. 2007).

    The standard error of an entry is the norm of the rest of its row over the root of `probes`: single entries need many.

    Parameters
    ----------
    probes : int
        Random vectors, at least 2, each of one product.
    operator, loss_fn, data, dim, seed, scale, like, check, progress, **options
        As for `lambda_max`.

    Returns
    -------
    Diagonal

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> exact = np.linspace(0.0, 3.0, 200)
    >>> r = sharpness.diagonal(lambda v: exact * v, dim=200, probes=2)
    >>> bool(np.allclose(r.values, exact))  # exact for diagonal matrices
    True
    """
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as plain:
        build = _congruence.scaled(plain, scale)
        found = shared(build, {"seed": seed, "diagonal_probes": probes}, check, progress)
    solve: Solve = found["solve"]
    # It has no tolerance that it could miss.
    return Diagonal(found["diagonal"], found["diagonal_errors"], probes, replace(solve, stop="converged"))


def shared(
    build: Callable[[], Operator], settings: dict[str, Any], check: bool, progress: bool | None
) -> dict[str, Any]:
    """Compute estimates that share products.

    Parameters
    ----------
    settings : dict
        Of `rtol`, `max_probes`, `seed`, `trace` and `squared_norm` (whether to estimate them), `blocks` (pairs of the first index and
        the one after the last) and `diagonal_probes`.

    Returns
    -------
    dict
        `trace` and `squared_norm` (an `Estimate` or None), `blocks` (their traces), `diagonal` and `diagonal_errors`, and `solve`.
    """
    defaults = {
        "rtol": 1e-2,
        "max_probes": 1000,
        "seed": 0,
        "trace": False,
        "squared_norm": False,
        "blocks": [],
        "diagonal_probes": 0,
    }
    params = {**defaults, **settings}
    wanted = params["trace"] or params["squared_norm"] or params["blocks"]
    most = max(params["max_probes"] if wanted else 0, params["diagonal_probes"])
    found, solve = _run(_native.probes, build, params, ("probes", most), check, progress)

    def of(one: dict[str, Any] | None) -> Estimate | None:
        return None if one is None else Estimate(**one, solve=solve)

    estimates = {name: of(found[name]) for name in ("trace", "squared_norm")}
    return {**found, **estimates, "blocks": [of(one) for one in found["blocks"]], "solve": solve}


def _trace_estimator(method: str, sketch: int | None, max_probes: int) -> Callable[..., dict[str, Any]]:
    if sketch is not None and method != "hutch++":
        raise InvalidInputError(f"sketch = {sketch} is for method='hutch++', but method = {method!r}")
    if method == "hutchinson":
        return _native.trace
    if method == "xtrace":
        return _native.xtrace
    if method != "hutch++":
        raise InvalidInputError(f"method = {method!r}: must be 'hutchinson', 'hutch++' or 'xtrace'")
    size = min(max_probes // 3, SKETCH) if sketch is None else sketch
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InvalidInputError(f"sketch = {size!r}: it must be a whole number of at least 0")

    def hutch_plus_plus(operator: Any, params: Any, progress: Any) -> dict[str, Any]:
        return _native.hutch_plus_plus(operator, size, params, progress)

    return hutch_plus_plus


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
