"""The terms of Theorem 2.1 for one design, as far as they can be measured: Δ, H, κ and n.

The theorem's constants and right-hand side are not known to us. What stands here is our
reconstruction (docs/quantities.md §5): C·L·Δ·√((VC·ln n + ln(1/η))/n) + ζ·Ψ(H), Ψ(H) = H/2. With
the dimension VC of any neural ranker the root is far above 1, so the numbers bound nothing; they
put designs in an order. C, L, VC and ζ are the same for all designs of one student: `locality` is
Δ·√(ln n/n), what is left of the first term where VC·ln n outweighs ln(1/η), and `entropy` is H/2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...errors import BadInput, UsageError
from ...groups.format import Groups
from ...names import nearest
from ...pair_keys import distinct, pair_keys
from ...store import Artifact
from ..base import STATISTICS

AMOUNTS = ("queries", "groups", "documents", "pairs")
QUANTILE = 0.95
_LN2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """A statistic over the groups of a design: how many have a value, and how they spread."""

    column: str
    groups: int
    undefined: int
    mean: float
    median: float
    q95: float
    largest: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """κ against its declared target: share of groups where it is infinite, median of all of them,
    and the mean share of the target that the sampler reaches (None: not measured)."""

    column: str
    groups: int
    undefined: int
    infinite: float
    median: float
    coverage: float | None


@dataclass(frozen=True, slots=True)
class Design:
    """What is known of one design before any student is trained on it.

    `diameter` (Δ, or a radius in its place) and `entropy_bits` (H) over groups; `entropy_nats` its
    mean in nats; `ratios` κ for every target that was measured; `amount`: n by each way of
    counting: distinct queries, groups, documents seen in one epoch, distinct (query, document)
    pairs. `locality` and `entropy` are the two terms of the reconstruction, without its constants.
    """

    diameter: Spread
    entropy_bits: Spread
    entropy_nats: float
    ratios: tuple[Ratio, ...]
    amount: Mapping[str, int]
    locality: float
    entropy: float


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums and numbers of defined values per query, for resampling: float64 [queries] each."""

    query: np.ndarray
    diameter: np.ndarray
    diameters: np.ndarray
    entropy: np.ndarray
    entropies: np.ndarray
    root: float

    def terms(self, weight: np.ndarray) -> tuple[float, float]:
        """Return (locality, entropy) with each query counted `weight` times."""
        parts = (self.diameter, self.diameters, self.entropy, self.entropies)
        d, n_d, h, n_h = (float((part * weight).sum()) for part in parts)
        return (d / n_d * self.root if n_d else math.nan), (h / n_h / 2 if n_h else math.nan)


def columns_for(statistics: Artifact, locality: str | None, entropy: str | None) -> tuple[str, str]:
    """Return the columns of Δ and H: those asked for, else the first that are such statistics.

    Raises BadInput where there is none.
    """
    names = list(statistics.parameters.get("statistics", ()))
    chosen = []
    for given, kinds in ((locality, ("diameter", "radius")), (entropy, ("pair_entropy",))):
        fits = [n for k in kinds for n in names if n.partition("(")[0] == k and "pairs=" not in n]
        wanted = str(STATISTICS.parse(given)) if given else fits[0] if fits else kinds[0]
        if wanted not in names:
            raise BadInput(
                f"{wanted} was not measured",
                where=statistics.path,
                do=f"{nearest(wanted, names)}; locality needs rankmill stats --encoder MODEL",
            )
        chosen.append(wanted)
    return chosen[0], chosen[1]


def measurable(statistics: Artifact) -> tuple[str, str] | None:
    """Return the columns that `columns_for` would choose; None where one was not measured or has no
    value in any group.
    """
    names = [n.partition("(")[0] for n in statistics.parameters.get("statistics", ())]
    if "pair_entropy" not in names or not {"diameter", "radius"} & set(names):
        return None
    chosen = columns_for(statistics, None, None)
    nulls = [
        sum(v for k, v in statistics.counts.items() if k.startswith(f"null[{c}]:")) for c in chosen
    ]
    return chosen if max(nulls) < statistics.rows else None


