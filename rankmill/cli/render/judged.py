"""What is printed of evaluations, comparisons and diagnoses."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.cli import streams
from rankmill.cli.session import Session, counts_of
from rankmill.mining.errors import UsageError
from rankmill.mining.parts.told import counted
from rankmill.study import words
from rankmill.study.results import BM25, BM25_SOURCE, FIRST_STAGE

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.stages import Compare, Diagnose, Evaluate
    from rankmill.training.evaluation import Evaluation
    from rankmill.training.significance import Interval

    Runs = dict[str, Artifact]

PER_QUERY = ("csv", "jsonl", "parquet")
TOLD = ("judged_queries_unanswered", "excluded:self", "excluded:by_judgement")
"""Counts of an evaluation that stand below its means."""


def tell_evaluation(
    here: Session, asked: Evaluate, made: Artifact, per_query: Path | None, alone: bool
) -> None:
    """Print the means of all systems and how the first differs from the others."""
    judged = made.input("run")
    runs = {} if alone else beside(here, judged, asked)
    evaluations = {"student" if asked.student is not None else "run": made}
    for system, run in runs.items():
        evaluations[system] = replace(asked, run=run, **_OF_RUN, name=None).make()
    if per_query is not None:
        write_per_query(evaluations, per_query)
    tell_evaluations(here, evaluations)


_OF_RUN: dict[str, Any] = {
    "student": None,
    "first_stage": None,
    "order": "score",
    "sign": 1,
    "unknown": "error",
}


def tell_evaluations(here: Session, made: Runs) -> None:
    """Print the means of all systems and how the first differs from the others."""
    from rankmill.stages import Compare
    from rankmill.training.comparison import read_comparisons
    from rankmill.training.evaluation import Evaluation

    (first, *others), read = made, {name: Evaluation(a) for name, a in made.items()}
    measures, evaluation = read[first].measures, made[first]
    compared = []
    unpaired = [other for other in others if not _paired(read[first], read[other], measures[0])]
    pairs = [(first, other) for other in others if other not in unpaired]
    if pairs and len(read[first].query) > 1:
        systems = {name: artifact for name, artifact in made.items() if name not in unpaired}
        compared = read_comparisons(Compare(systems, pairs=pairs, measure=measures[0]).make())
    intervals = risk_intervals(read[first])
    if here.as_json:
        facts: dict[str, Any] = {"measures": _means(read[first]), "queries": evaluation.rows}
        facts |= {"root": evaluation.root_hash, "counts": evaluation.counts}
        facts["run_counts"] = evaluation.input("run").counts
        facts |= {"beside": {name: _means(read[name]) for name in others}}
        facts |= {"intervals": {m: asdict(i) | {"queries": n} for m, (i, n) in intervals.items()}}
        facts["not_compared"] = unpaired
        facts["judged_queries_trained_on"] = len(read[first].trained_on)
        here.emit(facts | {"against": {row.b: words.plain(row) for row in compared}})
        return
    width = max(len(name) for name in (*made, "queries"))
    wide = {m: max(len(m), 10) for m in measures}
    streams.tell(" " * width + "".join(f"  {m:>{wide[m]}}" for m in measures))
    for name, one in read.items():
        means = {m: "–" if (v := one.mean(m)) != v else f"{v:.4f}" for m in measures}
        streams.tell(f"{name:<{width}}" + "".join(f"  {means[m]:>{wide[m]}}" for m in measures))
    streams.tell(f"{'queries':<{width}}  {evaluation.rows:>10,}")
    for line in _left_out(evaluation):
        streams.tell(line)
    for measure, (interval, queries) in intervals.items():
        said = words.between(interval)
        have = "query that has" if queries == 1 else "queries that have"
        over = "" if interval.low is None else f" over the {queries:,} {have} a pair"
        streams.tell(f"{measure}: {interval.mean:.4f} ({said}{over})")
    if missing := evaluation.counts.get("judged_not_returned"):
        said = "judged document was" if missing == 1 else "judged documents were"
        streams.tell(f"{missing:,} {said} not returned: below all others, and tied")
    for row in compared:
        streams.tell(f"{measures[0]} against {row.b}: {words.signed(row)}")
    if pairs and not compared:
        streams.tell(f"{measures[0]}: one judged query, so nothing is compared: two at least")
    for other in unpaired:
        streams.tell(
            f"{measures[0]} against {other}: not compared, it is defined for other queries"
        )


def _left_out(evaluation: Artifact) -> list[str]:
    """Return what a reader of the means has to know about the run and the queries, as lines."""
    of_run = ("queries_ranked_against_scores", "outside_split", "unknown_queries")
    lines = counts_of(evaluation.input("run"), *of_run, "unknown_documents", "empty_documents")
    return [*counts_of(evaluation, *TOLD), *(f"run: {line}" for line in lines)]


def beside(here: Session, judged: Artifact, asked: Evaluate) -> Runs:
    """Return what a judged run is shown with: its first stage, as deep, and BM25."""
    from rankmill.about import collection_of, split_of
    from rankmill.stages import Mine
    from rankmill.training.student_runs import cut_run

    held, split = collection_of(judged), split_of(judged)
    first_stage, depth = asked.first_stage, asked.depth
    runs: Runs = {}
    shown = [judged]
    if first_stage is not None:
        shown.append(first_stage)
        runs[FIRST_STAGE] = cut_run(here.workspace, first_stage, held, split, depth, here.executor)
    if not any(run.metadata["source"].startswith("bm25(") for run in shown):
        deep = min(depth, len(held.corpus))
        how: dict[str, Any] = {"split": split, "depth": deep, "self": asked.self}
        runs[BM25] = Mine(BM25_SOURCE, held, **how, executor=here.executor).make()
    return runs


def _paired(a: Evaluation, b: Evaluation, measure: str) -> bool:
    """Say whether a measure is defined for the same queries of both."""
    import numpy as np

    known = [e.query[~np.isnan(e.values(measure))] for e in (a, b)]
    return np.array_equal(known[0], known[1])


def risk_intervals(evaluation: Evaluation) -> dict[str, tuple[Interval, int]]:
    """Return the 95 % interval over queries of every pair-wise risk, and how many have one."""
    from rankmill.training.bounded import mean_interval
    from rankmill.training.measures import parse_measures
    from rankmill.training.pair_risk import PairRisk

    intervals = {}
    for measure in parse_measures(evaluation.measures):
        values = evaluation.values(str(measure))
        values = values[values == values]
        if isinstance(measure, PairRisk) and values.size:
            intervals[str(measure)] = mean_interval(values, str(measure)), values.size
    return intervals


def _means(evaluation: Evaluation) -> dict[str, float | None]:
    """Return the means for JSON, which has no NaN: null for a risk that no query has."""
    return {m: None if v != v else v for m, v in evaluation.means().items()}


def form_of(target: Path) -> str:
    """Return the form that a file's suffix says; UsageError for another."""
    form = target.suffix.lstrip(".")
    if form not in PER_QUERY:
        raise UsageError(
            f"{target.name!r} does not say its form", do=f"end it in .{', .'.join(PER_QUERY)}"
        )
    return form


