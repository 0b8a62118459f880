"""The tables of the page. Every text is escaped here; every unknown number is a dash, never 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from ..content import Books, Difference, Gain, Interval, Pair, Provenance, Report, StageCost, System
from .canvas import OTHER, START, TEACHER, Look
from .words import count, number, p_value, seconds, signed, size

_CELL = '<td class="number">'
NOTABLE = 0.05  # a difference with a smaller p-value is coloured


def table(head: str, rows: Sequence[str], caption: str = "", *, sorts: bool = False) -> str:
    """Return a table that scrolls sideways on a narrow screen; `sorts`: a click on a heading sorts
    it where the page has the script (page/sorting.py)."""
    body = "\n".join(rows)
    titled = f"<caption>{escape(caption)}</caption>" if caption else ""
    sorting = ' class="sorts"' if sorts else ""
    return (
        f'<div class="wide"><table{sorting}>{titled}\n'
        f"<thead>{head}</thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>\n"
    )


def systems(report: Report, look: dict[str, Look]) -> str:
    """One table over all domains, then one per domain with everything measured and compared."""
    every = _overview(report, look) if len(report.domains) > 1 else ""
    return every + "".join(_domain(report, domain, look) for domain in report.domains)


def _overview(report: Report, look: dict[str, Look]) -> str:
    columns = [f"{domain}, {report.kinds.get(domain, '')}".strip(", ") for domain in report.domains]
    columns += [column.title for column in report.overall]
    rows = [
        f"<tr>{_system_head(system, look)}"
        + "".join(_score_cell(system.scores.get(domain)) for domain in report.domains)
        + "".join(_score_cell(column.values.get(system.name)) for column in report.overall)
        + "</tr>"
        for system in report.systems
    ]
    title = f"{report.measure}, in domain and out of it"
    return table(f"<tr><th>system</th>{_numbers(columns)}</tr>", rows, title)


def _domain(report: Report, domain: str, look: dict[str, Look]) -> str:
    shown = [system for system in report.systems if domain in system.scores]
    against = list(dict.fromkeys(d.against for s in shown for d in s.differences.get(domain, ())))
    also = list(dict.fromkeys(m for s in shown for m in s.measures.get(domain, ())))
    columns = [report.measure, *also, *(f"against {name}" for name in against)]
    rows = []
    for system in shown:
        by_name = {d.against: d for d in system.differences.get(domain, ())}
        rows.append(
            f"<tr>{_system_head(system, look)}{_score_cell(system.scores[domain])}"
            + "".join(_score_cell(system.measures.get(domain, {}).get(m)) for m in also)
            + "".join(_difference_cell(by_name.get(name)) for name in against)
            + "</tr>"
        )
    kind = report.kinds.get(domain)
    title = f"{domain} ({kind})" if kind else domain
    return table(f"<tr><th>system</th>{_numbers(columns)}</tr>", rows, title) if rows else ""


def pairs(report: Report) -> str:
    """One table per domain: samplers against each other, and what was shown."""
    return "".join(
        _domain_pairs([p for p in report.pairs if p.domain == domain], domain)
        for domain in report.domains
        if any(p.domain == domain for p in report.pairs)
    )


def _domain_pairs(shown: Sequence[Pair], domain: str) -> str:
    columns = ["difference", "randomisation (Holm)"]
    margin = next((p.margin for p in shown if p.margin is not None), None)
    columns += [f"within ±{margin:g}?"] if margin is not None else []
    seeded = any(p.seeds_share is not None for p in shown)
    columns += ["standard deviations", "error due to seeds"] if seeded else []
    rows = []
    for pair in shown:
        cells = [_difference_cell(pair.difference), f"{_CELL}{p_value(pair.p_randomisation)}</td>"]
        if margin is not None:
            cells.append(_verdict_cell(pair))
        if seeded:
            said = "".join(f"<small>{k} {number(v)}</small>" for k, v in pair.deviations.items())
            share = "–" if pair.seeds_share is None else f"{pair.seeds_share:.0%}"
            cells += [f"{_CELL}{said}</td>", f"{_CELL}{share}</td>"]
        name = f"{escape(pair.a)} − {escape(pair.b)}"
        rows.append(f"<tr><th>{name}</th>{''.join(cells)}</tr>")
    title = f"Samplers against each other, {domain}"
    return table(f"<tr><th>students of</th>{_numbers(columns)}</tr>", rows, title)


def _verdict_cell(pair: Pair) -> str:
    if pair.verdict is None:
        return f"{_CELL}</td>"
    p = "" if pair.p_equivalence is None else p_value(pair.p_equivalence)
    power = "" if pair.power is None else f"power {pair.power:.2f}"
    return f"{_CELL}{escape(pair.verdict)}<small>{p}</small><small>{power}</small></td>"


def _numbers(columns: Sequence[str]) -> str:
    return "".join(f'<th class="number">{escape(column)}</th>' for column in columns)


def _system_head(system: System, look: dict[str, Look]) -> str:
    color = {"teacher": TEACHER, "start": START}.get(system.role, OTHER)
    if system.sampler is not None:
        color = look[system.sampler].color
    chip = f'<span class="chip" style="background:{color}"></span>'
    return f"<th>{chip}{escape(system.name)}</th>"


def _score_cell(score: Interval | float | None) -> str:
    if score is None:
        return f"{_CELL}–</td>"
    if not isinstance(score, Interval):
        return f"{_CELL}{number(score)}</td>"
    between = str(score.reason)
    if score.low is not None and score.high is not None:
        between = f"{number(score.low)} – {number(score.high)}"
    return f"{_CELL}{number(score.value)}<small>{escape(between)}</small></td>"


def _difference_cell(difference: Difference | None) -> str:
    if difference is None:
        return '<td class="number"></td>'
    notable = difference.p < NOTABLE
    mood = ("gain" if difference.value > 0 else "loss") if notable else ""
    between = ""
    if difference.low is not None and difference.high is not None:
        between = f"<small>{signed(difference.low)} … {signed(difference.high)}</small>"
    return (
        f'<td class="number">{signed(difference.value)}{between}'
        f'<small class="{mood}">{p_value(difference.p)}</small></td>'
    )


def gains(report: Report) -> str:
    """One table per domain: a student's cost beside its gain, cheapest first."""
    return "".join(
        _domain_gains([g for g in report.gains if g.domain == domain], domain)
        for domain in report.domains
        if any(g.domain == domain for g in report.gains)
    )


