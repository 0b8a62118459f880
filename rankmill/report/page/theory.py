"""The table of Theorem 2.1's terms: an order of designs beside the observed one, never a bound."""

from __future__ import annotations

import math
from html import escape

from ..content import DesignTerms, Theory
from .tables import table
from .words import number


def theory(shown: Theory | None) -> str:
    """Return the section, empty without a table."""
    if shown is None:
        return ""
    kinds = list(shown.rows[0].predicted)
    targets = [column for column, _, _ in shown.rows[0].ratios]
    columns = ["Δ", "H, bits", *(f"κ {t}" for t in targets), f"n, {shown.n}", *kinds]
    columns += [shown.measure] if shown.measure else []
    head = "".join(f'<th class="number">{escape(column)}</th>' for column in columns)
    rows = [_row(row, shown) for row in shown.rows]
    say = (
        f"Δ is the mean {shown.locality}, H the mean {shown.entropy} of the groups; locality is "
        "Δ·√(ln n / n), entropy H/2, combined their sum with weights 1 and 1. This is our "
        "reconstruction of Theorem 2.1 without its unknown constants: it orders designs and bounds "
        "nothing. Agreement is over designs between a term and the students’ observed risk, with "
        "95 % intervals over queries."
    )
    agreement = "; ".join(shown.agreement)
    said = f'<p class="say">{escape(say)} {escape(agreement)}</p>\n'
    return said + table(f"<tr><th>groups of</th>{head}</tr>", rows)


def _row(row: DesignTerms, shown: Theory) -> str:
    ratios = [
        f"{'∞' if math.isinf(median) else number(median)}<small>∞ in {infinite:.0%}</small>"
        for _, infinite, median in row.ratios
    ]
    cells = [number(row.diameter), number(row.entropy_bits), *ratios]
    cells += [f"{row.amount[shown.n]:,}", *(number(v) for v in row.predicted.values())]
    if shown.measure:
        cells.append("–" if row.observed is None else number(row.observed))
    body = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f"<tr><th>{escape(row.sampler)}</th>{body}</tr>"
