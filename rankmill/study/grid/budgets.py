"""What every student of a study sees: documents, different pairs, positives and queries; and what
is to be said of groups that teach little, a remark of each kind once.

Counted from the groups and the order of training, before any step of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rankmill.mining.store import Artifact
from rankmill.study.grid.declared import COUNTED
from rankmill.study.grid.design import Cell, Study
from rankmill.study.grid.refusals import no_budget
from rankmill.study.recipe import Recipe

if TYPE_CHECKING:
    from rankmill.mining.audit.poor_data import Advice
    from rankmill.study.grid.steps import Track

Seen = Mapping[str, int]


def seen_of(
    recipe: Recipe, groups: Sequence[Artifact], weights: Sequence[float] | None, seed: int
) -> Seen:
    """Return what one student sees of its groups, several where they are a blend."""
    from rankmill.mining.groups.format import Groups
    from rankmill.training.blend import opened
    from rankmill.training.budget import planned

    negatives = recipe.option("train", "negatives")
    stored = opened([Groups(one) for one in groups], weights)
    plan = planned(stored, recipe.option("train", "documents"), seed=seed, negatives=negatives)
    return {name: getattr(plan, name) for name in COUNTED}


def check_budgets(study: Study, seen: Mapping[int, Sequence[Seen]]) -> None:
    """Raise UsageError for the cells of which a student does not see what was declared."""
    missed: dict[str, list[str]] = {}
    for cell in study.cells:
        why = dict.fromkeys(one for seed in seen[cell.number] for one in study.budget.missed(seed))
        if why:
            missed[cell.name] = list(why)
    if missed:
        raise no_budget(missed, study.where)


def met(study: Study, seen: Mapping[int, Sequence[Seen]]) -> Iterator[str]:
    """Say of each declared budget what every student saw: it, or what lay within the tolerance."""
    for name, wanted in study.budget.declared.items():
        counts = [one[name] for seeds in seen.values() for one in seeds]
        what = name.replace("_", " ")
        if set(counts) == {wanted}:
            yield f"every student saw the declared {wanted:,} {what}"
        else:
            low, high = min(counts), max(counts)
            saw = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            yield (
                f"every student saw {saw} {what}, within {study.budget.within} of the declared "
                f"{wanted:,}"
            )


def unequal(cells: Sequence[Cell], seen: Mapping[int, Sequence[Seen]]) -> Iterator[str]:
    """Say which of the budgets differ between the cells: such cells differ in more than their
    axes."""
    for name in COUNTED:
        counts = [one[name] for cell in cells for one in seen[cell.number]]
        low, high = min(counts), max(counts)
        if low != high:
            yield (
                f"students saw different numbers of {name.replace('_', ' ')}, {low:,} to {high:,}; "
                "differences between cells may be due to that"
            )


# ---- groups that teach little -----------------------------------------------------------------


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
    for remarks in said.values():
        _, number, worst = max(remarks, key=lambda each: (each[0], -each[1]))
        others = len({each[1] for each in remarks}) - 1
        cells = "cell" if others == 1 else "cells"
        more = f" (and something like it of {others:,} other {cells})" if others else ""
        yield f"Groups of {names[number]}: {worst.said(recipe=True)}{more}."
