"""The tables of a run's page as values. Every unknown number is a dash, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..content import Books, Difference, Gain, Interval, Pair, Provenance, Report, System
from .blocks import Block, Cell, Column, DataTable, Say, Small, folded
from .canvas import OTHER, START, Look
from .words import count, number, p_value, seconds, signed

NOTABLE = 0.05  # a difference with a smaller p-value is coloured
NOTHING = Cell("–")
_ROLES = {"teacher": "var(--ink)", "start": START}


def systems(report: Report, look: dict[str, Look]) -> list[Block]:
    """One table over all domains, then one per domain with everything measured and compared."""
    every: list[Block] = []
    if len(report.domains) > 1:
        every.append(_overview(report, look))
        said = [f"No interval of the {o.title}: {o.reason}." for o in report.overall if o.reason]
        every += [Say(" ".join(said))] if said else []
    for domain in report.domains:
        if any(domain in system.scores for system in report.systems):
            every += folded(_domain(report, domain, look), always=len(report.domains) > 1)
    return every


def _overview(report: Report, look: dict[str, Look]) -> DataTable:
    kinds = {domain: report.kinds.get(domain, "") for domain in report.domains}
    columns = [d if kind in ("", d) else f"{d}, {kind}" for d, kind in kinds.items()]
    columns += [column.title for column in report.overall]
    rows = [
        [
            _named(system, look),
            *(score(system.scores.get(domain)) for domain in report.domains),
            *(score(column.values.get(system.name)) for column in report.overall),
        ]
        for system in report.systems
    ]
    return DataTable(f"{report.measure} on every evaluation set", named("system", columns), rows)


def _domain(report: Report, domain: str, look: dict[str, Look]) -> DataTable:
    shown = [system for system in report.systems if domain in system.scores]
    against = list(dict.fromkeys(d.against for s in shown for d in s.differences.get(domain, ())))
    also = list(dict.fromkeys(m for s in shown for m in s.measures.get(domain, ())))
    rows = []
    for system in shown:
        by_name = {d.against: d for d in system.differences.get(domain, ())}
        rows.append(
            [
                _named(system, look),
                score(system.scores[domain]),
                *(score(system.measures.get(domain, {}).get(m)) for m in also),
                *(change(by_name.get(name)) for name in against),
            ]
        )
    kind = report.kinds.get(domain)
    title = f"{domain} ({kind})" if kind and kind != domain else domain
    columns = [report.measure, *also, *(f"change from {name}" for name in against)]
    return DataTable(f"All measures and differences: {title}", named("system", columns), rows)


def pairs(report: Report) -> list[Block]:
    """One table per domain: samplers against each other, and what was shown."""
    every: list[Block] = []
    for domain in report.domains:
        if shown := [p for p in report.pairs if p.domain == domain]:
            every += folded(_domain_pairs(shown, domain))
    return every


def _domain_pairs(shown: Sequence[Pair], domain: str) -> DataTable:
    columns = ["difference", "p, randomisation test"]
    margin = next((p.margin for p in shown if p.margin is not None), None)
    columns += [f"within ±{margin:g}?"] if margin is not None else []
    seeded = any(p.seeds_share is not None for p in shown)
    columns += ["standard deviations", "error due to seeds"] if seeded else []
    rows = []
    for pair in shown:
        cells = [change(pair.difference), _p(pair.p_randomisation)]
        if margin is not None:
            cells.append(_verdict(pair))
        if seeded:
            parts = [Small(f"{k} {number(v)}") for k, v in pair.deviations.items()]
            cells.append(Cell("", parts, more=dict(pair.deviations)))
            share = pair.seeds_share
            cells.append(NOTHING if share is None else Cell(f"{share:.0%}", value=share))
        rows.append([Cell(f"{pair.a} − {pair.b}"), *cells])
    title = f"Difference between two students, {domain}"
    return DataTable(title, named("trained on", columns), rows)


def _p(p: float) -> Cell:
    return Cell(p_value(p), value=p)


def _verdict(pair: Pair) -> Cell:
    if pair.verdict is None:
        return Cell("")
    small, more = [], {}
    if pair.p_equivalence is not None:
        small.append(Small(p_value(pair.p_equivalence)))
        more["p"] = pair.p_equivalence
    if pair.power is not None:
        small.append(Small(f"power {pair.power:.2f}"))
        more["power"] = pair.power
    return Cell(pair.verdict, small, more=more)


def named(first: str, columns: Sequence[str]) -> list[Column]:
    """Return the headings of a table whose first column names the row, the others hold numbers."""
    return [Column(first, number=False), *map(Column, columns)]


def _named(system: System, look: dict[str, Look]) -> Cell:
    if system.sampler is not None:
        return Cell(system.name, color=look[system.sampler].color)
    return Cell(system.name, color=_ROLES.get(system.role, OTHER))


def score(value: Interval | float | None) -> Cell:
    """Return a mean with its interval, or with the reason why it has none."""
    if value is None:
        return NOTHING
    if not isinstance(value, Interval):
        return Cell(number(value), value=value)
    if value.low is None or value.high is None:
        return Cell(number(value.value), [Small(str(value.reason))], value.value)
    cut = "" if value.reason is None else f", {value.reason}"
    between = Small(f"{number(value.low)} – {number(value.high)}{cut}")
    more = {"low": value.low, "high": value.high}
    return Cell(number(value.value), [between], value.value, more)


def change(difference: Difference | None) -> Cell:
    """Return a difference with its interval and its p-value, in colour where it is significant."""
    if difference is None:
        return Cell("")
    small, more = list[Small](), dict[str, float]()
    if difference.low is not None and difference.high is not None:
        cut = "" if difference.reason is None else f", {difference.reason}"
        small.append(Small(f"{signed(difference.low)} … {signed(difference.high)}{cut}"))
        more = {"low": difference.low, "high": difference.high}
    elif difference.reason is not None:
        small.append(Small(difference.reason))
    notable = difference.p < NOTABLE
    mood = ("gain" if difference.value > 0 else "loss") if notable else ""
    small.append(Small(p_value(difference.p), mood))
    return Cell(signed(difference.value), small, difference.value, more | {"p": difference.p})


def gains(report: Report) -> list[Block]:
    """One table per domain: a student's cost beside its gain, cheapest first."""
    every: list[Block] = []
    for domain in report.domains:
        if shown := [g for g in report.gains if g.domain == domain]:
            every += folded(_domain_gains(shown, domain))
    return every


