"""The page of a study, from its report's values to the page's blocks: question, answer and one
picture on the first screen, then everything else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rankmill.provenance.drawing import svg
from rankmill.report.page.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    DataTable,
    Drawing,
    Facts,
    Heading,
    Page,
    Panels,
    Section,
    Small,
    Source,
    folded,
    line_samples,
)
from rankmill.report.page.costs import costs
from rankmill.report.page.render import render
from rankmill.report.page.run import GRAPH
from rankmill.report.page.studied import (
    cost_legend,
    cost_picture,
    crossing_picture,
    effect_bars,
    line_looks,
)
from rankmill.report.page.tables import NOTABLE
from rankmill.report.study.tables import Shown, Table
from rankmill.report.study.values import EFFECTS, StudyReport


def html(report: StudyReport) -> str:
    """Return the page; the same report gives the same bytes."""
    return render(blocks(report))


def blocks(report: StudyReport) -> Page:
    """Return the page as values."""
    sections: list[tuple[str, Sequence[Block]]] = [
        *_of_tables(report),
        ("What each stage cost", costs(report.stages)),
        ("Provenance", _graph(report)),
        ("Recipe", [Source(report.recipe)] if report.recipe else []),
        ("Machine and software", [Facts(list(report.environment.items()))]),
        ("Limits", [Bullets(report.notes)] if report.notes else []),
    ]
    first: list[Block] = []
    if report.answer and report.costs:
        first = [cost_legend(report.costs[0]), Panels([cost_picture(report.costs[0])])]
    return Page(
        report.title,
        question=report.question,
        lead=report.lead,
        answer=report.answer,
        caveats=report.caveats,
        first=first,
        sections=[Section(_key(title), title, made) for title, made in sections if made],
    )


def _key(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _graph(report: StudyReport) -> list[Block]:
    return [Drawing(svg(report.graph, "What was made from what"), GRAPH)] if report.graph else []


def _of_tables(report: StudyReport) -> Iterator[tuple[str, list[Block]]]:
    """Yield a section per group of tables; pictures stand where they belong."""
    if len(report.costs) > 1:
        more = [cost_picture(one) for one in report.costs[1:]]
        yield "Gain against cost on the other sets", [cost_legend(report.costs[1]), Panels(more)]
    for name, grouped in groupby(report.tables, key=lambda table: table.group or table.title):
        made = _effects(report) if name == EFFECTS else []
        for place, table in enumerate(grouped):
            made += _table(table, name, further=place > 0)
        yield name, made


def _effects(report: StudyReport) -> list[Block]:
    look = line_looks(report.crossings)
    pictures = []
    for crossing, bars in zip(report.crossings, report.effects, strict=True):
        lines = {name: look[name] for name in dict.fromkeys(b for _, b in crossing.means)}
        pictures += [crossing_picture(crossing, lines), effect_bars(bars)]
    return [*line_samples(list(look.items())), Panels(pictures)] if pictures else []


def _table(table: Table, section: str, *, further: bool) -> list[Block]:
    """Return a table; columns of numbers stand to the right, those of words wrap. `further`: it is
    not the first of its section, and folded."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    numbers = [
        place >= table.heads and any(map(_is_number, column))
        for place, column in enumerate(columns)
    ]
    heads = [Column(text, right) for text, right in zip(table.columns, numbers, strict=True)]
    rows = [
        [_cell(text, number) for text, number in zip(row, numbers, strict=True)]
        for row in table.rows
    ]
    bare = DataTable(table.title, heads, rows, table.heads, caption=False)
    made = folded(bare, table.say, always=further)
    titled = table.title == section or made[-1].kind == "fold"
    return made if titled else [Heading(table.title), *made]


def _is_number(text: str) -> bool:
    return isinstance(text, Shown) or text[:1].isdigit()


def _cell(text: str, number: bool) -> Cell:
    """Return a cell; of a number the interval and p stand below its value."""
    if not number:
        return Cell(text)
    said, opened, rest = text.partition(" (")
    between, _, p = rest.rpartition(")")
    small = [Small(between)] if opened else []
    if not isinstance(text, Shown):
        return Cell(said, [*small, Small(p.lstrip(", "))] if opened else ())
    significant = text.more.get("p", 1.0) < NOTABLE
    mood = ("gain" if text.value > 0 else "loss") if significant else ""
    small += [Small(p.lstrip(", "), mood)] if p else []
    return Cell(said, small, text.value, text.more)


__all__ = ["blocks", "html"]
