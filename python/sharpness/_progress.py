"""Progress bars by tqdm, if it is installed."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Any

from sharpness._errors import InvalidInputError
from sharpness._results import Step

#: Seconds before a bar appears: short solves show none.
DELAY = 1.0


class Bar:
    """A bar over the products of a solver."""

    def __init__(self, unit: str, total: int, shown: bool | None) -> None:
        self._bar: Any = None
        if shown is False:
            return
        try:
            tqdm = importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            if shown:
                raise InvalidInputError("progress=True needs tqdm: pip install tqdm") from None
            return
        # `disable=None` shows the bar on terminals alone.
        disable = None if shown is None else False
        self._bar = tqdm(desc=unit, total=total, delay=DELAY, leave=False, disable=disable)

    def update(self, step: Step) -> None:
        """Show the state of the solver."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"{step.value:.6g} ± {step.error:.1g}", refresh=False)
            self._bar.update(step.products - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
