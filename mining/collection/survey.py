"""One look through everything a reader offers before anything is written.

It finds what is wrong or odd (ids twice, judgements of unknown ids, nothing to find), does with it
what the policies say, and plans the parts. Memory: 24 bytes per document and the judgements; no
text and no map of the corpus is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import BadInput
from ..store import Shard
from .base import Judged, Outline, Reader, hashes_of, without_text
from .policies import Oddities, option
from .rows import first_ten

if TYPE_CHECKING:
    import polars as pl

PART_ROWS = 262_144
PART_BYTES = 256 << 20
_BLOCK = 8192

Item = TypeVar("Item")


@dataclass(slots=True)
class Rows:
    """What becomes of the rows of the corpus or the queries.

    `plan`: parts in numbers of rows that are kept. `keep`: bool [rows of the source], None for all.
    `hashes`: uint64, ascending, of the ids that are kept. `emptied`: ids of dropped empty queries.
    """

    plan: list[Shard]
    keep: np.ndarray | None
    hashes: np.ndarray
    odd: Oddities
    emptied: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))


@dataclass(slots=True)
class Survey:
    """What is written: the rows by role (corpus, queries), and the judgements of each split."""

    texts: dict[str, Rows]
    judged: dict[str, Judged] = field(default_factory=dict)
    odd: dict[str, Oddities] = field(default_factory=dict)


def look_through(reader: Reader, splits: Iterable[str], has_queries: bool) -> Survey:
    """Check everything; raises BadInput, and nothing has been written by then."""
    odd = {split: reader.odd("qrels", split) for split in splits}
    judged = {split: _judgements(reader, split, odd[split]) for split in odd}
    queries = _rows(reader, "queries") if has_queries else None
    corpus = _rows(reader, "corpus")
    texts = {"corpus": corpus} | ({"queries": queries} if queries is not None else {})
    survey = Survey(texts, judged, odd)
    if queries is not None:
        _drop_of_emptied(survey, queries)
        _dangling(reader, survey, "queries", queries)
        _dangling(reader, survey, "corpus", corpus)
        for split in judged:
            check_positives(reader, split, survey.judged[split])
    return survey


def blocks(items: Iterable[Item], size: int = _BLOCK) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one shorter."""
    stream = iter(items)
    while block := list(islice(stream, size)):
        yield block


# ---- judgements -------------------------------------------------------------------------------


def _judgements(reader: Reader, split: str, odd: Oddities) -> Judged:
    """Return the judgements of one split, each pair once, as the policies have it."""
    import polars as pl

    judged = reader.judgements(split)
    pairs = pl.DataFrame(
        {
            "query": pl.from_arrow(judged.query_ids),
            "doc": pl.from_arrow(judged.doc_ids),
            "grade": judged.grades,
        }
    ).with_row_index("row")
    by_pair = pairs.group_by("query", "doc").agg(
        pl.col("row").min().alias("first"),
        pl.col("row").max().alias("last"),
        pl.col("grade").n_unique().alias("grades"),
        pl.col("row").sort_by("grade", "row", descending=[True, False]).first().alias("highest"),
        pl.len().alias("lines"),
    )
    repeated = by_pair.filter(pl.col("lines") > 1)
    if not len(repeated):
        return judged
    clashing = repeated.filter(pl.col("grades") > 1).sort("first")
    action = reader.on["conflicting_qrel"]
    if len(clashing) and action == "refuse":
        raise BadInput(
            f"{len(clashing):,} pairs are judged twice with different grades: "
            + first_ten([f"{q} {d}" for q, d in clashing.head(11).select("query", "doc").rows()])
            + _both(judged, clashing),
            where=reader.place("qrels", split),
            do="keep one line for each pair of query and document, or choose one: "
            + " or ".join(option("conflicting_qrel", a) for a in ("keep_first", "keep_highest")),
        )
    surplus = len(judged) - len(by_pair)
    if len(repeated) > len(clashing) and reader.on["duplicate_qrel"] == "refuse":
        shown = repeated.filter(pl.col("grades") == 1).sort("first")["last"]
        raise BadInput(
            f"{len(shown):,} pairs are judged twice with the same grade: "
            f"{first_ten([judged.told(int(row)) for row in shown.head(11)])}",
            where=reader.place("qrels", split),
            do=f"keep one line for each pair, or {option('duplicate_qrel', 'keep_first')}",
        )
    odd.add("conflicting_qrel", len(clashing), (judged.short(int(r)) for r in clashing["last"]))
    odd.counts["repeated"] = surplus
    chosen = {"keep_last": "last", "keep_highest": "highest"}.get(action, "first")
    keep = np.zeros(len(judged), dtype=bool)
    keep[by_pair[chosen if len(clashing) else "first"].to_numpy()] = True
    return judged.filter(keep)


