"""How a student's gain on a query goes with H, Δ and κ of the group that its sampler draws there,
each given the others.

Gains and statistics have to be of the same queries. On a set of training queries they are; for the
queries of another set groups are drawn and measured where `study.correlate` names it. Nothing here
is cause and effect: statistics of a query are not set by anybody (a design that sets them:
docs/designs.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rankmill.mining.statistics.summaries.terms import measurable
from rankmill.study.grid.answer.evidence import design_axes
from rankmill.study.grid.design import Cell
from rankmill.study.results import START
from rankmill.training.evaluation import Evaluation
from rankmill.training.partial import BETWEEN, WITHIN, Partial, partial_correlations

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.grid.engine import Engine
    from rankmill.study.grid.panels import Panel

POOLED = "all sets"
_TRAINING = "training queries"
_ENOUGH = 0.5  # of the rows: a κ that is infinite in more of them is left out


@dataclass(frozen=True, slots=True)
class Correlated:
    """The partial correlations on one set, or on all together (`domain` = POOLED), in one way of
    taking means out. `columns`: by symbol what was measured; `left_out`: rows without a value of
    one of them; `said`: what else was left out."""

    domain: str
    kind: str
    way: str
    queries: int
    cells: int
    rows: int
    left_out: int
    columns: Mapping[str, str]
    partials: Sequence[Partial]
    said: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {**asdict(self), "columns": dict(self.columns)}

    def lines(self) -> Iterator[str]:
        """Yield what the command prints: one line, or why there is nothing."""
        said = [
            f"{one.name} {one.pearson:+.2f} ({one.pearson_low:+.2f} to {one.pearson_high:+.2f})"
            for one in self.partials
            if one.pearson is not None
        ]
        reason = next((one.reason for one in self.partials if one.reason), "not defined")
        yield (
            f"{self.domain} ({self.kind}), gain {self.way}, each given the others: "
            f"{', '.join(said) or f'no partial correlation: {reason}'} "
            f"({self.queries} queries, {self.cells} cells){f'; {self.said}' if self.said else ''}"
        )

    def frame_rows(self, study: str) -> Iterator[dict[str, Any]]:
        """Yield a row per statistic."""
        about = asdict(self)
        for name in ("columns", "partials", "said"):
            del about[name]
        for one in self.partials:
            told = asdict(one) | {"given": ", ".join(one.given)}
            statistic = {"statistic": told.pop("name"), "column": self.columns[one.name]}
            yield {"study": study, **about, **statistic, **told}


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one set: gain, statistics by symbol, query, cell, and block (what is no design)."""

    gain: np.ndarray
    statistics: Mapping[str, np.ndarray]
    columns: Mapping[str, str]
    query: np.ndarray
    cell: np.ndarray
    block: np.ndarray
    queries_of: str


def correlated_of(engine: Engine, panels: Sequence[Panel]) -> Iterator[Correlated]:
    """Yield the partial correlations, set by set, then of all sets of the same statistics that
    students are not trained on, where there are several; nothing where Δ or H were not measured."""
    made = []
    for panel in panels:
        rows = _rows_of(engine, panel)
        if rows is not None:
            yield from _both(rows, panel.title, panel.kind, engine)
            if panel.kind != _TRAINING:
                made.append(rows)
    if len(made) > 1 and len({tuple(one.columns.items()) for one in made}) == 1:
        yield from _both(_pooled(made), POOLED, f"{len(made)} sets", engine)


def _both(rows: _Rows, domain: str, kind: str, engine: Engine) -> Iterator[Correlated]:
    """Yield both ways of one set."""
    columns, statistics, said = dict(rows.columns), dict(rows.statistics), ""
    if "κ" in statistics:
        known = float(np.isfinite(statistics["κ"]).mean())
        if known < _ENOUGH:
            said = f"κ is left out: finite in {known:.0%} of the rows"
            del statistics["κ"], columns["κ"]
    table = np.column_stack([rows.gain, *statistics.values()])
    kept = np.isfinite(table).all(axis=1)
    for way in (BETWEEN, WITHIN):
        correlations = partial_correlations(
            rows.gain[kept],
            {name: values[kept] for name, values in statistics.items()},
            rows.query[kept],
            rows.cell[kept],
            block=rows.block[kept],
            way=way,
            seed=engine.tracks[0].recipe.seed,
        )
        yield Correlated(
            domain,
            kind,
            way,
            len(np.unique(rows.query[kept])),
            len(np.unique(rows.cell[kept])),
            int(kept.sum()),
            int((~kept).sum()),
            columns,
            correlations,
            said,
        )


