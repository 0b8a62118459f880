"""What each stage cost: a line per kind of artifact with its share, the artifacts folded in it."""

from __future__ import annotations

from collections.abc import Sequence

from ..content import StageCost
from .blocks import Block, Cell, DataTable, Fold, Say, Small
from .tables import NOTHING, Counted, measured, named, sums
from .words import count, seconds, size

_SAY = (
    "What each artifact cost when it was made; an artifact that is already there costs nothing. "
    "The bar is a kind’s share of all elapsed time."
)
_LARGEST = {"peak memory": "largest"}


def costs(rows: Sequence[StageCost]) -> list[Block]:
    """Return the section, dearest kind first; empty without anything measured."""
    if not rows:
        return []
    kinds: dict[str, list[StageCost]] = {}
    for row in rows:
        kinds.setdefault(row.stage, []).append(row)
    whole = sum(row.wall_s for row in rows) or 1.0
    dearest = sorted(kinds.items(), key=lambda kind: -_elapsed(kind[1]))
    folds = [_kind(kind, mine, whole) for kind, mine in dearest]
    every = Fold("All stages together", [_table("All stages", rows)], _sum(rows))
    return [Say(_SAY), *folds, every]


def _elapsed(rows: Sequence[StageCost]) -> float:
    return sum(row.wall_s for row in rows)


def _kind(kind: str, rows: Sequence[StageCost], whole: float) -> Fold:
    share = _elapsed(rows) / whole
    title = kind if len(rows) == 1 else f"{kind} × {len(rows)}"
    return Fold(title, [_table(f"Cost, {kind}", rows)], f"{_sum(rows)} · {share:.1%}", share)


def _sum(rows: Sequence[StageCost]) -> str:
    cpu = [row.cpu_s for row in rows if row.cpu_s is not None]
    said = f"{seconds(_elapsed(rows))} elapsed"
    return f"{said} · {seconds(sum(cpu))} CPU" if cpu else said


def _table(title: str, rows: Sequence[StageCost]) -> DataTable:
    wanted: list[Counted] = [
        ("elapsed", seconds, [r.wall_s for r in rows]),
        ("CPU", seconds, [r.cpu_s for r in rows]),
        ("compiling, imports", seconds, [r.first_s for r in rows]),
        ("overhead", seconds, [r.overhead_s for r in rows]),
        ("GPU", seconds, [r.gpu_s for r in rows]),
        ("peak memory", size, [r.peak_bytes for r in rows]),
        ("stored", size, [r.stored_bytes for r in rows]),
        ("pairs scored", count, [r.pairs for r in rows]),
        ("tokens", count, [r.tokens for r in rows]),
    ]
    columns = measured(wanted)
    lines = []
    for place, row in enumerate(rows):
        cells = [_cell(column, place) for column in columns]
        lines.append([Cell(row.name or row.stage, [Small(row.stage)] if row.name else ()), *cells])
    total = [Cell("total"), *sums(columns, _LARGEST)] if len(rows) > 1 else ()
    heads = named("artifact", [name for name, _, _ in columns])
    return DataTable(title, heads, lines, total=total, caption=False)


def _cell(column: Counted, place: int) -> Cell:
    """Return a number over a bar that compares it with its column."""
    _, write, values = column
    value = values[place]
    if value is None:
        return NOTHING
    top = max(v for v in values if v is not None) or 1
    return Cell(write(value), value=value, bar=value / top if len(values) > 1 else None)
