"""Results: numbers with everything that is known about their errors."""

from __future__ import annotations

import html
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from sharpness._arrays import ArrayLike, to_numpy
from sharpness._errors import InvalidInputError, SharpnessError

#: What a table shows in place of an unknown number.
UNKNOWN = "-"


@dataclass(frozen=True)
class Step:
    """The state of a solver after some products.

    Attributes
    ----------
    products : int
        Products so far.
    value : float
        The estimate.
    error : float
        Its residual, or the standard error of an estimate from probes.
    limit : float or None
        The bound on the eigenvalue so far.
    """

    products: int
    value: float
    error: float
    limit: float | None = None


@dataclass(frozen=True)
class Solve:
    """How a result was computed; all pairs of one solve share it.

    Attributes
    ----------
    products : int
        Products of the solver.
    check_products : int
        Further products that repeated the first one, or recomputed a result in double precision.
    stop : str
        ``"converged"``, ``"unproved"`` (the residuals meet `rtol`, but the bound does not reach `bound_rtol`),
        ``"product_limit"`` or ``"stagnated"`` (the products are too inexact for `rtol`).
    spectrum : tuple of float or None
        An interval that holds all eigenvalues, and the probability that it does not.
    asymmetry, rounding, norm : float or None
        The observed departure from symmetry; what rounding may have changed in the values; a lower bound on the norm.
        None for estimates from probes.
    seconds, seconds_in_products : float
        The duration of the solve, and of the products in it.
    vectors_in : str
        Where the vectors of the solver were kept.
    operator : mapping
        What was measured: for a PyTorch model its kind, examples, batch-norm policy, product and checks.
    history : sequence of Step
        The estimates after each product.
    notes : sequence of str
        What a reader of the number should know.
    """

    products: int
    check_products: int
    stop: str
    spectrum: tuple[float, float, float] | None
    asymmetry: float | None
    rounding: float | None
    norm: float | None
    seconds: float
    seconds_in_products: float
    vectors_in: str
    operator: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Step] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Eigenvalue:
    """An eigenvalue with everything that is known about its error.

    The fields are those of the command line's JSON output.

    Attributes
    ----------
    value : float
        The Rayleigh quotient ``u @ A @ u`` of `vector`. It is never outside the spectrum.
    residual : float
        ``norm(A @ u - value * u)``, computed from products and not estimated.
    lower, upper : float or None
        The true value lies between these; None if there is no bound.
    lower_failure_probability, upper_failure_probability : float or None
        The probability, over the seed, that the bound is wrong; 0 if it is certain.
    interval : tuple of float or None
        Certain to hold an eigenvalue, though perhaps not the extreme one.
    products : int
        Products of the whole solve.
    converged : bool
        Whether the residual reached `rtol` and, unless `bound_rtol` is None, the bound came within `bound_rtol`.
    certified : bool
        Whether the bound came within `bound_rtol`: the eigenvalue is shown to be the extreme one to this tolerance.
    vector : array
        The unit eigenvector, shape ``(dim,)``, as the operator takes vectors: a float64 NumPy array, or a tensor.
    solve : Solve
        How it was computed.
    """

    value: float
    residual: float
    lower: float | None
    lower_failure_probability: float | None
    upper: float | None
    upper_failure_probability: float | None
    interval: tuple[float, float] | None
    products: int
    converged: bool
    certified: bool
    vector: ArrayLike = field(repr=False, compare=False)
    solve: Solve = field(repr=False, compare=False)

    def __float__(self) -> float:
        return self.value

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the number should know."""
        return self.solve.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers without the vector, as the command line's JSON output has them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("vector", "solve")}

    def __str__(self) -> str:
        text = f"{self.value:.6g} ± {self.residual:.1g}, in [{_number(self.lower)}, {_number(self.upper)}]"
        return text + ("" if self.converged else "  NOT CONVERGED")

    def _repr_html_(self) -> str:
        return _table([self], self.solve)

    def plot(self, ax: Any = None) -> Any:
        """Draw how the estimate converged, with Matplotlib; returns the axes."""
        return _plot(self.solve.history, "eigenvalue", ax)


class Eigenpairs(Sequence[Eigenvalue]):
    """The eigenpairs of one solve, the most extreme first.

    A sequence of `Eigenvalue`. The fields of the first pair are fields of the whole: ``r.value`` is ``r[0].value``.
    """

    def __init__(self, pairs: Sequence[Eigenvalue], solve: Solve) -> None:
        self._pairs = tuple(pairs)
        self.solve = solve

    @overload
    def __getitem__(self, index: int) -> Eigenvalue: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Eigenvalue]: ...
    def __getitem__(self, index: int | slice) -> Eigenvalue | Sequence[Eigenvalue]:
        return self._pairs[index]

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Eigenvalue]:
        return iter(self._pairs)

    @property
    def value(self) -> float:
        """The value of the first pair."""
        return self._pairs[0].value

    @property
    def residual(self) -> float:
        """The residual of the first pair."""
        return self._pairs[0].residual

    @property
    def lower(self) -> float | None:
        """The lower bound on the first eigenvalue."""
        return self._pairs[0].lower

    @property
    def upper(self) -> float | None:
        """The upper bound on the first eigenvalue."""
        return self._pairs[0].upper

    @property
    def vector(self) -> ArrayLike:
        """The first eigenvector, shape ``(dim,)``."""
        return self._pairs[0].vector

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """All values, shape ``(k,)``."""
        return np.array([pair.value for pair in self._pairs])

    @property
    def residuals(self) -> npt.NDArray[np.float64]:
        """All residuals, shape ``(k,)``."""
        return np.array([pair.residual for pair in self._pairs])

    @property
    def vectors(self) -> npt.NDArray[np.float64]:
        """All eigenvectors as columns of a NumPy array, shape ``(dim, k)``."""
        return np.stack([to_numpy(pair.vector, "a vector") for pair in self._pairs], axis=1)

    @property
    def products(self) -> int:
        """Products of the whole solve."""
        return self.solve.products

    @property
    def converged(self) -> bool:
        """Whether every pair converged."""
        return all(pair.converged for pair in self._pairs)

    @property
    def certified(self) -> bool:
        """Whether every pair is certified."""
        return all(pair.certified for pair in self._pairs)

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers should know."""
        return self.solve.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers without the vectors."""
        return {"pairs": [pair.to_dict() for pair in self._pairs], "products": self.products}

    def __repr__(self) -> str:
        return f"Eigenpairs([{', '.join(str(pair) for pair in self._pairs)}], products={self.products})"

    def _repr_html_(self) -> str:
        return _table(self._pairs, self.solve)

    def plot(self, ax: Any = None) -> Any:
        """Draw how the leading estimate converged, with Matplotlib; returns the axes."""
        return _plot(self.solve.history, "leading eigenvalue", ax)


@dataclass(frozen=True)
class Estimate:
    """A number estimated from random probes.

    Attributes
    ----------
    value, standard_error : float
        The mean over the probes, and its standard error.
    probes : int
        The number of probes, each of one product; the number of products of ``"hutch++"`` and ``"xtrace"``.
    converged : bool
        Whether the standard error reached `rtol`, with 95 % confidence.
    solve : Solve
        How it was computed.
    """

    value: float
    standard_error: float
    probes: int
    converged: bool
    solve: Solve = field(repr=False, compare=False)

    def __float__(self) -> float:
        return self.value

    @property
    def products(self) -> int:
        """Products of the solver."""
        return self.solve.products

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the number should know."""
        return self.solve.notes

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "solve"}

    def __str__(self) -> str:
        text = f"{self.value:.6g} ± {self.standard_error:.1g} ({self.probes} probes)"
        return text + ("" if self.converged else "  NOT CONVERGED")

    def _repr_html_(self) -> str:
        row = [
            f"{self.value:.6g}",
            f"± {self.standard_error:.2g}",
            str(self.probes),
            verdict(self.converged),
        ]
        return table_html(["value", "standard error", "probes", "converged"], [row], self.solve.notes)

    def plot(self, ax: Any = None) -> Any:
        """Draw how the estimate converged, with Matplotlib; returns the axes."""
        return _plot(self.solve.history, "estimate", ax)


