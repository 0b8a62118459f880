"""How a recipe's systems are judged: on every domain the first stage, BM25, the teacher, the start
and every student beside one another, and declared families of comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from rankmill import stages
from rankmill.mining import names
from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.runs.run import Run
from rankmill.mining.store import Artifact, Workspace
from rankmill.request import ENGINE
from rankmill.study.recipe import Recipe
from rankmill.study.results import (
    BM25,
    BM25_SOURCE,
    FIRST_STAGE,
    REFERENCES,
    START,
    TEACHER,
    Judged,
    Results,
    Role,
    System,
)

Ranked = tuple[System, int | None, Artifact]  # training seed, run


class Judging:
    """Judges what one recipe made; `collect` opens the collection of a domain."""

    def __init__(
        self,
        recipe: Recipe,
        workspace: Workspace,
        executor: Execution,
        collect: Callable[[str | None], Collection],
    ):
        self.recipe, self.workspace, self.executor = recipe, workspace, executor
        self.collect = collect

    def judge(self, results: Results) -> None:
        """Evaluate every system on every domain, then compare."""
        students = [
            (system, seed, student)
            for system, trained in results.students.items()
            for seed, student in trained.seeds.items()
        ]
        for domain in self.recipe.domains:
            held = self.held(results, domain)
            there, searching = self._there(domain, held)
            mine = [self._reranking(domain, held, *one) for one in students]
            itself = students if self.recipe.retrieve else []
            search = [self._searching(domain, held, *one) for one in itself]
            for ranked in (*there, *mine, *searching, *search):
                results.judged.append(self._evaluated(domain, *ranked))
            self._compare(results, domain)

    def references(self, results: Results, domain: str) -> list[Judged]:
        """Evaluate on one domain what no student of the recipe is."""
        there, searching = self._there(domain, self.held(results, domain))
        return [self._evaluated(domain, *ranked) for ranked in (*there, *searching)]

    def student(
        self, results: Results, domain: str, system: System, seed: int, student: Artifact
    ) -> list[Judged]:
        """Evaluate one student on one domain, and its own search where the recipe has students
        search."""
        held = self.held(results, domain)
        ways = [self._reranking, *([self._searching] if self.recipe.retrieve else [])]
        return [self._evaluated(domain, *way(domain, held, system, seed, student)) for way in ways]

    def held(self, results: Results, domain: str) -> Collection:
        """Return the collection of a domain."""
        other = self.recipe.domains[domain].collection
        is_other = other and other != self.recipe.collection
        return self.collect(other) if is_other else results.collection

    def _evaluated(self, domain: str, system: System, seed: int | None, run: Artifact) -> Judged:
        measures = " ".join(self.recipe.measured)
        asked = stages.Evaluate(
            run, measures=measures, ties=self._option("ties"), executor=self.executor
        )
        return Judged(system, domain, run, asked.make(), seed)

    def _there(self, domain: str, held: Collection) -> tuple[list[Ranked], list[Ranked]]:
        """Return the runs of what is no student, and those of what searches the corpus itself."""
        recipe = self.recipe
        split, text = recipe.domains[domain].split, recipe.first_stage_of(domain)
        first = self._mined(text, held, split)
        there: list[Ranked] = [(System(FIRST_STAGE), None, first)]
        if {recipe.first_stage_of(d).partition("(")[0] for d in recipe.domains} != {"bm25"}:
            there.append((System(BM25), None, self._mined(BM25_SOURCE, held, split)))
        teacher = names.parse(self.recipe.teacher)
        by_teacher = names.Call("rerank", named=(("teacher", teacher), ("of", first.fingerprint)))
        answered = self._mined(str(by_teacher), held, split)
        if any(part.offsets[-1] for part in Run(answered).parts()):
            # scores read from a file may know none of these
            there.append((System(TEACHER), None, answered))
        start = self._start()
        there.append((System(START), None, self._reranked(start, first)))
        if not recipe.retrieve:
            return there, []
        itself: list[Ranked] = []
        if (search := searching(teacher)) is not None:
            itself.append((System(TEACHER, searches=True), None, self._mined(search, held, split)))
        itself.append((System(START, searches=True), None, self._retrieved(start, held, split)))
        return there, itself

    def _reranking(
        self, domain: str, held: Collection, system: System, seed: int, student: Artifact
    ) -> Ranked:
        split = self.recipe.domains[domain].split
        first = self._mined(self.recipe.first_stage_of(domain), held, split)
        return system, seed, self._reranked(student, first)

    def _searching(
        self, domain: str, held: Collection, system: System, seed: int, student: Artifact
    ) -> Ranked:
        split = self.recipe.domains[domain].split
        return replace(system, searches=True), seed, self._retrieved(student, held, split)

    def _compare(self, results: Results, domain: str) -> None:
        """Test two families: students against what was there, and samplers within one loss."""
        systems: dict[str, list[Artifact]] = {}
        for judged in results.judged:
            if judged.domain == domain:
                systems.setdefault(judged.system.name, []).append(judged.evaluation)
        students = list(results.students.values())
        there: list[Role] = [r for r in REFERENCES if r in systems]
        if BM25 in there and systems[BM25][0].inputs == systems[FIRST_STAGE][0].inputs:
            there.remove(BM25)  # the first stage of this domain is BM25
        against = [(s.system.name, str(r)) for s in students for r in there]
        pairs = [
            (a.system.name, b.system.name)
            for place, a in enumerate(students)
            for b in students[place + 1 :]
            if a.loss == b.loss
        ]
        for family, kept in ((against, results.against), (pairs, results.samplers)):
            if family:
                named = {name for pair in family for name in pair}
                kept[domain] = stages.Compare(
                    {name: made for name, made in systems.items() if name in named},
                    pairs=family,
                    measure=self.recipe.measured[0],
                    **{name: self._option(name) for name in ("margin", "alpha", "draws")},
                    seed=self.recipe.seed,
                ).make()

    def _option(self, name: str) -> Any:
        return self.recipe.option("evaluate", name)

    def _mined(self, source: str, held: Collection, split: str) -> Artifact:
        shared = {name: self._option(name) for name in ("depth", *ENGINE)}
        return stages.Mine(source, held, split=split, **shared, executor=self.executor).make()

    def _start(self) -> Artifact:
        """Return the student as it was before its first step."""
        from rankmill.training.start import untrained

        train = self.recipe.options["train"]
        lengths = {name: train[name] for name in ("query_length", "doc_length")}
        return untrained(self.workspace, self.recipe.student, seed=self.recipe.seeds[0], **lengths)

    def _reranked(self, student: Artifact, first: Artifact) -> Artifact:
        shared = {name: self._option(name) for name in ("depth", "compute", "encode", *ENGINE)}
        return stages.Rerank(student, first, **shared, executor=self.executor).make()

    def _retrieved(self, student: Artifact, held: Collection, split: str) -> Artifact:
        shared = {name: self._option(name) for name in ("depth", "compute", *ENGINE)}
        return stages.Retrieve(student, held, split=split, **shared, executor=self.executor).make()


def searching(teacher: names.Call | str) -> str | None:
    """Return the dense source that searches with a bi-encoder teacher; None for other teachers."""
    from rankmill.mining.sources.dense import Dense

    if not isinstance(teacher, names.Call) or teacher.name != "bi_encoder":
        return None
    known = {field.name for field in fields(Dense)}
    named = tuple((key, value) for key, value in teacher.named if key in known)
    return str(names.Call("dense", teacher.positional, named))
