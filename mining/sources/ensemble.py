"""The ensemble source: the best of several runs, cleared of what a teacher takes for relevant.

The recipe of the public sentence-transformers hard negatives: documents of BM25 and of several
dense systems are joined, a teacher scores them, and a document stays only where it scores clearly
below the weakest judged positive of its query. The public MS MARCO training scripts of
sentence-transformers walk each system's list until n documents have passed, not counting what an
earlier system gave: that is `take=passing`. Without it the first n of each list are joined, and
what does not pass is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..actors import Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.rows import Qrels, check_min_grade
from ..errors import BadInput, UsageError
from ..names import Call, neutral, parse, unless_neutral
from ..options import Option
from ..parts.costs import TEACHER
from ..parts.parameters import DIRECTION, MIN_GRADE
from ..runs.run import build_run, run_table
from ..score_kinds import has_probability
from ..store import Artifact, Output, Shard, Workspace, open_artifact, split_by_work
from ..store.tables import list_values
from ..teachers import score_pool
from ..teachers.base import check_written as check_teacher
from ..teachers.direction import check_choice
from .base import SOURCES, check_written, mines

UNITS = ("raw", "logit", "logprob")
TAKES = ("first", "passing")
_SHARD_PAIRS = 4_000_000


@SOURCES.register("ensemble", TEACHER)
@dataclass(frozen=True, slots=True)
class Ensemble:
    """Documents of each run `of`, `per_source` of them, scored by `teacher`, best first.

    `take`: `first` (the default, not printed) joins the first `per_source` of each run and leaves
    out what does not pass; `passing`, the public recipe, walks the first `within` of each run, in
    the order of `of`, until `per_source` pass that no run before has given.

    A document stays where score ≤ weakest positive − `margin`; the margin has a `unit`: raw (that
    of the teacher's score, or ranks), logit, or logprob (where 0.05 means 95 % of the positive's
    probability). A difference means the same for scores of either sign; a share of a raw score
    would not, so there is none. Positives, graded `min_grade` (1) or more, are left out. A query
    without a judged positive keeps everything, unless `margin` is given: then nothing proves its
    documents negative and its list is empty. `margin=none` only leaves the positives out.
    `direction=trusted`: do not ask which way the teacher's scores run.
    """

    of: Annotated[tuple[Any, ...], Option("Runs by name.", example="[RUN,OTHER]")]
    teacher: Annotated[
        str,
        Option("Who scores: a teacher, or a model folder.", example="cross_encoder(model=PATH)"),
    ]
    per_source: Annotated[int, Option("Taken from each run.", unit="documents")] = 50
    margin: Annotated[
        float | None,
        Option("How far below the weakest positive a document must score; default: anywhere."),
    ] = None
    unit: Annotated[str, Option("Unit of the margin: raw, logit or logprob.")] = "raw"
    take: Annotated[
        str | None,
        Option("first: of each run the first ones; passing: the first that pass the margin."),
    ] = None
    within: Annotated[
        int | None, Option("With take=passing: how far down each run is walked.", unit="documents")
    ] = None
    min_grade: Annotated[int, MIN_GRADE] = neutral(1)
    direction: Annotated[str | None, DIRECTION] = None

    def __post_init__(self) -> None:
        check_min_grade(self.min_grade)
        check_choice(self.direction)
        object.__setattr__(self, "take", None if self.take == "first" else self.take)
        if self.take not in (None, *TAKES):
            raise UsageError(f"take={self.take} is not known", do=f"one of {', '.join(TAKES)}")
        if (self.take is None) != (self.within is None):
            raise UsageError(
                f"take={self.take or 'first'} and within={self.within} do not go together",
                do="write take=passing,within=200: how deep each run is scored and looked through",
            )
        if self.within is not None and self.within < self.per_source:
            raise UsageError(
                f"within={self.within} is less than per_source={self.per_source}",
                do="look through more of each run than it shall give",
            )
        if not self.of:
            raise UsageError("an ensemble needs runs", do="write ensemble(of=[a,b],teacher=T)")
        if self.per_source < 1:
            raise UsageError(f"per_source={self.per_source} must be at least 1")
        if self.unit not in UNITS:
            raise UsageError(f"unit={self.unit} is not known", do=f"one of {', '.join(UNITS)}")
        for member in self.of:
            check_written(member)
        check_teacher(self.teacher)
        if self.margin is not None and not abs(self.margin) < float("inf"):
            raise UsageError(f"margin={self.margin} is not a margin", do="give a number")


@mines(Ensemble)
def mine_ensemble(
    workspace: Workspace,
    source: Ensemble,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Join the runs, score the union (each pair once per teacher) and clear it.

    Members given as sources are mined `per_source` deep, or `within`. Raises UsageError for a unit
    that the teacher's kind does not have, BadInput for a split without judgements.
    """
    if split == EVERY_QUERY:
        raise BadInput("the ensemble looks at judged positives", do="name a judged split")
    labels, pool, scores = _scored(workspace, source, collection, split, seed, executor)
    kind = scores.metadata["kind"]
    if source.unit != "raw" and not has_probability(kind):
        raise UsageError(f"a {kind} has no {source.unit}", do="write unit=raw")
    named: tuple[tuple[str, Any], ...] = (
        ("of", tuple(parse(label) for label in labels)),
        ("teacher", parse(scores.metadata["teacher"])),
        ("per_source", source.per_source),
        ("margin", source.margin),
        ("unit", source.unit),
        *unless_neutral(min_grade=(source.min_grade, 1)).items(),
    )
    if source.take is not None:
        named += (("take", source.take), ("within", source.within))
    return build_run(
        workspace,
        str(Call("ensemble", named=named)),
        collection,
        split,
        depth=depth,
        worker=EnsembleWorker,
        options={
            "scores": str(scores.path),
            "qrels": str(collection.qrels_artifact(split).path),
            "kind": kind,
            "margin": source.margin,
            "unit": source.unit,
            "depth": depth,
            "min_grade": source.min_grade,
            "pool": None if source.take is None else str(pool.path),
            "labels": labels,
            "per_source": source.per_source,
        },
        shards=lambda: split_by_work(_lengths(scores), _SHARD_PAIRS),
        inputs={"scores": scores} | ({} if source.take is None else {"pool": pool}),
        metadata={"teacher": scores.metadata["teacher"], "kind": kind},
        executor=executor,
    )