@dataclass(frozen=True)
class Density:
    """The density of the eigenvalues, as one quadrature per probe.

    Attributes
    ----------
    values, weights : list of list of float
        For each probe its nodes in ascending order, and their shares of the spectrum, which sum to 1.
    dim : int
        The dimension of the operator.
    solve : Solve
        How it was computed.
    """

    values: list[list[float]]
    weights: list[list[float]]
    dim: int
    solve: Solve = field(repr=False, compare=False)

    @property
    def products(self) -> int:
        """Products of the solver."""
        return self.solve.products

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers should know."""
        return self.solve.notes

    def average(self, f: Callable[[Any], Any]) -> tuple[float, float]:
        """Return the average of ``f(eigenvalue)`` over the spectrum, and its standard error over the probes.

        The share of a few eigenvalues differs so much between probes that ten of them may agree by chance: take more.
        """
        means = self._of_probes(f)
        return float(np.mean(means)), _standard_error(means)

    def _of_probes(self, f: Callable[[Any], Any]) -> npt.NDArray[np.float64]:
        """Return the average of `f` by each probe."""
        return np.array(
            [
                float(np.dot(w, np.broadcast_to(f(np.asarray(x)), len(x))))
                for x, w in zip(self.values, self.weights, strict=True)
            ]
        )

    def trace(self) -> tuple[float, float]:
        """Return the trace and its standard error."""
        mean, error = self.average(lambda x: x)
        return self.dim * mean, self.dim * error

    def entropy_rank(self) -> tuple[float, float]:
        """Return the entropy rank and its standard error.

        It is ``exp(-sum(p * log(p)))`` with ``p = x / sum(x)``, where `x` are the eigenvalues with 0 in place of negative ones (Roy and
        Vetterli 2007): k for k equal positive eigenvalues. The standard error is that of the probes, to first order; `x log(x)` is no
        polynomial, and too few steps have an error that it does not show.
        """
        positive = self._of_probes(lambda x: np.maximum(x, 0.0))
        logarithmic = self._of_probes(lambda x: np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0))
        a, b = float(np.mean(positive)), float(np.mean(logarithmic))
        if a <= 0:
            return float("nan"), float("nan")
        value = self.dim * a * float(np.exp(-b / a))
        linear = positive / a + b * positive / a**2 - logarithmic / a
        return value, value * _standard_error(linear)

    def effective_dimension(self, alpha: float) -> tuple[float, float]:
        """Return ``sum(x / (x + alpha))`` and its standard error, with `x` as in `entropy_rank` (MacKay 1992)."""
        if not 0 < alpha < float("inf"):
            raise InvalidInputError(f"alpha = {alpha}: it must be a positive number")
        mean, error = self.average(lambda x: np.maximum(x, 0.0) / (np.maximum(x, 0.0) + alpha))
        return self.dim * mean, self.dim * error

    def smoothed(self, points: npt.ArrayLike, sigma: float) -> npt.NDArray[np.float64]:
        """Return density and standard error at `points`, shape ``(2, len(points))``.

        Each eigenvalue is widened to a Gaussian of standard deviation `sigma`.
        """
        norm = sigma * np.sqrt(2 * np.pi)

        def widened(point: float) -> tuple[float, float]:
            return self.average(lambda x: np.exp(-0.5 * ((x - point) / sigma) ** 2) / norm)

        both: npt.NDArray[np.float64] = np.array([widened(float(point)) for point in np.asarray(points)]).T
        return both

    def _repr_html_(self) -> str:
        (mean, mean_error), (negative, negative_error) = (
            self.average(lambda x: x),
            self.average(lambda x: x < 0),
        )
        low, high = min(x[0] for x in self.values), max(x[-1] for x in self.values)
        rows = [
            ["mean eigenvalue", f"{mean:.6g} ± {mean_error:.1g}"],
            ["share below 0", f"{negative:.4g} ± {negative_error:.1g}"],
            ["nodes between", f"{low:.6g} and {high:.6g}"],
        ]
        return table_html(
            ["", ""], rows, [f"{len(self.values)} probes, {self.products} products", *self.notes]
        )

    def plot(self, ax: Any = None, *, sigma: float | None = None, points: int = 500) -> Any:
        """Draw the density on a logarithmic axis, with Matplotlib; returns the axes."""
        low, high = min(x[0] for x in self.values), max(x[-1] for x in self.values)
        width = max(high - low, abs(high), 1e-12)
        sigma = width / 100 if sigma is None else sigma
        at = np.linspace(low - 0.05 * width, high + 0.05 * width, points)
        value, error = self.smoothed(at, sigma)
        ax = new_axes() if ax is None else ax
        ax.semilogy(at, value, label=f"density, eigenvalues widened by {sigma:.2g}")
        ax.fill_between(at, np.maximum(value - error, 0), value + error, alpha=0.2, label="± standard error")
        ax.set_ylim(bottom=max(value.max() * 1e-8, 1e-300))
        ax.set_xlabel("eigenvalue")
        ax.set_ylabel("density")
        ax.legend()
        return ax


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.6g}"


def verdict(converged: bool) -> str:
    """Return what a table says of a result."""
    return "yes" if converged else "NO"


def _table(pairs: Sequence[Eigenvalue], solve: Solve) -> str:
    names = ["", "value", "residual", "lower", "upper", "converged"]
    rows = [
        [
            str(i + 1),
            f"{p.value:.6g}",
            f"{p.residual:.2g}",
            _number(p.lower),
            _number(p.upper),
            verdict(p.converged),
        ]
        for i, p in enumerate(pairs)
    ]
    risk = max(
        (p.upper_failure_probability or p.lower_failure_probability or 0.0 for p in pairs), default=0.0
    )
    certainty = f"; the bounds hold with probability {1 - risk:g}" if risk else ""
    work = f"{solve.products} products in {solve.seconds:.3g} s{certainty}"
    return table_html(names, rows, [work, *solve.notes])


def table_html(names: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Return a table with notes below it."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(f"<{tag}>{html.escape(value)}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    below = "".join(f"<div>{html.escape(note)}</div>" for note in notes)
    return f"<table><thead><tr>{cells('th', names)}</tr></thead><tbody>{body}</tbody></table>{below}"


def new_axes() -> Any:
    """Return the axes of a new figure of Matplotlib."""
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise SharpnessError("plots need Matplotlib: pip install matplotlib") from error
    return pyplot.subplots()[1]


def _plot(history: Sequence[Step], name: str, ax: Any) -> Any:
    ax = new_axes() if ax is None else ax
    products = [step.products for step in history]
    ax.plot(products, [step.value for step in history], label=name)
    low = [step.value - step.error for step in history]
    high = [step.value + step.error for step in history]
    ax.fill_between(products, low, high, alpha=0.2, label="± error")
    bounded = [step for step in history if step.limit is not None]
    if bounded:
        ax.plot([s.products for s in bounded], [s.limit for s in bounded], linestyle="--", label="bound")
    ax.set_xlabel("products")
    ax.set_ylabel(name)
    ax.legend()
    return ax
