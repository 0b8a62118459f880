"""The verbs: each takes and returns artifact handles, each does nothing when the result is there.

    nf     = collect("beir:nfcorpus")
    run    = mine("bm25(k1=0.9,b=0.4)", nf, split="train", depth=200)
    cands  = pool([run])
    scored = score("bi_encoder(model=PATH)", cands)
    chosen = select("uniform(source=bm25,last=100)", cands, scored, size=16)
    stats(chosen); train("bi_encoder(model=PATH,layers=2)", chosen, loss="kl", documents=100_000)

`executor` is an `Execution`: this process, or Ray actors. It never changes a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rankmill.about import collection_of, split_of, vectors_of
from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Artifact, Workspace

DEFAULT_WORKSPACE = "rankmill-work"


def collect(
    spec: str,
    *,
    workspace: Workspace | str | Path = DEFAULT_WORKSPACE,
    title: str = "title text",
    name: str | None = None,
    executor: Execution = INLINE,
) -> Collection:
    """Read a collection: `beir:PATH`, `ir:ID`, `tsv:`, `jsonl:`, `parquet:PATH`, `python-docs`."""
    from rankmill.mining.collection import collect as read

    return read(_workspace(workspace), spec, title=title, name=name, executor=executor)


def mine(
    source: str,
    collection: Collection,
    *,
    split: str,
    depth: int = 100,
    seed: int = 0,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Mine a run: at most `depth` documents for each query of the split."""
    from rankmill.mining.sources import mine as run_source

    workspace = collection.artifact.workspace
    run = run_source(
        workspace, source, collection, split, depth=depth, seed=seed, executor=executor
    )
    return _named(run, name)


