"""Runs: trainings with their measurements, one by one or in a store."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sharpness._experiments.errors import missing_package
from sharpness._experiments.process import execute
from sharpness._experiments.records import MeasuredEigenvalue, Record, as_record, html_table, number
from sharpness._experiments.settings import flags

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["Measurement", "Run", "Runs", "runs"]

#: The columns of a list of runs.
_COLUMNS = [
    "run",
    "network",
    "data",
    "learning rate",
    "batch size",
    "seed",
    "epochs",
    "test accuracy",
    "λ_max",
]


class Measurement(Record):
    """What was measured at some weights: ``sharpness measure --json``.

    Attributes
    ----------
    lambda_max : MeasuredEigenvalue
        The largest eigenvalue of the Hessian of the mean loss, with its bounds.
    loss, accuracy, gradient_norm : float
        On the measured examples.
    examples : int
        How many those are.
    """

    @property
    def converged(self) -> bool:
        """Whether every eigenvalue was found to the requested tolerances."""
        return all(found.converged for found in _eigenvalues(self.to_dict()))

    def _rows(self) -> list[tuple[str, str]]:
        return _measurement_rows(self)


class Run(Record):
    """A training and its measurement: ``sharpness train --json``.

    Attributes
    ----------
    id, training_id : str
        The names of the run, and of its training, in a store.
    config : Record
        All settings, as in ``config.toml``.
    training : Record
        ``outcome`` (``"converged"``, ``"max-epochs"`` or ``"diverged"``), ``epochs``, ``steps``,
        ``train_accuracy``, ``train_loss``, ``test_accuracy``, ``test_loss``, ``seconds`` and more.
    measurement : Record or None
        As :class:`Measurement`; ``None`` if nothing was measured.
    directory : Path or None
        Where the run is kept.
    """

    def __init__(self, fields: Mapping[str, Any], directory: Path | None = None) -> None:
        super().__init__(fields)
        self._directory = directory

    @property
    def directory(self) -> Path | None:
        """Where the run is kept; ``None`` if it was not kept."""
        return self._directory

    @property
    def measurement(self) -> Measurement | None:
        """What was measured after the training."""
        measured = self._fields.get("measurement")
        return None if measured is None else Measurement(measured)

    @property
    def outcome(self) -> str:
        """How the training ended.

        ``"converged"`` at the target accuracy, ``"max-epochs"`` below it, or ``"diverged"``.
        """
        return str(self.training.outcome)

    @property
    def converged(self) -> bool:
        """Whether the training reached its target, and every eigenvalue was found to the tolerances."""
        measured = self.measurement
        return self.outcome == "converged" and (measured is None or measured.converged)

    @property
    def lambda_max(self) -> MeasuredEigenvalue | None:
        """The largest eigenvalue after the training."""
        measured = self.measurement
        return None if measured is None else measured["lambda_max"]

    def __repr__(self) -> str:
        cells = zip(_COLUMNS, _cells(self), strict=True)
        shown = ", ".join(f"{name} {cell}" for name, cell in cells if cell)
        return f"Run({shown}, {self.outcome})"

    def _rows(self) -> list[tuple[str, str]]:
        rows = list(zip(_COLUMNS, _cells(self), strict=True))
        rows.insert(7, ("training", f"{self.outcome}, {number(self.training.seconds)} s"))
        measured = self.measurement
        if measured is not None:
            rows[-1:] = _measurement_rows(measured)
        return rows


class Runs(Sequence[Run]):
    """The finished runs of a store or a sweep.

    Parameters
    ----------
    reports : iterable of dict
        The runs, as ``sharpness runs list --json`` prints them.
    store : Path
        The store.
    planned : iterable of dict
        All runs of a sweep, as ``sharpness sweep --json`` prints them.

    Attributes
    ----------
    store : Path
        The store.
    planned : list of Record
        All runs of the sweep, finished or not, with ``id``, ``block``, ``settings``, ``status`` and
        ``problem``; empty for the runs of a store.
    """

    def __init__(
        self, reports: Iterable[dict[str, Any]], store: Path, planned: Iterable[dict[str, Any]] = ()
    ) -> None:
        self.store = store
        self.planned: list[Record] = [as_record(run) for run in planned]
        self._runs = [Run(report, store / report["training_id"]) for report in reports]
        self._parquet: bytes | None = None

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...
    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        return self._runs[place]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        return f"Runs({len(self)} in {str(self.store)!r})"

    def _repr_html_(self) -> str:
        return html_table([*_COLUMNS, "outcome"], [(*_cells(run), run.outcome) for run in self])

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the reports with Python's own types."""
        return [run.to_dict() for run in self]

    def to_arrow(self) -> pyarrow.Table:
        """Return a table with a row for each run, and a column for each setting and each result.

        Columns have the names of the nested fields, such as ``config.training.learning_rate``; what a run
        does not have is null.

        Returns
        -------
        pyarrow.Table
            The table.

        Raises
        ------
        SharpnessError
            ``pyarrow`` is not installed.
        """
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise missing_package("pyarrow", "an Arrow table") from error
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(self._export()))
        places = {name: place for place, name in enumerate(table.column("id").to_pylist())}
        return table.take([places[run.id] for run in self])

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table of :meth:`to_arrow` as a data frame of pandas.

        Returns
        -------
        pandas.DataFrame
            The data frame. A column of integers in which values are missing has floating-point numbers.

        Raises
        ------
        SharpnessError
            ``pandas`` or ``pyarrow`` is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise missing_package("pandas pyarrow", "a data frame of pandas") from error
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Return the table of :meth:`to_arrow` as a data frame of Polars.

        Returns
        -------
        polars.DataFrame
            The data frame.

        Raises
        ------
        SharpnessError
            ``polars`` is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise missing_package("polars", "a data frame of Polars") from error
        table = polars.read_parquet(io.BytesIO(self._export()))
        places = {name: place for place, name in enumerate(table["id"].to_list())}
        return table[[places[run.id] for run in self]]

    def _export(self) -> bytes:
        """All runs of the store as Parquet."""
        if self._parquet is None:
            arguments = ["runs", "export", *flags({"store": self.store, "format": "parquet"})]
            self._parquet = execute(arguments, progress=False).output
        return self._parquet


