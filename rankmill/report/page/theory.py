"""The table of Theorem 2.1's terms: an order of designs beside the observed one, never a bound."""

from __future__ import annotations

import math

from ..content import DesignTerms, Theory
from .blocks import Block, Cell, DataTable, Say, Small, folded
from .tables import NOTHING, named
from .words import number


def theory(shown: Theory | None) -> list[Block]:
    """Return the section, empty without a table."""
    if shown is None:
        return []
    kinds = list(shown.rows[0].predicted)
    targets = [column for column, _, _ in shown.rows[0].ratios]
    columns = ["Δ", "H, bits", *(f"κ {t}" for t in targets), f"n, {shown.n}", *kinds]
    columns += [shown.measure] if shown.measure else []
    say = (
        f"Δ is the mean {shown.locality} and H the mean {shown.entropy} of the groups. Locality is "
        "Δ·√(ln n / n), entropy is H/2, and combined is their sum with weights 1 and 1. This is "
        "our reconstruction of Theorem 2.1 without its unknown constants: it orders designs and "
        "bounds nothing. Agreement compares the order by each term with the order of the students’ "
        "observed risk, with 95 % intervals over queries."
    )
    made: list[Block] = [Say(say)]
    if shown.agreement:
        made.append(Say("; ".join(shown.agreement)))
    rows = [_row(row, shown) for row in shown.rows]
    table = DataTable("Terms of the theory", named("groups", columns), rows, caption=False)
    return [*made, *folded(table)]


def _row(row: DesignTerms, shown: Theory) -> list[Cell]:
    ratios = [
        Cell("∞" if math.isinf(median) else number(median), [Small(f"∞ in {infinite:.0%}")], median)
        for _, infinite, median in row.ratios
    ]
    amount = row.amount[shown.n]
    cells = [_number(row.diameter), _number(row.entropy_bits), *ratios]
    cells += [Cell(f"{amount:,}", value=amount), *map(_number, row.predicted.values())]
    if shown.measure:
        cells.append(NOTHING if row.observed is None else _number(row.observed))
    return [Cell(row.sampler), *cells]


def _number(value: float) -> Cell:
    return Cell(number(value), value=value)
