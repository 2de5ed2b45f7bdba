"""Documents of the command line as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["MeasuredEigenvalue", "Record", "as_record", "html_table", "number"]

#: What the JSON document of every eigenvalue has.
_EIGENVALUE = {"value", "residual", "products", "converged"}


class Record(Mapping[str, Any]):
    """An object of a JSON document: its fields are attributes, and items too.

    Names that are no identifiers, or those of methods of mappings, can be used as items only. A number that
    is infinite or not a number is ``None``.

    Parameters
    ----------
    fields : mapping
        The object, with Python's own types.

    Examples
    --------
    >>> record = Record({"training": {"epochs": 2, "outcome": "max-epochs"}})
    >>> record.training.epochs, record["training"]["outcome"]
    (2, 'max-epochs')
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def __getattr__(self, name: str) -> Any:
        # `_fields` itself is missing while an object is being copied or unpickled.
        if not name.startswith("_") and name in self._fields:
            return self[name]
        known = "" if name.startswith("_") else "; there are " + ", ".join(self._fields)
        raise AttributeError(f"{type(self).__name__} has no field {name!r}{known}")

    def __getitem__(self, name: str) -> Any:
        return as_record(self._fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[str, Any]:
        """Return the document with Python's own types."""
        return dict(self._fields)

    def _rows(self) -> list[tuple[str, str]]:
        """Return the names and values to show in a notebook."""
        return [(name, number(value)) for name, value in self._fields.items()]

    def _repr_html_(self) -> str:
        return html_table(None, self._rows())


class MeasuredEigenvalue(Record):
    """An eigenvalue with its bounds, as a command measured it.

    Attributes
    ----------
    value : float
        The Rayleigh quotient.
    residual : float
        The norm of ``H v - value v`` for the unit vector ``v``: an eigenvalue is within this distance of
        ``value``.
    interval : list of float
        ``value`` without and with the residual: an eigenvalue is in there.
    lower, upper : float or None
        Bounds of the extreme eigenvalue itself; ``None`` if there is none.
    lower_failure_probability, upper_failure_probability : float
        The probability that a bound is wrong; 0 if it is certain up to rounding.
    products : int
        The products with the Hessian.
    converged : bool
        Whether it was found to the requested tolerances.
    certified : bool
        Whether the bounds show that no eigenvalue is farther out, within the requested tolerance.
    """

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        text = f"{number(self.value)} (residual {number(self.residual)}, {self.products} products"
        lower, upper = self.get("lower"), self.get("upper")
        if lower is not None and upper is not None:
            text += f", between {number(lower)} and {number(upper)}"
        return text + (")" if self.converged else ", not converged)")


def as_record(value: Any) -> Any:
    """Return objects of a document, also those in lists, as records."""
    if isinstance(value, dict):
        return MeasuredEigenvalue(value) if value.keys() >= _EIGENVALUE else Record(value)
    if isinstance(value, list):
        return [as_record(item) for item in value]
    return value


def number(value: Any) -> str:
    """Return a value in few characters."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 120 else text[:119] + "…"


def html_table(header: Sequence[str] | None, rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table as HTML. All texts are escaped."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = f"<thead>{row(header, 'th')}</thead>" if header else ""
    return f"<table>{head}<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody></table>"
