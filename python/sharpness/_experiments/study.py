"""Judges and draws runs: ``claims``, ``figure``, ``reproduce``, ``report``."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sharpness._experiments.errors import missing_package
from sharpness._experiments.process import execute
from sharpness._experiments.records import Record, as_record, html_table
from sharpness._experiments.settings import Recipe, flags, recipe_file

if TYPE_CHECKING:
    import pandas

__all__ = ["Claims", "Figure", "Report", "claims", "figure", "report", "reproduce"]


class Claims(Sequence[Record]):
    """The findings of the paper, judged: ``sharpness claims --json``.

    Items are the findings, each with ``section``, ``sentence``, ``published`` (the verdict on the paper's own
    numbers) and ``runs`` (a list of verdicts, one for each group of comparable runs). A verdict has ``runs``,
    ``settings``, ``verdict`` and the ``conditions`` behind it.

    Parameters
    ----------
    document : mapping
        The JSON document.

    Attributes
    ----------
    findings : list of Record
        The items.
    predictions : list of Record
        How well each measure predicts the test error and the generalization gap: a record for each predictor, target
        and group of settings, the highest Kendall's tau of a group and target first.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = dict(document)
        self.findings: list[Record] = as_record(self._document["findings"])
        self.predictions: list[Record] = as_record(self._document.get("predictions") or [])

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        return self.findings[place]

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        return f"Claims({len(self)} findings, {len(self.verdicts())} verdicts)"

    def _repr_html_(self) -> str:
        rows = [tuple(map(str, verdict.values())) for verdict in self.verdicts()]
        return html_table(["section", "finding", "runs", "verdict"], rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole document with Python's own types."""
        return dict(self._document)

    def verdicts(self) -> list[dict[str, str]]:
        """Return a row for each verdict.

        Returns
        -------
        list of dict
            Each with ``section``, ``sentence``, ``runs`` (a group of runs, or ``"published"`` for the paper's
            own numbers) and ``verdict``.
        """
        return list(self._verdicts())

    def _verdicts(self) -> Iterator[dict[str, str]]:
        for finding in self.findings:
            for name, judged in self._groups(finding):
                words = {"section": finding.section, "sentence": finding.sentence}
                yield words | {"runs": name, "verdict": judged.verdict}

    @staticmethod
    def _groups(finding: Record) -> Iterator[tuple[str, Record]]:
        if finding.get("published") is not None:
            yield "published", finding.published
        for judged in finding.runs:
            yield judged.runs, judged

    def to_pandas(self) -> pandas.DataFrame:
        """Return :meth:`verdicts` as a data frame of pandas.

        Returns
        -------
        pandas.DataFrame
            The data frame.

        Raises
        ------
        SharpnessError
            ``pandas`` is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise missing_package("pandas", "a data frame of pandas") from error
        return pandas.DataFrame(self.verdicts(), columns=["section", "sentence", "runs", "verdict"])


def claims(
    *,
    store: str | PathLike[str] | None = None,
    tables: Iterable[str | PathLike[str]] = (),
    published: bool = False,
    **settings: object,
) -> Claims:
    """Judge the findings of the paper by runs, and by the paper's own numbers.

    Parameters
    ----------
    store : path, optional
        Judge the runs of this store.
    tables : iterable of path
        Judge the runs of tables that ``sharpness runs export`` wrote, as CSV or Parquet, instead of those of
        a store.
    published : bool
        Judge only the paper's own numbers.
    **settings
        Further flags of ``sharpness claims``, such as ``findings="mine.toml"``; see :func:`train`.

    Returns
    -------
    Claims
        The verdicts.

    Raises
    ------
    InvalidInputError
        There is no store, or a setting does not make sense.

    Examples
    --------
    >>> verdicts = sharpness.claims(published=True)  # doctest: +SKIP
    >>> verdicts[0].sentence, verdicts[0].published.verdict  # doctest: +SKIP
    """
    given = {"store": store, "table": list(tables), "published": published, **settings, "json": True}
    return Claims(execute(["claims", *flags(given)], progress=False).document())


class Figure(Record):
    """A figure: ``sharpness figure --json``. A notebook shows its picture.

    Attributes
    ----------
    files : list of Path
        Its picture as SVG and PNG, its table as CSV, and its caption as text.
    caption : str
        What it shows.
    lines : list of Record
        Every number that it shows: each line has a ``name`` and ``points``.
    runs_done, runs_planned : int
        How many of its runs are finished, and how many there are.
    """

    @property
    def files(self) -> list[Path]:
        """Its picture as SVG and PNG, its table as CSV, and its caption as text."""
        return [Path(file) for file in self._fields["files"]]

    def __repr__(self) -> str:
        return f"Figure({self.figure}, {self.runs_done} of {self.runs_planned} runs, {self._fields['files']})"

    def _repr_html_(self) -> str:
        return pictures_html(self.files, self.caption)


def pictures_html(files: Iterable[Path], caption: str) -> str:
    """Return the pictures among files as HTML for a notebook."""
    # An SVG in the page itself would share its names with other figures.
    pictures = [file for file in files if file.suffix == ".svg" and file.is_file()]
    images = [base64.b64encode(picture.read_bytes()).decode() for picture in pictures]
    shown = "".join(f'<img src="data:image/svg+xml;base64,{image}">' for image in images)
    return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"


def figure(
    recipe: Recipe,
    *,
    store: str | PathLike[str] = "runs",
    out: str | PathLike[str] = "figures",
    progress: bool = True,
    **settings: object,
) -> Figure:
    """Draw the figure of a recipe from its finished runs.

    Parameters
    ----------
    recipe : path, str or mapping
        As in :func:`sweep`; its table ``figure`` says what to draw.
    store : path
        The directory of the runs.
    out : path
        Write the files into this directory.
    progress : bool
        Show a bar while ``examples`` are compared, if ``tqdm`` is installed.
    **settings
        Further flags of ``sharpness figure``, such as ``examples=[1000, "all"]``; see :func:`train`.

    Returns
    -------
    Figure
        The files, and every number in them.

    Raises
    ------
    InvalidInputError
        The recipe has no figure, or a setting does not make sense.

    Examples
    --------
    >>> sharpness.figure("recipe.toml", out="figures").files  # doctest: +SKIP
    """
    with recipe_file(recipe) as path:
        arguments = [
            "figure",
            *flags({**settings, "store": store, "out": out, "json": True}),
            "--",
            str(path),
        ]
        return Figure(execute(arguments, progress=progress).document())


def reproduce(
    *figures: str,
    store: str | PathLike[str] = "runs",
    out: str | PathLike[str] = "figures",
    progress: bool = True,
    **settings: object,
) -> Sequence[Record]:
    """Reproduce figures of the paper: execute their runs and draw them.

    Parameters
    ----------
    *figures : str
        ``"fig1"`` to ``"fig15"``, or ``"all"``.
    store : path
        Keep the runs in this directory.
    out : path
        Write the files into this directory.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        Further flags of ``sharpness reproduce``, such as ``scale="smoke"`` and ``jobs=2``; see :func:`train`.

    Returns
    -------
    list of Figure
        The figures, in the order of the paper. With ``dry_run=True``, all of their runs with their status.

    Raises
    ------
    SharpnessError
        A run failed.
    KeyboardInterrupt
        Ctrl-C. All runs are saved first, and the same call resumes them.

    Examples
    --------
    >>> sharpness.reproduce("fig8", scale="smoke")  # doctest: +SKIP
    """
    given = flags({**settings, "store": store, "out": out, "json": True})
    drawn = execute(["reproduce", *given, "--", *figures], progress=progress).document()
    return [Record(one) if "status" in one else Figure(one) for one in drawn]


class Report(Record):
    """A page of HTML with figures, verdicts and tables: ``sharpness report --json``.

    Attributes
    ----------
    file : Path
        The page.
    runs : int
        How many runs it shows.
    figures : list of Record
        The figures in it.
    findings : list of Record
        The verdicts in it, as in :class:`Claims`.
    """

    @property
    def file(self) -> Path:
        """The page."""
        return Path(self._fields["file"])

    def __repr__(self) -> str:
        return f"Report({str(self.file)!r}, {self.runs} runs, {len(self.figures)} figures)"

    def _repr_html_(self) -> str:
        path = str(self.file)
        return f'<a href="{escape(path, quote=True)}" target="_blank">{escape(path)}</a>, {self.runs} runs'


def report(
    *recipes: str | PathLike[str],
    store: str | PathLike[str] = "runs",
    out: str | PathLike[str] = "report.html",
    **settings: object,
) -> Report:
    """Write one page of HTML with the figures, verdicts and tables of a store.

    Parameters
    ----------
    *recipes : path
        Recipes of further figures. The paper's figures are always drawn if the store has runs of theirs.
    store : path
        The directory of the runs.
    out : path
        Write the page to this file.
    **settings
        Further flags of ``sharpness report``, such as ``title="…"``; see :func:`train`.

    Returns
    -------
    Report
        The page, and the numbers in it.

    Raises
    ------
    InvalidInputError
        There is no store, or a recipe or setting does not make sense.

    Examples
    --------
    >>> sharpness.report(store="runs").file  # doctest: +SKIP
    """
    given = flags({**settings, "store": store, "out": out, "json": True})
    arguments = ["report", *given, "--", *(str(Path(recipe)) for recipe in recipes)]
    return Report(execute(arguments, progress=False).document())
