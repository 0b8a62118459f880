"""Rows of artifacts for people: a line for each document of a list, a block for each query."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rankmill.cli import streams
from rankmill.mining.exports.rows import Resolver, aligned, cell, stored_rows
from rankmill.mining.parts.told import counted
from rankmill.mining.score_kinds import as_shown, name_of

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

LISTED = 10  # documents of a list
GROUPED = 32  # documents of a group, which is what is looked at
_WIDEST_CELL, _SOME_WORDS = 24, 8  # characters
_OF_SOURCE = re.compile(r"(rank|score)\[(.*)\]")


def tell_rows(artifact: Artifact, count: int | None) -> None:
    """Print the first rows: lists document by document, wide tables column by column."""
    named, shown = Resolver(artifact), 0
    for number, table in enumerate(stored_rows(artifact, count)):
        if _has_lists(table) and "doc" in named.rows:
            for row in _lists(table):
                if shown:
                    streams.tell("")
                _tell_list(artifact, named, row)
                shown += 1
        else:
            _tell_table(named(table), first=number == 0)
            shown += table.num_rows
    streams.tell(f"{shown:,} of {counted(artifact.rows, 'row')}")


# ---- lists of documents ----------------------------------------------------------------------


def _has_lists(table: pa.Table) -> bool:
    """Say whether each row is a query with a list of documents; of judgements it is a query and one
    document."""
    there = {"query", "doc"} <= {*table.column_names}
    return there and pa.types.is_nested(table.schema.field("doc").type)


@dataclass(frozen=True, slots=True)
class _Row:
    """One query with its list: columns by name, each as long as the list; `alone` are the row's
    other values."""

    query: int
    doc: np.ndarray
    columns: dict[str, np.ndarray]
    alone: dict[str, Any]


def _lists(table: pa.Table) -> Iterator[_Row]:
    names = [n for n in table.column_names if n not in ("query", "doc")]
    lists = [n for n in names if pa.types.is_nested(table.schema.field(n).type)]
    for at in range(table.num_rows):
        columns = {n: np.asarray(table[n][at].values.to_numpy(zero_copy_only=False)) for n in lists}
        doc = np.asarray(table["doc"][at].values.to_numpy(zero_copy_only=False))
        alone = {name: table[name][at].as_py() for name in names if name not in lists}
        for name in [one for one in columns if len(columns[one]) != len(doc)]:
            alone[name] = columns.pop(name).tolist()  # of the query, not of its documents
        yield _Row(int(table["query"][at].as_py()), doc, columns, alone)


def _tell_list(artifact: Artifact, named: Resolver, row: _Row) -> None:
    """Print a query, and its documents as far as a screen reaches."""
    queries = named.rows["query"]
    query_id = named.ids("query", np.array([row.query], np.uint32))[0].as_py()
    text = queries.texts(np.array([row.query], np.uint32))[0]
    streams.tell(f"{streams.on_one_line(query_id)}  {_start(text)}")
    if row.alone:
        streams.tell("  " + ", ".join(f"{name} {cell(one)}" for name, one in row.alone.items()))
    if not len(row.doc):
        streams.tell("  an empty list")
        return
    order = _order(artifact.kind, row)
    most = GROUPED if artifact.kind == "groups" else LISTED
    _print(artifact, named, row, order[:most])
    if len(order) > most:
        more = len(order) - most
        streams.tell(f"  and {more:,} more; --format jsonl, csv or parquet has them all")


def _order(kind: str, row: _Row) -> np.ndarray:
    """Return the places of the documents as they are shown: scores and pools, stored by document,
    best first."""
    if kind == "scores":
        return np.lexsort((row.doc, -np.nan_to_num(row.columns["logit"], nan=-np.inf)))
    if kind == "pool":
        ranks = [r.astype(np.int64) for n, r in row.columns.items() if n.startswith("rank[")]
        best = np.min([np.where(r > 0, r, 1 << 30) for r in ranks], axis=0)
        return np.lexsort((row.doc, best))
    return np.arange(len(row.doc))


def _print(artifact: Artifact, named: Resolver, row: _Row, order: np.ndarray) -> None:
    headings, cells = _columns(artifact, row, order)
    ids = [streams.on_one_line(one) for one in named.ids("doc", row.doc[order]).to_pylist()]
    texts = [_start(text) for text in named.rows["doc"].texts(row.doc[order])]
    ranked = artifact.kind in ("run", "scores")
    places = [str(place + 1) for place in range(len(order))]
    heads = ["rank" if ranked else "#", "document", *headings]
    print_with_text(heads, [places, ids, *cells], texts)


def print_with_text(
    headings: Sequence[str],
    columns: Sequence[Sequence[str]],
    texts: Sequence[str],
    *,
    least: int = 16,
) -> None:
    """Print columns as wide as they are, and in what is left of each line the start of a text.

    The first two columns are a place and an id. A text has `least` characters; 0: none where there
    is no room for some words.
    """
    from rich.cells import cell_len
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold", pad_edge=False, box=None)
    widths, worded = [], []
    for number, (heading, column) in enumerate(zip(headings, columns, strict=True)):
        widest = max([*map(cell_len, column), *map(len, re.split(r"[ ,]", heading))], default=0)
        widths.append(min(widest, _WIDEST_CELL))
        worded.append(number == 1 or any(" " in one.strip() for one in column))
    room = streams.width() - sum(widths) - 2 * len(widths)
    while room < least - 2 and (wide := _widest(widths, worded)) is not None:
        widths[wide] -= 1
        room += 1
    for heading, width, words in zip(headings, widths, worded, strict=True):
        justify: Any = "left" if words else "right"
        table.add_column(heading, justify=justify, width=width, overflow="fold")
    if has_room := least > 0 or room >= _SOME_WORDS:
        table.add_column("text", no_wrap=True, overflow="ellipsis", width=max(room, least))
    for number, text in enumerate(texts):
        table.add_row(*(column[number] for column in columns), *([text] if has_room else []))
    streams.print_table(table)


def _widest(widths: Sequence[int], worded: Sequence[bool]) -> int | None:
    """Return the widest column of words that can be narrower; None where none can."""
    open_ = [n for n, words in enumerate(worded) if words and widths[n] > _SOME_WORDS]
    return max(open_, key=lambda n: widths[n], default=None)


def _columns(artifact: Artifact, row: _Row, order: np.ndarray) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells between document and text: a score by its kind, of a pool one
    column for each source with rank and score."""
    headings, cells = [], []
    sources: dict[str, dict[str, np.ndarray]] = {}
    for name, values in row.columns.items():
        if match := _OF_SOURCE.fullmatch(name):
            sources.setdefault(match[2], {})[match[1]] = values[order]
            continue
        scored = (artifact.kind, name) in (("scores", "logit"), ("groups", "score"))
        kind = artifact.metadata.get("kind", "") if scored else ""
        headings.append(name_of(kind) if kind else name)
        shown = as_shown(values, kind)[order] if kind else values[order]
        cells.append(aligned(shown.tolist()))
    for label, columns in sources.items():
        headings.append(label.partition("(")[0] if _is_plain(label, sources) else label)
        ranks, scores = columns["rank"].tolist(), aligned(columns["score"].tolist())
        wide = max(len(str(rank)) for rank in ranks)
        places = [f"#{rank}".ljust(wide + 1) if rank else "" for rank in ranks]
        pairs = zip(places, scores, strict=True)
        cells.append([f"{place} {score}" if place else "–" for place, score in pairs])
    return headings, cells


def _is_plain(label: str, labels: Sequence[str] | dict[str, Any]) -> bool:
    """Say whether the word before the brackets tells a source from the others."""
    words = [one.partition("(")[0] for one in labels]
    return words.count(label.partition("(")[0]) == 1


def _start(text: str) -> str:
    """Return the beginning of a text, on one line."""
    return streams.on_one_line(" ".join(text[:400].split()))


# ---- flat tables -----------------------------------------------------------------------------


def _tell_table(table: pa.Table, *, first: bool) -> None:
    """Print a flat table, where it is wider than the terminal a block for each row."""
    from rankmill.cli.rows import for_people

    width = sum(max(len(name), 4) + 3 for name in table.column_names)
    if width <= max(streams.width(), 40):
        streams.print_table(for_people(table))
        return
    wide = max(len(name) for name in table.column_names)
    for number, row in enumerate(table.to_pylist()):
        if number or not first:
            streams.tell("")
        for name, value in row.items():
            if name == "query_id" and "query_text" in row:
                streams.tell(f"{cell(value)}  {_start(row['query_text'])}")
            elif name != "query_text" or "query_id" not in row:
                streams.tell(f"  {name:<{wide}}  {cell(value):>12}")
