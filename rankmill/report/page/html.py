"""The page: sections, tables and pictures in one self-contained file without script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..content import Report
from . import tables
from .canvas import START, TEACHER, Look, Picture, looks, with_own_ids
from .frame import framed
from .mined import distribution_picture, overlap_picture, plane_picture, recall_picture
from .ranked import rank_pictures
from .theory import theory
from .trained import effect_pictures, training_pictures

_DIAMETER, _ENTROPY = "diameter", "entropy"


def page(report: Report) -> str:
    """Return the whole HTML document."""
    sources = [r.source for r in report.recall]
    look = looks(tuple(dict.fromkeys([*report.samplers, *sources])))
    sections = [
        (key, title, body)
        for key, title, body in (
            ("effect", "What distillation changed", _effect(report, look)),
            ("samplers", "Samplers against each other", _pairs(report)),
            ("sources", "What each source found", _sources(report, look)),
            ("statistics", "Entropy and locality of the groups", _statistics(report, look)),
            ("theory", "The order that the theory predicts", theory(report.theory)),
            ("ranks", "Score against rank", _ranks(report, look)),
            ("training", "Training", _training(report, look)),
            ("gains", "Cost against gain", _gains(report)),
            ("cost", "What it cost", tables.costs(report.costs)),
            ("books", "Queries in and out", tables.books(report.books)),
            ("provenance", "Where it came from", tables.provenance(report.provenance)),
            ("machine", "Machine and software", tables.environment(report.environment)),
            ("notes", "Notes", tables.notes(report.notes)),
        )
        if body
    ]
    links = " ".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in sections)
    body = "\n".join(
        f'<section id="{key}"><h2>{escape(title)}</h2>\n{text}\n</section>'
        for key, title, text in sections
    )
    facts = "".join(
        f"<div><b>{escape(f.value)}</b><span>{escape(f.label)}</span></div>"
        for f in report.headline
    )
    block = f'<div class="facts">{facts}</div>' if facts else ""
    below = f"{block}\n<nav>{links}</nav>\n"
    return framed(report.title, report.summary, body, below=below)


def _effect(report: Report, look: dict[str, Look]) -> str:
    if not report.systems:
        return ""
    say = (
        f"{report.measure} with 95 % confidence intervals, of students {report.scope}, of the "
        "others over queries. Hollow dots are systems that were there before; a student’s bar "
        "starts at its untrained start (dashed line)."
    )
    pictures = effect_pictures(tuple(report.systems), tuple(report.domains), report.measure, look)
    return _say(say) + panels("e", pictures) + tables.systems(report, look)


def _pairs(report: Report) -> str:
    if not report.pairs:
        return ""
    say = (
        f"Paired differences with 95 % intervals {report.scope}; p-values after Holm over the "
        "pairs of one table. “Equivalent” needs a margin declared in the recipe and a test with a "
        "power of at least one half; otherwise a difference that is not shown stays undecided."
    )
    return _say(say) + tables.pairs(report)


def _gains(report: Report) -> str:
    if not report.gains:
        return ""
    say = (
        "What a student would have cost had its sampler been the only one: the runs it draws from, "
        "their share of the teacher’s pairs, its groups and one training, in seconds of processor "
        "and accelerator. Gain: over the untrained start. A student is on the front when none "
        "that costs the same or less has a higher mean."
    )
    return _say(say) + tables.gains(report)


def _sources(report: Report, look: dict[str, Look]) -> str:
    pictures = []
    if report.recall:
        pictures.append(recall_picture(tuple(report.recall), look))
    if report.overlap is not None and len(report.overlap.sources) > 1:
        pictures.append(overlap_picture(report.overlap))
    if not pictures:
        return ""
    names = [r.source for r in report.recall]
    say = "How many judged positives a source brings up, and how far two sources agree."
    return _say(say) + legend((n, look[n]) for n in names) + panels("s", pictures)


def _statistics(report: Report, look: dict[str, Look]) -> str:
    shown = [s for s in report.statistics if any(len(v) for v in s.values.values())]
    if not shown:
        return ""
    pictures = [distribution_picture(statistic, look) for statistic in shown]
    up = next((s for s in shown if _ENTROPY in s.label), None)
    across = next((s for s in shown if _DIAMETER in s.label), None)
    if up is not None and across is not None:
        pictures.append(plane_picture(across, up, look))
    say = (
        "One value per training group. Beneath each histogram: median (dot), quartiles (thick) "
        "and the middle 80 % (thin). Entropy is the teacher’s doubt about the order of pairs; "
        "diameter and radius say how close together the documents of a group lie."
    )
    names = [n for n in look if any(n in s.values for s in shown)]
    return _say(say) + legend((n, look[n]) for n in names) + panels("d", pictures)


def _ranks(report: Report, look: dict[str, Look]) -> str:
    if report.ranks is None or not report.ranks.curves:
        return ""
    roles = {curve.role for curve in report.ranks.curves}
    lines = [
        (name, style)
        for role, name, style in (
            ("teacher", "teacher", Look(TEACHER)),
            ("start", "untrained start", Look(START, (0, (4, 2)))),
        )
        if role in roles
    ]
    names = [n for n in look if any(c.sampler == n for c in report.ranks.curves)]
    students = [(f"student from {n}", look[n]) for n in names] if "student" in roles else []
    say = (
        "Each query’s documents sorted by score; means over queries with 95 % bands, one panel per "
        f"sampler. {report.ranks.note}"
    )
    return _say(say) + legend([*lines, *students]) + panels("r", rank_pictures(report.ranks, look))


def _training(report: Report, look: dict[str, Look]) -> str:
    if not report.training:
        return ""
    say = "Light: every logged step. Strong: moving mean over 4 % of the steps."
    names = [n for n in look if any(t.sampler == n for t in report.training)]
    return (
        _say(say)
        + legend((n, look[n]) for n in names)
        + panels("t", training_pictures(tuple(report.training), look))
    )


def _say(text: str) -> str:
    return f'<p class="say">{escape(text)}</p>\n'


def legend(entries: Iterable[tuple[str, Look]]) -> str:
    """Return one line sample and name per entry; wraps on a narrow screen."""
    samples = []
    for name, look in entries:
        lengths = () if look.dash == "-" else look.dash[1]
        dash = " ".join(f"{2.2 * length:g}" for length in lengths) or "none"
        samples.append(
            f'<span><svg viewBox="0 0 26 10" aria-hidden="true"><path d="M1 5H25" fill="none" '
            f'stroke="{look.color}" stroke-width="3.2" stroke-dasharray="{dash}"/></svg>'
            f"{escape(name)}</span>"
        )
    return f'<div class="legend">{"".join(samples)}</div>\n' if samples else ""


def panels(prefix: str, pictures: Sequence[Picture]) -> str:
    """Return the pictures as figures of a grid (narrow ones three in a row), ids kept apart."""
    grid = "panels three" if all(picture.narrow for picture in pictures) else "panels"
    figures = []
    for place, picture in enumerate(pictures):
        remark = f"<figcaption>{escape(picture.remark)}</figcaption>" if picture.remark else ""
        svg = with_own_ids(picture.svg, f"{prefix}{place}")
        figures.append(f"<figure><h3>{escape(picture.title)}</h3>\n{svg}{remark}</figure>")
    return f'<div class="{grid}">\n{"".join(figures)}\n</div>\n' if figures else ""
