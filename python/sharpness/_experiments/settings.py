"""Keyword arguments as flags of the command line, and recipes as files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sharpness._experiments.errors import missing_package

__all__ = ["Recipe", "flags", "recipe_file"]

#: A recipe: the path of a file, TOML text, or a dictionary.
Recipe = str | os.PathLike[str] | Mapping[str, Any]

#: Flags that are repeated for each value; the others take a list.
_REPEATED = frozenset({"rename", "table", "where"})


def flags(settings: Mapping[str, object]) -> list[str]:
    """Return settings as flags.

    Parameters
    ----------
    settings : mapping
        Names of flags, with underscores for hyphens, and their values. ``True`` gives the flag alone,
        ``False`` and ``None`` nothing, and an iterable its items, separated by commas or in repeated flags,
        as the flag takes them.

    Returns
    -------
    list of str
        The flags, as ``--name=value``.

    Examples
    --------
    >>> flags({"lr": 0.05, "hidden": [64, 32], "lambda_min": True, "trace": None})
    ['--lr=0.05', '--hidden=64,32', '--lambda-min']
    """
    given = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        value = _plain(value)
        if value is True:
            given.append(flag)
        elif isinstance(value, list) and name in _REPEATED:
            given += [f"{flag}={_text(item)}" for item in value]
        elif isinstance(value, list):
            given.append(f"{flag}={','.join(map(_text, value))}")
        elif value is not None and value is not False:
            given.append(f"{flag}={_text(value)}")
    return given


def _plain(value: object) -> object:
    """Return NumPy's and PyTorch's numbers and arrays, and other iterables, as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return list(value)
    return value


def _text(value: object) -> str:
    value = _plain(value)
    return os.fsdecode(value) if isinstance(value, (bytes, os.PathLike)) else str(value)


@contextmanager
def recipe_file(recipe: Recipe) -> Iterator[Path]:
    """Provide a recipe as a file.

    Parameters
    ----------
    recipe : path, str or mapping
        The path of a TOML file; TOML text, which has more than one line; or the content as a dictionary,
        which needs ``tomli_w``.

    Yields
    ------
    Path
        A file that exists until the context ends.

    Raises
    ------
    SharpnessError
        A dictionary was given, but ``tomli_w`` is not installed.
    """
    if isinstance(recipe, os.PathLike) or (isinstance(recipe, str) and "\n" not in recipe):
        yield Path(recipe)
        return
    text = recipe if isinstance(recipe, str) else _toml(recipe)
    with tempfile.TemporaryDirectory(prefix="sharpness-") as directory:
        path = Path(directory, "recipe.toml")
        path.write_text(text, encoding="utf-8")
        yield path


def _toml(recipe: Mapping[str, Any]) -> str:
    try:
        import tomli_w
    except ImportError as error:
        raise missing_package("tomli_w", "a recipe as a dictionary (not as TOML text or a path)") from error
    text: str = tomli_w.dumps(recipe)
    return text