def pool(
    runs: Sequence[Artifact],
    *,
    positives: bool = True,
    min_grade: int = 1,
    depth: int | None = None,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Join runs into one row per query; `positives` adds those graded `min_grade` or more."""
    from rankmill.mining.runs.pool import pool_runs

    if not runs:
        raise UsageError("a pool needs at least one run", do="name one or more runs")
    workspace, collection = runs[0].workspace, collection_of(runs[0])
    made = pool_runs(
        workspace,
        list(runs),
        collection=collection,
        split=split_of(runs[0]),
        positives=positives,
        min_grade=min_grade,
        depth=depth,
        executor=executor,
    )
    return _named(made, name)


def score(
    teacher: str,
    pool: Artifact,
    *,
    allow: int = 0,
    direction: str = "judged",
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Score every pair of a pool once with a teacher; pairs scored before are reused.

    `allow`: how many queries may be left out because a score is not finite. Scores that clearly run
    the wrong way are refused unless `direction="trusted"`.
    """
    from rankmill.mining.teachers import score_pool

    collection = collection_of(pool)
    made = score_pool(
        pool.workspace,
        teacher,
        pool,
        collection=collection,
        allow=allow,
        direction=direction,
        executor=executor,
    )
    return _named(made, name)


def select(
    strategy: str,
    pool: Artifact,
    scores: Artifact,
    *,
    size: int = 16,
    seed: int = 0,
    when_short: str = "drop_query",
    filters: Sequence[str] = (),
    encoder: str | None = None,
    name: str | None = None,
    executor: Execution = INLINE,
    **settings: Any,
) -> Artifact:
    """Choose one group of `size` documents per query, the positive first.

    `settings`: `positives` (first, all, together, best), `min_grade`, `missing`; `encoder` for
    strategies that look at vectors.
    """
    from rankmill.mining.selection import select_groups

    if encoder is not None:
        settings["vectors"] = vectors_of(encoder, pool, executor)["vectors"]
    made = select_groups(
        pool.workspace,
        strategy,
        pool,
        scores,
        collection=collection_of(pool),
        split=split_of(pool),
        size=size,
        seed=seed,
        filters=tuple(filters),
        when_short=when_short,
        executor=executor,
        **settings,
    )
    return _named(made, name)


def stats(
    measured: Artifact,
    *,
    statistics: Sequence[str] | None = None,
    encoder: str | None = None,
    compat: str | None = None,
    min_grade: int | None = None,
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Measure every group, or every query's whole list where scores of a pool are given.

    `encoder` (a model folder or `bi_encoder(…)`) adds locality; `compat="locality-and-entropy"`
    measures the reference authors' variants instead. `min_grade`: the grade from which a document
    of a list is positive, by default that of its pool; groups know their own.
    """
    from rankmill.mining.statistics import measure_groups, measure_pool

    inputs: dict[str, Any] = dict(vectors_of(encoder, measured, executor)) if encoder else {}
    if measured.kind != "scores":
        if min_grade is not None:
            raise UsageError("groups have a min_grade of their own", do="select again with another")
        inputs["compat"] = compat
        made = measure_groups(measured.workspace, measured, statistics, executor=executor, **inputs)
        return _named(made, name)
    if compat is not None:
        raise BadInput("the reference's variants are of groups", where=measured.path)
    if "pool" in measured.inputs and "qrels" in measured.input("pool").inputs:
        pooled = measured.input("pool")
        inputs["qrels"] = pooled.input("qrels")
        least = pooled.parameters.get("min_grade", 1)
        inputs["min_grade"] = least if min_grade is None else min_grade
    elif min_grade is not None:
        inputs["min_grade"] = min_grade
    made = measure_pool(measured.workspace, measured, statistics, executor=executor, **inputs)
    return _named(made, name)


def audit(
    groups: Artifact,
    *,
    against: Sequence[str] | None = None,
    runs: Sequence[Artifact] = (),
    beside: Sequence[Artifact] = (),
    overlap: float = 0.8,
    examples: int = 10,
) -> dict[str, Any]:
    """Look for false negatives, near copies, leakage, coverage of test `runs`, and imbalance."""
    from rankmill.mining.audit.checks import audit_groups

    return audit_groups(
        groups.workspace,
        groups,
        collection=collection_of(groups),
        against=against,
        runs=runs,
        beside=beside,
        at_least=overlap,
        examples=examples,
    )


def explain(groups: Artifact, query_id: str) -> Any:
    """Say of every candidate of a query who found it, what it scores, why it stayed or went."""
    from rankmill.mining.audit.explain import explain_query

    return explain_query(groups.workspace, groups, query_id)


def train(
    student: str,
    groups: Artifact,
    *,
    loss: str = "kl",
    documents: int = 100_000,
    name: str | None = None,
    executor: Execution = INLINE,
    **settings: Any,
) -> Artifact:
    """Train a student on groups until it has seen `documents` documents."""
    from rankmill.training.trainer import train_student

    made = train_student(
        groups.workspace,
        student,
        groups,
        collection=collection_of(groups),
        loss=loss,
        documents=documents,
        executor=executor,
        **settings,
    )
    return _named(made, name)


def rerank(
    student: Artifact | str,
    run: Artifact,
    *,
    depth: int = 100,
    name: str | None = None,
    executor: Execution = INLINE,
    **settings: Any,
) -> Artifact:
    """Let a student order the first `depth` documents of a run anew; returns a run."""
    from rankmill.training.evaluation import rerank_with

    made = rerank_with(
        run.workspace,
        student,
        run,
        collection=collection_of(run),
        split=split_of(run),
        depth=depth,
        executor=executor,
        **settings,
    )
    return _named(made, name)


def retrieve(
    student: Artifact | str,
    collection: Collection,
    *,
    split: str,
    depth: int = 100,
    name: str | None = None,
    executor: Execution = INLINE,
    **settings: Any,
) -> Artifact:
    """Let a bi-encoder student search the whole corpus; returns a run."""
    from rankmill.training.evaluation import retrieve_with

    workspace = collection.artifact.workspace
    made = retrieve_with(
        workspace,
        student,
        collection=collection,
        split=split,
        depth=depth,
        executor=executor,
        **settings,
    )
    return _named(made, name)


def evaluate(
    run: Artifact,
    *,
    measures: str = "nDCG@10 AP R@100 Judged@10",
    ties: str = "list",
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Judge a run, or scores of a pool, by the qrels of its split; per-query values are kept.

    `ties`: `list` judges the order of the run, `trec` orders equal scores as trec_eval does.
    """
    from rankmill.training.evaluation import evaluate_run

    run = ranked(run, executor=executor) if run.kind == "scores" else run
    made = evaluate_run(
        run.workspace,
        run,
        collection=collection_of(run),
        split=split_of(run),
        measures=measures,
        ties=ties,
        executor=executor,
    )
    return _named(made, name)


def ranked(scores: Artifact, *, executor: Execution = INLINE) -> Artifact:
    """Return the run in which a teacher's or a student's scores put the documents of a pool."""
    from rankmill.training.scored_lists import run_of_scores

    pool = scores.input("pool")
    return run_of_scores(scores.workspace, scores, collection_of(pool), split_of(pool), executor)


def compare(
    systems: Mapping[str, Artifact | Sequence[Artifact]],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    measure: str = "nDCG@10",
    margin: float | None = None,
    name: str | None = None,
    **settings: Any,
) -> Artifact:
    """Compare evaluations of the same queries, one per system or one per training seed of it.

    `pairs`: the declared family, all pairs by default; `margin`: also test for equivalence.
    `settings`: `alpha`, `draws`, `seed`. `read_comparisons` reads the artifact back.
    """
    from rankmill.training.comparison import compare_evaluations

    made = {
        system: [given] if isinstance(given, Artifact) else list(given)
        for system, given in systems.items()
    }
    workspace = next(a.workspace for given in made.values() for a in given)
    found = compare_evaluations(workspace, made, pairs, measure=measure, margin=margin, **settings)
    return _named(found, name)


def _workspace(place: Workspace | str | Path) -> Workspace:
    return place if isinstance(place, Workspace) else Workspace(place)


def _named(artifact: Artifact, name: str | None) -> Artifact:
    if name:
        artifact.workspace.alias(name, artifact)
    return artifact
