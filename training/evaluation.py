"""How good is a run: measures per query, kept.

Measures are named as in ir_measures (`nDCG@10 AP R@100 Judged@10 AP(rel=2)`) and computed by it,
but for the pair-wise risk, which is ours (pair_risk.py). The mean is over all judged queries of the
split; one without documents in the run counts 0. Only a risk may be undefined, and is then null.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ..mining.actors import INLINE, Execution
from ..mining.collection import Collection, Corpus, Qrels, Queries
from ..mining.errors import BadInput, UsageError, warn
from ..mining.runs.itself import COUNT, of_query, pairs_of_split
from ..mining.runs.run import Run
from ..mining.store import (
    Artifact,
    Output,
    Shard,
    Stage,
    Workspace,
    open_artifact,
    split_by_work,
)
from .measures import DEFAULT_MEASURES, parse_measures, per_query
from .pair_risk import Judgements, Lists, PairRisk
from .scored_lists import FROM_SCORES, run_of_scores
from .trained_on import judged_and_trained_on, told

TIES = ("list", "trec")
UNANSWERED = "judged_queries_unanswered"
TRAINED_ON = "judged_queries_trained_on"  # in the ledger: it says what the student is, not the run
_SHARD_PAIRS = 1 << 20


def evaluate_run(
    workspace: Workspace,
    run: Artifact | str,
    *,
    collection: Collection | Artifact | str,
    split: str,
    measures: str | Sequence[str] = DEFAULT_MEASURES,
    ties: str = "list",
    self_rule: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Judge a run, or scores of a pool, by the qrels of a split; returns an "evaluation" artifact.

    One row per judged query, ascending: query uint32 and a float64 column per measure. `ties`:
    `list` judges the run in its own order (equal scores by document ordinal, in an imported run by
    its ranks); `trec` orders equal scores by falling doc_id, as trec_eval does, to meet published
    digits. Two kinds of documents are taken out of the rankings before anything is measured, and
    counted: those with the excluded grade (`excluded:by_judgement`), and by `self_rule` those that
    are the query itself (`excluded:self`), see `mining.runs.itself`.

    Warns of judged queries that a student was trained on. Raises UsageError for a measure or tie
    rule that is not known, BadInput for a run of another collection or a split without judgements.
    """
    named = [str(m) for m in parse_measures(measures)]
    if ties not in TIES:
        raise UsageError(f"ties={ties} is not one of {', '.join(TIES)}")
    artifact, held = workspace.find(run), Collection.open(workspace, collection)
    if artifact.kind == "scores":
        artifact = run_of_scores(workspace, artifact, held, split, executor)
    artifact = workspace.find(artifact, "run")
    refuse_other_texts(artifact, held)
    qrels = held.qrels_artifact(split)
    judged = Qrels(qrels)
    rule = held.self_rule if self_rule is None else self_rule
    own = pairs_of_split(held, split, rule)
    barred = judged.excluded_keys
    schema = pa.schema([("query", pa.uint32()), *((name, pa.float64()) for name in named)])
    stage = Stage(
        kind="evaluation",
        parameters={"measures": named, "ties": ties, "split": split}
        | ({"self_rule": rule} if len(own) else {})
        | ({"excluded": "left_out"} if len(barred) else {}),
        inputs={"run": artifact, "qrels": qrels, "corpus": held.corpus.artifact},
        schema=schema,
        shards=lambda: split_by_work(_work(judged, Run(artifact)), _SHARD_PAIRS),
        unit="pairs",
        worker=EvaluationWorker,
        options={
            "run": str(artifact.path),
            "qrels": str(qrels.path),
            "corpus": str(held.corpus.artifact.path),
            "measures": named,
            "ties": ties,
            "own": own,
            "trained_on": _trained_on(artifact, held, judged),
        },
        metadata={"source": artifact.metadata["source"], "split": split},
    )
    return workspace.build(stage, executor)


def _trained_on(run: Artifact, held: Collection, judged: Qrels) -> np.ndarray:
    """Return the judged queries (uint32) that a student behind the run was trained on, and warn of
    them; they are counted in the ledger."""
    seen = judged_and_trained_on(run, held.queries, judged.queries)
    if len(seen):
        warn(told(len(seen), len(judged.queries), judged.artifact.metadata["split"]))
    return seen


