"""Trains and measures: ``train``, ``measure``, ``rescale``, ``sweep``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from sharpness._experiments.errors import FailedRunsError
from sharpness._experiments.process import WITH_RESULT, execute
from sharpness._experiments.records import Record
from sharpness._experiments.results import Measurement, Run, Runs
from sharpness._experiments.settings import Recipe, flags, recipe_file

__all__ = ["measure", "rescale", "sweep", "train"]

#: The exit code of a command that failed.
_FAILED = 1


def train(
    *, out: str | PathLike[str] | None = None, resume: bool = False, progress: bool = True, **settings: object
) -> Run:
    """Train a network of the command line until it fits, and measure its sharpness.

    Parameters
    ----------
    out : path, optional
        Keep the run in this directory. Without it, nothing is written.
    resume : bool
        Resume the run in ``out``, or start it if there is none.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness train``, with underscores for hyphens: ``arch`` and ``dataset`` are required.
        ``True`` gives a flag without a value, ``False`` and ``None`` nothing, and a list is joined by commas.

    Returns
    -------
    Run
        The run, also if it diverged, missed its target accuracy, or an eigenvalue was not found to the
        tolerance: ``run.outcome`` and ``run.converged`` say so.

    Raises
    ------
    InvalidInputError
        A setting does not make sense.
    SharpnessError
        The data, the directory or the machine does not allow it.
    KeyboardInterrupt
        Ctrl-C. A run with a directory is saved first; a second Ctrl-C does not wait for that.

    Examples
    --------
    >>> run = sharpness.train(arch="mlp", dataset="digits", lr=0.05, hidden=[64])  # doctest: +SKIP
    >>> run.lambda_max.value, run.training.test_accuracy  # doctest: +SKIP
    """
    arguments = ["train", *flags({**settings, "out": out, "resume": resume, "json": True})]
    report = execute(arguments, progress=progress).document()
    return Run(report, None if out is None else Path(out))


def measure(
    run: str | PathLike[str] | Run | None = None, *, progress: bool = True, **settings: object
) -> Measurement:
    """Measure the curvature at existing weights.

    Parameters
    ----------
    run : path or Run, optional
        A run that was kept in a directory. For other weights, give ``weights``, the path of a safetensors
        file with PyTorch's names, ``arch`` and ``dataset``.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness measure``; see :func:`train`.

    Returns
    -------
    Measurement
        The measurement; ``converged`` is false if an eigenvalue was not found to the tolerance.

    Raises
    ------
    InvalidInputError
        A setting does not make sense.
    SharpnessError
        The weights or data cannot be read, do not fit the network, or the machine does not allow it.

    Examples
    --------
    >>> found = sharpness.measure("runs/first", top_k=5, lambda_min=True)  # doctest: +SKIP
    >>> found.lambda_max.lower, found.lambda_max.upper  # doctest: +SKIP
    """
    arguments = ["measure", *flags({"run": directory_of(run), **settings, "json": True})]
    return Measurement(execute(arguments, progress=progress).document())


def rescale(
    run: str | PathLike[str] | Run | None = None,
    *,
    alpha: object,
    progress: bool = True,
    **settings: object,
) -> Record:
    """Rescale two layers: the same function at other weights, with another λ_max.

    Parameters
    ----------
    run : path or Run, optional
        As in :func:`measure`.
    alpha : float or sequence of float
        Multiply a layer by this, and divide the next one by it. Each is measured in turn.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness rescale``; see :func:`train`.

    Returns
    -------
    Record
        ``original`` and ``rescaled``, a list, each with ``alpha``, ``test_loss``, ``test_accuracy`` and the
        measurement.

    Raises
    ------
    InvalidInputError
        A setting does not make sense, or the network has no two such layers.

    Examples
    --------
    >>> points = sharpness.rescale("runs/first", alpha=[0.1, 10]).rescaled  # doctest: +SKIP
    >>> [point.lambda_max.value for point in points]  # doctest: +SKIP
    """
    given = {"run": directory_of(run), "alpha": alpha, **settings, "json": True}
    return Record(execute(["rescale", *flags(given)], progress=progress).document())


def directory_of(run: str | PathLike[str] | Run | None) -> str | PathLike[str] | None:
    """Return the directory of a run, or another path as it is."""
    if not isinstance(run, Run):
        return run
    if run.directory is None:
        raise ValueError("this run was not kept, so its weights are gone: train it with out=DIRECTORY")
    return run.directory


def sweep(
    recipe: Recipe, *, store: str | PathLike[str] = "runs", progress: bool = True, **settings: object
) -> Runs:
    """Execute all runs of a recipe that are not done.

    Parameters
    ----------
    recipe : path, str or mapping
        The path of a TOML file; TOML text, which has more than one line; or its content as a dictionary,
        which needs ``tomli_w``. ``sharpness sweep --help`` describes recipes.
    store : path
        Keep the runs in this directory, each named by a hash of its settings.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness sweep``, such as ``jobs=2``; see :func:`train`. With ``dry_run=True`` nothing
        is executed.

    Returns
    -------
    Runs
        The finished runs of the recipe, in its order. ``planned`` lists all of its runs with their status.

    Raises
    ------
    FailedRunsError
        Some runs failed. Its ``runs`` are the others, which are kept.
    InvalidInputError
        The recipe or a setting does not make sense.
    KeyboardInterrupt
        Ctrl-C. All runs are saved first, and the same call resumes them.

    Examples
    --------
    >>> runs = sharpness.sweep("recipe.toml", jobs=2)  # doctest: +SKIP
    >>> runs.to_pandas()["measurement.lambda_max.value"]  # doctest: +SKIP
    """
    with recipe_file(recipe) as path:
        arguments = ["sweep", *flags({**settings, "store": store, "json": True}), "--", str(path)]
        completed = execute(arguments, progress=progress, with_result={*WITH_RESULT, _FAILED})
    if not completed.output:
        raise completed.error()
    planned = completed.document()
    done = Runs(_reports(planned, store), Path(store), planned)
    if completed.code == _FAILED:
        notes = "".join(f"\n  {note}" for note in completed.notes)
        raise FailedRunsError(f"only {len(done)} of {len(planned)} runs are done{notes}", done)
    return done


def _reports(planned: list[dict[str, Any]], store: str | PathLike[str]) -> list[dict[str, Any]]:
    """Return the reports of the planned runs that are done, in their order."""
    done = [run["id"] for run in planned if run["status"] == "done"]
    if not done:
        return []
    listed = execute(["runs", "list", *flags({"store": store, "json": True})], progress=False).document()
    reports = {report["id"]: report for report in listed}
    return [reports[name] for name in done]