def _pooled(every: Sequence[_Rows]) -> _Rows:
    """Put sets one below the other; a query is the same one in two sets of the same queries."""
    sets = list(dict.fromkeys(one.queries_of for one in every))

    def joined(name: str, step: int) -> np.ndarray:
        parts = [getattr(one, name) + number * step for number, one in enumerate(every)]
        return np.concatenate(parts)

    return _Rows(
        np.concatenate([one.gain for one in every]),
        {
            symbol: np.concatenate([one.statistics[symbol] for one in every])
            for symbol in every[0].statistics
        },
        every[0].columns,
        np.concatenate([one.query + (sets.index(one.queries_of) << 40) for one in every]),
        joined("cell", 1 << 20),
        joined("block", 1 << 20),
        "",
    )


def _rows_of(engine: Engine, panel: Panel) -> _Rows | None:
    """Return the rows of one set; None where its queries have no groups, or Δ or H no values."""
    measured = {cell.number: _statistics(engine, panel, cell) for cell in panel.cells}
    cells = [cell for cell in panel.cells if measured[cell.number] is not None]
    made = {cell.number: one for cell in cells if (one := measured[cell.number]) is not None}
    columns = {_columns(one) for one in made.values()}
    if len(columns) != 1 or (chosen := columns.pop()) is None:
        return None
    axes, blocks = design_axes(engine.study), dict[str, int]()
    parts: list[list[np.ndarray]] = []
    for cell in cells:
        judged = panel.judged(cell)
        query = Evaluation(judged[0].evaluation).query.astype(np.int64)
        gain = panel.differences(cell, START).mean(axis=0)
        values = _per_query(made[cell.number], [name for _, name in chosen], query)
        at = ", ".join(level for axis, level in cell.levels.items() if axis not in axes)
        block = np.full(len(query), blocks.setdefault(at, len(blocks)))
        parts.append([gain, query, np.full(len(query), cell.number), block, *values])
    joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
    gain, query, number, block = joined[:4]
    symbols = [symbol for symbol, _ in chosen]
    held = engine.tracks[panel.cells[0].variant].judged_on(panel.domain)[0]
    return _Rows(
        gain,
        dict(zip(symbols, joined[4:], strict=True)),
        dict(chosen),
        query,
        number,
        block,
        held.queries.artifact.fingerprint,
    )


def _statistics(engine: Engine, panel: Panel, cell: Cell) -> Artifact | None:
    """Return the statistics of the groups that a cell's sampler draws for a set's queries; None
    where none were drawn, and for a blend, which draws nothing."""
    track = engine.tracks[cell.variant]
    if panel.kind == _TRAINING:
        return track.results.statistics.get(cell.sampler)
    return track.beside.get(panel.domain, {}).get(cell.sampler)


def _columns(statistics: Artifact) -> tuple[tuple[str, str], ...] | None:
    """Return the columns of H, Δ, and κ where one was measured, by symbol."""
    chosen = measurable(statistics)
    if chosen is None:
        return None
    locality, entropy = chosen
    ratios = (n for n in statistics.parameters["statistics"] if n.startswith("density_ratio("))
    whole = [("κ", name) for name in ratios if "covered=" not in name]
    return (("H", entropy), ("Δ", locality), *whole[:1])


def _per_query(
    statistics: Artifact, names: Sequence[str], query: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield by column the mean over a query's groups, NaN where it has none or one is undefined;
    of κ the logarithm, NaN where it is infinite."""
    table = pa.concat_tables(statistics.tables())
    own = table["query"].to_numpy().astype(np.int64)
    known, place = np.unique(own, return_inverse=True)
    at = np.minimum(np.searchsorted(known, query), len(known) - 1)
    for name in names:
        values = table[name].to_numpy().astype(np.float64)
        if name.startswith("density_ratio("):
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log(values)
            values[~np.isfinite(values)] = np.nan
        means = np.bincount(place, values) / np.bincount(place)
        yield np.where(known[at] == query, means[at], np.nan)