class Evaluation:
    """An evaluation, read: values per query and their means."""

    def __init__(self, artifact: Artifact):
        if artifact.kind != "evaluation":
            raise BadInput(f"a {artifact.kind} is not an evaluation", where=artifact.path)
        self.artifact = artifact
        table = pa.concat_tables(artifact.tables())
        self.query: np.ndarray = table["query"].to_numpy()
        self.measures: tuple[str, ...] = tuple(artifact.parameters["measures"])
        self._columns = {name: table[name].to_numpy() for name in self.measures}

    @classmethod
    def open(cls, workspace: Workspace, name: str | Artifact) -> Evaluation:
        """Open an evaluation by name, fingerprint or artifact."""
        return cls(workspace.find(name, "evaluation"))

    @property
    def source(self) -> str:
        """The label of the run that was judged."""
        return self.artifact.metadata["source"]

    @property
    def trained_on(self) -> np.ndarray:
        """The judged queries (uint32, ascending) that a student behind the run was trained on."""
        run = self.artifact.input("run")
        return judged_and_trained_on(run, Queries(run.input("queries")), self.query)

    def values(self, measure: str) -> np.ndarray:
        """Return float64 [queries], in ascending order of queries; NaN where it is undefined."""
        name = str(parse_measures(measure)[0])
        if name not in self._columns:
            raise BadInput(
                f"{name} was not measured",
                where=self.artifact.path,
                do=f"measured were {', '.join(self.measures)}; evaluate again with it",
            )
        return self._columns[name]

    def mean(self, measure: str) -> float:
        """Return the mean over all judged queries, of a risk over those that have one."""
        return mean_of_defined(self.values(measure))

    def means(self) -> dict[str, float]:
        """Return the mean of every measure."""
        return {name: self.mean(name) for name in self.measures}


def macro_mean(evaluations: Sequence[Evaluation], measure: str) -> float:
    """Return the mean of the data sets' means: every data set counts the same."""
    return float(np.mean([e.mean(measure) for e in evaluations]))


def micro_mean(evaluations: Sequence[Evaluation], measure: str) -> float:
    """Return the mean over all queries of all data sets: large data sets dominate."""
    return mean_of_defined(np.concatenate([e.values(measure) for e in evaluations]))