def _domain_gains(shown: Sequence[Gain], domain: str) -> str:
    columns = ["mining", "teacher", "groups", "training", "together", "pairs scored", "gain"]
    columns += ["gain per hour", "Pareto front"]
    rows = []
    for gain in shown:
        parts = [gain.mining, gain.teacher, gain.groups, gain.training]
        cells = [*(seconds(part) for part in (*parts, sum(parts))), count(gain.pairs)]
        after = [number(gain.per_hour, 2), "yes" if gain.front else ""]
        rows.append(
            f"<tr><th>{escape(gain.system)}</th>"
            + "".join(f"{_CELL}{cell}</td>" for cell in cells)
            + _difference_cell(gain.gained)
            + "".join(f"{_CELL}{cell}</td>" for cell in after)
            + "</tr>"
        )
    return table(f"<tr><th>student</th>{_numbers(columns)}</tr>", rows, f"Cost and gain, {domain}")


def costs(rows: Sequence[StageCost]) -> str:
    """One row per stage; each number over a bar that compares it with its column."""
    if not rows:
        return ""
    wanted: list[tuple[str, Callable[[Any], str], list[Any], bool]] = [
        ("wall", seconds, [r.wall_s for r in rows], True),
        ("CPU", seconds, [r.cpu_s for r in rows], True),
        ("compiling, imports", seconds, [r.first_s for r in rows], True),
        ("overhead", seconds, [r.overhead_s for r in rows], True),
        ("GPU", seconds, [r.gpu_s for r in rows], True),
        ("peak memory", size, [r.peak_bytes for r in rows], False),
        ("stored", size, [r.stored_bytes for r in rows], True),
        ("pairs scored", count, [r.pairs for r in rows], True),
        ("tokens", count, [r.tokens for r in rows], True),
    ]
    columns = [c for c in wanted if any(value for value in c[2])]
    head = "".join(f'<th class="number">{title}</th>' for title, *_ in columns)
    lines = []
    for place, row in enumerate(rows):
        name = f'<small class="code">{escape(row.name)}</small>' if row.name else ""
        cells = "".join(
            _bar(write(values[place]), values[place], values) for _, write, values, _ in columns
        )
        lines.append(f"<tr><th>{escape(row.stage)}{name}</th>{cells}</tr>")
    sums = "".join(
        f'<td class="number">{write(_total(values, adds))}'
        f"{'' if adds else '<small>largest</small>'}</td>"
        for _, write, values, adds in columns
    )
    lines.append(f'<tr class="sum"><th>together</th>{sums}</tr>')
    say = "What each artifact cost when it was made; finding it again costs nothing."
    return f'<p class="say">{say}</p>\n' + table(f"<tr><th>stage</th>{head}</tr>", lines)


