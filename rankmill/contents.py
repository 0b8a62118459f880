"""From an outcome to the plain values that the report draws."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rankmill import findings, progress
from rankmill.mining import names
from rankmill.mining.sources.base import Run
from rankmill.outcome import Outcome, Standing
from rankmill.pipeline import FIRST_STAGE, START, TEACHER
from rankmill.report import content

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.training.comparison import Comparison

RANKS = 50  # how far score against rank is drawn
_ROLES: Mapping[str, content.Role] = {
    FIRST_STAGE: "first stage",
    TEACHER: "teacher",
    START: "start",
}
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
    depth = recipe.mine.depth
    return content.Report(
        title=recipe.title or recipe.name,
        summary=_summary(outcome),
        headline=_headline(outcome),
        measure=outcome.measure,
        domains=list(recipe.evaluate.domains) if results.judged else [],
        samplers=list(results.groups),
        systems=_systems(outcome),
        recall=_recall(outcome, runs),
        overlap=content.Overlap(list(runs), findings.jaccard(runs, depth), depth)
        if len(runs) > 1
        else None,
        statistics=_statistics(results.statistics),
        ranks=_ranks(outcome),
        training=[_training(s, student) for s, student in results.students.items()],
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
        f"{len(recipe.mine.sources)} sources mined to depth {recipe.mine.depth} on the "
        f"{recipe.mine.split} split, every pair scored once by {recipe.teacher}, "
        f"groups of {recipe.groups.size}."
    ]
    return said + [line for line in outcome.lines() if not line.startswith("root")]


def _headline(outcome: Outcome) -> list[content.Figure]:
    figures = []
    for domain in outcome.recipe.evaluate.domains:
        students = [s for s in outcome.standings if s.domain == domain and s.against_start]
        best = max(students, key=lambda s: s.mean.mean, default=None)
        if best is not None and best.against_start is not None:
            gain = best.against_start.difference.mean
            label = f"{outcome.measure} over the untrained start, {domain}, {best.system} groups"
            figures.append(content.Figure(f"{gain:+.3f}", label))
    scores = outcome.results.scores
    if scores is not None:
        pairs = int(scores.cost()["usage"].get("pairs_asked", 0)) or _pairs(scores)
        figures.append(content.Figure(f"{pairs:,}", "pairs scored by the teacher"))
    figures.append(content.Figure(progress.duration(outcome.seconds), "of work, all stages"))
    return figures


def _pairs(scores: Artifact) -> int:
    return int(scores.counts.get("pairs", 0))


def _systems(outcome: Outcome) -> list[content.System]:
    by_system: dict[str, dict[str, Standing]] = {}
    for standing in outcome.standings:
        by_system.setdefault(standing.system, {})[standing.domain] = standing
    return [
        content.System(
            name=outcome.title_of(system),
            role=_ROLES.get(system, "student"),
            scores={
                domain: content.Interval(s.mean.mean, s.mean.low, s.mean.high)
                for domain, s in standings.items()
            },
            differences={
                domain: [_difference(c, outcome) for c in _comparisons(s)]
                for domain, s in standings.items()
            },
            sampler=system if system in outcome.results.students else None,
        )
        for system, standings in by_system.items()
    ]


def _comparisons(standing: Standing) -> Iterator[Comparison]:
    for compared in (
        standing.against_start,
        standing.against_first_stage,
        standing.against_teacher,
    ):
        if compared is not None:
            yield compared


def _difference(compared: Comparison, outcome: Outcome) -> content.Difference:
    d = compared.difference
    return content.Difference(
        outcome.title_of(compared.b), d.mean, compared.p_adjusted, d.low, d.high
    )


def _recall(outcome: Outcome, runs: Mapping[str, Run]) -> list[content.SourceRecall]:
    recipe = outcome.recipe
    qrels = outcome.results.collection.qrels(recipe.mine.split)
    depth = np.arange(1, recipe.mine.depth + 1)
    return [
        content.SourceRecall(name, depth, findings.recall_by_depth(run, qrels, recipe.mine.depth))
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


def _ranks(outcome: Outcome) -> content.RankPanels | None:
    domain = next(iter(outcome.recipe.evaluate.domains))
    judged = {j.system: Run(j.run) for j in outcome.results.judged if j.domain == domain}
    if not judged:
        return None
    depth = min(RANKS, outcome.recipe.evaluate.depth)
    rank = np.arange(1, depth + 1)
    curves = []
    for sampler in outcome.results.students:
        drawn: tuple[tuple[str, content.CurveRole], ...]
        drawn = ((TEACHER, "teacher"), (START, "start"), (sampler, "student"))
        for system, role in drawn:
            y = findings.probability_by_rank(judged[system], outcome.temperature, depth)
            curves.append(content.RankCurve(sampler, role, rank[y > 0], y[y > 0]))
    label = f"softmax over the list at T = {outcome.temperature:g}, {domain}"
    return content.RankPanels(curves, y_label=label)


def _training(sampler: str, student: Artifact) -> content.Training:
    from rankmill.mining.store import files

    log = files.read_arrow(student.file("telemetry.arrow"))
    floor = log["floor"].to_numpy() if "floor" in log.column_names else np.zeros(1)
    return content.Training(
        sampler,
        step=log["step"].to_numpy(),
        loss=log["loss"].to_numpy(),
        gradient_norm=log["gradient_norm"].to_numpy(),
        floor=float(floor.mean()) if np.isfinite(floor).all() else None,
    )


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
    known = [
        name for name, (_, fingerprint) in aliases.items() if fingerprint == artifact.fingerprint
    ]
    return known[0] if known else artifact.fingerprint[:12]


def _environment(outcome: Outcome) -> list[tuple[str, str]]:
    last = outcome.artifacts[-1].cost()
    versions = ", ".join(f"{k} {v}" for k, v in last.get("versions", {}).items())
    return [
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores"),
        ("python", platform.python_version()),
        ("packages", versions),
        ("seed", str(outcome.recipe.seed)),
        ("outcome", outcome.key),
    ]


def _notes(outcome: Outcome) -> list[str]:
    train = outcome.recipe.train
    notes = [
        "Intervals are 95 % percentile bootstraps over queries; p-values are paired t-tests, Holm "
        "over the students' differences of one domain. One training seed: the spread between seeds "
        "is not in them.",
        "The best student is named by the same queries that judge it.",
        "Peak memory is that of the process up to the end of a stage: within one process it never "
        "falls. The first stage to use a kernel also pays for compiling or loading it.",
    ]
    if train is not None:
        notes.append(
            f"Each student is {train.student}, trained with {train.loss} on {train.documents:,} "
            f"documents seen, batches of {train.batch} groups, peak learning rate {train.lr:g}."
        )
    return notes
