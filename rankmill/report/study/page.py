"""The page of a study: question, answer and one picture on the first screen, then everything else.

One self-contained file. The script sorts tables; the page says everything without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from rankmill.report.page import tables
from rankmill.report.page.frame import framed
from rankmill.report.page.html import legend, panels
from rankmill.report.page.sorting import SCRIPT
from rankmill.report.page.studied import (
    cost_legend,
    cost_picture,
    crossing_picture,
    effect_bars,
    line_looks,
)
from rankmill.report.study.tables import Shown, Table
from rankmill.report.study.values import StudyReport

_EFFECTS = "Main effects and interaction"


def html(report: StudyReport) -> str:
    """Return the page; the same report gives the same bytes."""
    sections = [
        *_of_tables(report),
        ("Recipe", f"<pre>{escape(report.recipe)}</pre>" if report.recipe else ""),
        ("Machine and software", tables.environment(list(report.environment.items()))),
        ("Limits", tables.notes(report.notes)),
    ]
    shown = [(_key(title), title, body) for title, body in sections if body]
    links = " ".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in shown)
    body = "\n".join(
        f'<section id="{key}"><h2>{escape(title)}</h2>\n{text}</section>'
        for key, title, text in shown
    )
    below = f"{_answer(report)}<nav>{links}</nav>\n"
    question = [report.question] if report.question else []
    return framed(report.title, question, body, below=below, script=SCRIPT)


def _key(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _answer(report: StudyReport) -> str:
    """Return the first screen: what was asked of what, the answer, its picture, its caveats."""
    said = "".join(f'<p class="say">{escape(text)}</p>\n' for text in report.lead)
    if not report.answer:
        return said
    sentences = "".join(f"<li>{escape(text)}</li>" for text in report.answer)
    caveats = "".join(f"<li>{escape(text)}</li>" for text in report.caveats)
    picture = ""
    if report.costs:
        picture = cost_legend(report.costs[0]) + panels("a", [cost_picture(report.costs[0])])
    return (
        f'{said}<div class="panels answer"><div>\n<ol>{sentences}</ol>\n'
        f'<ul class="caveats">{caveats}</ul>\n</div>\n<div>{picture}</div></div>\n'
    )


def _of_tables(report: StudyReport) -> list[tuple[str, str]]:
    """Return a section per group of tables; pictures stand where they belong."""
    sections = []
    if len(report.costs) > 1:
        more = [cost_picture(one) for one in report.costs[1:]]
        body = cost_legend(report.costs[1]) + panels("c", more)
        sections.append(("Gain against cost on the other sets", body))
    for name, found in groupby(report.tables, key=lambda table: table.group or table.title):
        body, said = _effects(report) if name == _EFFECTS else "", ""
        for table in found:
            body += f"<h3>{escape(table.title)}</h3>\n" if table.title != name else ""
            body += _table(table, say=table.say if table.say != said else "")
            said = table.say
        sections.append((name, body))
    return sections


def _effects(report: StudyReport) -> str:
    look = line_looks(report.crossings)
    pictures = []
    for crossing, bars in zip(report.crossings, report.effects, strict=True):
        lines = {name: look[name] for name in dict.fromkeys(b for _, b in crossing.means)}
        pictures += [crossing_picture(crossing, lines), effect_bars(bars)]
    return legend(look.items()) + panels("f", pictures)


def _table(table: Table, say: str) -> str:
    """Return a table; columns of numbers stand to the right, those of words wrap."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    numbers = [
        place >= table.heads and any(map(_is_number, column))
        for place, column in enumerate(columns)
    ]
    head = "".join(
        f'<th class="number">{escape(text)}</th>' if right else f"<th>{escape(text)}</th>"
        for text, right in zip(table.columns, numbers, strict=True)
    )
    rows = [f"<tr>{''.join(_cells(row, table.heads, numbers))}</tr>" for row in table.rows]
    said = f'<p class="say">{escape(say)}</p>\n' if say else ""
    return said + tables.table(f"<tr>{head}</tr>", rows, sorts=len(table.rows) > 1)


def _is_number(text: str) -> bool:
    return isinstance(text, Shown) or text[:1].isdigit()


def _cells(row: Sequence[str], heads: int, numbers: Sequence[bool]) -> Iterator[str]:
    for place, text in enumerate(row):
        if place < heads:
            yield f"<th>{escape(text)}</th>"
        else:
            yield _number(text) if numbers[place] else f"<td>{escape(text)}</td>"


def _number(text: str) -> str:
    """Return a cell; an interval stands below its value, and the value sorts the column."""
    sorts = f' data-v="{text.value!r}"' if isinstance(text, Shown) else ""
    value, opened, rest = text.partition(" (")
    if not opened:
        return f'<td class="number"{sorts}>{escape(text)}</td>'
    return f'<td class="number"{sorts}>{escape(value)}<small>({escape(rest)}</small></td>'
