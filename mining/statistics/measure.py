"""The stage that measures: groups or scored candidate lists in, an artifact of kind "statistics"
out.

Its table has the query and one float64 column per statistic, named by the canonical text. Undefined
is null; the manifest counts the nulls of every column by reason under `null[<column>]:<reason>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...native import scales
from ..actors import INLINE, Execution
from ..collection.rows import Qrels, check_min_grade
from ..errors import BadInput, UsageError
from ..groups.format import Groups
from ..meter.underway import so_far
from ..names import Family, unless_neutral
from ..pair_keys import pair_keys, queries_of
from ..score_kinds import RANK
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact
from ..store.tables import list_values
from .base import DUPLICATE_DOCUMENT, REASONS, STATISTICS, Rows, Statistic
from .compat import COMPAT, compat_statistics
from .density_ratio import Selection
from .disagreement import check_other, default_disagreement, other_teacher, refuse_others
from .entropy import LossFloor
from .hygiene import GroupTexts
from .locality import VectorRows
from .student import student_scores

SIMILARITY_T = 0.05
"""Temperature at which cosine similarities are measured unless another is asked for: the scale of
20 that sentence-transformers trains with. At T = 1 every cosine is a coin toss."""

_NEEDED = {
    "vectors": "the vectors of an encoder (vectors=…, --encoder PATH)",
    "query_vectors": "an encoder's vectors of the queries (query_vectors=…)",
    "labels": "judgements, which these scores lack",
    "selection": "groups: a pool was not selected",
    "texts": "groups that name their corpus",
    "student": "a student's scores of the same documents (rankmill diagnose --student S)",
    "others": "another teacher's scores of the same documents (other={LABEL: …}, --other NAME)",
}
_JUDGED = (
    "score a pool of one judged split (not of '*'), measure groups, which carry their own "
    "(--groups NAME), give qrels=… in Python, or leave it out"
)
_OTHER = "other[{}]"  # the role of another teacher's scores


def default_statistics(
    kind: str, *, labels: bool = True, vectors: bool = False, query_vectors: bool = False
) -> tuple[str, ...]:
    """Return what is measured when nothing is asked for: what score kind and inputs allow."""
    texts = list(_of_ranks(labels) if kind == RANK else _of_scores(kind, labels))
    if vectors:
        texts += [f"diameter(q={q})" for q in (1, 0.99, 0.95)]
        texts += ["radius(of=mean)", "radius(of=max)"] if labels else []
    if vectors and query_vectors:
        texts += ["radius(of=mean,to=query)"]
    return tuple(STATISTICS.text(STATISTICS.parse(text)) for text in texts)


def _of_scores(kind: str, labels: bool) -> Iterator[str]:
    on = f"(T={SIMILARITY_T},score=raw" if kind == "similarity" else "(T=1"
    scale = ",score=raw" if kind == "similarity" else ""
    yield f"pair_entropy{on})"
    if labels:
        yield from (f"pair_entropy{on},pairs={pairs})" for pairs in ("pos_neg", "neg_neg"))
    if kind != "similarity":
        yield "pair_entropy(T=1,score=logit)"
    yield from (f"misorder{on})", f"list_entropy{on})", f"list_entropy{on},normalised=true)")
    yield f"effective_size{on})"
    if labels:
        margin = SIMILARITY_T if kind == "similarity" else 0.5
        yield from ("teacher_agrees", "positive_rank", f"suspects(margin={margin}{scale})")
        yield from (f"margin(of=mean{scale})", f"margin(of=min{scale})")


def _of_ranks(labels: bool) -> Iterator[str]:
    yield "pair_entropy(T=1)"  # null: says in every table that the teacher gave ranks
    if labels:
        yield from ("teacher_agrees", "positive_rank")


def measure_groups(
    workspace: Workspace,
    groups: Artifact | str,
    statistics: Sequence[str | Statistic] | None = None,
    *,
    vectors: Artifact | None = None,
    query_vectors: Artifact | None = None,
    student: Artifact | None = None,
    other: Mapping[str, Artifact] | None = None,
    compat: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Measure every group; the rows of the result are the rows of the groups.

    `statistics`: values or canonical texts, `default_statistics` if None. `vectors` and
    `query_vectors` are artifacts of kind "vectors" for documents and queries, by ordinal, `student`
    a student's scores of the groups' documents, `other` by label other teachers' scores of them.
    What is a positive was said when the groups were selected (`Groups.min_grade`). Raises
    UsageError for an unknown statistic or one whose inputs are not there, BadInput for a score that
    is not finite and for a pair without a score of another teacher.
    """
    artifact = workspace.find(groups, "groups")
    inputs = {"groups": artifact} | _others(artifact, other)
    inputs |= _optional(vectors=vectors, query_vectors=query_vectors, student=student)
    if compat is not None and statistics is None:
        statistics = compat_statistics(compat, vectors=vectors is not None)
    least = Groups(artifact).min_grade
    return _measure(
        workspace,
        artifact,
        inputs,
        statistics,
        labels=True,
        min_grade=least,
        executor=executor,
        compat=compat,
    )


