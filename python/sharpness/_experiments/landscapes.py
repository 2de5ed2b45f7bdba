"""The loss around weights and between two of them: ``landscape``, ``interpolate``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharpness._experiments.process import execute
from sharpness._experiments.records import Record
from sharpness._experiments.results import Run
from sharpness._experiments.settings import flags
from sharpness._experiments.study import pictures_html
from sharpness._experiments.training import directory_of

__all__ = ["Interpolation", "Landscape", "interpolate", "landscape"]


class Landscape(Record):
    """The loss around weights: ``sharpness landscape --json``. A notebook shows its picture.

    Attributes
    ----------
    files : list of Path
        Its table as CSV, its numbers as JSON, its picture as PNG and SVG, and an interactive page.
    losses : array
        The loss at each point, NaN where it is not finite: ``[a]`` or, in two dimensions, ``[b, a]``.
    predictions : array
        What the quadratic expansion at the weights predicts there.
    axes : list of Record
        One for each direction, with ``coordinates``, ``name``, ``norm`` and ``residual``.
    quadratic : Record
        The expansion: ``loss``, ``slopes`` and ``curvatures``, from exact products.
    deviation : Record
        How far the loss is from the prediction near the weights: ``relative``, ``difference``, ``within``.
    """

    @property
    def files(self) -> list[Path]:
        """Its table, numbers, picture and page."""
        return [Path(file) for file in self._fields["files"]]

    @property
    def losses(self) -> NDArray[np.float64]:
        """The loss at each point."""
        return self._grid("loss")

    @property
    def predictions(self) -> NDArray[np.float64]:
        """The prediction at each point."""
        return self._grid("predicted")

    def _grid(self, name: str) -> NDArray[np.float64]:
        values = [np.nan if point[name] is None else point[name] for point in self._fields["points"]]
        # The first coordinate changes fastest.
        shape = [len(axis["coordinates"]) for axis in reversed(self._fields["axes"])]
        return np.array(values, dtype=np.float64).reshape(shape)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.losses.shape[::-1]))
        return f"Landscape({shape} points along {self._fields['directions']}, {self._fields['files']})"

    def _repr_html_(self) -> str:
        return pictures_html(self.files, f"Loss around {self._fields['weights']}")


class Interpolation(Record):
    """The loss between two weights: ``sharpness interpolate --json``. A notebook shows its picture.

    Attributes
    ----------
    files : list of Path
        Its table as CSV, its numbers as JSON, its picture as PNG and SVG, and an interactive page.
    segment : Record
        ``points``, each with ``t``, ``train`` and ``test`` (with ``loss`` and ``accuracy``), and
        ``train_barrier`` and ``test_barrier`` (with ``value`` and ``t``).
    curve : Record
        The same on a trained curve, if it was asked for.
    """

    @property
    def files(self) -> list[Path]:
        """Its table, numbers, picture and page."""
        return [Path(file) for file in self._fields["files"]]

    def __repr__(self) -> str:
        barrier = self._fields["segment"]["train_barrier"]["value"]
        return f"Interpolation(barrier {barrier}, {self._fields['files']})"

    def _repr_html_(self) -> str:
        return pictures_html(self.files, f"Loss from {self._fields['from']} to {self._fields['to']}")


def landscape(
    run: str | PathLike[str] | Run | None = None,
    *,
    out: str | PathLike[str] = "landscape",
    progress: bool = True,
    **settings: object,
) -> Landscape:
    """Compute the loss around weights in one or two dimensions, with its quadratic prediction.

    Parameters
    ----------
    run : path or Run, optional
        As in :func:`measure`.
    out : path
        Write the files into this directory. A call that was interrupted resumes there.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness landscape``, such as ``directions="random"``, ``dimensions=2``, ``radius``
        and ``points``; see :func:`train`.

    Returns
    -------
    Landscape
        Every number, and the files.

    Raises
    ------
    InvalidInputError
        A setting does not make sense.

    Examples
    --------
    >>> found = sharpness.landscape("runs/first", dimensions=2)  # doctest: +SKIP
    >>> found.losses.shape, found.deviation.relative  # doctest: +SKIP
    """
    given = {"run": directory_of(run), **settings, "out": out, "json": True}
    return Landscape(_executed(["landscape", *flags(given)], progress))


def interpolate(
    first: str | PathLike[str] | Run,
    second: str | PathLike[str] | Run,
    *,
    out: str | PathLike[str] = "interpolation",
    progress: bool = True,
    **settings: object,
) -> Interpolation:
    """Compute loss and accuracy between the weights of two runs.

    Parameters
    ----------
    first, second : path or Run
        The ends: runs that were kept in directories, or safetensors files with PyTorch's names.
    out : path
        Write the files into this directory. A call that was interrupted resumes there.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness interpolate``, such as ``points`` and ``curve=True``; see :func:`train`.

    Returns
    -------
    Interpolation
        Every number, and the files.

    Raises
    ------
    InvalidInputError
        A setting does not make sense, or the runs are not of one network.

    Examples
    --------
    >>> found = sharpness.interpolate("runs/first", "runs/second")  # doctest: +SKIP
    >>> found.segment.train_barrier.value  # doctest: +SKIP
    """
    ends = [str(directory_of(end)) for end in (first, second)]
    given = flags({**settings, "out": out, "json": True})
    return Interpolation(_executed(["interpolate", *given, "--", *ends], progress))


def _executed(arguments: list[str], progress: bool) -> dict[str, Any]:
    document: dict[str, Any] = execute(arguments, progress=progress).document()
    return document
