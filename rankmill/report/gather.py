"""From an outcome to the plain values that the report draws."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rankmill.mining import names
from rankmill.mining.parts.told import counted
from rankmill.mining.processors import processors
from rankmill.mining.runs.run import Run
from rankmill.mining.teachers.contract import told_of_all
from rankmill.provenance.folding import folded
from rankmill.provenance.graph import graph_of
from rankmill.report import conclusion, content, dynamics, effects, recall
from rankmill.report.depths import said_of
from rankmill.report.stages import provenance, stage_costs
from rankmill.report.terms import theory_of
from rankmill.study.outcome import Outcome

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

# Which columns are drawn: the name and the parameters that must hold, and what people read.
_DRAWN: tuple[tuple[str, Mapping[str, Any], str], ...] = (
    ("pair_entropy", {"pairs": None}, "Pair entropy of the teacher, all pairs"),
    ("pair_entropy", {"pairs": "pos_neg"}, "Pair entropy, positive against negatives"),
    ("pair_entropy", {"pairs": "neg_neg"}, "Pair entropy among the negatives"),
    ("diameter", {"q": 1}, "Diameter of the group"),
    ("radius", {"of": "mean", "to": "positive"}, "Mean radius around the positive"),
    ("radius", {"of": "mean", "to": "query"}, "Mean radius around the query"),
)


def report_of(outcome: Outcome) -> content.Report:
    """Gather everything the report shows."""
    results, recipe = outcome.results, outcome.recipe
    runs = {name: Run(run) for name, run in results.runs.items()}
    depth, recalled = recipe.option("mine", "depth"), _recall(outcome, runs)
    graph = graph_of(outcome.artifacts)
    return content.Report(
        title=recipe.title,
        question=conclusion.question(outcome),
        lead=[conclusion.lead(outcome)],
        answer=conclusion.answer(outcome, recalled),
        caveats=conclusion.caveats(outcome),
        picture=conclusion.picture(outcome),
        measure=outcome.measure,
        scope=_scope(outcome),
        domains=outcome.standings.domains,
        kinds={d: outcome.kind_of(d) for d in outcome.standings.domains},
        samplers=outcome.samplers,
        systems=effects.systems(outcome),
        overall=effects.overall(outcome),
        pairs=effects.pairs(outcome),
        recall=recalled,
        overlap=content.Overlap(list(runs), recall.jaccard(runs, depth), depth)
        if len(runs) > 1
        else None,
        statistics=_statistics(results.statistics),
        ranks=dynamics.ranks(outcome),
        training=dynamics.training(outcome),
        gains=effects.gains(outcome),
        theory=theory_of(outcome),
        costs=stage_costs(graph),
        books=[_books(sampler, a) for sampler, a in results.groups.items()],
        provenance=provenance(outcome.artifacts, graph),
        graph=folded(graph) if graph.nodes else None,
        environment=_environment(outcome),
        notes=_notes(outcome),
        key=outcome.key,
    )


def _scope(outcome: Outcome) -> str:
    seeds = len(outcome.recipe.seeds)
    return "over queries only (one seed)" if seeds == 1 else f"over queries and {seeds} seeds"


def _recall(outcome: Outcome, runs: Mapping[str, Run]) -> list[content.SourceRecall]:
    recipe = outcome.recipe
    qrels = outcome.results.collection.qrels(recipe.option("mine", "split"))
    depth, least = recipe.option("mine", "depth"), recipe.option("pool", "min_grade")
    return [
        content.SourceRecall(
            name, np.arange(1, depth + 1), recall.recall_by_depth(run, qrels, depth, least)
        )
        for name, run in runs.items()
    ]


def _statistics(artifacts: Mapping[str, Artifact]) -> list[content.Statistic]:
    tables = {s: pa.concat_tables(a.tables()) for s, a in artifacts.items()}
    drawn = []
    for column in next(iter(tables.values())).schema if tables else []:
        title = _title(column.name)
        if title is None:
            continue
        values = {s: t[column.name].drop_null().to_numpy() for s, t in tables.items()}
        if all(len(v) for v in values.values()):
            unit = (column.metadata or {}).get(b"unit", b"").decode()
            drawn.append(content.Statistic(title, column.name, unit, values))
    return drawn


def _title(column: str) -> str | None:
    """Return the title under which a statistic is drawn; None for those that are not."""
    call = names.parse(column)
    if not isinstance(call, names.Call):
        return None
    given = dict(call.named)
    for name, wanted, title in _DRAWN:
        if call.name == name and all(given.get(k) == v for k, v in wanted.items()):
            return title
    return None


def _books(sampler: str, groups: Artifact) -> content.Books:
    dropped = {reason: len(queries) for reason, queries in groups.dropped.items()}
    queries = {q for t in groups.tables() for q in t["query"].to_pylist()}
    return content.Books(
        f"groups, {sampler}", len(queries) + sum(dropped.values()), len(queries), dropped
    )


def _environment(outcome: Outcome) -> list[tuple[str, str]]:
    last = outcome.artifacts[-1].cost()
    versions = ", ".join(f"{k} {v}" for k, v in last.get("versions", {}).items())
    return [
        ("machine", f"{platform.machine()}, {processors()} cores"),
        ("python", platform.python_version()),
        ("packages", versions),
        ("seed", str(outcome.recipe.seed)),
    ]


def _seeds_said(outcome: Outcome) -> str:
    seeds = outcome.recipe.seeds
    if len(seeds) == 1:
        return "With one training seed they are over queries only and say nothing about a new seed."
    return (
        f"The {len(seeds)} training seeds are a random effect crossed with the queries, so the "
        "intervals hold for a new seed too; with few seeds they are wide, as they should be."
    )


def _notes(outcome: Outcome) -> list[str]:
    recipe = outcome.recipe
    notes = [
        f"Intervals and tests go together: an interval ends where the paired t-test just rejects, "
        f"before Holm’s adjustment. {_seeds_said(outcome)}",
        "p-values are adjusted (Holm) over one family, which is declared beforehand: on one "
        "evaluation set the differences of the students from the systems they are compared with, "
        "or the pairs of samplers.",
        "Peak memory is the most that the process held while a stage ran, including what earlier "
        "stages left in it. Compiling kernels, importing packages, and planning and publishing "
        "have columns of their own.",
    ]
    if recipe.trains:
        if said := said_of(recipe.measured[1:], recipe.option("evaluate", "depth")):
            notes.append(said)
        train, losses = recipe.options["train"], ", ".join(recipe.losses.values())
        notes.append(
            f"Each student is {recipe.student}, trained with {losses} on "
            f"{counted(train['documents'], 'document')} in batches of "
            f"{counted(train['batch'], 'group')}, with a peak learning rate of {train['lr']:g}."
        )
    notes += [*outcome.left_out(), *outcome.advice]
    if outcome.results.scores is not None:
        said_of_teachers = (
            one for _, told in told_of_all(outcome.results.scores) for one in told.values()
        )
        notes += dict.fromkeys(f"Teacher: {one}." for one in said_of_teachers)
    return notes