def _domain_gains(shown: Sequence[Gain], domain: str) -> DataTable:
    columns = ["mining", "teacher", "groups", "training", "total", "pairs scored", "gain"]
    columns += ["gain per hour", "on the frontier"]
    rows = []
    for gain in shown:
        parts = [gain.mining, gain.teacher, gain.groups, gain.training]
        rows.append(
            [
                Cell(gain.system),
                *(Cell(seconds(part), value=part) for part in (*parts, sum(parts))),
                Cell(count(gain.pairs), value=gain.pairs),
                change(gain.gained),
                Cell(number(gain.per_hour, 2), value=gain.per_hour),
                Cell("yes" if gain.front else "no"),
            ]
        )
    return DataTable(f"Cost and gain, {domain}", named("student", columns), rows)


def books(rows: Sequence[Books]) -> list[Block]:
    """Queries in, out, and dropped with reasons, one row per stage."""
    if not rows:
        return []
    lines = []
    for row in rows:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in row.dropped.items() if n)
        counts = (row.queries_in, row.queries_out, row.queries_in - row.queries_out)
        lines.append([Cell(row.stage), *(Cell(f"{n:,}", value=n) for n in counts), Cell(reasons)])
    columns = [*named("stage", ["queries in", "out", "dropped"]), Column("reasons", number=False)]
    return folded(DataTable("Queries in and out", columns, lines, caption=False))


def provenance(rows: Sequence[Provenance]) -> list[Block]:
    """Artifact, parameters, rows and root hash."""
    if not rows:
        return []
    lines = [
        [
            Cell(row.name, [Small(row.kind)]),
            Cell(row.text, code=True),
            NOTHING if row.rows is None else Cell(count(row.rows), value=row.rows),
            Cell(row.root_hash[:16], code=True, tip=row.root_hash),
        ]
        for row in rows
    ]
    words = {"made with", "root hash"}
    heads = ("artifact", "made with", "rows", "root hash")
    columns = [Column(head, number=head not in words | {"artifact"}) for head in heads]
    say = (
        "Equal root hashes mean equal data, byte for byte. The first 16 digits are shown; the CSV "
        "file has all of them."
    )
    return folded(DataTable("All artifacts", columns, lines), say, always=True)


Counted = tuple[str, Callable[[Any], str], Sequence[float | None]]


def measured(wanted: Sequence[Counted]) -> list[Counted]:
    """Return the columns of which anything is known."""
    return [column for column in wanted if any(column[2])]


def sums(columns: Sequence[Counted], largest: Mapping[str, str] | None = None) -> list[Cell]:
    """Return the totals of columns; of those in `largest` the largest value, which it names."""
    cells = []
    for title, write, values in columns:
        known = [value for value in values if value is not None]
        said = (largest or {}).get(title)
        total = max(known) if said else sum(known)
        cells.append(Cell(write(total), [Small(said)] if said else (), value=total))
    return cells
