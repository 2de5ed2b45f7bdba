"""Progress of commands as bars of ``tqdm``."""

from __future__ import annotations

from typing import Any

__all__ = ["Bar"]


class Bar:
    """A bar of ``tqdm.auto``; nothing if it is not wanted or ``tqdm`` is not installed.

    Parameters
    ----------
    shown : bool
        Whether a bar is wanted.
    """

    def __init__(self, shown: bool) -> None:
        self._tqdm = _tqdm() if shown else None
        self._bar: Any = None

    def update(self, position: int, total: int, message: str) -> None:
        """Show ``position`` of ``total``, which is 0 if it is not known, and a message."""
        if self._tqdm is None:
            return
        if self._bar is None or self._bar.total != (total or None):
            self.close()
            form = "{desc} {bar} {n_fmt}/{total_fmt} [{elapsed}]" if total else "{desc} [{elapsed}]"
            self._bar = self._tqdm(total=total or None, bar_format=form, leave=False, dynamic_ncols=True)
        self._bar.n = position
        self._bar.set_description_str(message)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm
