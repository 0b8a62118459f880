"""Training groups that others published, as groups of ours: the way back from an export."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import Collection, TextTable, first_ten, resolve
from ..errors import BadInput, UsageError
from ..inputs.id_map import ID_MAP
from ..inputs.row_shapes import first_twice, shown
from ..names import Call, unless_neutral
from ..score_kinds import RANK, SCORE_KINDS
from ..store import Artifact, Output, Shard, Stage, Workspace, split_by_work
from ..store.files import sha256_of
from ..store.tables import groups_schema
from ..teachers.contract import RANGES, outside, range_text
from .files import group_rows, layout_of
from .format import GroupArrays, groups_table
from .rows import GroupRow

_HASHED_APART = 4
_SHARD_QUERIES = 250_000
SHORT, NO_POSITIVE, _KEPT = "too_few_documents", "no_positive", ""


@dataclass(frozen=True, slots=True)
class _GroupFile:
    """A file by ordinals, queries ascending; queries without a group that was kept, by the reason;
    and how many groups were left out for it. `column`: that of the scores, where it goes by their
    kind."""

    arrays: GroupArrays
    dropped: dict[str, np.ndarray]
    groups_dropped: dict[str, int]
    column: str | None = None

    @property
    def queries(self) -> np.ndarray:
        """Every query of the file, ascending."""
        return np.unique(np.concatenate([self.arrays.query, *self.dropped.values()]))


def import_groups(
    workspace: Workspace,
    path: str | Path,
    collection: Collection,
    *,
    form: str,
    kind: str,
    size: int | None = None,
    teacher: str = "imported",
    executor: Execution = INLINE,
) -> Artifact:
    """Read groups of one of the layouts in `group_files.LAYOUTS` into a groups artifact.

    `path`: the file, or the folder of an export. `kind` says what the scores are. Without `size`
    all groups must be of one size; with it longer groups keep their first `size` documents, and
    queries whose groups are all shorter are dropped with the reason `too_few_documents`. Queries
    whose groups name no positive are dropped with the reason `no_positive`. Positives are grade 1,
    all else 0; how likely a negative was to be drawn is not known (NaN).

    Raises BadInput with the line for a score that is not a finite number or a group that is not
    well formed (a document twice, one document alone), and with the first ten for ids or texts that
    the collection lacks.
    """
    _check_request(kind, size)
    place = Path(path).expanduser().absolute()
    content = _content(place, form)
    request = (str(place), content, form, str(collection.artifact.path), size, kind)
    read = _read(*request)
    _check_range(read.arrays.score, kind, place)
    queries = read.queries
    strategy = str(Call("imported", named=(("content", content[:8]), ("format", form))))
    parameters = {
        "strategy": strategy,
        "content": content,
        "format": form,
        "kind": kind,
        "size": read.arrays.size,
        "teacher": teacher,
        "min_grade": 1,
        "positives": "together",
        # What is left out is counted by group since groups without a positive are.
        **unless_neutral(left_out=("counted" if read.groups_dropped else None, None)),
        **unless_neutral(column=(read.column, None)),
    }
    stage = Stage(
        kind="groups",
        parameters=parameters,
        inputs={"corpus": collection.corpus.artifact, "queries": collection.queries.artifact},
        schema=groups_schema(read.arrays.size),
        shards=lambda: split_by_work(np.ones(len(queries)), _SHARD_QUERIES),
        worker=_Importer,
        options={"request": request},
        metadata={"kind": kind, "teacher": teacher, "strategy": strategy, "split": "*"},
        unit="queries",
    )
    made = workspace.build(stage, Execution(progress=executor.progress))  # one file, read once
    _read.cache_clear()
    return made


def _check_request(kind: str, size: int | None) -> None:
    if size is not None and size < 2:
        raise UsageError(f"size={size} is no group", do="a positive and a negative: 2 or more")
    known = [k for k in SCORE_KINDS if k != RANK]  # no trainer's groups hold ranks
    if kind not in known:
        raise UsageError(
            f"kind={kind} is no kind of a group's scores",
            do=f"one of {', '.join(known)}; ranks are imported --as scores",
        )


def _check_range(scores: np.ndarray, kind: str, place: Path) -> None:
    flat = scores.reshape(-1)
    wrong = outside(flat, RANGES[kind])
    if len(wrong):
        raise BadInput(
            f"the score {flat[wrong[0]]:g} is no {kind}, whose range is "
            f"{range_text(RANGES[kind])} ({len(wrong):,} such scores)",
            where=place,
            do="declare the kind that these scores are; logit and similarity have no bounds",
        )


class _Importer:
    """Hands out the groups of a range of the file's queries."""

    def __init__(self, request: tuple[Any, ...]):
        self.found = _read(*request)
        self.queries = self.found.queries

    def __call__(self, shard: Shard) -> Output:
        queries = self.queries[shard.start : shard.stop]
        low, high = np.searchsorted(self.found.arrays.query, [queries[0], queries[-1] + 1])
        without = {
            reason: np.intersect1d(queries, lost) for reason, lost in self.found.dropped.items()
        }
        left_out = {f"groups_{why}": n for why, n in self.found.groups_dropped.items()}
        return Output(
            groups_table(self.found.arrays[int(low) : int(high)]),
            dropped={reason: lost.tolist() for reason, lost in without.items() if len(lost)},
            counts=left_out if shard.number == 0 else {},
        )


