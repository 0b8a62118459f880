"""The page of a run, from a report's values to the page's blocks."""

from __future__ import annotations

from collections.abc import Sequence

from rankmill.provenance.drawing import svg

from ..content import Report
from . import tables
from .blocks import Block, Bullets, Drawing, Facts, Page, Panels, Say, Section, line_samples
from .canvas import START, Look, looks
from .costs import costs
from .mined import distribution_picture, overlap_picture, plane_picture, recall_picture
from .ranked import rank_pictures
from .render import render
from .studied import cost_legend, cost_picture
from .theory import theory
from .trained import effect_pictures, training_pictures

GRAPH = (
    "Artifacts of one kind that were made from the same kinds of things share a box. What an "
    "artifact uses only by way of another has no arrow of its own."
)
_DIAMETER, _ENTROPY = "diameter", "entropy"


def page(report: Report) -> str:
    """Return the whole HTML document."""
    return render(blocks(report))


def blocks(report: Report) -> Page:
    """Return the page as values."""
    sources = [r.source for r in report.recall]
    look = looks(tuple(dict.fromkeys([*report.samplers, *sources])))
    sections: list[tuple[str, str, Sequence[Block]]] = [
        ("effect", "How well the students rank", _effect(report, look)),
        ("samplers", "Samplers against each other", _pairs(report)),
        ("gains", "Cost against gain", _gains(report)),
        ("sources", "What each source found", _sources(report, look)),
        ("statistics", "Entropy and locality of the groups", _statistics(report, look)),
        ("theory", "The order that the theory predicts", theory(report.theory)),
        ("ranks", "Score against rank", _ranks(report, look)),
        ("training", "Training", _training(report, look)),
        ("cost", "What each stage cost", costs(report.costs)),
        ("books", "Queries in and out", tables.books(report.books)),
        ("provenance", "Provenance", provenance(report)),
        ("machine", "Machine and software", _facts(report.environment)),
        ("notes", "Notes", [Bullets(report.notes)] if report.notes else []),
    ]
    first: list[Block] = []
    if report.picture is not None and report.picture.spots:
        first = [cost_legend(report.picture), Panels([cost_picture(report.picture)])]
    return Page(
        report.title,
        question=report.question,
        lead=report.lead,
        answer=report.answer,
        caveats=report.caveats,
        first=first,
        sections=[Section(key, title, made) for key, title, made in sections if made],
        marks=[report.key] if report.key else [],
    )


def provenance(report: Report) -> list[Block]:
    """Return the drawn graph, and the list of all artifacts folded."""
    drawn: list[Block] = []
    if report.graph is not None:
        drawn.append(Drawing(svg(report.graph, "What was made from what"), GRAPH))
    return [*drawn, *tables.provenance(report.provenance)]


def _facts(pairs: Sequence[tuple[str, str]]) -> list[Block]:
    return [Facts(pairs)] if pairs else []


def _effect(report: Report, look: dict[str, Look]) -> list[Block]:
    if not report.systems:
        return []
    say = (
        f"{report.measure} with 95 % confidence intervals, those of students {report.scope}, all "
        "others over queries. Filled marks are students, hollow marks what they are compared with. "
        "A student’s bar begins at the untrained student (dashed line)."
    )
    pictures = effect_pictures(tuple(report.systems), tuple(report.domains), report.measure, look)
    return [Say(say), Panels(pictures), *tables.systems(report, look)]


def _pairs(report: Report) -> list[Block]:
    if not report.pairs:
        return []
    say = (
        f"Paired differences with 95 % intervals {report.scope}; p-values are adjusted (Holm) over "
        "the pairs of one table. “Equivalent” takes a margin declared in the recipe and a test "
        "with a power of at least one half; without them, a difference that is not significant "
        "stays undecided."
    )
    return [Say(say), *tables.pairs(report)]


def _gains(report: Report) -> list[Block]:
    if not report.gains:
        return []
    say = (
        "What a student would have cost if its sampler had been the only one: the runs that it "
        "draws from, their share of the teacher’s pairs, its groups and one training, in seconds "
        "of processor and accelerator. The gain is over the untrained student. A student is on "
        "the frontier if no other that costs the same or less has a higher mean."
    )
    return [Say(say), *tables.gains(report)]


def _sources(report: Report, look: dict[str, Look]) -> list[Block]:
    pictures = []
    if report.recall:
        pictures.append(recall_picture(tuple(report.recall), look))
    if report.overlap is not None and len(report.overlap.sources) > 1:
        pictures.append(overlap_picture(report.overlap))
    if not pictures:
        return []
    lines = line_samples([(r.source, look[r.source]) for r in report.recall])
    say = "How many judged positives each source finds, and how far two sources agree."
    return [Say(say), *lines, Panels(pictures)]


def _statistics(report: Report, look: dict[str, Look]) -> list[Block]:
    shown = [s for s in report.statistics if any(len(v) for v in s.values.values())]
    if not shown:
        return []
    pictures = [distribution_picture(statistic, look) for statistic in shown]
    up = next((s for s in shown if _ENTROPY in s.label), None)
    across = next((s for s in shown if _DIAMETER in s.label), None)
    if up is not None and across is not None:
        pictures.append(plane_picture(across, up, look))
    say = (
        "One value per training group. Below each histogram: the median (dot), the quartiles "
        "(thick line) and the middle 80 % (thin line). Entropy measures how unsure the teacher is "
        "about the order of two documents; diameter and radius measure how close together the "
        "documents of a group lie."
    )
    names = [n for n in look if any(n in s.values for s in shown)]
    return [Say(say), *line_samples([(n, look[n]) for n in names]), Panels(pictures)]


def _ranks(report: Report, look: dict[str, Look]) -> list[Block]:
    if report.ranks is None or not report.ranks.curves:
        return []
    roles = {curve.role for curve in report.ranks.curves}
    lines = [
        (name, style)
        for role, name, style in (
            ("teacher", "teacher", Look("var(--ink)")),
            ("start", "untrained student", Look(START, (0, (4, 2)))),
        )
        if role in roles
    ]
    names = [n for n in look if any(c.sampler == n for c in report.ranks.curves)]
    students = [(f"student, {n}", look[n]) for n in names] if "student" in roles else []
    say = (
        "The documents of each query sorted by score; means over queries with 95 % bands, one "
        f"panel per sampler. {report.ranks.note}"
    )
    pictures = rank_pictures(report.ranks, look)
    return [Say(say.strip()), *line_samples([*lines, *students]), Panels(pictures)]


def _training(report: Report, look: dict[str, Look]) -> list[Block]:
    if not report.training:
        return []
    say = "Pale: every logged step. Strong: moving mean over 4 % of the steps."
    names = [n for n in look if any(t.sampler == n for t in report.training)]
    lines = line_samples([(n, look[n]) for n in names])
    return [Say(say), *lines, Panels(training_pictures(tuple(report.training), look))]


__all__ = ["GRAPH", "blocks", "page", "provenance"]
