"""What the report of a study says, as plain values: texts and tables of texts, made once and
written as a page, as Markdown and as LaTeX."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rankmill.mining.processors import processors
from rankmill.provenance.folding import folded
from rankmill.provenance.graph import graph_of
from rankmill.report import content, crossed
from rankmill.report.depths import counts_the_list, said_of
from rankmill.report.page.words import number, signed
from rankmill.report.stages import stage_costs
from rankmill.report.study.answer import (
    cost_pictures,
    cost_tables,
    crossings,
    effect_bars,
    judge_first,
    order_tables,
    worth_tables,
)
from rankmill.report.study.claims import claim_tables
from rankmill.report.study.facts import machines_of, place_of, versions_of
from rankmill.report.study.partial import partial_tables
from rankmill.report.study.tables import Table, difference, interval, named, shown_p
from rankmill.study.grid.declared import COUNTED
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.study.grid.panels import Panel
from rankmill.study.results import BM25, START, TEACHER
from rankmill.training.bounded import mean_interval

if TYPE_CHECKING:
    from rankmill.provenance.graph import Graph

EFFECTS = "Main effects and interaction"


@dataclass(frozen=True, slots=True)
class StudyReport:
    """All that a study's report shows, in order.

    `question`: where the title asks none. `answer`: three sentences. `costs`: gain against cost,
    the picture that goes with the answer first. `recipe`: its text. `stages`, `graph`: what each
    artifact cost and was made from.
    """

    title: str
    lead: Sequence[str]
    tables: Sequence[Table]
    notes: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    answer: Sequence[str] = ()
    caveats: Sequence[str] = ()
    costs: Sequence[crossed.CostPicture] = ()
    crossings: Sequence[crossed.Crossing] = ()
    effects: Sequence[crossed.EffectBars] = ()
    recipe: str = ""
    stages: Sequence[content.StageCost] = ()
    graph: Graph | None = None


def report_of(outcome: StudyOutcome) -> StudyReport:
    """Gather everything that the report of a study shows."""
    study, answer, graph = outcome.study, outcome.answer, graph_of(outcome.artifacts)
    tables = [
        *worth_tables(outcome),
        *claim_tables(outcome),
        *_effects(outcome),
        *partial_tables(outcome),
        *(_standing(outcome, panel) for panel in judge_first(outcome)),
        *cost_tables(outcome),
        *order_tables(outcome),
        _budgets(outcome),
        *_stopped(outcome),
        *_axes(outcome),
        _roots(outcome),
    ]
    return StudyReport(
        title=study.title,
        question=_question(outcome),
        lead=[_said(outcome)],
        tables=tables,
        notes=outcome.notes,
        environment=_environment(outcome),
        answer=answer.sentences(signed),
        caveats=answer.caveats,
        costs=cost_pictures(outcome),
        crossings=list(crossings(outcome)),
        effects=list(effect_bars(outcome)),
        recipe=study.text,
        stages=stage_costs(graph),
        graph=folded(graph),
    )


def _question(outcome: StudyOutcome) -> str:
    """Return the title where it asks, else what a study asks."""
    study = outcome.study
    if "?" in study.title:
        return ""
    if len(study.cells) == 1:
        return f"What do its students gain in {study.measures[0]}, and at what cost?"
    what = f"gains most in {study.measures[0]}"
    return f"Which of these {len(study.cells)} cells {what}, and at what cost?"


def _said(outcome: StudyOutcome) -> str:
    study = outcome.study
    axes = " × ".join(f"{len(levels)} {axis}" for axis, levels in study.levels.items())
    seeds = f"{len(study.seeds)} training seed{'s' if len(study.seeds) > 1 else ''}"
    cells = f"{len(study.cells)} cell{'s' if len(study.cells) > 1 else ''}"
    return f"{cells} ({axes}), {seeds} each. Tested: {study.measures[0]}, paired over queries."


def _environment(outcome: StudyOutcome) -> dict[str, str]:
    """Return where the study was carried out, by its ledgers, and where this was written."""
    study = outcome.study
    versions = versions_of(outcome)
    facts = {
        "students trained on": "; ".join(place_of(one) for one in machines_of(outcome)),
        "report written on": f"{platform.machine()}, {processors()} cores",
        "python": versions.pop("python"),
        "rankmill": versions.pop("written by rankmill"),
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "seed": str(study.variants[0].recipe.seed),
        "training seeds": ", ".join(map(str, study.seeds)),
        "recipe": study.where,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _standing(outcome: StudyOutcome, panel: Panel) -> Table:
    measures, axes = outcome.study.measures, outcome.study.varied
    depth = outcome.engine.tracks[panel.cells[0].variant].recipe.option("evaluate", "depth")
    also = [one for one in measures[1:] if not counts_the_list(one, depth)]
    rows = []
    for cell in panel.cells:
        values = panel.values(cell, measures[0])
        row = [
            *named(outcome.study, cell),
            interval(mean_interval(values, measures[0])),
            str(len(values)),
        ]
        for role in (START, BM25):
            compared = panel.against[cell.number].get(role)
            row.append("–" if compared is None else difference(compared))
        taught = panel.against_teacher.get(cell.number, {}).get(TEACHER)
        row.append("–" if taught is None else difference(taught))
        below = panel.below_best.get(cell.number)
        row.append("best" if below is None else difference(below))
        for measure in also:
            mean = panel.mean(cell, measure)
            row.append("–" if mean is None else number(mean))
        rows.append(row)
    columns = [
        *axes,
        measures[0],
        "seeds",
        "change from the untrained student",
        "change from BM25",
        "change from the teacher",
    ]
    columns += ["change from the best", *also]
    say = (
        "Means with 95 % intervals; differences are paired over queries and seeds. p is adjusted "
        "(Holm) over three families: the differences from the untrained student and BM25, those "
        "from the teacher, and all pairs of cells, because the best is chosen by the same values. "
        f"{said_of(measures[1:], depth)}"
    ).strip()
    title = f"{panel.title} ({panel.kind})"
    return Table(title, columns, rows, len(axes), say, "How well the cells rank")


def _effects(outcome: StudyOutcome) -> Iterator[Table]:
    rows = []
    for one in outcome.effects:
        others = ", ".join(f"{axis} {level}" for axis, level in one.others.items())
        for effect in one.effects:
            said = interval(effect.difference, sign=True)
            rows.append(
                [one.domain, others, effect.factor, effect.step, said, shown_p(effect.p_adjusted)]
            )
    if rows:
        columns = ["set", "at", "factor", "step", "effect", "p (Holm)"]
        say = (
            "Queries and training seeds are random effects. A main effect is averaged over the "
            "other factor; an interaction is the difference between two such steps. p is adjusted "
            "(Holm) over the effects on one set at one level of the other axes, not over the whole "
            "table."
        )
        yield Table(EFFECTS, columns, rows, 4, say)


def _budgets(outcome: StudyOutcome) -> Table:
    rows = []
    for cell in outcome.study.cells:
        seen = outcome.engine.seen[cell.number]
        counts = ([one[name] for one in seen] for name in COUNTED)
        rows.append([*named(outcome.study, cell), *(_range(every) for every in counts)])
    axes = outcome.study.varied
    columns = [*axes, *(name.replace("_", " ") for name in COUNTED)]
    declared = outcome.study.budget.declared
    said = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in declared.items())
    say = f"Declared budget: {said}." if declared else "The recipe declares no budget."
    return Table("What every student saw", columns, rows, len(axes), say)


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _stopped(outcome: StudyOutcome) -> Iterator[Table]:
    rows = [
        [outcome.study.cells[number].name, str(one.after), outcome.why(outcome.study.cells[number])]
        for number, one in outcome.engine.stopped.items()
    ]
    if rows:
        say = "Stopped on a development split, by the rule that the recipe declares."
        yield Table("Stopped early", ["cell", "seeds", "evidence"], rows, 1, say)


def _axes(outcome: StudyOutcome) -> Iterator[Table]:
    rows = [
        [axis.name, level, "; ".join(f"{key} = {value}" for key, value in keys.items())]
        for axis in outcome.study.axes
        for level, keys in axis.levels.items()
    ]
    first = outcome.study.variants[0].recipe
    rows += [["sampler", name, text] for name, text in first.samplers.items()]
    rows += [["loss", name, text] for name, text in first.losses.items()]
    yield Table("What the levels mean", ["axis", "level", "recipe"], rows, 3)


def _roots(outcome: StudyOutcome) -> Table:
    rows = []
    for cell in outcome.study.cells:
        track = outcome.engine.tracks[cell.variant]
        for place in range(outcome.engine.trained[cell.number]):
            student = track.students[cell.number, place]
            groups = " + ".join(one.root_hash[:16] for one in track.groups_of(cell, place))
            seed = str(track.recipe.seeds[place])
            hashes = (groups, student.root_hash[:16])
            rows.append([*named(outcome.study, cell), seed, *hashes])
    axes = outcome.study.varied
    say = "Equal root hashes mean equal data, byte for byte; cells.parquet has them in full."
    return Table("Root hashes", [*axes, "seed", "groups", "student"], rows, len(axes), say)