def _both(judged: Judged, clashing: pl.DataFrame) -> str:
    first, last = (judged.told(int(clashing[column][0])) for column in ("first", "last"))
    return f"; the first: {first} and {last}"


def _drop_of_emptied(survey: Survey, queries: Rows) -> None:
    """Drop the judgements of empty queries that were dropped."""
    if not len(queries.emptied):
        return
    for split, judged in survey.judged.items():
        gone = pc.is_in(judged.query_ids, value_set=queries.emptied).to_numpy(zero_copy_only=False)
        _drop(survey, split, gone, "qrel_of_empty_query")


def _dangling(reader: Reader, survey: Survey, role: str, rows: Rows) -> None:
    """Refuse or drop judgements whose query or document is not there.

    By hash: an id of equal hash is taken for known, and the writer, which compares ids, refuses it.
    """
    unknown: dict[str, np.ndarray] = {}
    for split, judged in survey.judged.items():
        ids = judged.query_ids if role == "queries" else judged.doc_ids
        hashes = hashes_of(ids)
        place = np.minimum(np.searchsorted(rows.hashes, hashes), max(len(rows.hashes) - 1, 0))
        unknown[split] = rows.hashes[place] != hashes
    affected = [split for split, mask in unknown.items() if mask.any()]
    if affected and reader.on["dangling_qrel"] == "refuse":
        raise _unknown_ids(reader, survey, role, {s: unknown[s] for s in affected})
    for split in affected:
        _drop(survey, split, unknown[split], "dangling_qrel")


def _unknown_ids(
    reader: Reader, survey: Survey, role: str, unknown: dict[str, np.ndarray]
) -> BadInput:
    named: dict[str, None] = {}
    for split, mask in unknown.items():
        judged = survey.judged[split]
        ids = judged.query_ids if role == "queries" else judged.doc_ids
        named |= dict.fromkeys(ids.filter(pa.array(mask)).to_pylist())
    noun = "documents" if role == "corpus" else "queries"
    lines = sum(int(mask.sum()) for mask in unknown.values())
    clean = sorted(set(survey.judged) - set(unknown))
    others = f", or read only the splits without any: --split {' --split '.join(clean)}"
    return BadInput(
        f"the judgements name {len(named):,} unknown {noun}: {first_ten(list(named))}",
        where="; ".join(
            survey.judged[split].place(int(np.flatnonzero(mask)[0]))
            + (", the first of them" if mask.sum() > 1 else "")
            for split, mask in unknown.items()
        ),
        do=f"their ids must stand in {reader.place(role)}, byte for byte; to leave these "
        f"{lines:,} judgements out and count them: {option('dangling_qrel', 'drop')}"
        + (others if clean else ""),
    )


def _drop(survey: Survey, split: str, gone: np.ndarray, kind: str) -> None:
    judged = survey.judged[split]
    rows = np.flatnonzero(gone)
    survey.odd[split].add(kind, len(rows), (judged.short(int(row)) for row in rows))
    if len(rows):
        survey.judged[split] = judged.filter(~gone)


def check_positives(reader: Reader, split: str, judged: Judged) -> None:
    """Refuse a split without positives, unless it is wanted all the same."""
    if (judged.grades >= 1).any() or reader.on["no_positives"] == "keep":
        return
    place = reader.place("qrels", split)
    in_memory = place.startswith("qrels")
    raise BadInput(
        f"the split {split!r} has no positives: none of its {len(judged):,} judgements has a "
        "grade of at least 1",
        where=place,
        do='give what answers a query a grade of 1 or more, {"q1": {"d1": 1}}, for training and '
        f"evaluation need it; or, to keep it all the same, {option('no_positives', 'keep')}"
        if in_memory
        else "columns are query id, document id, grade; remove a file that is not needed, name the "
        f"splits that are (--split), or {option('no_positives', 'keep')}",
    )


# ---- documents and queries --------------------------------------------------------------------


def _rows(reader: Reader, role: str) -> Rows:
    """Plan the parts of the corpus or the queries; sees to ids that stand twice and empty rows."""
    noun = "documents" if role == "corpus" else "queries"
    hashes, lengths, empty = [], [], []
    total = 0
    for block in reader.outline(role):
        _refuse_unnamed(block, noun)
        hashes.append(block.hashes)
        lengths.append(block.sizes)
        empty += _empty(reader, role, block, total)
        total += len(block)
    if not total:
        raise BadInput(
            f"there are no {noun}: empty {role}", where=reader.place(role), do="check the file"
        )
    odd = reader.odd(role)
    every, sizes = np.concatenate(hashes), np.concatenate(lengths)
    keep = np.ones(total, dtype=bool)
    emptied = [(row, row_id) for row, row_id, _ in empty]
    keep[[row for row, _ in emptied]] = False
    odd.add("empty_query", len(empty), (told for _, _, told in empty))
    ordered = np.sort(every)
    doubled = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(doubled):
        _see_to_duplicates(reader, role, np.isin(every, doubled) & keep, keep, odd)
    whole = bool(keep.all())
    return Rows(
        plan_of(sizes if whole else sizes[keep]),
        None if whole else keep,
        ordered if whole else np.sort(every[keep]),
        odd,
        pa.array([row_id for _, row_id in emptied], pa.string()),
    )


