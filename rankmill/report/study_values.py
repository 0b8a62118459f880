"""What the report of a study says, as plain values: texts and tables of texts, made once and
written as a page, as Markdown and as LaTeX."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

from rankmill.mining.processors import processors
from rankmill.report.page.words import number, p_value, seconds, signed
from rankmill.study.grid.declared import COUNTED
from rankmill.study.grid.design import Cell
from rankmill.study.grid.outcome import CellGain, StudyOutcome
from rankmill.study.grid.panels import Panel
from rankmill.study.results import BM25, START
from rankmill.training.comparison import Comparison
from rankmill.training.significance import Interval, t_interval


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; the first `heads` columns name a row, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    heads: int = 1
    say: str = ""


@dataclass(frozen=True, slots=True)
class StudyReport:
    """All that a study's report shows, in order."""

    title: str
    lead: Sequence[str]
    tables: Sequence[Table]
    notes: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def report_of(outcome: StudyOutcome) -> StudyReport:
    """Gather everything that the report of a study shows."""
    study = outcome.study
    axes = " × ".join(f"{len(levels)} {axis}" for axis, levels in study.levels.items())
    count = len(study.cells)
    lead = [
        f"{count} cells ({axes}), {len(study.seeds)} training seeds each; {study.measures[0]} is "
        "tested, paired over queries."
    ]
    tables = [
        *(_standing(outcome, panel) for panel in outcome.panels),
        *(_gains(outcome, panel) for panel in outcome.panels),
        *_effects(outcome),
        _budgets(outcome),
        *_stopped(outcome),
        *_axes(outcome),
        _roots(outcome),
    ]
    environment = {
        "machine": f"{platform.machine()}, {processors()} cores",
        "python": platform.python_version(),
        "rankmill": metadata.version("rankmill"),
        "seed": str(study.variants[0].recipe.seed),
        "recipe": study.where,
    }
    return StudyReport(study.title, lead, tables, outcome.notes, environment)


def _levels(outcome: StudyOutcome) -> list[str]:
    """Return the axes that have more than one level: a single one tells no row apart."""
    several = [axis for axis, levels in outcome.study.levels.items() if len(levels) > 1]
    return several or ["sampler"]


def _named(outcome: StudyOutcome, cell: Cell) -> list[str]:
    return [cell.levels[axis] for axis in _levels(outcome)]


def _standing(outcome: StudyOutcome, panel: Panel) -> Table:
    measures, axes = outcome.study.measures, _levels(outcome)
    rows = []
    for cell in panel.cells:
        values = panel.values(cell, measures[0])
        row = [*_named(outcome, cell), _interval(t_interval(values)), str(len(values))]
        for role in (START, BM25):
            compared = panel.against[cell.number].get(role)
            row.append("–" if compared is None else _difference(compared))
        below = panel.below_best.get(cell.number)
        row.append("best" if below is None else _difference(below))
        for measure in measures[1:]:
            mean = panel.mean(cell, measure)
            row.append("–" if mean is None else number(mean))
        rows.append(row)
    columns = [*axes, measures[0], "seeds", "against untrained start", "against BM25"]
    columns += ["against the best", *measures[1:]]
    say = (
        "Means with 95 % intervals; differences are paired over queries and seeds. p is after "
        "Holm: those from the start and BM25 are one family, all pairs of cells another, as the "
        "best is named by the same values."
    )
    return Table(f"{panel.title} ({panel.kind})", columns, rows, len(axes), say)


def _gains(outcome: StudyOutcome, panel: Panel) -> Table:
    axes = _levels(outcome)
    columns = [*axes, "mining", "teacher", "groups", "training", "together", "gain over start"]
    columns += ["gain per hour", "front", "verdict"]
    mine = [g for g in outcome.gains if g.domain == panel.domain and g.cell in panel.cells]
    rows = [[*_named(outcome, gain.cell), *_spent(gain)] for gain in mine]
    say = (
        "Cheapest first: what a student would have cost alone, one training, in seconds of "
        "processor and accelerator. On the front is whom no cell beats for less or the same cost, "
        "by the means; the verdict is the test’s."
    )
    return Table(f"Cost against gain, {panel.title}", columns, rows, len(axes), say)


def _spent(gain: CellGain) -> Iterator[str]:
    spent = gain.spent
    for part in (spent.mining, spent.teacher, spent.groups, spent.training, spent.seconds):
        yield seconds(part)
    yield _difference(gain.gained)
    yield number(gain.per_hour, 2)
    yield "yes" if gain.front else ""
    yield gain.verdict


def _effects(outcome: StudyOutcome) -> Iterator[Table]:
    rows = []
    for one in outcome.effects:
        others = ", ".join(f"{axis} {level}" for axis, level in one.others.items())
        for effect in one.effects:
            said = _interval(effect.difference, sign=True)
            rows.append(
                [one.domain, others, effect.factor, effect.step, said, p_value(effect.p_adjusted)]
            )
    if rows:
        columns = ["domain", "at", "factor", "step", "effect", "p (Holm)"]
        say = (
            "Queries and training seeds are random; a main effect is the mean over the other "
            "factor, an interaction the difference of two such steps. p is after Holm over the "
            "effects of one domain at one level of the other axes, not over the whole table."
        )
        yield Table("Main effects and interaction", columns, rows, 4, say)


def _budgets(outcome: StudyOutcome) -> Table:
    rows = []
    for cell in outcome.study.cells:
        seen = outcome.engine.seen[cell.number]
        counts = ([one[name] for one in seen] for name in COUNTED)
        rows.append([*_named(outcome, cell), *(_range(every) for every in counts)])
    axes = _levels(outcome)
    columns = [*axes, *(name.replace("_", " ") for name in COUNTED)]
    declared = outcome.study.budget.declared
    said = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in declared.items())
    say = f"Declared: {said}." if declared else "No budget was declared."
    return Table("What every student sees", columns, rows, len(axes), say)


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _stopped(outcome: StudyOutcome) -> Iterator[Table]:
    rows = [
        [outcome.study.cells[number].name, str(one.after), outcome.why(outcome.study.cells[number])]
        for number, one in outcome.engine.stopped.items()
    ]
    if rows:
        say = "By the rule that the recipe declares, on a development split."
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
    yield Table("What the levels are", ["axis", "level", "recipe"], rows, 3)


def _roots(outcome: StudyOutcome) -> Table:
    rows = []
    for cell in outcome.study.cells:
        track = outcome.engine.tracks[cell.variant]
        for place in range(outcome.engine.trained[cell.number]):
            student = track.students[cell.number, place]
            groups = track.groups[cell.number, place]
            seed = str(track.recipe.seeds[place])
            hashes = (groups.root_hash[:16], student.root_hash[:16])
            rows.append([*_named(outcome, cell), seed, *hashes])
    axes = _levels(outcome)
    say = "Equal root hashes mean equal data, byte for byte; the whole ones are in cells.parquet."
    return Table("Root hashes", [*axes, "seed", "groups", "student"], rows, len(axes), say)


def _interval(found: Interval, *, sign: bool = False) -> str:
    write = signed if sign else number
    if found.low is None or found.high is None:
        return f"{write(found.mean)} ({found.reason})"
    return f"{write(found.mean)} ({write(found.low)} … {write(found.high)})"


def _difference(compared: Comparison) -> str:
    return f"{_interval(compared.difference, sign=True)}, {p_value(compared.p_adjusted)}"
