"""The solvers: extreme eigenvalues, the trace and the Frobenius norm of an operator known by its products."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpness import _arrays, _native, _operators, _placement
from sharpness._arrays import ArrayLike
from sharpness._errors import InvalidInputError, NotSymmetricError, SharpnessError
from sharpness._operators import ModelOptions, Operator, SinglePrecision
from sharpness._progress import Bar
from sharpness._results import Eigenpairs, Eigenvalue, Estimate, Solve, Step

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: The process in which the solver's threads run. They do not survive a fork.
_process: int | None = None


def eigenpairs(
    operator: Any,
    loss_fn: Any = None,
    data: Any = None,
    *,
    dim: int | None = None,
    k: int = 1,
    which: str = "largest",
    rtol: float = 1e-3,
    bound_rtol: float | None = 0.1,
    method: str = "auto",
    max_products: int = 500,
    memory_bytes: int | None = None,
    start: ArrayLike | Sequence[ArrayLike] | None = None,
    seed: int = 0,
    failure_probability: float = 1e-3,
    like: ArrayLike | None = None,
    vectors: str = "auto",
    check: bool = True,
    progress: bool | None = None,
    **options: Unpack[ModelOptions],
) -> Eigenpairs:
    """Compute extreme eigenpairs of a symmetric operator, each with its residual and with bounds.

    Parameters
    ----------
    operator : callable or torch.nn.Module
        A function ``hvp(v) -> A v`` over NumPy, PyTorch or JAX vectors, or a PyTorch model.
    loss_fn, data
        For a model: the loss ``loss_fn(outputs, targets)``, a mean, and a loader of batches ``(inputs, targets)``; see
        `lambda_max`.
    dim : int, optional
        The number of entries of a vector; unless `like` or a model says it.
    k : int
        The number of pairs.
    which : {"largest", "smallest", "magnitude"}
        The end of the spectrum; ``"largest"`` and ``"smallest"`` respect the sign.
    rtol : float
        Stop when ``norm(A u - value u) <= rtol * abs(value)`` for every pair.
    bound_rtol : float or None
        Also show that no eigenvalue is farther out by more than this fraction of the last value; None does not, as in most
        solvers, and a larger eigenvalue may be missed.
    method : {"auto", "lanczos", "dense", "power"}
        ``"auto"`` builds the whole matrix up to dimension 100, and runs Lanczos above.
    max_products : int
        The most products.
    memory_bytes : int, optional
        The most memory for the vectors of the solver; half of what is free by default, and at least 2 GiB of host memory.
    start : array or sequence of arrays, optional
        Vectors near the wanted ones, for example ``previous.vector``, for a warm start. For a model the gradient by default.
    seed : int
        Of the random start.
    failure_probability : float
        The probability, over the seed, that a bound is wrong.
    like : array, optional
        A vector such as `operator` takes: its kind, dtype and device. NumPy vectors by default.
    vectors : {"auto", "device", "host"}
        Where the solver keeps its vectors: on the device of PyTorch's products, or in host memory, through which every product
        then goes. ``"auto"`` takes the device if a usual basis fits there and it is not the CPU. ``Solve.vectors_in`` says
        where they were, and a note why not on the device.
    check : bool
        Whether to check that the operator is one fixed symmetric matrix, and for a model that its derivatives are right.
        Costs one product of a callable, and a few on one chunk of a model's data.
    progress : bool, optional
        Whether to show a bar; by default if tqdm is installed and standard error is a terminal or a notebook.
    **options
        For a model; see `lambda_max`.

    Returns
    -------
    Eigenpairs
        A sequence of `Eigenvalue`, the most extreme first.

    Raises
    ------
    InvalidInputError
        An argument does not make sense.
    NotSymmetricError, ChangingOperatorError, NotFiniteError
        The operator is not one fixed symmetric matrix of finite numbers.
    NotDifferentiableError, WrongDerivativeError
        PyTorch cannot compute the products of a model, or computes wrong ones.

    Examples
    --------
    >>> import numpy as np, sharpness
    >>> diagonal = np.linspace(0.0, 3.0, 200)
    >>> r = sharpness.eigenpairs(lambda v: diagonal * v, dim=200, k=2, rtol=1e-6)
    >>> np.round(r.values, 3).tolist(), r.converged
    ([3.0, 2.985], True)
    """
    given = locals()
    _placement.require(vectors)
    names = ("k", "which", "rtol", "bound_rtol", "method", "max_products", "memory_bytes", "seed")
    params = {name: given[name] for name in (*names, "failure_probability")}
    with _operator(operator, loss_fn, data, dim, like, check, options) as build:
        return _eigenpairs(build, params, start, vectors, check, progress)


def lambda_max(operator: Any, loss_fn: Any = None, data: Any = None, **options: Any) -> Eigenvalue:
    """Compute the largest eigenvalue, with its sign: for the Hessian of a loss, its sharpness.

    Parameters
    ----------
    operator : torch.nn.Module or callable
        A PyTorch model on any device, or a function ``hvp(v) -> A v``.
    loss_fn : callable, optional
        ``loss_fn(outputs, targets)``, a mean over examples or tokens as PyTorch's losses are. None for a model that returns its
        loss, or an output with a field `loss` (Hugging Face).
    data : DataLoader, iterable or tuple
        Batches ``(inputs, targets)``, read once and kept; or one such batch. The Hessian is that of the mean loss over all loss
        terms in it.
    kind : {"hessian", "ggn", "fisher"}
        The Hessian, the generalized Gauss-Newton matrix or the empirical Fisher matrix.
    parameters : str or sequence of str, optional
        Patterns (as of `fnmatch`) of the names of parameters; by default all that require gradients.
    batch_norm : {"batch", "running"}
        Batch norm by the statistics of each chunk, differentiated through, or by its running statistics.
    chunk : int, optional
        Examples per chunk; the batches of `data` by default.
    weights : callable, optional
        ``weights(inputs, targets)``: how many loss terms a batch has, if that is not its examples or its targets that count.
    product : {"auto", "forward-over-reverse", "double-backward", "finite-differences"}
        How to compute a product.
    device : torch.device, optional
        Where to compute; that of the parameters by default.
    **options
        As for `eigenpairs`.

    Returns
    -------
    Eigenvalue

    Examples
    --------
    >>> import torch, sharpness
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    >>> loader = [(torch.randn(32, 8), torch.randint(3, (32,))) for _ in range(4)]
    >>> r = sharpness.lambda_max(model, torch.nn.CrossEntropyLoss(), loader)
    >>> r.converged and r.lower <= r.value <= r.upper
    True
    """
    return eigenpairs(operator, loss_fn, data, **{**options, "k": 1, "which": "largest"})[0]


def lambda_min(operator: Any, loss_fn: Any = None, data: Any = None, **options: Any) -> Eigenvalue:
    """Compute the smallest (most negative) eigenvalue; arguments as for `lambda_max`."""
    return eigenpairs(operator, loss_fn, data, **{**options, "k": 1, "which": "smallest"})[0]


def top_k(operator: Any, loss_fn: Any = None, data: Any = None, *, k: int, **options: Any) -> Eigenpairs:
    """Compute the `k` largest eigenvalues; arguments as for `lambda_max`."""
    return eigenpairs(operator, loss_fn, data, **{**options, "k": k, "which": "largest"})


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
    with _operator(operator, loss_fn, data, dim, like, check, options) as build:
        return _estimate(_native.trace, build, rtol, max_probes, seed, check, progress)


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
    with _operator(operator, loss_fn, data, dim, like, check, options) as build:
        # The relative error of a square is twice that of its root.
        square = _estimate(
            _native.squared_frobenius_norm, build, min(2 * rtol, 0.999), max_probes, seed, check, progress
        )
    root = float(np.sqrt(square.value))
    error = square.standard_error / (2 * root) if root > 0 else square.standard_error
    return Estimate(root, error, square.probes, square.converged, square.solve)


@contextmanager
def _operator(
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
        with _operators.of_model(operator, loss_fn, data, check, options) as built:
            yield lambda: built
        return
    if loss_fn is not None or data is not None or options:
        given = [name for name, value in (("loss_fn", loss_fn), ("data", data)) if value is not None]
        raise InvalidInputError(
            f"{', '.join([*given, *options])}: only for PyTorch modules, but the operator is a {type(operator).__name__}"
        )
    yield _operators.of_callable(operator, dim, like)


def _eigenpairs(
    build: Callable[[], Operator],
    params: dict[str, Any],
    start: Any,
    vectors: str,
    check: bool,
    progress: bool | None,
) -> Eigenpairs:
    operator = build()
    params = {**params, "start": _starts(operator.start if start is None else start)}
    began = time.perf_counter()
    history: list[Step] = []
    with Bar("products", params["max_products"], progress) as bar:

        def report(*state: Any) -> None:
            history.append(Step(*state))
            bar.update(history[-1])

        def solve(operator: Operator) -> dict[str, Any]:
            arguments = _arguments(operator, check)
            return _placement.solve(operator, arguments, params, vectors, report, history.clear)

        try:
            found = solve(operator)
        except SinglePrecision:
            operator = build()
            found = solve(operator)
    if check:
        _check_symmetry(found, operator)
    how = _solve(found, operator, time.perf_counter() - began, history)
    certified = params["bound_rtol"] is not None
    pairs = [
        Eigenvalue(
            **{name: value for name, value in pair.items() if name != "limit"},
            products=found["products"],
            certified=pair["converged"] and certified,
            vector=operator.restore(vector),
            solve=how,
        )
        for pair, vector in zip(found["pairs"], found["vectors"], strict=True)
    ]
    return Eigenpairs(pairs, how)


def _estimate(
    estimator: Callable[..., dict[str, Any]],
    build: Callable[[], Operator],
    rtol: float,
    max_probes: int,
    seed: int,
    check: bool,
    progress: bool | None,
) -> Estimate:
    operator = build()
    params = {"rtol": rtol, "max_probes": max_probes, "seed": seed}
    began = time.perf_counter()
    history: list[Step] = []
    with Bar("probes", max_probes, progress) as bar:

        def report(*state: Any) -> None:
            history.append(Step(*state))
            bar.update(history[-1])

        try:
            found = estimator(_arguments(operator, check), params, report)
        except SinglePrecision:
            operator = build()
            found = estimator(_arguments(operator, check), params, report)
    solve = _solve(found, operator, time.perf_counter() - began, history)
    return Estimate(found["value"], found["standard_error"], found["products"], found["converged"], solve)


def _arguments(operator: Operator, check: bool) -> dict[str, Any]:
    return {
        "apply": operator.apply,
        "dim": operator.dim,
        "is_single": operator.is_single,
        "product_error": operator.product_error,
        "tolerances": operator.tolerances if check else None,
    }


def _check_symmetry(found: dict[str, Any], operator: Operator) -> None:
    """Refuse an operator whose products showed during the solve that it is not symmetric."""
    precision = np.dtype(np.float32 if operator.is_single else np.float64)
    tolerance = max(_operators.TOLERANCES[precision][1], 10 * operator.product_error)
    asymmetry, norm = found["asymmetry"], found["norm"]
    if asymmetry > tolerance * norm:
        raise NotSymmetricError(
            f"the operator is not symmetric: its products depart from symmetry by {asymmetry / norm:.1e} of its norm (at most "
            f"{tolerance:.0e} is rounding), so that its eigenvalues need not be real. A Hessian is symmetric: check hvp, or pass "
            "check=False to get the eigenvalues of the symmetric part as far as they can be known"
        )


def _solve(found: dict[str, Any], operator: Operator, seconds: float, history: list[Step]) -> Solve:
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


def _starts(start: Any) -> list[Any]:
    several = isinstance(start, (list, tuple))
    arrays = start if several else [start]
    return [np.ascontiguousarray(_arrays.to_numpy(one, "start"), dtype=np.float64) for one in arrays]


def _check_process() -> None:
    global _process
    if _process is None:
        _process = os.getpid()
    if _process != os.getpid():
        raise SharpnessError(
            "this process was forked from one that had already run a solver, whose threads a fork loses: start workers with "
            f'multiprocessing.get_context("spawn") (on {sys.platform}, fork may be the default)'
        )