def _scored(
    workspace: Workspace,
    source: Ensemble,
    collection: Collection,
    split: str,
    seed: int,
    executor: Execution,
) -> tuple[list[str], Artifact, Artifact]:
    """Return the labels of the runs, their union with the judged positives, and its scores."""
    from ..runs.pool import pool_runs
    from . import run_of

    depth = source.within or source.per_source
    runs = [
        run_of(workspace, str(one), collection, split, depth=depth, seed=seed, executor=executor)
        for one in source.of
    ]
    members = [run.artifact for run in runs]
    pool = pool_runs(
        workspace,
        members,
        collection=collection,
        split=split,
        min_grade=source.min_grade,
        depth=depth,
        executor=executor,
    )
    way = source.direction or "judged"  # changes no score, so it is no part of the label
    scores = score_pool(
        workspace, source.teacher, pool, collection=collection, direction=way, executor=executor
    )
    if scores.rows != pool.rows:
        raise BadInput(
            f"the teacher leaves out {pool.rows - scores.rows} queries, a run answers all",
            where=scores.path,
            do="use missing=drop_doc, or a teacher that scores every pair",
        )
    return [run.label for run in runs], pool, scores


def _lengths(scores: Artifact) -> np.ndarray:
    return np.concatenate([np.diff(list_values(t["doc"])[0]) + 1 for t in scores.tables()])


