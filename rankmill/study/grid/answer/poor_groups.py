"""What is to be said of a study's groups that teach little, a remark of each kind once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rankmill.mining.audit.poor_data import Advice
    from rankmill.study.grid.design import Study
    from rankmill.study.grid.steps import Track


def remarks_on(study: Study, tracks: Sequence[Track]) -> Iterator[str]:
    """Yield the gravest remark of each kind on the groups of all cells, whose groups they are, and
    of how many cells more something of that kind is to be said."""
    from rankmill.mining.audit.poor_data import advice_of

    known: dict[str, list[Advice]] = {}
    said: dict[str, list[tuple[float, int, Advice]]] = {}
    for cell in study.cells:
        for groups in tracks[cell.variant].groups_of(cell, 0):
            if groups.fingerprint not in known:
                known[groups.fingerprint] = advice_of(groups)
            for one in known[groups.fingerprint]:
                said.setdefault(one.kind, []).append((one.share, cell.number, one))
    names = {cell.number: cell.name for cell in study.cells}
    for found in said.values():
        _, number, worst = max(found, key=lambda each: (each[0], -each[1]))
        others = len({each[1] for each in found}) - 1
        cells = "cell" if others == 1 else "cells"
        more = f" (and something like it of {others:,} other {cells})" if others else ""
        yield f"Groups of {names[number]}: {worst.said(recipe=True)}{more}."
