"""Training groups that others published, as groups of ours: the way back from an export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import Collection, TextTable, first_ten, resolve
from ..errors import BadInput, UsageError
from ..names import Call
from ..score_kinds import RANK, SCORE_KINDS
from ..store import Artifact, Output, Shard, Stage, Workspace, split_by_work
from ..store.files import sha256_of
from ..store.tables import groups_schema
from ..teachers.contract import RANGES, outside, range_text
from .files import ID_MAP, GroupRow, group_rows, layout_of
from .format import GroupArrays, groups_table

_SHARD_QUERIES = 250_000
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class _GroupFile:
    """A file by ordinals, queries ascending; `short` are the queries whose groups are too small."""

    arrays: GroupArrays
    short: np.ndarray


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
    queries whose groups are all shorter are dropped with the reason `too_few_documents`. Positives
    are grade 1, all else 0; how likely a negative was to be drawn is not known (NaN).

    Raises BadInput with the line for a score that is not a finite number or a group that is not
    well formed, and with the first ten for ids or texts that the collection lacks.
    """
    place = Path(path).expanduser().absolute()
    known = [k for k in SCORE_KINDS if k != RANK]  # no trainer's groups hold ranks
    if kind not in known:
        raise UsageError(
            f"kind={kind} is no kind of a group's scores",
            do=f"one of {', '.join(known)}; ranks are imported --as scores",
        )
    content = _content(place, form)
    request = (str(place), content, form, str(collection.artifact.path), size)
    read = _read(*request)
    _check_range(read.arrays.score, kind, place)
    queries = np.union1d(read.arrays.query, read.short)
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
        self.queries = np.union1d(self.found.arrays.query, self.found.short)

    def __call__(self, shard: Shard) -> Output:
        queries = self.queries[shard.start : shard.stop]
        low, high = np.searchsorted(self.found.arrays.query, [queries[0], queries[-1] + 1])
        short = np.intersect1d(queries, self.found.short)
        return Output(
            groups_table(self.found.arrays[int(low) : int(high)]),
            dropped={"too_few_documents": short.tolist()} if len(short) else {},
        )


def _content(place: Path, form: str) -> str:
    """Hash what will be read: the file, and what stands beside it."""
    file = place / layout_of(form).file if place.is_dir() else place
    beside = [file.parent / ID_MAP, file.parent / "teacher.json"]
    if not file.is_file():
        raise BadInput("there is no such file", where=file, do="give the file, or its folder")
    used = [file, *(f for f in beside if f.is_file() and f != file)]
    return "".join(sha256_of(f)[: 64 // len(used)] for f in used)


@lru_cache(maxsize=1)
def _read(file: str, content: str, form: str, collection: str, size: int | None) -> _GroupFile:
    """Read the whole file; `content` is its hash, so that the cache knows its age."""
    whole, rows = Collection.at(collection), list(group_rows(Path(file), form))
    if not rows:
        raise BadInput("the file holds no group", where=file, do="check how it was written")
    lengths = np.array([len(row.docs) for row in rows])
    wanted = size or int(lengths.max())
    if size is None and lengths.min() < wanted:
        raise BadInput(
            f"groups of {lengths.min()} to {wanted} documents; a data set has one size",
            where=file,
            do="say --size: longer groups are cut, queries with shorter ones dropped",
        )
    by_text = layout_of(form).by_text
    query = _ordinals([row.query for row in rows], whole.queries, by_text, file)
    kept = np.flatnonzero(lengths >= wanted)
    if not len(kept):
        raise BadInput(f"no group has {wanted} documents", where=file, do="say a smaller --size")
    order = kept[np.argsort(query[kept], kind="stable")]
    chosen = [rows[i] for i in order]
    flat = [doc for row in chosen for doc in row.docs[:wanted]]
    doc = _ordinals(flat, whole.corpus, by_text, file).reshape(-1, wanted)
    positives = np.array([row.positives for row in chosen])
    arrays = GroupArrays(
        query=query[order],
        doc=doc,
        score=_scores(chosen, wanted, file),
        grade=(np.arange(wanted) < positives[:, None]).astype(np.int8),
        inclusion=np.where(np.arange(wanted) < positives[:, None], 1, np.nan).astype(np.float32),
    )
    return _GroupFile(arrays, np.setdiff1d(query, arrays.query))


def _scores(rows: list[GroupRow], size: int, file: str) -> np.ndarray:
    for row in rows:
        for doc, score in zip(row.docs[:size], row.scores, strict=False):
            number = isinstance(score, int | float) and not isinstance(score, bool)
            if not (number and math.isfinite(score) and abs(score) <= _FLOAT32_MAX):
                raise BadInput(
                    f"the score of document {doc!r} is {score!r}, not a finite number",
                    where=f"{file}, line {row.line}",
                    do="leave the group out, or give every document its score",
                )
    return np.array([row.scores[:size] for row in rows], np.float32)


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