class EnsembleWorker:
    """Clears and sorts rows of a scores artifact."""

    def __init__(
        self,
        scores: str,
        qrels: str,
        kind: str,
        margin: float | None,
        unit: str,
        depth: int,
        pool: str | None,
        labels: list[str],
        per_source: int,
        min_grade: int = 1,
    ):
        from ..runs.pool import Pool

        self.scores, self.qrels = open_artifact(scores), Qrels(open_artifact(qrels))
        self.kind, self.margin, self.unit, self.depth = kind, margin, unit, depth
        self.pool = None if pool is None else Pool(open_artifact(pool))
        self.labels, self.per_source = labels, per_source
        self.min_grade = min_grade

    def __call__(self, shard: Shard) -> Output:
        """Return the lists of rows start…stop−1; counts what the margin and the quota remove."""
        queries: list[int] = []
        docs: list[np.ndarray] = []
        values: list[np.ndarray] = []
        counts = {"positives": 0, "within_margin": 0, "queries_without_positive": 0}
        counts["beyond_quota"] = 0
        for row, (query, doc, score) in enumerate(self._rows(shard), shard.start):
            positive = np.isin(doc, self.qrels.positives(query, self.min_grade))
            scaled = on_unit(score, self.kind, self.unit)
            keep = ~positive
            if self.margin is not None and positive.any():
                keep &= scaled <= scaled[positive].min() - self.margin
                counts["within_margin"] += int((~positive & ~keep).sum())
            elif self.margin is not None:
                keep[:] = False
                counts["queries_without_positive"] += 1
            counts["positives"] += int(positive.sum())
            if self.pool is not None:
                taken = passing(keep, self._ranks(row, doc), self.per_source)
                counts["beyond_quota"] += int((keep & ~taken).sum())
                keep = taken
            order = np.lexsort((doc[keep], -score[keep]))[: self.depth]
            queries.append(query)
            docs.append(doc[keep][order])
            values.append(score[keep][order])
        offsets = np.cumsum([0, *map(len, docs)])
        flat = [np.concatenate(v) if v else np.empty(0) for v in (docs, values)]
        table = run_table(np.asarray(queries, dtype=np.uint32), offsets, *flat)
        return Output(table, counts={name: n for name, n in counts.items() if n})

    def _ranks(self, row: int, doc: np.ndarray) -> list[np.ndarray]:
        """Return the rank of each scored document in every run, in the order of `of`."""
        assert self.pool is not None
        number = next(p.number for p in self.pool.artifact.parts if row < p.start + p.rows)
        part = self.pool.part(number)
        row -= self.pool.artifact.parts[number].start
        items = slice(int(part.offsets[row]), int(part.offsets[row + 1]))
        at = np.searchsorted(part.doc[items], doc)  # a teacher may leave documents out
        return [part.rank[label][items][at] for label in self.labels]

    def _rows(self, shard: Shard) -> Any:
        for part in self.scores.parts:
            low, high = max(shard.start, part.start), min(shard.stop, part.start + part.rows)
            if low >= high:
                continue
            table = self.scores.table(part.number)
            offsets, doc = list_values(table["doc"])
            score = list_values(table["logit"])[1]
            query = table["query"].to_numpy()
            for at in range(low - part.start, high - part.start):
                piece = slice(int(offsets[at]), int(offsets[at + 1]))
                yield int(query[at]), doc[piece], score[piece]


def passing(passes: np.ndarray, ranks: list[np.ndarray], most: int) -> np.ndarray:
    """Say which documents are taken, bool [n]: run after run, its first `most` that pass.

    passes bool [n]; ranks: of each run uint16 [n], 1-based, 0 = not found. A document that a run
    before has given does not count again.
    """
    taken = np.zeros(len(passes), dtype=bool)
    for rank in ranks:
        fresh = np.flatnonzero(passes & ~taken & (rank > 0))
        taken[fresh[np.argsort(rank[fresh], kind="stable")][:most]] = True
    return taken


def on_unit(score: np.ndarray, kind: str, unit: str) -> np.ndarray:
    """Return scores (float64) as stored, as logits, or as log-probabilities ln σ(z)."""
    values = score.astype(np.float64)
    with np.errstate(divide="ignore"):
        if kind == "probability" and unit != "raw":
            kind, values = "log-prob", np.log(values)
        if unit == "logit" and kind == "log-prob":
            return values - np.log1p(-np.exp(values))
        if unit == "logprob" and kind == "logit":
            return -np.logaddexp(0.0, -values)
    return values
