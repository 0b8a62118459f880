"""What a recipe or a study will take, before it is run: `rankmill estimate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.mining.parts.told import counted
from rankmill.study.recipe import tables_of

if TYPE_CHECKING:
    from rankmill.mining.store import Workspace
    from rankmill.mining.store.execution import Progress
    from rankmill.study.costs.prices import Prices
    from rankmill.study.estimate.asked import Asked, Work
    from rankmill.study.estimate.ladder import Ladder
    from rankmill.study.estimate.machines import Machine
    from rankmill.study.estimate.outcome import Estimate, Limits, Row
    from rankmill.study.grid.design import Study

QUERIES, DOCUMENTS = 64, 2_000


def estimate_recipe(
    recipe: Path,
    workspace: Workspace,
    overrides: Sequence[str] = (),
    *,
    queries: int = QUERIES,
    documents: int = DOCUMENTS,
    machine: str | None = None,
    prices: Path | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Measure samples of every stage of a recipe or study, and say what the whole will take.

    `queries`, `documents`: of the largest sample; a corpus of no more documents is taken whole.
    Raises UsageError for a recipe that `rankmill check` refuses and for an unknown machine,
    BadInput for files that cannot be used and where the scratch folder cannot be made. Nothing is
    refused for being too large: `Estimate.refuse` does that.
    """
    from rankmill.mining.errors import UsageError
    from rankmill.mining.processors import processors
    from rankmill.mining.store.execution import Silent
    from rankmill.study.costs.prices import read_prices
    from rankmill.study.estimate.asked import check, found, study_from
    from rankmill.study.estimate.ladder import Ladder
    from rankmill.study.estimate.machines import machine_of
    from rankmill.study.estimate.scratch import scratch_beside

    for name, value, least in (("sample", queries, 8), ("documents", documents, 100)):
        if type(value) is not int or value < least:
            raise UsageError(f"--{name} {value} is too small", do=f"give {least} or more")
    declared = None if machine is None else machine_of(machine, processors())
    study = study_from(tables_of(Path(recipe), overrides), str(recipe))
    priced = study.prices if prices is None else read_prices(Path(prices))
    check(study, workspace)
    with scratch_beside(workspace, scratch) as place:
        there = found(study, workspace)
        ladder = Ladder(study, place, queries, documents, progress or Silent())
        ladder.climb(there)
    return _outcome(study, ladder, there, workspace, declared, priced)


def _outcome(
    study: Study,
    ladder: Ladder,
    there: set[str],
    workspace: Workspace,
    machine: Machine | None,
    prices: Prices,
) -> Estimate:
    from rankmill.study.estimate.machines import told
    from rankmill.study.estimate.outcome import Estimate

    rows: list[Row] = []
    begun: set[str] = set()
    for asked in ladder.asked:
        rows.append(_row(study, ladder, asked, there, machine, first=asked.alike not in begun))
        if asked.step.key not in there:
            begun.add(asked.alike)
    first_use = sum(one.first_use_s for one in ladder.measured.values())
    return Estimate(
        name=study.name,
        rows=rows,
        limits=_limits(workspace, machine),
        prices=prices,
        notes=list(_notes(ladder, rows, machine)),
        first_use_s=first_use,
        machine=None if machine is None else told(machine),
    )


def _row(
    study: Study,
    ladder: Ladder,
    asked: Asked,
    there: set[str],
    machine: Machine | None,
    *,
    first: bool,
) -> Row:
    from rankmill.study.estimate.declared import carried_over, compute_of
    from rankmill.study.estimate.outcome import THERE, Row

    step, work = asked.step, asked.work
    said = _said(ladder, work, step.stage)
    if step.key in there:
        return Row(step.stage, step.name, THERE, said)
    measured = ladder.measured[asked.alike]
    lines = measured.predicted(ladder.target(work), ladder.slices(work), with_whole=first)
    state = "alike" if not first else "estimated" if measured.points else "measured"
    if machine is not None:
        recipe = study.variants[asked.variant].recipe
        lines = carried_over(lines, machine, step.stage, compute_of(recipe, step.stage, step.name))
        state = "declared"
    return Row(step.stage, step.name, state, said, lines, measured.sampled)


def _said(ladder: Ladder, work: Work, stage: str) -> str:
    """Say what a request grows with: so many queries, or documents."""
    source = ladder.sources[work.spec]
    if stage == "collect":
        return counted(source.documents, "document")
    if work.documents is not None:
        return counted(work.documents, "document seen", "documents seen")
    return counted(source.queries.get(work.split, 0), "query", "queries")


def _limits(workspace: Workspace, machine: Machine | None) -> Limits:
    from rankmill.mining.limits import disk_limit, gpu_limit, memory_limit
    from rankmill.study.estimate.outcome import Limits

    if machine is not None:
        return Limits(machine.memory, machine.disk, machine.gpu_memory)
    return Limits(memory_limit(), disk_limit(workspace.root), gpu_limit())


def _notes(ladder: Ladder, rows: Sequence[Row], machine: Machine | None) -> list[str]:
    """Say on what the estimate rests."""
    notes = []
    for spec, source in ladder.sources.items():
        notes.append(
            f"{spec}: {counted(source.documents, 'document')}, {source.known}{_taken(ladder, spec)}"
        )
    held = sum(row.state == "there" for row in rows)
    if held:
        notes.append(f"{held} of {len(rows)} requests are in the workspace and cost nothing")
    notes.append(
        "intervals are of 90 % (docs/estimate.md); tests between systems, and the report, are not "
        "in it"
    )
    if machine is not None:
        notes.append(
            f"for {machine.name}: declared, not measured; peaks as published, of which models "
            f"reach {machine.utilisation[0]:.0%} to {machine.utilisation[1]:.0%}"
        )
        unknown = [n for n in ("memory", "disk") if getattr(machine, n).bytes is None]
        if unknown:
            said = " and ".join(unknown)
            it = "it" if len(unknown) == 1 else "them"
            are = "is" if len(unknown) == 1 else "are"
            notes.append(f"its {said} {are} not declared, so nothing was refused for {it}")
    return notes


def _taken(ladder: Ladder, spec: str) -> str:
    """Say which part of a collection was sampled."""
    if not ladder.drawn:
        return ""
    largest = [held[spec] for held in ladder.drawn][-1]
    source = ladder.sources[spec]
    corpus = "the whole corpus" if largest.whole_corpus else counted(largest.documents, "document")
    counts: Mapping[str, int] = {s: n for s, n in largest.queries.items() if s != "*"}
    queries = ", ".join(
        f"all {n:,} queries of {split}"
        if n >= source.queries[split]
        else f"{n:,} of {source.queries[split]:,} queries of {split}"
        for split, n in counts.items()
    )
    return f"; sampled: {corpus}, {queries}"