def measure_pool(
    workspace: Workspace,
    scores: Artifact | str,
    statistics: Sequence[str | Statistic] | None = None,
    *,
    qrels: Artifact | None = None,
    min_grade: int = 1,
    vectors: Artifact | None = None,
    query_vectors: Artifact | None = None,
    student: Artifact | None = None,
    other: Mapping[str, Artifact] | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Measure every query's whole list of scored candidates: pool entropy, pool diameter.

    `qrels` (documents graded `min_grade` or more are positives) serves the split of the pair
    entropy by role and what compares with a positive: of several that is the one that the teacher
    scores highest. `other`: see `measure_groups`.
    """
    artifact = workspace.find(scores, "scores")
    check_min_grade(min_grade)
    if min_grade != 1 and qrels is None:
        raise UsageError(
            f"min_grade={min_grade} needs judgements",
            do="measure scores of a judged split, or leave it out",
        )
    inputs = {"scores": artifact} | _others(artifact, other)
    given = {"vectors": vectors, "query_vectors": query_vectors, "student": student}
    inputs |= _optional(qrels=qrels, **given)
    labels = qrels is not None
    return _measure(
        workspace,
        artifact,
        inputs,
        statistics,
        labels=labels,
        min_grade=min_grade,
        executor=executor,
    )


def _optional(**artifacts: Artifact | None) -> dict[str, Artifact]:
    return {role: artifact for role, artifact in artifacts.items() if artifact is not None}


def _others(measured: Artifact, other: Mapping[str, Artifact] | None) -> dict[str, Artifact]:
    """Return other teachers' scores by role, in the order of their labels."""
    others = dict(sorted((other or {}).items()))
    refuse_others(measured, others)
    return {_OTHER.format(label): artifact for label, artifact in others.items()}


def _labels(roles: Iterable[str]) -> list[str]:
    """Return the labels of other teachers among the roles of inputs."""
    start, end = _OTHER.split("{}")
    return [role[len(start) : -len(end)] for role in roles if role.startswith(start)]


def _measure(
    workspace: Workspace,
    measured: Artifact,
    inputs: dict[str, Artifact],
    statistics: Sequence[str | Statistic] | None,
    *,
    labels: bool,
    min_grade: int,
    executor: Execution,
    compat: str | None = None,
) -> Artifact:
    family = _family(compat)
    have: set[str] = {role for role in ("vectors", "query_vectors") if role in inputs}
    kind = measured.metadata["kind"]
    others = frozenset(_labels(inputs))
    if statistics is None:
        statistics = _defaults(kind, have, labels, bool(others))
        if not labels:
            _tell_left_out(statistics, _defaults(kind, have, True, bool(others)), executor)
    texts = list(dict.fromkeys(str(family.parse(s)) for s in statistics))
    wanted = [family.parse(text) for text in texts]
    if not texts:
        raise UsageError("no statistic was asked for", do=f"known: {', '.join(family.names())}")
    have |= ({"labels"} if labels else set()) | ({"student"} & set(inputs))
    have |= ({"selection"} if measured.kind == "groups" else set()) | (
        {"others"} if others else set()
    )
    have |= {"texts"} if measured.kind == "groups" and "corpus" in measured.inputs else set()
    _refuse_missing_inputs(wanted, have)
    for statistic in wanted:
        if isinstance(statistic, LossFloor):
            statistic.check(kind)  # before any work, not in a worker
        check_other(statistic, others)
    scales_read = {text: scale for text in texts if (scale := scale_of(family.parse(text)))}
    stage = Stage(
        kind="statistics",
        parameters={
            "statistics": texts,
            "scales": scales_read,
            **unless_neutral(min_grade=(min_grade, 1), compat=(compat, None)),
        },
        inputs=inputs,
        schema=schema_of(wanted),
        shards=lambda: _shards(measured),
        worker=Measure,
        options={
            "statistics": texts,
            "compat": compat,
            "min_grade": min_grade,
            "paths": {role: str(artifact.path) for role, artifact in inputs.items()},
        },
        unit="rows",
        items="queries",
        metadata={"kind": kind}
        | {f"unit[{s}]": s.unit for s in wanted}
        | {f"scale[{text}]": scale for text, scale in scales_read.items()},
    )
    return workspace.build(stage, executor)


def _defaults(kind: str, have: set[str], labels: bool, others: bool) -> tuple[str, ...]:
    own = default_statistics(kind, labels=labels, **dict.fromkeys(have, True))
    return (*own, *(default_disagreement(labels) if others else ()))


def _tell_left_out(chosen: Sequence[str], judged: Sequence[str], executor: Execution) -> None:
    left_out = ", ".join(text for text in judged if text not in chosen)
    executor.progress.announce(
        f"without judgements of these scores, left out: {left_out}; "
        "a pool of one judged split has them, and so have groups"
    )


def _family(compat: str | None) -> Family:
    """Return our statistics or, behind the switch, the reference's: never both in one table."""
    if compat is None:
        return STATISTICS
    compat_statistics(compat)  # refuses an unknown switch
    return COMPAT


def _refuse_missing_inputs(wanted: Sequence[Statistic], have: set[str]) -> None:
    for statistic in wanted:
        for need in sorted(statistic.needs - have):
            do = _JUDGED if need == "labels" else "declare it, or leave it out"
            raise UsageError(f"{statistic} needs {_NEEDED[need]}", do=do)


def scale_of(statistic: Statistic) -> str:
    """Return the score scale that a statistic reads, also where its text leaves it out; empty for
    one that reads no distances between scores."""
    if not hasattr(statistic, "score"):
        return ""
    return str(statistic.score)


def schema_of(statistics: Sequence[Statistic]) -> pa.Schema:
    """Return the schema of a statistics table; a column's unit and score scale are its metadata."""
    fields = [pa.field("query", pa.uint32(), nullable=False)]
    for value in statistics:
        metadata = {"unit": value.unit, "statistic": str(value)}
        metadata |= {"scale": scale} if (scale := scale_of(value)) else {}
        fields.append(pa.field(str(value), pa.float64(), metadata=metadata))
    return pa.schema(fields)


def measure(rows: Rows, statistics: Sequence[Statistic]) -> Output:
    """Measure rows in memory: the table, and how many values are null for which reason."""
    columns: list[pa.Array] = [pa.array(np.ascontiguousarray(rows.query, np.uint32))]
    counts: dict[str, int] = {}
    twice = rows.once("duplicates", lambda: _with_duplicates(rows))
    for number, statistic in enumerate(statistics):
        so_far(number, len(statistics))
        values, status = statistic.measure(rows)
        status = np.where(twice & (status == scales.DEFINED), DUPLICATE_DOCUMENT, status)
        columns.append(pa.array(values, mask=status != scales.DEFINED))
        for code in np.unique(status[status != scales.DEFINED]):
            counts[f"null[{statistic}]:{REASONS[int(code)]}"] = int((status == code).sum())
    return Output(pa.Table.from_arrays(columns, schema=schema_of(statistics)), counts=counts)


def _with_duplicates(rows: Rows) -> np.ndarray:
    """Flag rows that hold a document twice: copies add a bit per pair to D3, so nothing is measured
    there.
    """
    lengths = np.diff(rows.offsets)
    key = pair_keys(np.repeat(np.arange(len(rows)), lengths), rows.doc)
    if not (key[1:] > key[:-1]).all():  # candidate lists ascend already
        key = np.sort(key)
    flags = np.zeros(len(rows), bool)
    flags[queries_of(key[1:][key[1:] == key[:-1]])] = True
    return flags


class Measure:
    """The worker: keeps the inputs open and measures one range of queries at a time."""

    def __init__(
        self,
        statistics: Sequence[str],
        paths: dict[str, str],
        compat: str | None,
        min_grade: int = 1,
    ):
        self.statistics = [_family(compat).stored(text) for text in statistics]
        artifacts = {role: open_artifact(Path(path)) for role, path in paths.items()}
        self.read = _read_groups if "groups" in artifacts else _read_scores
        self.measured = artifacts["groups" if "groups" in artifacts else "scores"]
        self.bounds = _first_rows(self.measured)
        self.positives = (
            _positive_keys(artifacts["qrels"], min_grade) if "qrels" in artifacts else None
        )
        self.extra: dict[str, Any] = {
            role: VectorRows(artifacts[role])
            for role in ("vectors", "query_vectors")
            if role in artifacts
        }
        if "student" in artifacts:
            self.extra["student"] = student_scores(artifacts["student"])
        self.extra["others"] = {
            label: other_teacher(artifacts[_OTHER.format(label)], label) for label in _labels(paths)
        }
        if any("selection" in statistic.needs for statistic in self.statistics):
            self.extra["selection"] = Selection(self.measured)
        if any("texts" in statistic.needs for statistic in self.statistics):
            self.extra["texts"] = GroupTexts(self.measured)

    def __call__(self, shard: Shard) -> Output:
        """Measure the rows of queries number start…stop−1."""
        start, stop = int(self.bounds[shard.start]), int(self.bounds[shard.stop])
        arrays = self.read(self.measured, start, stop, self.positives)
        rows = Rows(**arrays, kind=self.measured.metadata["kind"], **self.extra)
        return measure(rows, self.statistics)


def _first_rows(artifact: Artifact) -> np.ndarray:
    """Return the first row of every query, and the number of rows: the keys of the plan (int64)."""
    parts = [table["query"].to_numpy() for table in artifact.tables()]
    query = np.concatenate(parts) if parts else np.empty(0, np.uint32)
    if not len(query):
        return np.zeros(1, np.int64)
    changes = np.flatnonzero(query[1:] != query[:-1]) + 1
    return np.concatenate([[0], changes, [len(query)]]).astype(np.int64)


def _shards(artifact: Artifact) -> list[Shard]:
    """One shard per part of the input: it was cut by work already."""
    bounds = _first_rows(artifact)
    ends = [int(np.searchsorted(bounds, p.start + p.rows)) for p in artifact.parts]
    starts = [0, *ends[:-1]]
    return [
        Shard(i, start, stop, max(1, part.rows))
        for i, (start, stop, part) in enumerate(zip(starts, ends, artifact.parts, strict=True))
    ] or [Shard(0, 0, 0, 0)]


def _read_groups(
    artifact: Artifact, start: int, stop: int, positives: np.ndarray | None
) -> dict[str, Any]:
    groups = Groups(artifact, level=2)
    read = groups.rows(start, stop)
    return {
        "query": read.query,
        "offsets": np.arange(len(read) + 1, dtype=np.int64) * groups.size,
        "doc": read.doc.reshape(-1),
        "scores": read.score.reshape(-1),
        "positive": groups.positive(read).reshape(-1).astype(np.uint8),
    }


def _read_scores(
    artifact: Artifact, start: int, stop: int, positives: np.ndarray | None
) -> dict[str, Any]:
    pieces = []
    for part in artifact.parts:
        low, high = max(start, part.start), min(stop, part.start + part.rows)
        if low < high:
            pieces.append(artifact.table(part.number).slice(low - part.start, high - low))
    table = pa.concat_tables(pieces) if pieces else artifact.table(0).slice(0, 0)
    query = table["query"].to_numpy()
    offsets, doc = list_values(table["doc"])
    _, scores = list_values(table["logit"])
    positive = np.zeros(len(doc), np.uint8)
    if positives is not None:
        keys = pair_keys(np.repeat(query, np.diff(offsets)), doc)
        positive = np.isin(keys, positives).astype(np.uint8)
    columns = {"query": query, "offsets": offsets, "doc": doc, "scores": scores}
    return columns | {"positive": positive, "pooled": True}


def _positive_keys(qrels: Artifact, min_grade: int) -> np.ndarray:
    """Return query·2³² + doc of every judgement of grade `min_grade` or more."""
    if qrels.kind != "qrels":
        raise BadInput(f"a {qrels.kind} is not qrels", where=qrels.path)
    return Qrels(qrels).positive_keys(min_grade)