def _total(values: Sequence[float | None], adds: bool) -> float | None:
    known = [value for value in values if value is not None]
    return None if not known else sum(known) if adds else max(known)


def _bar(text: str, value: float | None, column: Sequence[float | None]) -> str:
    if value is None:
        return '<td class="number bar">–</td>'
    top = max(v for v in column if v is not None) or 1
    width = 100 * value / top
    return f'<td class="number bar">{text}<i style="width:{max(width, 1):.0f}%"></i></td>'


def books(rows: Sequence[Books]) -> str:
    """Queries in, out, and dropped with reasons, one row per stage."""
    if not rows:
        return ""
    lines = []
    for row in rows:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in row.dropped.items() if n)
        lines.append(
            f'<tr><th>{escape(row.stage)}</th><td class="number">{row.queries_in:,}</td>'
            f'<td class="number">{row.queries_out:,}</td>'
            f'<td class="number">{row.queries_in - row.queries_out:,}</td>'
            f"<td>{escape(reasons)}</td></tr>"
        )
    head = (
        '<tr><th>stage</th><th class="number">queries in</th><th class="number">out</th>'
        '<th class="number">dropped</th><th>reasons</th></tr>'
    )
    return table(head, lines)


def provenance(rows: Sequence[Provenance]) -> str:
    """Artifact, parameters, rows and root hash."""
    if not rows:
        return ""
    lines = [
        f"<tr><th>{escape(row.name)}<small>{escape(row.kind)}</small></th>"
        f'<td class="made"><code>{escape(row.text)}</code></td>'
        f'<td class="number">{count(row.rows)}</td>'
        f'<td><code class="hash" title="{escape(row.root_hash, quote=True)}">'
        f"{escape(row.root_hash[:16])}</code></td></tr>"
        for row in rows
    ]
    head = (
        '<tr><th>artifact</th><th>made by</th><th class="number">rows</th><th>root hash</th></tr>'
    )
    say = "Equal root hashes mean equal data, byte for byte. The first 16 digits are shown."
    return f'<p class="say">{say}</p>\n' + table(head, lines)


def environment(facts: Sequence[tuple[str, str]]) -> str:
    """Name and value of what the run stood on."""
    if not facts:
        return ""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>{pairs}</dl>"


def notes(texts: Sequence[str]) -> str:
    """Remarks, one per line."""
    return "<ul>" + "".join(f"<li>{escape(t)}</li>" for t in texts) + "</ul>" if texts else ""
