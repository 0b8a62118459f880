"""The range of every number that a value of rankmill's own families takes, by parameter name.

A parameter of one name means one thing everywhere, `T` a temperature, `last` a rank; where it does
not, the entry is `member.parameter`. `names.Family` refuses what is outside, however a value is
made; a test walks all families and finds no number without an entry. The outer bounds are those of
sense: what lies beyond overflows a float32, an int32 or the machine.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .errors import UsageError

MOST_COUNTED = 2**31 - 1
MOST_MEASURED = 1e12


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `least` to `most`, both included; nan is in none."""

    least: float
    most: float

    def __contains__(self, value: Any) -> bool:
        return bool(self.least <= value <= self.most)

    def __str__(self) -> str:
        return f"from {_plain(self.least)} to {_plain(self.most)}"


def _plain(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


_COUNT = Range(1, MOST_COUNTED)
_SHARE = Range(0.0, 1.0)
_FINITE = Range(-MOST_MEASURED, MOST_MEASURED)
_SIZE = Range(0.0, MOST_MEASURED)
_FACTOR = Range(1e-6, 1e6)  # what scores are multiplied with or divided by
_LEVEL = Range(0, 15)

RANGES = {
    "T": _FACTOR,
    "k1": Range(0.0, 1e3),
    "bm25.b": _SHARE,
    "title": Range(0, 64),
    "first_rank": _COUNT,
    "max_length": _COUNT,
    "query_length": _COUNT,
    "dim": _COUNT,
    "probe": _COUNT,
    "per_source": _COUNT,
    "within": _COUNT,
    "min_grade": Range(1, 127),
    "rrf.k": Range(0, MOST_COUNTED),
    "log_density.k": _COUNT,
    "keep_inside_fences.k": Range(0.0, 1e6),
    "keep_outside_fences.k": Range(0.0, 1e6),
    "weights": Range(-1e6, 1e6),
    "scales": Range(-1e6, 1e6),  # below 0: turned round
    "shifts": _FINITE,
    "sign": Range(-1, 1),
    "first": _COUNT,
    "last": _COUNT,
    "target_last": _COUNT,
    "draws": _COUNT,
    "number": _COUNT,
    "take": Range(0, MOST_COUNTED),
    "q": _SHARE,
    "below": _SIZE,
    "scale": _FACTOR,
    "c": _FACTOR,
    "mu": Range(0.0, 1e6),
    "ensemble.margin": _FINITE,
    "suspects.margin": _SIZE,
    "gap": _FINITE,
    "percentile.low": _SHARE,
    "percentile.high": _SHARE,
    "between.low": _FINITE,
    "between.high": _FINITE,
    "near_copies.of": _SHARE,
    "share.of": _SHARE,
    "smooth.share": _SHARE,
    "H": _SHARE,
    "steps": Range(0, MOST_COUNTED),
    "anchors.top": Range(0, MOST_COUNTED),
    "anchors.count": _COUNT,
    "bins": _COUNT,
    "span": _SHARE,
    "tolerance": _SHARE,
    "locality_step": _SIZE,
    "entropy_step": _SIZE,
    "blocked_cell.near": _LEVEL,
    "blocked_cell.sure": _LEVEL,
    "cell.near": _LEVEL,
    "cell.sure": _LEVEL,
    "shell.near": _SHARE,
    "shell.far": _SHARE,
    "seed": Range(0, 2**63 - 1),
    "layers": _COUNT,
    "labels": _COUNT,
    "queries": _COUNT,
    "length": _COUNT,
    "shard": _COUNT,
    "concurrency": Range(1, 1024),
    "timeout": Range(0.01, 86_400.0),  # seconds
    "retries": Range(0, 10_000),
    "patience": Range(0.0, 31 * 86_400.0),  # seconds
    "batch": Range(1, 10_000),
    "window": Range(2, 1000),
    "stride": Range(1, 1000),
    "passes": Range(1, 100),
    "passage_words": _COUNT,
    "document_words": _COUNT,
    "answer_tokens": _COUNT,
}


def range_of(member: str, parameter: str) -> Range | None:
    """Return the range of a member's parameter; None where none is declared."""
    return RANGES.get(f"{member}.{parameter}") or RANGES.get(parameter)


def check_ranges(value: Any, member: str) -> None:
    """Raise UsageError for a number of a frozen dataclass that is outside its range."""
    for field in dataclasses.fields(value):
        within, given = range_of(member, field.name), getattr(value, field.name)
        for one in given if isinstance(given, tuple | list) else (given,):
            number = isinstance(one, int | float) and not isinstance(one, bool)
            if within is not None and number and one not in within:
                raise UsageError(
                    f"{member}: {field.name}={_said(one)} is out of range",
                    do=f"give a number {within}",
                )


def _said(value: int | float) -> str:
    long = isinstance(value, int) and abs(value) >= 10**24
    return f"{value:.3g}" if long and abs(value) < 10**300 else str(value)[:40]
