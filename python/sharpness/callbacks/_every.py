"""The measurement that all callbacks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sharpness._errors import InvalidInputError
from sharpness._results import Eigenvalue
from sharpness._solvers import lambda_max


class LambdaMaxEvery:
    """Measure λ_max every n steps of a training loop.

    Each measurement starts from the eigenvector of the last one, which saves products while the minimum moves little. A random
    part of equal length keeps its bound valid.

    Parameters
    ----------
    model, loss_fn, data, **options
        As for `sharpness.lambda_max`. The data should be a fixed subset: it is measured as a whole each time.
    every : int
        Steps between measurements.
    log : callable, optional
        Called with a dict of numbers after each measurement: ``lambda_max``, ``lambda_max_lower``, ``lambda_max_upper``
        (NaN if unknown), ``lambda_max_converged`` (0 or 1) and ``lambda_max_products``.
    check : bool
        Whether to check the products at the first measurement; later ones are of the same model.

    Attributes
    ----------
    history : list of (int, Eigenvalue)
        Steps and results.

    Examples
    --------
    >>> import torch, sharpness.callbacks
    >>> model = torch.nn.Linear(4, 2)
    >>> data = (torch.randn(32, 4), torch.randint(2, (32,)))
    >>> loss_fn = torch.nn.CrossEntropyLoss()
    >>> watch = sharpness.callbacks.LambdaMaxEvery(model, loss_fn, data, every=5)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> for _ in range(10):
    ...     optimizer.zero_grad()
    ...     loss_fn(model(data[0]), data[1]).backward()
    ...     optimizer.step()
    ...     _ = watch.step()
    >>> [step for step, result in watch.history]
    [5, 10]
    """

    def __init__(
        self,
        model: Any,
        loss_fn: Any,
        data: Any,
        *,
        every: int,
        log: Callable[[dict[str, float]], None] | None = None,
        check: bool = True,
        **options: Any,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InvalidInputError(f"every = {every!r}: it must be a whole number of steps, at least 1")
        self._arguments = (model, loss_fn, data)
        self._options = {"progress": False, **options}
        self.every = every
        self._log = log
        self._check = check
        self._steps = 0
        self._start: Any = None
        self.history: list[tuple[int, Eigenvalue]] = []

    def step(self, step: int | None = None) -> Eigenvalue | None:
        """Count a step, and measure if it is due.

        Parameters
        ----------
        step : int, optional
            The number of steps so far; one more than before by default.

        Returns
        -------
        Eigenvalue or None
            The result, if one was due.
        """
        self._steps = self._steps + 1 if step is None else step
        measured = bool(self.history) and self.history[-1][0] == self._steps
        return None if self._steps == 0 or measured or self._steps % self.every else self.measure()

    def measure(self) -> Eigenvalue:
        """Measure now, and log."""
        found = lambda_max(*self._arguments, **{"start": self._start, "check": self._check, **self._options})
        self._start, self._check = found.vector, False
        self.history.append((self._steps, found))
        if self._log is not None:
            self._log(numbers(found))
        return found


def numbers(found: Eigenvalue) -> dict[str, float]:
    """Return what is logged of a result."""
    unknown = float("nan")
    return {
        "lambda_max": found.value,
        "lambda_max_lower": unknown if found.lower is None else found.lower,
        "lambda_max_upper": unknown if found.upper is None else found.upper,
        "lambda_max_converged": float(found.converged),
        "lambda_max_products": float(found.products),
    }
