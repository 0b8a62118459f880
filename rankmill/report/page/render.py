"""From the values of a page to its HTML: one self-contained file that loads nothing.

The templates escape every text but what is ours: style, script and drawings. The page allows itself
one script, by its hash, and no request to any place: should a text ever slip through, it would not
run.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rankmill.report.page.blocks import Cell, DataTable, Page
from rankmill.report.page.canvas import with_own_ids

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute a text that begins so


@cache
def _environment() -> Environment:
    """Return the templates; autoescape is on, and a name that is missing is an error."""
    made = Environment(
        loader=PackageLoader("rankmill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["csv_link"] = csv_link
    made.filters["csv_name"] = csv_name
    return made


def _text(name: str) -> str:
    """Return a file that stands beside the templates as it is."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def script_of() -> str:
    """Return the one script of every page; no value of a report is in it."""
    return _text("page.js")


def render(page: Page) -> str:
    """Return the whole HTML document; the same page gives the same bytes."""
    script = script_of()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    numbers = count()

    def own(svg: str) -> str:
        """Return a picture whose ids are its own on this page."""
        return with_own_ids(svg, f"p{next(numbers)}")

    template = _environment().get_template("page.html")
    return template.render(
        page=page, style=_text("style.css"), script=script, digest=digest, own=own
    )


# ---- CSV -----------------------------------------------------------------------------------------


def csv_name(title: str) -> str:
    """Return a file name for a table."""
    return (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "table") + ".csv"


def csv_link(table: DataTable) -> str:
    """Return a table as a link that holds all of it."""
    data = base64.b64encode(csv_text(table).encode()).decode()
    return f"data:text/csv;charset=utf-8;base64,{data}"


def csv_text(table: DataTable) -> str:
    """Return a table as CSV: numbers in full, the ends of intervals and p in columns of their own.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    parts = [tuple(dict.fromkeys(key for cell in mine for key in cell.more)) for mine in columns]
    heads: list[str] = []
    for column, more in zip(table.columns, parts, strict=True):
        heads += [column.title, *(f"{column.title}, {key}" for key in more)]
    writer.writerow(map(_plain, heads))
    for row in table.rows:
        writer.writerow(_values(row, parts))
    return sink.getvalue()


def _values(row: Sequence[Cell], parts: Sequence[Sequence[str]]) -> Iterator[Any]:
    for cell, more in zip(row, parts, strict=True):
        yield repr(float(cell.value)) if cell.value is not None else _plain(cell.tip or cell.words)
        for key in more:
            yield repr(float(cell.more[key])) if key in cell.more else ""


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
