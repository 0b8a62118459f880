"""What the samples of one class of requests cost, and what that says of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rankmill.study.estimate.distinct import distinct_at
from rankmill.study.estimate.fit import (
    BYTES,
    COUNTS,
    MEMORY,
    SECONDS,
    Interval,
    Kind,
    fit,
    known,
    largest,
    together,
)
from rankmill.study.estimate.scratch import CORPUS, LISTED, QUERIES, Made

SEARCH = "search"  # runs over slices of a corpus grow with queries and with documents
SECONDS_OF = ("wall_s", "cpu_s", "gpu_s")
SUMMED = (*SECONDS_OF, "disk_bytes", "written_bytes", "flops")
PEAKS = ("peak_rss_bytes", "peak_gpu_bytes")
JOULES = ("cpu_joules", "gpu_joules")
COUNT = "count "  # before the name of what workers count: pairs, tokens, postings

Lines = Mapping[str, float]
Sizes = Mapping[str, float]  # by what costs grow with


@dataclass
class Measured:
    """`whole`: artifacts that a later run makes just so. `points`: by what costs grow with, the
    (sizes, artifacts) of each sample; `first`: of the first, before which the process had done
    what a later run has done by then, and no more. `first_use_s`: compiling and importing."""

    whole: list[Made] = field(default_factory=list)
    points: dict[str, list[tuple[Sizes, list[Made]]]] = field(default_factory=dict)
    first: dict[str, tuple[Sizes, list[Made]]] = field(default_factory=dict)
    first_use_s: float = 0.0

    def observed(self, grows: str) -> list[tuple[Sizes, Lines]]:
        """Return the samples that made all there is to be made; one that found a part of it, made
        for an earlier sample, would look cheap."""
        points = self.points.get(grows, [])
        most = max((len(made) for _, made in points), default=0)
        return [(sizes, lines_of(made)) for sizes, made in points if len(made) == most]

    def predicted(
        self, target: Sizes, slices: float | None, *, with_whole: bool
    ) -> dict[str, Interval]:
        """Return every line at the size of the whole, `target` by what it grows with.

        `slices`: what part of the corpus the largest slice is, where it is sampled. A search is
        taken to cost in proportion to the documents; the low end is what it costs if it does not.
        """
        parts: dict[str, list[Interval]] = {}
        if with_whole and self.whole:
            for line, value in lines_of(self.whole).items():
                parts.setdefault(line, []).append(known(value, kind_of(line)))
        for grows in self.points:
            if grows == LISTED:
                fitted = self._of_lists(target, slices)
            else:
                fitted = self._fitted(grows, target, slices)
            for line, interval in fitted.items():
                parts.setdefault(line, []).append(interval)
        return {
            line: largest(intervals) if line in PEAKS else together(intervals)
            for line, intervals in parts.items()
        }

    def _fitted(self, grows: str, target: Sizes, slices: float | None) -> dict[str, Interval]:
        observed = self.observed(grows)
        made = {}
        for line in dict.fromkeys(name for _, lines in observed for name in lines):
            costs = [lines.get(line, 0.0) for _, lines in observed]
            kind = kind_of(line)
            if line in PEAKS:
                sizes, of = self.first.get(grows, (target, []))
                before = (sizes, lines_of(of)[line]) if of else None
                made[line] = _peak(observed, costs, grows, target, before)
                continue
            fitted = fit([sizes[grows] for sizes, _ in observed], costs)
            interval = fitted.at(target[grows], kind)
            if grows == SEARCH and slices is not None:
                flat = fitted.at(target[grows] * slices, kind)
                interval = Interval(interval.point, min(interval.low, flat.low), interval.high)
            made[line] = interval
        return made

    def _of_lists(self, target: Sizes, slices: float | None) -> dict[str, Interval]:
        """Return what is made of the documents of lists: its ends are those of what the ends of
        the number of different documents cost."""
        samples = [
            one.lists for _, made in self.points[LISTED] for one in made if one.lists is not None
        ]
        if not samples:
            return {}
        documents = distinct_at(samples, target[QUERIES], target[CORPUS], slices=slices is not None)
        point, low, high = (
            self._fitted(LISTED, {**target, LISTED: count}, slices)
            for count in (documents.point, documents.low, documents.high)
        )
        return {
            line: Interval(one.point, min(one.low, low[line].low), max(one.high, high[line].high))
            for line, one in point.items()
        }

    @property
    def sampled(self) -> dict[str, list[float]]:
        """The sizes of the samples that were measured, by what costs grow with."""
        return {
            grows: [sizes.get(grows, 0.0) for sizes, _ in self.observed(grows)]
            for grows in self.points
        }


def _peak(
    observed: Sequence[tuple[Sizes, Lines]],
    costs: Sequence[float],
    grows: str,
    target: Sizes,
    first: tuple[Sizes, float] | None,
) -> Interval:
    """Return a peak of the whole: of memory a worker holds a shard at a time, so more queries or
    steps need no more than the largest sample did; an index, and what searches it, may grow with
    the documents.

    The level is that of the first sample: in the later ones the process also holds what models
    and libraries of later stages left in it. They tell how a peak grows.
    """
    along = CORPUS if grows == SEARCH else grows
    fitted = fit([sizes[along] for sizes, _ in observed], costs)
    if grows == QUERIES:
        most = max(sizes[QUERIES] for sizes, _ in observed)
        return fitted.at(most, MEMORY) if first is None else known(first[1], MEMORY)
    fitted = fitted.flat_unless_sure()
    at = fitted.at(target[along], MEMORY)
    if first is None:
        return at
    begun = fitted.at(first[0][along], MEMORY)
    level = known(max(0.0, first[1] + at.point - begun.point), MEMORY)
    further = max(0.0, (at.high - at.point) - (begun.high - begun.point))
    return Interval(level.point, level.low, level.high + further)


def kind_of(line: str) -> Kind:
    """Return the kind of a line, whose uncertainty is declared: docs/estimate.md has the table."""
    if line in PEAKS:
        return MEMORY
    if line in (*SECONDS_OF, *JOULES):
        return SECONDS
    return BYTES if line.endswith("bytes") else COUNTS


def lines_of(made: Iterable[Made]) -> dict[str, float]:
    """Return the lines of some ledgers together: seconds without compiling and importing, which are
    lines of their own; sums, but of peaks the largest."""
    lines: dict[str, float] = {line: 0.0 for line in (*SUMMED, *PEAKS)}
    for one in made:
        cost: Mapping[str, Any] = one.cost
        lines["wall_s"] += max(0.0, float(cost["wall_s"]) - first_use_of(cost))
        lines["cpu_s"] += float(cost["cpu_s"]) + float(cost.get("overhead_s") or 0)
        lines["gpu_s"] += float(cost.get("gpu_s") or 0)
        lines["disk_bytes"] += float(cost["bytes"])
        lines["written_bytes"] += float(cost.get("written_bytes") or cost["bytes"])
        usage = cost.get("usage") or {}
        lines["flops"] += float(usage.get("flops") or 0)
        for peak in PEAKS:
            lines[peak] = max(lines[peak], float(cost.get(peak) or 0))
        for line in JOULES:
            if cost.get(line) is not None:
                lines[line] = lines.get(line, 0.0) + float(cost[line])
        for name, count in usage.items():
            if name != "flops":
                lines[COUNT + name] = lines.get(COUNT + name, 0.0) + float(count)
    return lines


def first_use_of(cost: Mapping[str, Any]) -> float:
    """Return the seconds of a ledger that the first user pays for all."""
    return sum(float(cost.get(line) or 0) for line in ("compile_s", "start_s"))
