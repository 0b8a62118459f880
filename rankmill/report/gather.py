"""From an outcome to the plain values that the report draws."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rankmill.mining import names
from rankmill.mining.processors import processors
from rankmill.mining.runs.run import Run
from rankmill.mining.teachers.contract import told_of_all
from rankmill.report import content, dynamics, effects, recall
from rankmill.report.terms import theory_of
from rankmill.study.gains import FIRST
from rankmill.study.outcome import Outcome
from rankmill.study.results import START
from rankmill.study.words import duration

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
    depth = recipe.option("mine", "depth")
    return content.Report(
        title=recipe.title,
        summary=_summary(outcome),
        headline=_headline(outcome),
        measure=outcome.measure,
        scope=outcome.scope,
        domains=outcome.standings.domains,
        kinds={d: outcome.kind_of(d) for d in outcome.standings.domains},
        samplers=outcome.samplers,
        systems=effects.systems(outcome),
        overall=effects.overall(outcome),
        pairs=effects.pairs(outcome),
        recall=_recall(outcome, runs),
        overlap=content.Overlap(list(runs), recall.jaccard(runs, depth), depth)
        if len(runs) > 1
        else None,
        statistics=_statistics(results.statistics),
        ranks=dynamics.ranks(outcome),
        training=dynamics.training(outcome),
        gains=effects.gains(outcome),
        theory=theory_of(outcome),
        costs=[_cost(a, outcome) for a in outcome.artifacts if a.cost()["wall_s"] > 0],
        books=[_books(sampler, a) for sampler, a in results.groups.items()],
        provenance=[_provenance(a, outcome) for a in outcome.artifacts],
        environment=_environment(outcome),
        notes=_notes(outcome),
    )


def _summary(outcome: Outcome) -> list[str]:
    collection, recipe = outcome.results.collection, outcome.recipe
    said = [
        f"{len(collection.corpus):,} documents and {len(collection.queries):,} queries; "
        f"{len(recipe.sources)} sources mined to depth {recipe.option('mine', 'depth')} on the "
        f"{recipe.option('mine', 'split')} split, every pair scored once by {recipe.teacher}, "
        f"groups of {recipe.option('groups', 'size')}."
    ]
    spent = f"Cost: {duration(outcome.seconds)} of work behind these artifacts."
    return [*said, *outcome.sentences(), spent]


def _headline(outcome: Outcome) -> list[content.Figure]:
    figures = []
    for domain in outcome.standings.domains:
        students = [s for s in outcome.standings.all if s.domain == domain and START in s.against]
        best = max(students, key=lambda s: s.mean.mean, default=None)
        if best is not None:
            gain = best.against[START].difference.mean
            groups = f"{best.system.trained_as} groups"
            label = f"{outcome.measure} over the untrained start, {domain}, {groups}"
            figures.append(content.Figure(f"{gain:+.3f}", label))
    scores = outcome.results.scores
    if scores is not None:
        pairs = int(scores.cost()["usage"].get("pairs_asked", 0)) or _pairs(scores)
        figures.append(content.Figure(f"{pairs:,}", "pairs scored by the teacher"))
    figures.append(content.Figure(duration(outcome.seconds), "of work, all stages"))
    return figures


def _pairs(scores: Artifact) -> int:
    return int(scores.counts.get("pairs", 0))


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


def _cost(artifact: Artifact, outcome: Outcome) -> content.StageCost:
    entry = artifact.cost()
    usage = entry["usage"]
    return content.StageCost(
        stage=artifact.kind,
        name=_name(artifact, outcome),
        wall_s=entry["wall_s"],
        cpu_s=entry["cpu_s"],
        gpu_s=entry["gpu_s"] or None,
        peak_bytes=entry["peak_rss_bytes"] or None,
        stored_bytes=artifact.bytes,
        pairs=_whole(usage.get("pairs_scored", usage.get("pairs"))),
        tokens=_whole(usage.get("tokens")),
        first_s=sum(float(entry.get(line) or 0.0) for line in FIRST) or None,
        overhead_s=entry.get("overhead_s"),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _books(sampler: str, groups: Artifact) -> content.Books:
    dropped = {reason: len(queries) for reason, queries in groups.dropped.items()}
    queries = {q for t in groups.tables() for q in t["query"].to_pylist()}
    return content.Books(
        f"groups, {sampler}", len(queries) + sum(dropped.values()), len(queries), dropped
    )


def _provenance(artifact: Artifact, outcome: Outcome) -> content.Provenance:
    text = json.dumps(artifact.parameters, ensure_ascii=False, sort_keys=True)
    return content.Provenance(
        _name(artifact, outcome), artifact.kind, text, artifact.root_hash, artifact.rows
    )


def _name(artifact: Artifact, outcome: Outcome) -> str:
    aliases = artifact.workspace.names()
    known = [name for name, one in aliases.items() if one.fingerprint == artifact.fingerprint]
    return known[0] if known else artifact.fingerprint[:12]


def _environment(outcome: Outcome) -> list[tuple[str, str]]:
    last = outcome.artifacts[-1].cost()
    versions = ", ".join(f"{k} {v}" for k, v in last.get("versions", {}).items())
    return [
        ("machine", f"{platform.machine()}, {processors()} cores"),
        ("python", platform.python_version()),
        ("packages", versions),
        ("seed", str(outcome.recipe.seed)),
        ("outcome", outcome.key),
    ]


def _seeds_said(outcome: Outcome) -> str:
    seeds = outcome.recipe.seeds
    if len(seeds) == 1:
        return (
            "Over queries only; one seed: too few seeds for an interval that holds for a new one."
        )
    return (
        f"{len(seeds)} training seeds, a random effect crossed with the queries: the claims are "
        "about a new seed too. Few seeds make the intervals wide, as they should."
    )


def _notes(outcome: Outcome) -> list[str]:
    recipe = outcome.recipe
    notes = [
        "Intervals and tests are one thing: an interval ends where the paired t-test just "
        "rejects, before Holm. p-values are after Holm over one declared family: the students' "
        "differences from what "
        f"was there, or the pairs of samplers, on one domain. {_seeds_said(outcome)}",
        "The best student is named by the same queries that judge it.",
        "Peak memory is the most that the process held while a stage ran, what earlier stages left "
        "in it included. Compiling kernels and importing packages fall to the first user, and "
        "are a column of their own; so is the overhead of planning and publishing.",
    ]
    if recipe.trains:
        train, losses = recipe.options["train"], ", ".join(recipe.losses.values())
        notes.append(
            f"Each student is {recipe.student}, trained with {losses} on "
            f"{train['documents']:,} documents seen, batches of {train['batch']} groups, peak "
            f"learning rate {train['lr']:g}."
        )
    notes += [*outcome.left_out(), *outcome.advice]
    if outcome.results.scores is not None:
        said = (one for _, told in told_of_all(outcome.results.scores) for one in told.values())
        notes += dict.fromkeys(f"Teacher: {one}." for one in said)
    return notes
