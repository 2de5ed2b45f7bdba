"""What can go wrong in a command, beside :mod:`sharpness._errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharpness._errors import SharpnessError

if TYPE_CHECKING:
    from sharpness._experiments.results import Runs

__all__ = ["FailedRunsError", "SharpnessWarning", "missing_package"]


class SharpnessWarning(UserWarning):
    """A note of a command, such as a default that had to be adjusted."""


class FailedRunsError(SharpnessError):
    """Some runs of a sweep failed; the others are done and kept.

    Attributes
    ----------
    runs : Runs
        The runs that are done. ``runs.planned`` lists all of them, with their ``status`` and ``problem``.
    """

    def __init__(self, message: str, runs: Runs) -> None:
        super().__init__(message)
        self.runs = runs


def missing_package(packages: str, what: str) -> SharpnessError:
    """Return the error of a missing optional dependency.

    Parameters
    ----------
    packages : str
        What to install, separated by spaces.
    what : str
        What needs it.
    """
    return SharpnessError(f"{what} needs packages that are not installed: pip install {packages}")
