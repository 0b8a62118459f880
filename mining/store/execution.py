"""Running a plan: one shard function, whichever executor calls it, and the executor that uses this
process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ..ahead import in_turn
from ..devices import tell_halved
from ..errors import RankmillError
from ..foreign import Carried, is_foreign
from ..meter import Cost, measuring
from ..meter.underway import Underway, listening
from ..names import foreigners
from . import files, ledger
from .plan import Output, Shard, Stage, Worker
from .together.patience import patiently


@dataclass(frozen=True, slots=True)
class Report:
    """A finished attempt at a shard: where its file lies and what it holds. Paths travel, tables do
    not."""

    shard: Shard
    path: Path
    facts: files.Facts
    queries: int
    cost: Cost
    counts: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, Sequence[int]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """The shards of a stage that still have to be done, and where their attempts and ledger lines
    go. Its worker brings along the code of other people, if there is any."""

    stage: Stage
    pending: list[Shard]
    done: int
    attempts: Path
    folder: Path
    title: str = ""

    def __post_init__(self) -> None:
        members = foreigners()
        if members or is_foreign(self.stage.worker):
            carried = replace(self.stage, worker=Carried(self.stage.worker, members))
            object.__setattr__(self, "stage", carried)

    def underway(self) -> Underway:
        """Return what counts how far the stage is: of what is pending, nothing yet."""
        stage, pending = self.stage, self.pending
        return Underway(
            stage.kind,
            self.title or stage.kind,
            items=stage.items or stage.unit,
            count=sum(map(stage.items_of, pending)),
            work=sum(shard.work for shard in pending),
            shards=len(pending),
            shards_found=self.done,
            fingerprint=stage.fingerprint,
        )


Commit = Callable[[Report], None]


class Progress(Protocol):
    """What is told how stages get on; it asks each of them itself how far it is."""

    def announce(self, text: str) -> None:
        """Say what a stage will take, before it starts, or warn; stages of one run that say the
        same are heard once, by whoever shows it."""

    def there(self, kind: str, fingerprint: str) -> None:
        """Say that an artifact is there already: nothing is to be done."""

    def begin(self, stage: Underway) -> None:
        """Say that a stage starts. Several may be under way at a time, each in a thread."""

    def failed(self, cause: str) -> None:
        """Say that an attempt at a shard came to nothing, through no fault of its own so far."""

    def end(self, stage: Underway) -> None:
        """Say that a stage is over, well or badly."""


class Executor(Protocol):
    """Plan in, parts out."""

    @property
    def progress(self) -> Progress:
        """What is told how stages get on."""
        ...

    def execute(self, job: Job, commit: Commit) -> None:
        """Run every pending shard and commit each result; raises the first application error."""


class Silent:
    """Progress that is not shown."""

    def announce(self, text: str) -> None:
        """Ignore."""

    def there(self, kind: str, fingerprint: str) -> None:
        """Ignore."""

    def begin(self, stage: Underway) -> None:
        """Ignore."""

    def failed(self, cause: str) -> None:
        """Ignore."""

    def end(self, stage: Underway) -> None:
        """Ignore."""


@contextlib.contextmanager
def shown(progress: Progress | None, stage: Underway) -> Iterator[Underway]:
    """Show a stage for as long as a block takes; one that ends well is done to the last item."""
    progress = progress or Silent()
    progress.begin(stage)
    try:
        yield stage
        stage.finished()
    finally:
        progress.end(stage)


@dataclass(frozen=True, slots=True)
class Inline:
    """One process; kernels and torch use every core. Never imports Ray."""

    progress: Progress = field(default_factory=Silent)

    def execute(self, job: Job, commit: Commit) -> None:
        """Run the shards in plan order, or as many abreast as the stage allows; what passes while
        one is waited for is charged to it."""
        stage, underway = job.stage, job.underway()
        self.progress.begin(underway)
        try:
            with measuring(stage.gpus) as making:
                worker = stage.worker(**stage.options)
            ledger.note(job.folder, ledger.OUTSIDE, 1, making)
            heard = partial(_heard, worker, underway, stage)
            outputs = in_turn(heard, job.pending, stage.abreast)
            for shard in job.pending:
                report = run_shard(
                    lambda shard: next(outputs),
                    shard,
                    stage.schema_of(shard),
                    attempt_path(job, shard),
                    stage.gpus,
                )
                commit(report)
                ledger.note(job.folder, shard.number, 1, report.cost)
                underway.committed(shard.number, shard.work, stage.items_of(shard))
                tell_halved(report.cost.usage, self.progress.announce)
        finally:
            self.progress.end(underway)


def _heard(worker: Worker, underway: Underway, stage: Stage, shard: Shard) -> Output:
    """Compute one shard, counting what its worker says on the way."""
    count = stage.items_of(shard)

    def hear(share: float) -> None:
        underway.partly(shard.number, share * shard.work, share * count)

    with listening(hear):
        return patiently(partial(worker, shard))


def attempt_path(job: Job, shard: Shard, attempt: int = 1) -> Path:
    """Name the file of one attempt at one (possibly halved) shard."""
    name = f"{shard.number:05d}-{shard.start}-{shard.stop}-try{attempt}.arrow"
    return job.attempts / name


Attempt = Callable[[Path, int, Callable[[Path], files.Facts]], files.Facts]
"""attempt(path, number of the part, write): write where the driver finds what belongs at `path`"""


def run_shard(
    worker: Worker,
    shard: Shard,
    schema: pa.Schema,
    path: Path,
    gpus: int = 0,
    attempt: Attempt | None = None,
) -> Report:
    """Compute one shard and write it to `path`: the same function, and the same bytes, everywhere.

    `attempt`: how it is written where `path` is one of another machine's; None: it is not.
    Raises RankmillError when the worker's table has another schema than the stage declared.
    """
    with measuring(gpus) as cost:
        output = worker(shard)
        if output.table.schema != schema:
            raise RankmillError(
                f"the worker returned columns {output.table.schema.names} "
                f"of types {[str(t) for t in output.table.schema.types]}",
                where=f"shard {shard.number}, keys {shard.start} to {shard.stop}",
                do=f"the stage declared {[f'{f.name}: {f.type}' for f in schema]}",
            )

        def write(to: Path) -> files.Facts:
            return patiently(lambda: files.write_arrow(to, output.table))

        facts = write(path) if attempt is None else attempt(path, shard.number, write)
    return Report(
        shard=shard,
        path=path,
        facts=facts,
        queries=_distinct_queries(output.table),
        cost=ledger.with_usage(cost, output.usage),
        counts=dict(output.counts),
        dropped={k: list(v) for k, v in output.dropped.items()},
        notes=tuple(output.notes),
        examples={k: list(v) for k, v in output.examples.items()},
    )


def rejoin(reports: Sequence[Report], shard: Shard, path: Path) -> Report:
    """Write the halves of a shard, in order, as the one part that the undivided shard would have
    been."""
    tables = [files.read_arrow(r.path) for r in reports]
    counts: dict[str, int] = {}
    dropped: dict[str, list[int]] = {}
    cost = Cost()
    for report in reports:
        _add(counts, report.counts)
        for reason, queries in report.dropped.items():
            dropped.setdefault(reason, []).extend(queries)
        cost.add(report.cost)
    facts = files.write_arrow(path, pa.concat_tables(tables))
    notes = [note for report in reports for note in report.notes]
    examples: dict[str, list[str]] = {}
    for report in reports:
        for kind, first in report.examples.items():
            examples.setdefault(kind, []).extend(first)
    answered = sum(r.queries for r in reports)
    return Report(shard, path, facts, answered, cost, counts, dropped, notes, examples)


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def _distinct_queries(table: pa.Table) -> int:
    if "query" not in table.column_names:
        return 0
    return pc.count_distinct(table["query"]).as_py()