def _refuse_unnamed(block: Outline, noun: str) -> None:
    bare = np.flatnonzero(np.asarray(pc.binary_length(block.shown.ids)) == 0)
    if len(bare):
        raise BadInput(
            f"the id is empty ({len(bare):,} such {noun} nearby)",
            where=block.shown.place(int(bare[0])),
            do="give every row an id, or take the line away",
        )


def plan_of(sizes: np.ndarray) -> list[Shard]:
    """Cut rows of these sizes (bytes, int64) into parts of at most PART_ROWS and PART_BYTES."""
    total = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    plan: list[Shard] = []
    start = 0
    while start < len(sizes) or not plan:
        stop = int(np.searchsorted(total, total[start] + PART_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), start + PART_ROWS, len(sizes))
        plan.append(Shard(len(plan), start, stop, stop - start))
        start = stop
    return plan


def _empty(reader: Reader, role: str, outline: Outline, before: int) -> list[tuple[int, str, str]]:
    """Return (row, id, id and place) of empty queries that are to be dropped, or refuse them."""
    kind = reader.on.of_empty(role)
    action, block = reader.on[kind], outline.shown
    if action == "keep":
        return []
    rows = np.flatnonzero(without_text(block))
    if len(rows) and action == "refuse":
        row = int(rows[0])
        raise BadInput(
            f"the text of {block.ids[row].as_py()!r} is empty",
            where=block.place(row),
            do=f"leave it out, or {option(kind, 'keep')}",
        )
    named = ((r, int(outline.odd[r]), block.ids[r].as_py()) for r in rows.tolist())
    return [(before + row, row_id, f"{row_id} ({block.short(r)})") for r, row, row_id in named]


@dataclass(slots=True)
class _Twice:
    """An id that occurs more than once: the row that counts, what it holds, and where it stands."""

    row: int
    content: tuple[str | None, str]
    place: str
    short: str


def _see_to_duplicates(
    reader: Reader, role: str, suspects: np.ndarray, keep: np.ndarray, odd: Oddities
) -> None:
    """Clear `keep` for rows whose id stands twice; `suspects`: whose hash does."""
    seen: dict[str, _Twice] = {}
    same: dict[str, str] = {}
    clash: dict[str, str] = {}
    again = {"duplicate_row": 0, "conflicting_row": 0}
    places: dict[str, str] = {}
    for row_id, suspect in _suspects(reader, role, suspects):
        first = seen.setdefault(row_id, suspect)
        if first is suspect:
            continue
        kind, told = (
            ("duplicate_row", same)
            if first.content == suspect.content
            else (
                "conflicting_row",
                clash,
            )
        )
        told.setdefault(row_id, f"{row_id} ({first.short} and {suspect.short})")
        places.setdefault(kind, f"{first.place} and {suspect.place}")
        again[kind] += 1
        if kind == "conflicting_row" and reader.on[kind] == "keep_last":
            keep[first.row], seen[row_id] = False, suspect
        else:
            keep[suspect.row] = False
    noun = "document" if role == "corpus" else "query"
    if clash and reader.on["conflicting_row"] == "refuse":
        raise BadInput(
            f"{len(clash):,} {noun} ids occur more than once: {first_ten(list(clash))}, "
            f"with different texts; the first: {places['conflicting_row']}",
            where=reader.place(role),
            do="give every row an id of its own; ids are compared byte for byte; or choose: "
            + " or ".join(option("conflicting_row", a) for a in ("keep_first", "keep_last")),
        )
    if same and reader.on["duplicate_row"] == "refuse":
        raise BadInput(
            f"{len(same):,} {noun} ids occur more than once: {first_ten(list(same))}",
            where=reader.place(role),
            do=f"keep one row of each, or {option('duplicate_row', 'keep_first')}",
        )
    odd.add("duplicate_row", again["duplicate_row"], same.values())
    odd.add("conflicting_row", again["conflicting_row"], clash.values())


def _suspects(reader: Reader, role: str, suspects: np.ndarray) -> Iterator[tuple[str, _Twice]]:
    """Yield id, content and place of the suspected rows: the source is read once more."""
    before = 0
    for block in reader.documents() if role == "corpus" else reader.queries():
        for row in np.flatnonzero(suspects[before : before + len(block)]).tolist():
            title = None if block.titles is None else block.titles[row].as_py()
            content = (title, block.texts[row].as_py())
            yield (
                block.ids[row].as_py(),
                _Twice(before + row, content, block.place(row), block.short(row)),
            )
        before += len(block)