def mean_of_defined(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


class EvaluationWorker:
    """Judges blocks of judged queries."""

    def __init__(
        self,
        run: str,
        qrels: str,
        corpus: str,
        measures: list[str],
        ties: str,
        own: np.ndarray,
        trained_on: np.ndarray | None = None,
    ):
        self.trained_on = np.empty(0, np.uint32) if trained_on is None else trained_on
        self.run, self.qrels = Run(open_artifact(run)), Qrels(open_artifact(qrels))
        self.own, self.barred = own, self.qrels.excluded_keys
        self.corpus = Corpus(open_artifact(corpus))
        parsed = parse_measures(measures)
        self.names, self.risks = measures, [m for m in parsed if isinstance(m, PairRisk)]
        self.measures = [str(m) for m in parsed if not isinstance(m, PairRisk)]
        self.ties, self.queries = ties, self.run.queries

    def __call__(self, shard: Shard) -> Output:
        """Return the values of judged queries start…stop−1."""
        judged = self.qrels.queries[shard.start : shard.stop]
        qrels: dict[str, dict[str, int]] = {}
        run: dict[str, dict[str, float]] = {}
        rows = np.searchsorted(self.queries, judged)
        gone: dict[str, int] = {}
        for query, row in zip(judged.tolist(), rows.tolist(), strict=True):
            docs, grades = self.qrels.of(query)
            counts = grades != self.qrels.excluded_grade
            names = self._names(docs[counts])
            qrels[str(query)] = dict(zip(names, grades[counts].tolist(), strict=True))
            if row < len(self.queries) and self.queries[row] == query:
                listed, scores = self._list(row, gone)
                ranked = scores if self.ties == "trec" else np.arange(len(listed), 0, -1)
                run[str(query)] = dict(zip(self._names(listed), ranked.tolist(), strict=True))
        values = per_query(self.measures, qrels, run) if self.measures else {}
        columns = {
            name: pa.array([values[name][str(q)] for q in judged.tolist()], pa.float64())
            for name in self.measures
        }
        counts = self._add_risks(columns, shard, judged, rows) if self.risks else {}
        silent = len(judged) - sum(1 for docs in run.values() if docs)
        counts |= gone | ({UNANSWERED: silent} if silent else {})
        table = {"query": pa.array(judged, pa.uint32())} | {n: columns[n] for n in self.names}
        seen = int(np.isin(judged, self.trained_on).sum())
        usage = {"queries": len(judged)} | ({TRAINED_ON: seen} if seen else {})
        return Output(pa.table(table), counts=counts, usage=usage)

    def _add_risks(
        self, columns: dict[str, pa.Array], shard: Shard, judged: np.ndarray, rows: np.ndarray
    ) -> dict[str, int]:
        """Measure pair-wise risks of the shard's queries; null where no pair counts."""
        own = np.isin(self.qrels.query, judged)
        known = Judgements(self.qrels.query[own], self.qrels.doc[own], self.qrels.grade[own])
        there = rows[np.isin(judged, self.queries)]
        ranked_lists = [self._list(int(row)) for row in there]
        lists = Lists(
            np.repeat(self.queries[there], [len(docs) for docs, _ in ranked_lists]),
            np.concatenate([np.empty(0, np.uint32), *(docs for docs, _ in ranked_lists)]),
            np.concatenate([np.empty(0, np.float32), *(scores for _, scores in ranked_lists)]),
        )
        counts: dict[str, int] = {}
        for risk in self.risks:
            values, missing = risk.per_query(judged, known, lists)
            if missing and FROM_SCORES in self.run.artifact.metadata:
                raise BadInput(
                    f"{missing:,} judged documents have no score",
                    where=self.run.artifact.path,
                    do="ask for PairRisk(mu=returned), or score a pool that holds them",
                )
            undefined = np.isnan(values)
            columns[str(risk)] = pa.array(values, mask=undefined)
            counts |= {"judged_not_returned": missing} if missing else {}
            if undefined.any():
                counts[f"null[{risk}]:no_such_pair"] = int(undefined.sum())
        return counts

    def _list(self, row: int, gone: dict[str, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return (docs, scores) of a row without what is left out, which is added to `gone`."""
        query, docs, scores = self.run.row(row)
        for reason, pairs in ((COUNT, self.own), ("excluded:by_judgement", self.barred)):
            if len(pairs):
                kept = ~np.isin(docs, of_query(pairs, query))
                if gone is not None and not kept.all():
                    gone[reason] = gone.get(reason, 0) + int((~kept).sum())
                docs, scores = docs[kept], scores[kept]
        return docs, scores

    def _names(self, docs: np.ndarray) -> list[str]:
        return self.corpus.doc_ids(docs) if self.ties == "trec" else [str(d) for d in docs.tolist()]


def _work(qrels: Qrels, run: Run) -> np.ndarray:
    """Return how many documents each judged query brings: judged and listed."""
    judged = qrels.queries
    lengths = np.concatenate([np.diff(p.offsets) for p in run.parts()] or [np.zeros(0, np.int64)])
    work = np.bincount(np.searchsorted(judged, qrels.query), minlength=len(judged)) + 1
    rows = np.searchsorted(run.queries, judged)
    there = rows < len(run.queries)
    there[there] = run.queries[rows[there]] == judged[there]
    work[there] += lengths[rows[there]]
    return work


def refuse_other_texts(run: Artifact, collection: Collection) -> None:
    """Raise BadInput for a run about another corpus, or other queries, than a collection."""
    for role, mine_ in (("corpus", collection.corpus), ("queries", collection.queries)):
        if run.inputs.get(role) != mine_.artifact.fingerprint:
            raise BadInput(
                f"the run is about another {role} than this collection",
                where=run.path,
                do="give the collection that it was mined from",
            )
