"""Training groups that others published, as groups of ours: the way back from an export."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.policies import Policies, option, policies_of
from ..collection.rows import TextTable, first_ten, resolve
from ..errors import BadInput, UsageError
from ..inputs.given_paths import path_given
from ..inputs.id_map import ID_MAP
from ..inputs.row_shapes import first_twice, shown
from ..names import Call, unless_neutral
from ..pair_keys import pair_keys
from ..score_kinds import RANK, SCORE_KINDS
from ..store import Artifact, Output, Shard, Stage, Workspace, split_by_work
from ..store.files import sha256_of
from ..store.tables import groups_schema
from ..teachers.contract import RANGES, outside, range_text, survey_given, tell_arrival
from .files import group_rows, layout_of
from .format import GroupArrays, groups_table
from .odd import (
    AGAIN,
    CLASH,
    EXCLUDED,
    GROUP_KINDS,
    NO_POSITIVE,
    REPEATED,
    SHORT,
    UNKNOWN,
    OddGroups,
    of_two_scores,
    twice,
)
from .rows import GroupRow

_HASHED_APART = 4
_SHARD_QUERIES = 250_000


@dataclass(frozen=True, slots=True)
class _GroupFile:
    """A file by ordinals, queries ascending; queries without a group that was kept, by the reason;
    what was odd about groups and scores, by kind, and the first ten of each. `column`: that of the
    scores, where it goes by their kind."""

    arrays: GroupArrays
    dropped: dict[str, np.ndarray]
    counts: dict[str, int]
    examples: dict[str, list[str]]
    column: str | None = None

    @property
    def odd(self) -> dict[str, Any]:
        """What is not as in every file, as parameters. The manifest says what is odd by kind; one
        that has nothing to say is as it ever was."""
        odd = unless_neutral(odd=("counted" if self.counts else None, None))
        return odd | unless_neutral(column=(self.column, None))

    @property
    def queries(self) -> np.ndarray:
        """Every query of the file that is kept or dropped, ascending."""
        return np.unique(np.concatenate([self.arrays.query, *self.dropped.values()]))


def import_groups(
    workspace: Workspace,
    path: str | Path,
    collection: Collection,
    *,
    form: str,
    kind: str,
    size: int | None = None,
    on: Sequence[str] | Mapping[str, str] = (),
    teacher: str = "imported",
    split: str = EVERY_QUERY,
    executor: Execution = INLINE,
) -> Artifact:
    """Read groups of one of the layouts in `group_files.LAYOUTS` into a groups artifact.

    `path`: the file, or the folder of an export. `kind` says what the scores are. Without `size`
    all groups must be of one size; with it longer groups keep their first `size` documents, and
    shorter ones are left out. `on`: what is done with odd groups, `kind=action` (`odd`); what is
    not refused is counted by kind, with the first ten, and queries without a group are dropped.
    `split`: whose judgements are those of the groups, by default none's.
    Positives are grade 1, all else 0; how likely a negative was to be drawn is not known (NaN).

    Raises BadInput with the line for a score that is not a finite number or a group that is not
    well formed (a document twice, one document alone), for documents that the judgements exclude,
    and with the first ten for ids or texts that the collection lacks.
    """
    _check_request(kind, size)
    policies = policies_of(on, GROUP_KINDS)
    place = path_given(path).absolute()
    content = _content(place, form)
    chosen = tuple(sorted(policies.chosen.items()))
    request = (str(place), content, form, str(collection.artifact.path), size, kind, chosen)
    read = _read(*request)
    _check_range(read.arrays.score, kind, place)
    queries = read.queries
    strategy = str(Call("imported", named=(("content", content[:8]), ("format", form))))
    named = {"strategy": strategy, "content": content, "format": form, "kind": kind}
    parameters = {
        **named,
        **{"size": read.arrays.size, "teacher": teacher, "min_grade": 1, "positives": "together"},
        **read.odd,
        **policies.identity(*GROUP_KINDS),
        **_judged(collection, policies),
        **unless_neutral(split=(split, EVERY_QUERY)),
    }
    stage = Stage(
        kind="groups",
        parameters=parameters,
        inputs={"corpus": collection.corpus.artifact, "queries": collection.queries.artifact},
        schema=groups_schema(read.arrays.size),
        shards=lambda: split_by_work(np.ones(len(queries)), _SHARD_QUERIES),
        worker=_Importer,
        options={"request": request},
        metadata={"kind": kind, "teacher": teacher, "strategy": strategy, "split": split},
        unit="queries",
    )
    made = workspace.build(stage, Execution(progress=executor.progress))  # one file, read once
    _read.cache_clear()
    tell_arrival(made)
    return made


def _judged(collection: Collection, on: Policies) -> dict[str, Any]:
    """Return the judgements that groups with excluded documents are known by, as parameters:
    without such groups, which the default sees to, nothing depends on them."""
    if on[EXCLUDED] == "refuse":
        return {}
    splits = {split: collection.qrels_artifact(split).fingerprint for split in collection.splits}
    return {"judged": splits, "excluded_grade": collection.excluded_grade}


def _check_request(kind: str, size: int | None) -> None:
    if size is not None and size < 2:
        raise UsageError(f"size={size} is no group", do="a positive and a negative: 2 or more")
    known = [k for k in SCORE_KINDS if k != RANK]  # no trainer's groups hold ranks
    if kind not in known:
        raise UsageError(
            f"kind={kind} is no kind of a group's scores",
            do=f"one of {', '.join(known)}; ranks: rankmill import FILE --as scores --kind rank",
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
        self.file = _read(*request)
        self.queries = self.file.queries

    def __call__(self, shard: Shard) -> Output:
        queries = self.queries[shard.start : shard.stop]
        low, high = np.searchsorted(self.file.arrays.query, [queries[0], queries[-1] + 1])
        without = {
            reason: np.intersect1d(queries, lost) for reason, lost in self.file.dropped.items()
        }
        first = shard.number == 0
        return Output(
            groups_table(self.file.arrays[int(low) : int(high)]),
            dropped={reason: lost.tolist() for reason, lost in without.items() if len(lost)},
            counts=self.file.counts if first else {},
            examples=self.file.examples if first else {},
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
    file: str,
    content: str,
    form: str,
    collection: str,
    size: int | None,
    kind: str,
    on: tuple[tuple[str, str], ...],
) -> _GroupFile:
    """Read the whole file; `content` is its hash, so that the cache knows its age."""
    whole, by_text = Collection.at(collection), layout_of(form).by_text
    odd = OddGroups.of(group_rows(Path(file), form, kind), policies_of(dict(on), GROUP_KINDS))
    if not odd.rows:
        raise BadInput("the file holds no group", where=file, do="check how it was written")
    names = [row.query for row in odd.rows]
    query = _found(names, whole.queries, by_text)
    every = np.arange(len(odd.rows))
    _judge_unknown(odd, every, query, names, whole.queries, by_text)
    _refuse_nothing(odd, file)
    wanted = _size([odd.rows[at] for at in odd.kept], size)
    odd.judge([i for i in odd.kept if len(odd.rows[i].docs) < wanted], SHORT)
    odd.judge([i for i in odd.kept if not odd.rows[i].positives], NO_POSITIVE)
    _refuse_nothing(odd, file, wanted)
    for at in odd.kept:
        _refuse_twice(odd.rows[at], wanted)
    place, doc = _documents(odd, wanted, whole, by_text, file)
    order = np.argsort(query[place], kind="stable")
    place, doc = place[order], doc[order]
    arrays = _arrays([odd.rows[at] for at in place], query[place], doc, wanted)
    for refused, why in (
        (_excluded(arrays, whole), EXCLUDED),
        (twice(arrays), AGAIN),
        (of_two_scores(arrays), CLASH),
    ):
        odd.judge(place[refused], why)
    stays = odd.reasons[place] == ""
    _refuse_nothing(odd, file)
    arrays = arrays[stays]
    lost, dropped = np.setdiff1d(query[query >= 0], arrays.query), dict[str, np.ndarray]()
    for reason in GROUP_KINDS:  # a query is dropped once, for the first that holds
        dropped[reason] = np.intersect1d(lost, query[odd.reasons == reason]).astype(np.uint32)
        lost = np.setdiff1d(lost, dropped[reason])
    offsets = np.arange(0, arrays.score.size + 1, wanted)
    counts = survey_given(arrays.score.reshape(-1), offsets, kind)
    del counts["lists"]  # they are the rows
    column = next((row.column for row in odd.rows if row.column), None)
    dropped = {reason: queries for reason, queries in dropped.items() if len(queries)}
    return _GroupFile(arrays, dropped, odd.counts | counts, odd.examples, column)


def _refuse_nothing(odd: OddGroups, file: str, wanted: int = 0) -> None:
    """Raise BadInput where no group is left, with the reasons."""
    if len(odd.kept):
        return
    reasons = sorted(set(odd.reasons))
    if reasons == [SHORT]:
        said, do = f"no group has {wanted} documents", "say a smaller --size"
    elif set(reasons) <= {SHORT, NO_POSITIVE}:
        said, do = "no group has a positive", "which documents are relevant must stand there"
    else:
        said = f"no group is left: all are left out by {', '.join(reasons)}"
        do = "is this the right file, and the right collection?"
    raise BadInput(said, where=file, do=do)


def _judge_unknown(
    odd: OddGroups,
    place: np.ndarray,
    ordinals: np.ndarray,
    names: list[str],
    table: TextTable,
    by_text: bool,
) -> None:
    """Refuse, or leave out, the groups at some rows with a name that was not found: a row of
    `ordinals` for each."""
    lost = np.flatnonzero(ordinals.reshape(-1) < 0)
    rows = place[lost // (ordinals.size // max(1, len(ordinals)))]
    if len(lost) and odd.on[UNKNOWN] == "refuse":
        unknown = list(dict.fromkeys(names[int(i)] for i in lost))
        what, told = "texts" if by_text else "ids", first_ten([one[:60] for one in unknown])
        more = ", the first of them" if len(unknown) > 1 else ""
        raise BadInput(
            f"{len(unknown):,} {table.noun} {what} are not in the collection: {told}"
            if len(unknown) > 1
            else f"the {table.noun} {what[:-1]} {told} is not in the collection",
            where=f"{odd.rows[rows[0]].place}{more}",
            do=f"is this the right collection? {what} are compared byte for byte; "
            f"{option(UNKNOWN, 'drop')} leaves such groups out",
        )
    odd.leave_out(np.unique(rows), UNKNOWN)


def _documents(
    odd: OddGroups, wanted: int, whole: Collection, by_text: bool, file: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are kept and the ordinals of their documents: int64 [n], uint32 [n,
    wanted]."""
    place = odd.kept
    flat = [doc for at in place for doc in odd.rows[at].docs[:wanted]]
    doc = _found(flat, whole.corpus, by_text).reshape(-1, wanted)
    _judge_unknown(odd, place, doc, flat, whole.corpus, by_text)
    _refuse_nothing(odd, file)
    stays = odd.reasons[place] == ""
    return place[stays], doc[stays].astype(np.uint32)


