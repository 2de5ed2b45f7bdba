"""Facts about networks, data sets and this machine: ``info``, ``data``, ``bench``."""

from __future__ import annotations

from typing import Any

from sharpness._experiments.process import execute
from sharpness._experiments.records import Record, as_record
from sharpness._experiments.settings import flags

__all__ = ["bench", "data", "info"]


def info(arch: str, **settings: object) -> Record:
    """Return the layers, parameters and cost of an architecture.

    Parameters
    ----------
    arch : str
        The architecture, such as ``"vgg11"``.
    **settings
        The flags of ``sharpness info``, such as ``dataset="digits"``; see :func:`train`.

    Returns
    -------
    Record
        ``parameters``, ``flops_per_example``, ``layers`` and more.

    Raises
    ------
    InvalidInputError
        There is no such architecture, or a setting does not make sense.

    Examples
    --------
    >>> sharpness.info("vgg11").parameters  # doctest: +SKIP
    """
    return Record(execute(["info", arch, *flags({**settings, "json": True})], progress=False).document())


def data(action: str = "list", *names: str, progress: bool = True, **settings: object) -> Any:
    """Find, check or download data sets.

    Parameters
    ----------
    action : {"list", "check", "fetch"}
        Show where data sets are, read and verify them, or download one.
    *names : str
        The data sets: any number to check, all that are found if none is named; one to fetch.
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness data list``, ``check`` or ``fetch``, such as ``data_dir="data"``; see
        :func:`train`.

    Returns
    -------
    list of Record, or Record for ``"fetch"``
        What was found, checked or downloaded.

    Raises
    ------
    InvalidInputError
        There is no such action or data set.
    SharpnessError
        A data set is missing or damaged, or cannot be downloaded.

    Examples
    --------
    >>> [found.name for found in sharpness.data() if found.place]  # doctest: +SKIP
    """
    arguments = ["data", action, *flags({**settings, "json": True}), *names]
    return as_record(execute(arguments, progress=progress).document())


def bench(*, progress: bool = True, **settings: object) -> Record:
    """Time a training step, a Hessian-vector product and λ_max on this machine.

    Parameters
    ----------
    progress : bool
        Show a bar, if ``tqdm`` is installed.
    **settings
        The flags of ``sharpness bench``, such as ``arch="vgg11", dataset="cifar10", random=True``; see
        :func:`train`.

    Returns
    -------
    Record
        ``tasks``, a list with ``median_seconds``, ``lowest_seconds`` and ``highest_seconds`` of each task,
        and what was timed.

    Raises
    ------
    InvalidInputError
        A setting does not make sense.

    Examples
    --------
    >>> timed = sharpness.bench(arch="mlp", dataset="digits", only=["hvp"])  # doctest: +SKIP
    >>> timed.tasks[0].median_seconds  # doctest: +SKIP
    """
    return Record(execute(["bench", *flags({**settings, "json": True})], progress=progress).document())
