"""The report of a study on disk: a page, its Markdown twin, LaTeX tables, and every number as
Parquet and CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.mining.inputs.given_paths import path_given
from rankmill.report.study.facts import NAME as FACTS
from rankmill.report.study.facts import facts_of
from rankmill.report.study.tables import Table
from rankmill.report.study.values import StudyReport, report_of

if TYPE_CHECKING:
    import polars as pl

    from rankmill.study.grid.outcome import StudyOutcome

FILES = ("study-report.html", "study.md", "study.tex")
DATA = (
    "cells",
    "queries",
    "worth",
    "steps",
    "charges",
    "order",
    "partial",
    "designs",
    "hypotheses",
)


def write_study(outcome: StudyOutcome, folder: str | Path) -> list[Path]:
    """Write all files of a study's report into a folder; returns their paths. Tables of an earlier
    run that this one has not are removed.

    Raises RankmillError (store/files.py) when the disk refuses.
    """
    from rankmill.mining.store import files
    from rankmill.report.study.page import html  # matplotlib stays unloaded until a page is made

    place, report = files.make_folder(path_given(folder)), report_of(outcome)
    paths = [place / FACTS]
    with files.replacing(paths[0]) as stream:
        json.dump(facts_of(outcome), stream, indent=1, ensure_ascii=False)
    for name, write in zip(FILES, (html, markdown, latex), strict=True):
        with files.replacing(place / name) as stream:
            stream.write(write(report))
        paths.append(place / name)
    for name in DATA:
        table: pl.DataFrame = getattr(outcome, name)
        if not table.width:  # nothing was ordered, or no cost is known; nor left from before
            for ending in ("parquet", "csv"):
                files.remove_file(place / f"{name}.{ending}")
            continue
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


def markdown(report: StudyReport) -> str:
    """Return the same as Markdown, for a paper's appendix or an issue."""
    lines = [f"# {report.title}", ""]
    lines += [report.question, ""] if report.question else []
    lines += [*report.lead, ""]
    if report.answer:
        lines += ["## Answer", "", *(f"{n}. {text}" for n, text in enumerate(report.answer, 1)), ""]
        lines += [*(f"- {text}" for text in report.caveats), ""]
    for table in report.tables:
        lines += [f"## {table.title}", ""]
        lines += [table.say, ""] if table.say else []
        lines += [_line(table.columns)]
        others = len(table.columns) - table.heads
        lines += [_line(["---"] * table.heads + ["---:"] * others)]
        lines += [_line(row) for row in table.rows]
        lines.append("")
    if report.recipe:
        fence = "~~~~" if "```" in report.recipe else "```"
        lines += ["## Recipe", "", f"{fence}toml", report.recipe, fence, ""]
    lines += ["## Limits", "", *(f"- {note}" for note in report.notes), ""]
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
    "Δ": r"$\Delta$",
    "κ": r"$\kappa$",
    "τ": r"$\tau$",
    "√": r"$\surd$",
    "·": r"$\cdot$",
    "₂": r"$_2$",
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)