def _arrays(rows: list[GroupRow], query: np.ndarray, doc: np.ndarray, wanted: int) -> GroupArrays:
    positives = np.array([row.positives for row in rows])
    return GroupArrays(
        query=query.astype(np.uint32),
        doc=doc,
        score=np.array([row.scores[:wanted] for row in rows], np.float32),
        grade=_grades(rows, wanted),
        inclusion=np.where(np.arange(wanted) < positives[:, None], 1, np.nan).astype(np.float32),
    )


def _excluded(groups: GroupArrays, collection: Collection) -> np.ndarray:
    """Return the groups with a document that is excluded from their query: int64, ascending."""
    out = groups.grade == collection.excluded_grade
    keys = pair_keys(groups.query[:, None], groups.doc)
    for split in collection.splits:
        barred = collection.qrels(split).excluded_keys
        if len(barred):
            out |= np.isin(keys, barred)
    return np.flatnonzero(out.any(axis=1))


def _grades(rows: list[GroupRow], wanted: int) -> np.ndarray:
    """Return the grades, int8 [n, wanted]: 1 for positives and 0 else where the file has none."""
    grades = np.zeros((len(rows), wanted), np.int8)
    for at, row in enumerate(rows):
        if row.grades is None:
            grades[at, : row.positives] = 1
        else:
            grades[at] = row.grades[:wanted]
    return grades


def _size(rows: list[GroupRow], size: int | None) -> int:
    """Return the size of the groups: as said, else that of all of them."""
    lengths = np.array([len(row.docs) for row in rows])
    wanted = size or int(lengths.max())
    if size is None and lengths.min() < wanted:
        raise BadInput(
            f"groups of {lengths.min()} to {wanted} documents; a data set has one size",
            where=f"{rows[int(lengths.argmin())].place}, the first of {lengths.min()}",
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


def _refuse_twice(row: GroupRow, wanted: int) -> None:
    doc = first_twice(row.docs[:wanted])
    if doc is not None:
        raise BadInput(
            f"the group of query {shown(row.query)} holds the document {shown(doc)} twice",
            where=str(row.place),
            do="keep one of the two, with its score, or say "
            + " or ".join(option(REPEATED, action) for action in ("keep_first", "drop")),
        )


def _found(names: list[str], table: TextTable, by_text: bool) -> np.ndarray:
    """Return the ordinal of each id, or of each text: int64, −1 where it is not there."""
    column = "text" if by_text else table.id_column
    columns = (part[column].cast(pa.large_string()) for _, part in table.parts())
    return resolve(pa.array(names, pa.large_string()), columns)
