"""Values that show themselves as lines for people: at a prompt, in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

_WIDEST = 60  # characters of one value
_MOST = 6  # items of a list, or of a mapping in one line


class Told(ABC):
    """A value whose `lines()` say what it holds; that is its repr, and what a notebook shows.

    A dataclass says `repr=False`, or it would print its fields.
    """

    __slots__ = ()

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield what it holds as lines for people."""

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


class Findings(dict[str, Any]):
    """What a look at something found, by name: a dictionary that prints as aligned lines."""

    def __repr__(self) -> str:
        return "\n".join(lines_of(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def lines_of(facts: Mapping[Any, Any], indent: str = "") -> Iterator[str]:
    """Yield a line for each value of a mapping, those of mappings in it further in; long lists and
    texts are cut, with how many there are."""
    plain = [str(name) for name, value in facts.items() if not _is_nested(value)]
    width = max(map(len, plain), default=0)
    for name, value in facts.items():
        if _is_nested(value):
            yield f"{indent}{name}:"
            yield from lines_of(value, f"{indent}  ")
        else:
            yield f"{indent}{name!s:<{width}}  {shortly(value)}".rstrip()


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 row`, `2 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value)


def shortly(value: Any) -> str:
    """Return a value on one line, cut where it is long."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "none" if not value else f"{len(value):,} by name: {_joined(list(value))}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            return "none"
        if isinstance(value[0], Mapping):
            return f"{len(value):,}, each with {_joined(list(value[0]))}"
        return _joined(value)
    words = " ".join(str(value).split())
    text = "".join(one if one.isprintable() else "�" for one in words)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _joined(values: Sequence[Any]) -> str:
    said = ", ".join(shortly(one) for one in values[:_MOST])
    return said if len(values) <= _MOST else f"{said}, … {len(values):,} in all"


def aligned_rows(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows of a table as lines whose columns stand below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