def write_per_query(made: Runs, target: Path) -> None:
    """Write a row per system and judged query: system, query_id, measures."""
    import pyarrow as pa

    from rankmill.cli import rows

    tables = []
    for system, evaluation in made.items():
        table = rows.first_rows(evaluation, None)
        label = pa.array([system] * table.num_rows, pa.string())
        tables.append(table.drop_columns("query_text").add_column(0, "system", label))
    rows.write(pa.concat_tables(tables), form_of(target), target)


def tell_comparison(here: Session, asked: Compare, made: Artifact) -> None:
    """Print every pair of a comparison, and where the spread comes from."""
    from rankmill.training.comparison import read_comparisons

    rows = read_comparisons(made)
    if here.as_json:
        plain = [{"a": row.a, "b": row.b, **words.plain(row)} for row in rows]
        here.emit({"measure": made.parameters["measure"], "pairs": plain, "root": made.root_hash})
        return
    for row in rows:
        streams.tell(f"{row.a} − {row.b}: {words.verdict(row)}")
        streams.tell(f"  randomisation p {words.p_value(row.p_randomisation_adjusted)} (Holm)")
        if (effects := row.effects) is not None:
            streams.tell(
                f"  variance of queries {effects.queries:.3g}, of {row.seeds} seeds "
                f"{effects.seeds:.3g}, of their interaction {effects.interaction:.3g}; "
                f"{effects.seeds_share:.0%} of the error is due to seeds"
            )
    streams.tell(
        f"{made.parameters['measure']}, {counted(rows[0].queries, 'query', 'queries')}, "
        f"root {made.root_hash}"
    )


def tell_diagnosis(here: Session, asked: Diagnose, made: Artifact) -> None:
    """Print the artifact and the mean of every column."""
    here.tell(made, asked.name)
    if not here.as_json:
        _tell_means(made)


def _tell_means(made: Artifact) -> None:
    """Print the mean of every column, and the collapse alarm as a warning."""
    from rankmill.mining.statistics import summarise

    for column, summary in summarise(made)["columns"].items():
        mean = summary.get("mean")
        streams.tell(f"  {column}: {'–' if mean is None else f'{mean:.4f}'} {summary['unit']}")
        if column.startswith("student_collapsed(") and mean:
            rows = round(mean * summary["n"])
            streams.tell(
                f"  warning: the student collapsed in {rows:,} of {counted(summary['n'], 'row')}: "
                "it scores "
                "their documents nearly alike"
            )
