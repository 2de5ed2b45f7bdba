"""Exceptions of the package."""

from __future__ import annotations

__all__ = [
    "ChangingOperatorError",
    "Interrupted",
    "InvalidInputError",
    "NotDifferentiableError",
    "NotFiniteError",
    "NotSymmetricError",
    "OperatorError",
    "SharpnessError",
    "WrongDerivativeError",
]


class SharpnessError(Exception):
    """Base class of every exception that the package raises on its own account.

    Exceptions raised by a user's model, loss, loader or callable surface unchanged.
    """


class InvalidInputError(SharpnessError, ValueError):
    """An argument has a wrong type, shape, dtype, device or value."""


class OperatorError(SharpnessError):
    """The operator is not what the solvers need: a symmetric matrix that stays the same."""


class NotSymmetricError(OperatorError):
    """``<u, A v>`` and ``<v, A u>`` differ by more than rounding."""


class ChangingOperatorError(OperatorError):
    """The same product, computed twice, gave two results."""


class NotFiniteError(OperatorError):
    """A loss, gradient or product contains NaN or infinity."""


class NotDifferentiableError(OperatorError):
    """PyTorch cannot differentiate the loss as often as the product needs."""


class WrongDerivativeError(OperatorError):
    """A product disagrees with finite differences of the gradient."""


class Interrupted(SharpnessError):
    """The work was stopped before it ended; the message says what was kept."""
