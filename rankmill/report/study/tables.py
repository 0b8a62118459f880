"""A table of a study's report as plain values: texts, and the numbers by which they sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rankmill.report.page.words import number, p_value, signed
from rankmill.study.grid.design import Cell, Study
from rankmill.training.comparison import Comparison
from rankmill.training.significance import Interval


class Shown(str):
    """The text of a number, and the number itself: what its column is sorted by.

    `more`: what else the text says, by name: the ends of an interval, p.
    """

    __slots__ = ("more", "value")
    value: float
    more: Mapping[str, float]

    def __new__(cls, text: str, value: float, **more: float) -> Shown:
        """Make the text and keep the numbers."""
        made = super().__new__(cls, text)
        made.value, made.more = value, more
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


def interval(estimate: Interval, *, sign: bool = False) -> Shown:
    """Write a mean with its interval, or the reason why it has none."""
    write = signed if sign else number
    if estimate.low is None or estimate.high is None:
        return Shown(f"{write(estimate.mean)} ({estimate.reason})", estimate.mean)
    cut = "" if estimate.reason is None else f", {estimate.reason}"
    text = f"{write(estimate.mean)} ({write(estimate.low)} … {write(estimate.high)}{cut})"
    return Shown(text, estimate.mean, low=estimate.low, high=estimate.high)


def difference(compared: Comparison) -> str:
    """Write a paired difference with its interval and its p-value after Holm."""
    return tested(compared.difference, compared.p_adjusted)


def shown_p(p: float) -> Shown:
    """Write a p-value."""
    return Shown(p_value(p), p)


def tested(effect: Interval, p_adjusted: float) -> str:
    """Write a difference with its interval and its p-value."""
    shown = interval(effect, sign=True)
    return Shown(f"{shown}, {p_value(p_adjusted)}", effect.mean, **shown.more, p=p_adjusted)