def _content(place: Path, form: str) -> str:
    """Hash what will be read: the file, and what stands beside it."""
    read = layout_of(form).files(place)
    names = (ID_MAP, "teacher.json", "teacher.json.gz")
    beside = [read[0].parent / name for name in names]
    used = [*read, *(f for f in beside if f.is_file() and f not in read)]
    if len(used) > _HASHED_APART:
        return hashlib.sha256("".join(map(sha256_of, used)).encode()).hexdigest()
    return "".join(sha256_of(f)[: 64 // len(used)] for f in used)


@lru_cache(maxsize=1)
def _read(
    file: str, content: str, form: str, collection: str, size: int | None, kind: str
) -> _GroupFile:
    """Read the whole file; `content` is its hash, so that the cache knows its age."""
    whole, rows = Collection.at(collection), list(group_rows(Path(file), form, kind))
    if not rows:
        raise BadInput("the file holds no group", where=file, do="check how it was written")
    wanted = _size(rows, size, file)
    by_text = layout_of(form).by_text
    query = _ordinals([row.query for row in rows], whole.queries, by_text, file)
    reasons = np.array([_reason(row, wanted) for row in rows])
    kept = np.flatnonzero(reasons == _KEPT)
    if not len(kept):
        short = bool((reasons == SHORT).all())
        raise BadInput(
            f"no group has {wanted} documents" if short else "no group has a positive",
            where=file,
            do="say a smaller --size" if short else "which documents are relevant must stand there",
        )
    order = kept[np.argsort(query[kept], kind="stable")]
    chosen = [rows[i] for i in order]
    for row in chosen:
        _refuse_twice(row, wanted)
    flat = [doc for row in chosen for doc in row.docs[:wanted]]
    doc = _ordinals(flat, whole.corpus, by_text, file).reshape(-1, wanted)
    positives = np.array([row.positives for row in chosen])
    arrays = GroupArrays(
        query=query[order],
        doc=doc,
        score=np.array([row.scores[:wanted] for row in chosen], np.float32),
        grade=_grades(chosen, wanted),
        inclusion=np.where(np.arange(wanted) < positives[:, None], 1, np.nan).astype(np.float32),
    )
    lost, dropped = np.setdiff1d(query, arrays.query), {}
    for reason in (SHORT, NO_POSITIVE):  # a query is dropped once, for the first that holds
        dropped[reason] = np.intersect1d(lost, query[reasons == reason])
        lost = np.setdiff1d(lost, dropped[reason])
    counts = {reason: int((reasons == reason).sum()) for reason in dropped}
    column = next((row.column for row in rows if row.column), None)
    return _GroupFile(arrays, dropped, {reason: n for reason, n in counts.items() if n}, column)


def _grades(rows: list[GroupRow], wanted: int) -> np.ndarray:
    """Return the grades, int8 [n, wanted]: 1 for positives and 0 else where the file has none."""
    grades = np.zeros((len(rows), wanted), np.int8)
    for at, row in enumerate(rows):
        if row.grades is None:
            grades[at, : row.positives] = 1
        else:
            grades[at] = row.grades[:wanted]
    return grades


def _size(rows: list[GroupRow], size: int | None, file: str) -> int:
    """Return the size of the groups: as said, else that of all of them."""
    lengths = np.array([len(row.docs) for row in rows])
    wanted = size or int(lengths.max())
    if size is None and lengths.min() < wanted:
        raise BadInput(
            f"groups of {lengths.min()} to {wanted} documents; a data set has one size",
            where=file,
            do="say --size: longer groups are cut, queries with shorter ones dropped",
        )
    if wanted < 2:
        row = rows[0]
        raise BadInput(
            f"the group of query {row.query!r} holds "
            + (f"one document, {row.docs[0]!r}" if row.docs else "no document"),
            where=str(row.place),
            do="a group is a positive and at least one negative",
        )
    return wanted


def _reason(row: GroupRow, wanted: int) -> str:
    """Say why a group cannot be kept; `_KEPT` where it can."""
    if len(row.docs) < wanted:
        return SHORT
    return _KEPT if row.positives else NO_POSITIVE


def _refuse_twice(row: GroupRow, wanted: int) -> None:
    doc = first_twice(row.docs[:wanted])
    if doc is not None:
        raise BadInput(
            f"the group of query {shown(row.query)} holds the document {shown(doc)} twice",
            where=str(row.place),
            do="keep one of the two, with its score",
        )


def _ordinals(names: list[str], table: TextTable, by_text: bool, file: str) -> np.ndarray:
    """Return the uint32 ordinal of each id, or of each text."""
    column = "text" if by_text else table.id_column
    wanted = pa.array(names, pa.large_string())
    columns = (part[column].cast(pa.large_string()) for _, part in table.parts())
    rows = resolve(wanted, columns)
    lost = np.unique(np.flatnonzero(rows < 0))
    if len(lost):
        unknown = list(dict.fromkeys(names[int(i)] for i in lost))
        what = "texts" if by_text else "ids"
        raise BadInput(
            f"{len(unknown):,} {table.noun} {what} are not in the collection: "
            f"{first_ten([one[:60] for one in unknown])}",
            where=file,
            do=f"is this the right collection? {what} are compared byte for byte",
        )
    return rows.astype(np.uint32)
