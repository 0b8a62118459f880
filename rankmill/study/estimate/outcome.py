"""An estimate: a row per request with intervals, what all of it comes to, and what cannot fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rankmill.mining.errors import BadInput
from rankmill.mining.limits import Limit
from rankmill.mining.parts.told import Told
from rankmill.study import words
from rankmill.study.costs.prices import Bill, Prices, bill
from rankmill.study.estimate.fit import NOTHING, Interval, largest, together
from rankmill.study.estimate.measured import COUNT

THERE = "there"
_CHECKPOINTS = 3  # two are kept while the third is written
_PER_WEIGHT = 3  # a checkpoint holds the weights and two moments of each
ADVICE = {
    "collect": "read fewer splits, or use a machine with more",
    "mine": "use a smaller mine.depth or fewer --workers",
    "pool": "use a smaller pool.depth or mine.depth",
    "score": "use a smaller pool.depth or mine.depth, fewer --workers, or compute=bfloat16",
    "select": "use a smaller pool.depth, groups.size, or fewer --workers",
    "references": "use a smaller evaluate.depth or fewer --workers",
    "train": "use train.micro, a smaller train.batch, or a smaller train.student",
    "evaluate": "use a smaller evaluate.depth or fewer --workers",
    "correlate": "name fewer sets in study.correlate, or use a smaller mine.depth",
}


@dataclass(frozen=True)
class Row:
    """One request: what it is for, what it grows with, and every line as an interval.

    `state`: "there" (nothing is made), "measured" (a later run makes just what was made for the
    estimate), "estimated", "alike" (by the samples of a request that costs alike) or "declared"
    (carried over to a machine that was not measured).
    """

    stage: str
    name: str
    state: str
    work: str
    lines: Mapping[str, Interval] = field(default_factory=dict)
    sampled: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def line(self, name: str) -> Interval:
        """Return one line; nothing where the stage has none of it."""
        return self.lines.get(name, NOTHING)

    @property
    def disk_peak(self) -> Interval:
        """Bytes that the stage holds at most: all that it writes; of training its checkpoints."""
        final, written = self.line("disk_bytes"), self.line("written_bytes")
        if self.stage == "train":
            part = 1 + _CHECKPOINTS * _PER_WEIGHT
            return Interval(final.point * part, final.low, final.high * part)
        return largest([final, written])

    def priced(self, prices: Prices) -> dict[str, Interval]:
        """Return energy (kWh), money and carbon (g CO₂e), those that prices and counters tell."""
        bills = {}
        for end in ("point", "low", "high"):
            told = {k: getattr(v, end) for k, v in self.lines.items()}
            bills[end] = bill([told], prices)
        made = {}
        for name in ("kwh", "money", "grams"):
            ends = {end: getattr(one, name) for end, one in bills.items()}
            if all(value is not None for value in ends.values()):
                made[name] = Interval(**ends)
        return made

    def as_json(self, prices: Prices) -> dict[str, Any]:
        """Return it as plain values."""
        counts = {k.removeprefix(COUNT): v.point for k, v in self.lines.items() if COUNT in k}
        lines = {k: v.as_json() for k, v in self.lines.items() if COUNT not in k}
        return {
            "stage": self.stage,
            "name": self.name,
            "state": self.state,
            "work": self.work,
            "counts": counts,
            **lines,
            "disk_peak_bytes": self.disk_peak.as_json(),
            **{name: interval.as_json() for name, interval in self.priced(prices).items()},
            "sampled": {k: list(v) for k, v in self.sampled.items()},
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """What cannot fit: the stage, the figure, the limit, and what to change."""

    stage: str
    name: str
    what: str
    needed: float
    limit: float
    said_by: str
    do: str

    def __str__(self) -> str:
        return (
            f"{self.stage} {self.name} needs {words.size(self.needed)} of {self.what}; "
            f"{self.said_by} is {words.size(self.limit)}"
        )


@dataclass(frozen=True)
class Limits:
    """What the machine has."""

    memory: Limit
    disk: Limit
    gpu: Limit


@dataclass(frozen=True, repr=False)
class Estimate(Told):
    """The estimate of a recipe or study: `rows`, `total`, `refusals`, and in words `lines()`.

    `machine`: None for this one. `first_use_s`: importing and compiling, paid once per process, at
    most; no row holds it.
    """

    name: str
    rows: Sequence[Row]
    limits: Limits
    prices: Prices
    notes: Sequence[str]
    first_use_s: float = 0.0
    machine: Mapping[str, Any] | None = None

    @property
    def total(self) -> dict[str, Interval]:
        """All rows: sums with their ends added up (errors of one machine go together), of memory
        the largest; `disk_peak_bytes` is what lies there at most at any time."""
        summed = {
            name: together(row.line(name) for row in self.rows)
            for name in ("wall_s", "cpu_s", "gpu_s", "disk_bytes", "flops")
        }
        peaks = {
            name: largest(row.line(name) for row in self.rows)
            for name in ("peak_rss_bytes", "peak_gpu_bytes")
        }
        priced: dict[str, list[Interval]] = {}
        for row in self.rows:
            for name, interval in row.priced(self.prices).items():
                priced.setdefault(name, []).append(interval)
        sums = {name: together(intervals) for name, intervals in priced.items()}
        return {**summed, **peaks, "disk_peak_bytes": largest(self._disk()), **sums}

    @property
    def due(self) -> Bill:
        """The bill of all rows at their points: what energy rests on, what money leaves out."""
        points = ({k: v.point for k, v in row.lines.items()} for row in self.rows)
        return bill(points, self.prices)

    def _disk(self) -> Iterator[Interval]:
        """Yield what lies on the disk while each row is made."""
        before = NOTHING
        for row in self.rows:
            yield together([before, row.disk_peak])
            before = together([before, row.line("disk_bytes")])

    @property
    def refusals(self) -> list[Refusal]:
        """What does not fit by its point."""
        return [one for one, end in self._tight() if end == "point"]

    @property
    def doubts(self) -> list[Refusal]:
        """What fits by its point and does not by the high end of its interval."""
        return [one for one, end in self._tight() if end == "high"]

    def _tight(self) -> Iterator[tuple[Refusal, str]]:
        disk_told = set[str]()
        for row, disk in zip(self.rows, self._disk(), strict=True):
            if row.state == THERE:
                continue
            for what, needed, limit, do in (
                ("memory", row.line("peak_rss_bytes"), self.limits.memory, ADVICE[row.stage]),
                ("GPU memory", row.line("peak_gpu_bytes"), self.limits.gpu, ADVICE[row.stage]),
                ("disk, with all that lies there by then", disk, self.limits.disk, _FREE),
            ):
                end = _beyond(needed, limit)
                if end is None or (limit is self.limits.disk and end in disk_told):
                    continue
                if limit is self.limits.disk:
                    disk_told.add(end)  # all later rows need as much
                assert limit.bytes is not None
                value = getattr(needed, end)
                yield Refusal(row.stage, row.name, what, value, limit.bytes, limit.said_by, do), end

    def refuse(self) -> None:
        """Raise BadInput for what cannot fit."""
        refusals = self.refusals
        if refusals:
            first, more = refusals[0], len(refusals) - 1
            also = f" (and {more} more)" if more else ""
            raise BadInput(f"this cannot fit: {first}{also}", where=self.name, do=first.do)

    def lines(self) -> Iterator[str]:
        """Yield what follows the table: the whole, doubts, and on what it all rests."""
        total = self.total
        yield (
            f"together: {between(total['wall_s'], words.duration)} elapsed, "
            f"{between(total['cpu_s'], words.duration)} of processor"
            + (
                f", {between(total['gpu_s'], words.duration)} of GPU"
                if total["gpu_s"].point
                else ""
            )
        )
        if self.first_use_s >= 0.05:
            said = words.duration(self.first_use_s)
            yield f"and up to {said} of importing and compiling, once per process"
        yield (
            f"memory: {between(total['peak_rss_bytes'], words.size)} at most; disk: "
            f"{between(total['disk_bytes'], words.size)} in the end, "
            f"{between(total['disk_peak_bytes'], words.size)} at most on the way"
        )
        due = self.due
        more = {"kwh": f", {due.how}" if due.how else ""}
        more["money"] = f", without {' and '.join(due.without)}" if due.without else ""
        for name, said in _PRICED.items():
            if name in total:
                unit = said.format(currency=self.prices.currency).removesuffix(" in ")
                yield f"{unit}: {between(total[name], _number)}{more.get(name, '')}"
        for one in self.doubts:
            yield f"may not fit: {one}; {one.do}"
        yield from self.notes

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "name": self.name,
            "machine": self.machine,
            "level": 0.9,
            "stages": [row.as_json(self.prices) for row in self.rows],
            "total": {name: interval.as_json() for name, interval in self.total.items()},
            "first_use_s": self.first_use_s,
            "currency": self.prices.currency or None,
            "energy": self.due.how or None,
            "money_without": list(self.due.without),
            "limits": {
                name: {"bytes": limit.bytes, "said_by": limit.said_by}
                for name, limit in (
                    ("memory", self.limits.memory),
                    ("disk", self.limits.disk),
                    ("gpu", self.limits.gpu),
                )
            },
            "refused": [str(one) for one in self.refusals],
            "doubts": [str(one) for one in self.doubts],
            "notes": list(self.notes),
        }


_FREE = "free disk space, put the workspace elsewhere with --workspace, or use a smaller mine.depth"
_PRICED = {
    "kwh": "energy in kWh",
    "money": "money in {currency}",
    "grams": "carbon in g CO₂e",
}


def _beyond(needed: Interval, limit: Limit) -> str | None:
    """Say which of a figure's ends lies beyond a limit, the point first."""
    if limit.bytes is None:
        return None
    return next((e for e in ("point", "high") if getattr(needed, e) > limit.bytes), None)


def _number(value: float) -> str:
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"


def between(interval: Interval, write: Any) -> str:
    """Write a point with the ends of its interval."""
    return f"{write(interval.point)} ({write(interval.low)} to {write(interval.high)})"
