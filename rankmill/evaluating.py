"""What `rankmill eval` and `rankmill compare` judge, and how they tell it.

`eval` judges a named run, a TREC file, or what a student makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rankmill import verdicts
from rankmill.mining.errors import UsageError
from rankmill.results import BM25, FIRST_STAGE

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.session import Session
    from rankmill.training.evaluation import Evaluation
    from rankmill.training.significance import Interval

    Runs = dict[str, Artifact]

PER_QUERY = ("csv", "jsonl", "parquet")


def run_to_judge(
    here: Session,
    run: str | None,
    student: str | None,
    first_stage: str | None,
    collection: str | None,
    split: str | None,
    depth: int,
) -> Artifact:
    """Return the run artifact that the options of `rankmill eval` mean; UsageError when unclear."""
    from rankmill import api, exchange
    from rankmill.mining.collection import Collection

    if (run is None) == (student is None):
        raise UsageError("name what to evaluate", do="give --run or --student, one of them")
    if student is not None and first_stage is not None:
        stage = here.workspace.find(first_stage, "run")
        return api.rerank(_student(here, student), stage, depth=depth, executor=here.executor)
    if run is not None and run in here.workspace.names():
        found = here.workspace.find(run)
        if found.kind == "scores":
            return api.ranked(found, executor=here.executor)
        return here.workspace.find(run, "run")
    if run is not None and not Path(run).is_file():
        return here.workspace.find(run, "run")  # a fingerprint, or the error with the nearest name
    if collection is None or split is None:
        raise UsageError(
            "which queries, which judgements?", do="add --collection NAME --split NAME"
        )
    opened = Collection.open(here.workspace, collection)
    if run is not None:
        return exchange.import_run(run, opened, split=split, executor=here.executor)
    assert student is not None
    return api.retrieve(
        _student(here, student), opened, split=split, depth=depth, executor=here.executor
    )


def beside(here: Session, judged: Artifact, first_stage: str | None, depth: int) -> Runs:
    """Return what a judged run is shown with: its first stage, as deep, and BM25."""
    from rankmill import api
    from rankmill.judging import BM25_SOURCE
    from rankmill.training.evaluation import cut_run

    held, split = api.collection_of(judged), api.split_of(judged)
    runs: Runs = {}
    shown = [judged]
    if first_stage is not None:
        shown.append(here.workspace.find(first_stage, "run"))
        runs[FIRST_STAGE] = cut_run(here.workspace, shown[-1], held, split, depth, here.executor)
    if not any(run.metadata["source"].startswith("bm25(") for run in shown):
        deep = min(depth, len(held.corpus))
        runs[BM25] = api.mine(BM25_SOURCE, held, split=split, depth=deep, executor=here.executor)
    return runs


def tell(here: Session, made: Runs) -> None:
    """Print the means of all systems and how the first differs from the others."""
    from rankmill import api
    from rankmill.training.comparison import read_comparisons
    from rankmill.training.evaluation import Evaluation

    (first, *others), read = made, {name: Evaluation(a) for name, a in made.items()}
    measures, evaluation = read[first].measures, made[first]
    compared = []
    unpaired = [other for other in others if not _paired(read[first], read[other], measures[0])]
    pairs = [(first, other) for other in others if other not in unpaired]
    if pairs and len(read[first].query) > 1:
        systems = {name: artifact for name, artifact in made.items() if name not in unpaired}
        compared = read_comparisons(api.compare(systems, pairs=pairs, measure=measures[0]))
    intervals = risk_intervals(read[first])
    if here.as_json:
        facts: dict[str, Any] = {"measures": _means(read[first]), "queries": evaluation.rows}
        facts |= {"root": evaluation.root_hash, "counts": evaluation.counts}
        facts |= {"beside": {name: _means(read[name]) for name in others}}
        facts |= {"intervals": {m: asdict(i) | {"queries": n} for m, (i, n) in intervals.items()}}
        facts["not_compared"] = unpaired
        here.emit(facts | {"against": {row.b: verdicts.plain(row) for row in compared}})
        return
    width = max(len(name) for name in (*made, "queries"))
    wide = {m: max(len(m), 10) for m in measures}
    typer.echo(" " * width + "".join(f"  {m:>{wide[m]}}" for m in measures))
    for name, one in read.items():
        means = {m: "–" if (v := one.mean(m)) != v else f"{v:.4f}" for m in measures}
        typer.echo(f"{name:<{width}}" + "".join(f"  {means[m]:>{wide[m]}}" for m in measures))
    typer.echo(f"{'queries':<{width}}  {evaluation.rows:>10,}")
    for measure, (interval, queries) in intervals.items():
        typer.echo(
            f"{measure}: {interval.mean:.4f} ({interval.low:.4f} to {interval.high:.4f} over the "
            f"{queries:,} queries that have a pair)"
        )
    if missing := evaluation.counts.get("judged_not_returned"):
        typer.echo(f"{missing:,} judged documents were not returned: below all others, and tied")
    for row in compared:
        typer.echo(f"{measures[0]} against {row.b}: {verdicts.signed(row)}")
    for other in unpaired:
        typer.echo(f"{measures[0]} against {other}: not compared, it is defined for other queries")


def _paired(a: Evaluation, b: Evaluation, measure: str) -> bool:
    """Say whether a measure is defined for the same queries of both."""
    import numpy as np

    known = [e.query[~np.isnan(e.values(measure))] for e in (a, b)]
    return np.array_equal(known[0], known[1])


def risk_intervals(evaluation: Evaluation) -> dict[str, tuple[Interval, int]]:
    """Return the 95 % interval over queries of every pair-wise risk, and how many have one."""
    from rankmill.training.measures import parse_measures
    from rankmill.training.pair_risk import PairRisk
    from rankmill.training.significance import t_interval

    found = {}
    for measure in parse_measures(evaluation.measures):
        values = evaluation.values(str(measure))
        values = values[values == values]
        if isinstance(measure, PairRisk) and values.size > 1:
            found[str(measure)] = t_interval(values), values.size
    return found


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

    from rankmill import show

    tables = []
    for system, evaluation in made.items():
        table = show.first_rows(evaluation, None)
        label = pa.array([system] * table.num_rows, pa.string())
        tables.append(table.drop_columns("query_text").add_column(0, "system", label))
    show.write(pa.concat_tables(tables), form_of(target), target)


def named_systems(here: Session, systems: Sequence[str]) -> dict[str, list[Artifact]]:
    """Read `NAME` and `LABEL=NAME+NAME` into evaluations by label."""
    return labelled(here, systems, "evaluation")


def labelled(here: Session, texts: Sequence[str], kind: str) -> dict[str, list[Artifact]]:
    """Read `NAME` and `LABEL=NAME+NAME` into artifacts of one kind by label."""
    found: dict[str, list[Artifact]] = {}
    for text in texts:
        label, _, names = text.rpartition("=")
        label = label or names
        if label in found:
            raise UsageError(f"{label!r} is named twice", do="give each system a label of its own")
        found[label] = [here.workspace.find(name, kind) for name in names.split("+")]
    return found


def pairs_of(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Read `A:B` into pairs; UsageError for a text without one colon."""
    pairs = [tuple(text.split(":")) for text in texts]
    for text, pair in zip(texts, pairs, strict=True):
        if len(pair) != 2:
            raise UsageError(f"{text!r} is not a pair", do="write --pair A:B")
    return [(pair[0], pair[1]) for pair in pairs]


def tell_comparison(here: Session, made: Artifact) -> None:
    """Print every pair of a comparison, and where the spread comes from."""
    from rankmill.training.comparison import read_comparisons

    rows = read_comparisons(made)
    if here.as_json:
        plain = [{"a": row.a, "b": row.b, **verdicts.plain(row)} for row in rows]
        here.emit({"measure": made.parameters["measure"], "pairs": plain, "root": made.root_hash})
        return
    for row in rows:
        typer.echo(f"{row.a} − {row.b}: {verdicts.verdict(row)}")
        typer.echo(f"  randomisation p {verdicts.p_value(row.p_randomisation_adjusted)} (Holm)")
        if (found := row.effects) is not None:
            typer.echo(
                f"  variance of queries {found.queries:.3g}, of {row.seeds} seeds "
                f"{found.seeds:.3g}, of their interaction {found.interaction:.3g}; "
                f"{found.seeds_share:.0%} of the error is due to seeds"
            )
    typer.echo(f"{made.parameters['measure']}, {rows[0].queries:,} queries, root {made.root_hash}")


def _student(here: Session, name: str) -> Artifact | str:
    return here.workspace.find(name, "student") if name in here.workspace.names() else name
