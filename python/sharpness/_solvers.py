"""The solvers: extreme eigenvalues, the trace and the Frobenius norm of an operator known by its products."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpness import _arrays, _congruence, _operators, _placement
from sharpness._arrays import ArrayLike
from sharpness._errors import NotSymmetricError
from sharpness._operators import ModelOptions, Operator, SinglePrecision
from sharpness._progress import Bar
from sharpness._results import Eigenpairs, Eigenvalue, Step

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
    scale: ArrayLike | str | None = None,
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
    scale : array or "magnitude", optional
        The diagonal of a matrix `D`: the operator is then ``D A D``. ``"magnitude"`` takes the magnitudes of a model's parameters,
        in the order of ``named_parameters()``, for adaptive sharpness (see `adaptive`).
    like : array, optional
        A vector such as `operator` takes: its kind, dtype and device. By default the first product tries NumPy vectors and, if
        PyTorch is imported, tensors on the CPU.
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
    with _operators.build(operator, loss_fn, data, dim, like, check, options) as build:
        return solve(_congruence.scaled(build, scale), params, start, vectors, check, progress)


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
    recompute : bool, optional
        Whether to compute value and residual of the result once more in float64, with one product per pair, if the model is in
        less: by default of half precision alone. A product in float64 can take as long as many in float32. Without it, the
        bounds allow for the rounding of products that is measured on a few examples.
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


def largest(
    build: Callable[[], Operator], settings: Mapping[str, Any], check: bool, progress: bool | None
) -> Eigenvalue:
    """Compute the largest eigenvalue, with the defaults of `eigenpairs` where `settings` has no value."""
    params = {
        "k": 1,
        "which": "largest",
        "rtol": 1e-3,
        "bound_rtol": 0.1,
        "method": "auto",
        "max_products": 500,
        "memory_bytes": None,
        "seed": 0,
        "failure_probability": 1e-3,
    }
    return solve(build, {**params, **settings}, None, "auto", check, progress)[0]


def solve(
    build: Callable[[], Operator],
    params: dict[str, Any],
    start: Any,
    vectors: str,
    check: bool,
    progress: bool | None,
) -> Eigenpairs:
    """Compute eigenpairs; `params` are those of the extension module but the start."""
    operator = build()
    params = {**params, "start": _starts(operator.start if start is None else start)}
    began = time.perf_counter()
    history: list[Step] = []
    with Bar("products", params["max_products"], progress) as bar:

        def report(*state: Any) -> None:
            history.append(Step(*state))
            bar.update(history[-1])

        def run(operator: Operator) -> dict[str, Any]:
            arguments = operator.arguments(check)
            return _placement.solve(operator, arguments, params, vectors, report, history.clear)

        try:
            found = run(operator)
        except SinglePrecision:
            operator = build()
            found = run(operator)
    if check:
        _check_symmetry(found, operator)
    how = _operators.solve(found, operator, time.perf_counter() - began, history)
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


def _starts(start: Any) -> list[Any]:
    several = isinstance(start, (list, tuple))
    arrays = start if several else [start]
    return [np.ascontiguousarray(_arrays.to_numpy(one, "start"), dtype=np.float64) for one in arrays]