def runs(store: str | PathLike[str] = "runs", *, where: str | Iterable[str] = ()) -> Runs:
    """Read the finished runs of a store.

    Parameters
    ----------
    store : path
        The directory of the runs.
    where : str or iterable of str
        Only runs with these settings, such as ``["learning_rate=0.1", "batch_size=32"]``.

    Returns
    -------
    Runs
        The runs, which :meth:`Runs.to_pandas` and :meth:`Runs.to_polars` turn into data frames.

    Raises
    ------
    InvalidInputError
        There is no store, or no such setting.

    Examples
    --------
    >>> frame = sharpness.runs("runs", where=["arch=mlp"]).to_pandas()  # doctest: +SKIP
    >>> frame.plot.scatter("measurement.lambda_max.value", "training.test_accuracy")  # doctest: +SKIP
    """
    settings = {"store": store, "where": [where] if isinstance(where, str) else where, "json": True}
    reports = execute(["runs", "list", *flags(settings)], progress=False).document()
    return Runs(reports, Path(store))


def _eigenvalues(measured: Any) -> Iterator[MeasuredEigenvalue]:
    """All eigenvalues of a measurement."""
    record = as_record(measured)
    if isinstance(record, MeasuredEigenvalue):
        yield record
    elif isinstance(measured, dict):
        for value in measured.values():
            yield from _eigenvalues(value)
    elif isinstance(measured, list):
        for value in measured:
            yield from _eigenvalues(value)


def _cells(run: Run) -> tuple[str, ...]:
    """Return the values of ``_COLUMNS``."""
    config, training = run.config, run.training
    settings = (config.training.learning_rate, config.training.batch_size, config.seed)
    results = (training.epochs, training.test_accuracy)
    found = run.lambda_max
    return (
        run.id,
        config.model.arch,
        config.data.name,
        *map(number, (*settings, *results)),
        "" if found is None else repr(found),
    )


def _measurement_rows(measured: Record) -> list[tuple[str, str]]:
    """Return the results of a measurement, in few lines."""
    shown = [("λ_max", repr(measured.lambda_max))]
    for name in ("lambda_min", "trace", "frobenius"):
        outcome = measured.get(name)
        if isinstance(outcome, MeasuredEigenvalue):
            shown.append((name, repr(outcome)))
        elif isinstance(outcome, Record) and "standard_error" in outcome:
            shown.append((name, f"{number(outcome.value)} ± {number(outcome.standard_error)}"))
    shown += [(name, number(measured[name])) for name in ("loss", "gradient_norm", "accuracy", "examples")]
    return shown