def design_of(
    statistics: Artifact, *, locality: str, entropy: str, n: str = "queries"
) -> tuple[Design, Sums]:
    """Return the terms of the groups that statistics are of, and their sums per query.

    `locality`, `entropy`: names of columns; `n`: which of AMOUNTS stands under the root. Raises
    BadInput for statistics of something else than groups, a column that is not there or has no
    value, UsageError for an unknown n.
    """
    if n not in AMOUNTS:
        raise UsageError(f"n={n} is unknown", do=nearest(n, AMOUNTS))
    if statistics.kind != "statistics" or "groups" not in statistics.inputs:
        raise BadInput(
            f"this {statistics.kind} is not statistics of groups",
            where=statistics.path,
            do="measure the groups of each design: rankmill stats --groups GROUPS --encoder MODEL",
        )
    table = pa.concat_tables(statistics.tables())
    values = [_column(statistics, table, name) for name in (locality, entropy)]
    query = table["query"].to_numpy()
    distinct, row = np.unique(query, return_inverse=True)
    amount = _amount(statistics.input("groups"), query)
    root = math.sqrt(math.log(amount[n]) / amount[n])
    (d, n_d), (h, n_h) = (_per_query(row, value, len(distinct)) for value in values)
    kept = Sums(distinct, d, n_d, h, n_h, root)
    terms = kept.terms(np.ones(len(distinct)))
    spreads = [_spread(n_, v) for n_, v in zip((locality, entropy), values, strict=True)]
    ratios = tuple(_ratios(table, statistics.parameters["statistics"]))
    nats = spreads[1].mean * _LN2
    return Design(spreads[0], spreads[1], nats, ratios, amount, *terms), kept


def _column(statistics: Artifact, table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        raise BadInput(
            f"{name} was not measured",
            where=statistics.path,
            do=f"measured: {', '.join(table.column_names[1:])}; all designs need the same columns",
        )
    values = table[name].to_numpy().astype(np.float64)
    if np.isnan(values).all():
        raise BadInput(
            f"{name} has no value in any group",
            where=statistics.path,
            do="rankmill summary says why; choose another scale or temperature",
        )
    return values


def _per_query(row: np.ndarray, value: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of a query's defined values and their number, float64 [count] each."""
    known = ~np.isnan(value)
    sums = np.bincount(row, np.where(known, value, 0.0), count)
    return sums, np.bincount(row, known, count)


def _spread(name: str, values: np.ndarray) -> Spread:
    known = values[~np.isnan(values)]
    return Spread(
        name,
        len(known),
        len(values) - len(known),
        float(known.mean()),
        float(np.median(known)),
        float(np.quantile(known, QUANTILE)),
        float(known.max()),
    )


def _ratios(table: pa.Table, names: Sequence[str]) -> list[Ratio]:
    """Return κ for every target that was measured over the whole of its support."""
    ratios = []
    for name in names:
        if name.partition("(")[0] != "density_ratio" or "covered=" in name:
            continue
        values = table[name].to_numpy().astype(np.float64)
        known = values[~np.isnan(values)]
        reach = name.replace("density_ratio", "coverage", 1)
        shares = table[reach].to_numpy().astype(np.float64) if reach in names else np.empty(0)
        shares = shares[~np.isnan(shares)]
        ratios.append(
            Ratio(
                name,
                len(known),
                len(values) - len(known),
                float(np.isinf(known).mean()) if len(known) else math.nan,
                float(np.quantile(known, 0.5, method="lower")) if len(known) else math.nan,
                float(shares.mean()) if len(shares) else None,
            )
        )
    return ratios


def _amount(groups: Artifact, query: np.ndarray) -> dict[str, int]:
    """Count n in every way; `documents` are seen in one epoch, copies included."""
    read = Groups(groups)
    keys = [pair_keys(part.query[:, None], part.doc) for part in read.parts()]
    pairs = len(distinct(np.concatenate([k.reshape(-1) for k in keys]))) if keys else 0
    counts = (len(distinct(query)), len(query), len(query) * read.size, pairs)
    return dict(zip(AMOUNTS, counts, strict=True))
