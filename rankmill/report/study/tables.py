"""A table of a study's report as plain values: texts, and the numbers by which they sort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rankmill.report.page.words import number, p_value, signed
from rankmill.study.grid.design import Cell, Study
from rankmill.training.comparison import Comparison
from rankmill.training.significance import Interval


class Shown(str):
    """The text of a number, and the number itself: what its column is sorted by."""

    __slots__ = ("value",)
    value: float

    def __new__(cls, text: str, value: float) -> Shown:
        """Make the text and keep the number."""
        made = super().__new__(cls, text)
        made.value = value
        return made


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; the first `heads` columns name a row, the others are numbers.

    `group`: the section that it stands in, with others; empty: one of its own.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    heads: int = 1
    say: str = ""
    group: str = ""


def named(study: Study, cell: Cell) -> list[str]:
    """Return the levels that name a cell's row."""
    return [cell.levels[axis] for axis in study.varied]


def interval(found: Interval, *, sign: bool = False) -> str:
    """Write a mean with its interval, or the reason why it has none."""
    write = signed if sign else number
    if found.low is None or found.high is None:
        return Shown(f"{write(found.mean)} ({found.reason})", found.mean)
    return Shown(f"{write(found.mean)} ({write(found.low)} … {write(found.high)})", found.mean)


def difference(compared: Comparison) -> str:
    """Write a paired difference with its interval and its p-value after Holm."""
    return tested(compared.difference, compared.p_adjusted)


def tested(found: Interval, p_adjusted: float) -> str:
    """Write a difference with its interval and its p-value."""
    return Shown(f"{interval(found, sign=True)}, {p_value(p_adjusted)}", found.mean)
