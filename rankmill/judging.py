"""How a recipe's systems are judged: on every domain the first stage, BM25, the teacher, the start
and every student beside one another, and declared families of comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

from rankmill import api
from rankmill.mining import names
from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.store import Artifact, Workspace
from rankmill.recipes import Recipe
from rankmill.results import BM25, FIRST_STAGE, REFERENCES, SEARCH, START, TEACHER, Judged, Results

BM25_SOURCE = "bm25(k1=0.9,b=0.4)"
System = tuple[str, int | None, Artifact]  # name, training seed, run


class Judging:
    """Judges what one recipe made; `collect` opens the collection of a domain."""

    def __init__(
        self,
        recipe: Recipe,
        workspace: Workspace,
        executor: Execution,
        collect: Callable[[str | None], Collection],
    ):
        self.recipe, self.workspace, self.executor, self.collect = (
            recipe,
            workspace,
            executor,
            collect,
        )

    def judge(self, results: Results) -> None:
        """Evaluate every system on every domain, then compare."""
        measures = " ".join(self.recipe.measured)
        for domain, where in self.recipe.evaluate.domains.items():
            other = where.collection and where.collection != self.recipe.collection
            held = self.collect(where.collection) if other else results.collection
            for system, seed, run in self._systems(results, domain, held):
                judged = api.evaluate(run, measures=measures, executor=self.executor)
                results.judged.append(Judged(system, domain, run, judged, seed))
            self._compare(results, domain)

    def _systems(self, results: Results, domain: str, held: Collection) -> Iterator[System]:
        """Yield every system's run on one domain."""
        wanted = self.recipe.evaluate
        split, text = wanted.domains[domain].split, self.recipe.first_stage(domain)
        first = self._mined(text, held, split)
        yield FIRST_STAGE, None, first
        stages = {self.recipe.first_stage(d).partition("(")[0] for d in wanted.domains}
        if stages != {"bm25"}:
            yield BM25, None, self._mined(BM25_SOURCE, held, split)
        teacher = names.parse(self.recipe.teacher)
        by_teacher = names.Call("rerank", named=(("teacher", teacher), ("of", first.fingerprint)))
        yield TEACHER, None, self._mined(str(by_teacher), held, split)
        start = self._start()
        yield START, None, self._reranked(start, first)
        for system, trained in results.students.items():
            for seed, student in trained.seeds.items():
                yield system, seed, self._reranked(student, first)
        if not wanted.retrieve:
            return
        if (search := searching(teacher)) is not None:
            yield f"{TEACHER}{SEARCH}", None, self._mined(search, held, split)
        yield f"{START}{SEARCH}", None, self._retrieved(start, held, split)
        for system, trained in results.students.items():
            for seed, student in trained.seeds.items():
                yield f"{system}{SEARCH}", seed, self._retrieved(student, held, split)

    def _compare(self, results: Results, domain: str) -> None:
        """Test two families: students against what was there, and samplers within one loss."""
        systems: dict[str, list[Artifact]] = {}
        for judged in results.judged:
            if judged.domain == domain:
                systems.setdefault(judged.system, []).append(judged.evaluation)
        students = list(results.students.values())
        there = [r for r in REFERENCES if r in systems]
        if BM25 in there and systems[BM25][0].inputs == systems[FIRST_STAGE][0].inputs:
            there.remove(BM25)  # the first stage of this domain is BM25
        against = [(s.system, r) for s in students for r in there]
        pairs = [
            (a.system, b.system)
            for place, a in enumerate(students)
            for b in students[place + 1 :]
            if a.loss == b.loss
        ]
        for family, kept in ((against, results.against), (pairs, results.samplers)):
            if family:
                named = {name for pair in family for name in pair}
                kept[domain] = api.compare(
                    {name: made for name, made in systems.items() if name in named},
                    pairs=family,
                    measure=self.recipe.measured[0],
                    margin=self.recipe.evaluate.margin,
                    alpha=self.recipe.evaluate.alpha,
                    seed=self.recipe.seed,
                )

    def _mined(self, source: str, held: Collection, split: str) -> Artifact:
        return api.mine(
            source, held, split=split, depth=self.recipe.evaluate.depth, executor=self.executor
        )

    def _start(self) -> Artifact:
        """Return the student as it was before its first step."""
        from rankmill.training.start import untrained

        train = self.recipe.train
        assert train is not None
        lengths = {k: v for k, v in train.settings.items() if k in ("query_length", "doc_length")}
        return untrained(self.workspace, train.student, seed=self.recipe.seeds[0], **lengths)

    def _reranked(self, student: Artifact, first: Artifact) -> Artifact:
        wanted = self.recipe.evaluate
        return api.rerank(
            student, first, depth=wanted.depth, compute=wanted.compute, executor=self.executor
        )

    def _retrieved(self, student: Artifact, held: Collection, split: str) -> Artifact:
        wanted = self.recipe.evaluate
        return api.retrieve(
            student,
            held,
            split=split,
            depth=wanted.depth,
            compute=wanted.compute,
            executor=self.executor,
        )


def searching(teacher: names.Call | str) -> str | None:
    """Return the dense source that searches with a bi-encoder teacher; None for other teachers."""
    from rankmill.mining.sources.dense import Dense

    if not isinstance(teacher, names.Call) or teacher.name != "bi_encoder":
        return None
    known = {field.name for field in fields(Dense)}
    named = tuple((key, value) for key, value in teacher.named if key in known)
    return str(names.Call("dense", teacher.positional, named))
