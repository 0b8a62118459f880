"""The stages of a variant, each with the request that it is: what is shared is known before it is
made.

A request's key is a hash of its options and the keys of what it is made from. Two steps of two
variants with one key are one stage; the artifact's own fingerprint, which needs its inputs, is
found or made later by the same step.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rankmill.mining.errors import BadInput, Locked
from rankmill.study.check import encoder_of
from rankmill.study.grid.design import Cell, Variant
from rankmill.study.results import Judged, Results
from rankmill.study.run import Opened, Pipeline

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.collection import Collection
    from rankmill.mining.store import Artifact, Workspace

T = TypeVar("T")
_AGAIN_S = 0.5  # between looks at what another process is making


@dataclass(frozen=True, slots=True)
class Step:
    """One request: its stage, what for, its key, the keys of the steps that it needs, and what
    finds or makes it."""

    stage: str
    name: str
    key: str
    needs: tuple[str, ...]
    make: Callable[[], object] = field(compare=False)


def key_of(*said: Any) -> str:
    """Return the key of a request that is said by JSON values."""
    text = json.dumps(said, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def patiently(make: Callable[[], T], tell: Callable[[str], None] = lambda line: None) -> T:
    """Do what finds or makes, again as long as another process is making a part of it: another
    study that shares it, another cell, or what a killed run has left behind. `tell` is told once
    for whom it waits."""
    told = ""
    while True:
        try:
            return make()
        except Locked as locked:
            if told != locked.what:
                told = locked.what
                tell(f"waiting: {told}")
            time.sleep(_AGAIN_S)


class Track:
    """One variant's way through its stages in one workspace, step by step.

    `opened`: the collections that the study has read, shared by its tracks.
    `beside` holds, by domain and sampler, statistics of groups of the domain's queries;
    `groups` what was drawn, by (sampler, place of the seed); `students` and `judged` what
    cells made, by (cell number, place of the seed); `results`, which the first step makes, what
    they share.
    """

    results: Results

    def __init__(
        self,
        variant: Variant,
        workspace: Workspace,
        executor: Execution,
        opened: Opened | None = None,
    ):
        self.recipe, self.levels = variant.recipe, variant.levels
        self.pipeline = Pipeline(variant.recipe, workspace, executor, opened)
        self.references: dict[str, list[Judged]] = {}
        self.groups: dict[tuple[str, int], Artifact] = {}
        self.beside: dict[str, dict[str, Artifact]] = {}
        self.students: dict[tuple[int, int], Artifact] = {}
        self.judged: dict[tuple[int, int], dict[str, list[Judged]]] = {}

    def open(self) -> None:
        """Read, or find, the collections, and refuse splits that cannot be trained or judged on."""
        self._collect()

    def prepare(self, cells: Iterable[Cell]) -> None:
        """Make or find what some cells are trained on."""
        _make(self.shared())
        for cell in cells:
            _make(self.drawn(cell))

    def refer(self) -> None:
        """Judge, or find judged, what no student is."""
        _make(self.referred())

    def correlate(self, domains: Iterable[str]) -> None:
        """Measure, or find measured, what samplers draw for the queries of some domains."""
        _make(self.correlated(domains))

    def one(self, cell: Cell, place: int) -> None:
        """Train and judge, or find, one student."""
        _make(self.trained(cell, place))

    # ---- what all cells of the variant share -----------------------------------------------------

    def shared(self) -> Iterator[Step]:
        """Yield the steps up to the teacher's scores."""
        recipe, options = self.recipe, self.recipe.options
        collected = self._collected
        yield Step("collect", recipe.collection, collected, (), self._collect)
        mined = {name: self._mined(name) for name in recipe.sources}
        for name, key in mined.items():
            yield Step("mine", name, key, (collected,), lambda name=name: self._mine(name))  # type: ignore[misc]
        yield Step("pool", "all sources", self._pool, tuple(mined.values()), self._make_pool)
        scored = key_of("score", recipe.teacher, options["score"], self._pool)
        yield Step("score", recipe.teacher, scored, (self._pool,), self._score)
        for label, key in self._others.items():
            yield Step(
                "score",
                recipe.other[label],
                key,
                (self._pool,),
                lambda label=label: self._score_other(label),  # type: ignore[misc]
            )

    def drawn(self, cell: Cell) -> Iterator[Step]:
        """Yield the groups of a cell and their statistics, for every seed where seeds redraw; of a
        blend those of its parts."""
        for part in self.recipe.parts(cell.sampler):
            drawn = part in self.recipe.strategies
            needs = (self._scored, *self._others.values()) if drawn else ()
            for place in range(len(self.recipe.seeds)):
                yield Step(
                    "select",
                    part,
                    self._groups(part, place),
                    needs,
                    lambda part=part, place=place: self._select(part, place),  # type: ignore[misc]
                )

    def groups_of(self, cell: Cell, place: int) -> list[Artifact]:
        """Return the groups that a student of a cell sees: of a blend several."""
        return [self.groups[part, place] for part in self.recipe.parts(cell.sampler)]

    def referred(self) -> Iterator[Step]:
        """Yield, for every domain, the systems that no student of the variant is."""
        for domain in self.recipe.domains:
            said = [self._of_domain(domain), self.recipe.teacher, self._start]
            yield Step(
                "references",
                domain,
                key_of("references", *said),
                (self._collected,),
                lambda domain=domain: self._refer(domain),  # type: ignore[misc]
            )

    def correlated(self, domains: Iterable[str]) -> Iterator[Step]:
        """Yield, for some domains, the groups that the samplers draw for the domain's queries, with
        their statistics: measured beside gains, never trained on."""
        for domain in domains:
            if domain in self.recipe.domains:
                said = [self._scored, self._of_domain(domain), dict(self.recipe.strategies)]
                said += [self.recipe.options["groups"], self.recipe.options["statistics"]]
                said += [self._others] if self._others else []
                yield Step(
                    "correlate",
                    domain,
                    key_of("correlate", *said),
                    (self._collected,),
                    lambda domain=domain: self._correlate(domain),  # type: ignore[misc]
                )

    # ---- one student of a cell -------------------------------------------------------------------

    def trained(self, cell: Cell, place: int) -> Iterator[Step]:
        """Yield the training of one student and its evaluation on every domain."""
        student, name = self._student(cell, place), f"{cell.name}, {self._seed(place)}"
        yield Step(
            "train",
            name,
            student,
            tuple(self._groups(part, place) for part in self.recipe.parts(cell.sampler)),
            lambda: self._train(cell, place),
        )
        for domain in self.recipe.domains:
            yield Step(
                "evaluate",
                f"{domain}: {name}",
                key_of("evaluate", self._of_domain(domain), student),
                (student,),
                lambda domain=domain: self._judge(cell, place, domain),  # type: ignore[misc]
            )

    def _seed(self, place: int) -> str:
        return f"seed {self.recipe.seeds[place]}"

    # ---- keys ------------------------------------------------------------------------------------

    @property
    def _collected(self) -> str:
        return key_of("collect", self.recipe.collection, self.recipe.options["collect"])

    def _mined(self, name: str) -> str:
        recipe = self.recipe
        said = [recipe.source(name), recipe.options["mine"], recipe.seed, self._collected]
        return key_of("mine", *said)

    @property
    def _pool(self) -> str:
        mined = sorted(self._mined(name) for name in self.recipe.sources)
        return key_of("pool", mined, self.recipe.options["pool"])

    @property
    def _scored(self) -> str:
        return key_of("score", self.recipe.teacher, self.recipe.options["score"], self._pool)

    @property
    def _others(self) -> dict[str, str]:
        options = self.recipe.options["score"]
        other = self.recipe.other.items()
        return {label: key_of("score", text, options, self._pool) for label, text in other}

    def _groups(self, part: str, place: int) -> str:
        recipe = self.recipe
        if part not in recipe.strategies:  # groups of the workspace
            return key_of("select", part, recipe.target)
        seed = recipe.seeds[place] if recipe.redraw else recipe.seed
        strategy = recipe.strategies[part]
        # sources by their short names mean what the recipe says they are
        said: list[Any] = [
            strategy,
            dict(recipe.sources),
            recipe.options["groups"],
            encoder_of(recipe),
        ]
        said += [recipe.options["statistics"], recipe.cut, recipe.target, seed, self._scored]
        said += [self._others] if self._others else []
        return key_of("select", *said)

    def _student(self, cell: Cell, place: int) -> str:
        recipe = self.recipe
        said: list[Any] = [recipe.options["train"], recipe.losses[cell.loss], recipe.seeds[place]]
        shares = recipe.parts(cell.sampler)
        said += [self._groups(part, place) for part in shares]
        said += [list(shares.values())] if recipe.blend(cell.sampler) else []
        return key_of("train", *said)

    @property
    def _start(self) -> list[Any]:
        train = self.recipe.options["train"]
        kept = [train[name] for name in ("student", "query_length", "doc_length")]
        return [*kept, self.recipe.seeds[0]]

    def _of_domain(self, domain: str) -> list[Any]:
        recipe, where = self.recipe, self.recipe.domains[domain]
        kept = {k: v for k, v in recipe.options["evaluate"].items() if k in _JUDGED_BY}
        said = [where.collection or recipe.collection, recipe.options["collect"], where.split]
        return [*said, recipe.first_stage_of(domain), recipe.retrieve, recipe.measured, kept]

    # ---- finding or making -----------------------------------------------------------------------

    def _collect(self) -> None:
        """Collect, and see to it that every split that will be asked for has judgements."""
        self.results = Results(self.pipeline.collect())
        self._judged_queries("mine.split", *self.trained_on, least=1)
        for domain in self.recipe.domains:
            self._judged_queries(f"evaluate.domains.{domain}", *self.judged_on(domain), least=2)

    @property
    def trained_on(self) -> tuple[Collection, str]:
        """The collection and the split that students are trained on."""
        return self.results.collection, str(self.recipe.option("mine", "split"))

    def judged_on(self, domain: str) -> tuple[Collection, str]:
        """Return the collection and the split of a domain."""
        held = self.pipeline.judging.held(self.results, domain)
        return held, self.recipe.domains[domain].split

    def _judged_queries(self, key: str, held: Collection, split: str, least: int) -> None:
        """Raise BadInput for a split with fewer judged queries; two have a spread."""
        where = f"{self.recipe.where}: {key}"
        try:
            judged = held.qrels_artifact(split)
        except BadInput as error:
            raise BadInput(
                f"{error.what}: nothing can be judged on it, and nothing was mined or trained",
                where=where,
                do=error.do,
            ) from error
        count = len(held.qrels(split).queries) if judged.rows else 0
        if count < least:
            raise BadInput(
                f"the split {split!r} has {f'{count} judged query' if count else 'no judgements'}: "
                "nothing was mined or trained",
                where=where,
                do="judge more queries, or name another split"
                + (": an interval needs two at least" if count else ""),
            )

    def _mine(self, name: str) -> None:
        self.results.runs[name] = self.pipeline.mine(self.results, name)

    def _make_pool(self) -> None:
        self.results.pool = self.pipeline.pool(self.results)

    def _score(self) -> None:
        self.results.scores = self.pipeline.score(self.results)

    def _score_other(self, label: str) -> None:
        self.results.other[label] = self.pipeline.score_other(self.results, label)

    def _select(self, part: str, place: int) -> None:
        results = self.results
        if part in self.recipe.strategies and part not in results.groups:
            made = self.pipeline.select(results, part)
            results.groups[part], results.statistics[part] = made
        seed = self.recipe.seeds[place]
        self.groups[part, place] = self.pipeline.groups_for(results, part, seed)

    def _refer(self, domain: str) -> None:
        self.references[domain] = self.pipeline.judging.references(self.results, domain)

    def _correlate(self, domain: str) -> None:
        self.beside[domain] = self.pipeline.measured_on(self.results, domain)

    def _train(self, cell: Cell, place: int) -> None:
        seed = self.recipe.seeds[place]
        made = self.pipeline.student(self.results, cell.sampler, cell.loss, seed)
        self.students[cell.number, place] = made

    def _judge(self, cell: Cell, place: int, domain: str) -> None:
        made = self.pipeline.judging.student(
            self.results,
            domain,
            self.pipeline.system(cell.sampler, cell.loss),
            self.recipe.seeds[place],
            self.students[cell.number, place],
        )
        self.judged.setdefault((cell.number, place), {})[domain] = made


_JUDGED_BY = {"ties", "depth", "compute", "encode"}


def _make(steps: Iterable[Step]) -> None:
    for step in steps:
        step.make()
