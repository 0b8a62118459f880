"""The report of a study on disk: a page, its Markdown twin, LaTeX tables, and every number as
Parquet and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.report.page import tables
from rankmill.report.page.frame import framed
from rankmill.report.study_values import StudyReport, Table, report_of

if TYPE_CHECKING:
    import polars as pl

    from rankmill.study.grid.outcome import StudyOutcome

FILES = ("study-report.html", "study.md", "study.tex")
DATA = ("cells", "queries")


def write_study(outcome: StudyOutcome, folder: str | Path) -> list[Path]:
    """Write all files of a study's report into a folder; returns their paths.

    Raises RankmillError (store/files.py) when the disk refuses.
    """
    from rankmill.mining.store import files

    place, report = files.make_folder(Path(folder)), report_of(outcome)
    paths = []
    for name, write in zip(FILES, (html, markdown, latex), strict=True):
        with files.replacing(place / name) as stream:
            stream.write(write(report))
        paths.append(place / name)
    for name in DATA:
        table: pl.DataFrame = getattr(outcome, name)
        with files.replacing(place / f"{name}.parquet", text=False) as stream:
            table.write_parquet(stream)
        with files.replacing(place / f"{name}.csv", text=False) as stream:
            _flat(table).write_csv(stream)
        paths += [place / f"{name}.parquet", place / f"{name}.csv"]
    return paths


def _flat(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose lists are texts with blanks between: CSV has no lists."""
    import polars as pl

    lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
    texts = (pl.col(name).list.eval(pl.element().cast(pl.String)).list.join(" ") for name in lists)
    return table.with_columns(list(texts))


def html(report: StudyReport) -> str:
    """Return the page: one self-contained file without script."""
    sections = "\n".join(_section(table) for table in report.tables)
    environment = tables.environment(list(report.environment.items()))
    body = f"""{sections}
<section><h2>Notes</h2>
{tables.notes(report.notes)}
</section>
<section><h2>Machine and software</h2>
{environment}
</section>"""
    return framed(report.title, report.lead, body)


def _section(table: Table) -> str:
    head = _cells(table.columns, table.heads, "th")
    rows = [f"<tr>{_cells(row, table.heads, 'td')}</tr>" for row in table.rows]
    say = f'<p class="say">{escape(table.say)}</p>\n' if table.say else ""
    body = tables.table(f"<tr>{head}</tr>", rows)
    return f"<section><h2>{escape(table.title)}</h2>\n{say}{body}</section>"


def _cells(texts: Sequence[str], heads: int, tag: str) -> str:
    names = (f"<th>{escape(text)}</th>" for text in texts[:heads])
    numbers = (f'<{tag} class="number">{escape(text)}</{tag}>' for text in texts[heads:])
    return "".join((*names, *numbers))


def markdown(report: StudyReport) -> str:
    """Return the same as Markdown, for a paper's appendix or an issue."""
    lines = [f"# {report.title}", "", *report.lead, ""]
    for table in report.tables:
        lines += [f"## {table.title}", ""]
        lines += [table.say, ""] if table.say else []
        lines += [_line(table.columns)]
        others = len(table.columns) - table.heads
        lines += [_line(["---"] * table.heads + ["---:"] * others)]
        lines += [_line(row) for row in table.rows]
        lines.append("")
    lines += ["## Notes", "", *(f"- {note}" for note in report.notes), ""]
    lines += ["## Machine and software", ""]
    lines += [f"- {name}: {value}" for name, value in report.environment.items()]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def latex(report: StudyReport) -> str:
    """Return every table as a LaTeX `tabular` with its caption, for `\\input`; plain LaTeX."""
    return "\n".join(_tabular(table) for table in report.tables) + "\n"


def _tabular(table: Table) -> str:
    layout = "l" * table.heads + "r" * (len(table.columns) - table.heads)
    rows = [" & ".join(map(_tex, row)) + r" \\" for row in (table.columns, *table.rows)]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_tex(table.title)}. {_tex(table.say)}}}",
            rf"\begin{{tabular}}{{{layout}}}",
            r"\hline",
            rows[0],
            r"\hline",
            *rows[1:],
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


_TEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "…": r"\dots{}",
    "–": "--",
    "’": "'",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)
