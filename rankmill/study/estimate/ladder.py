"""Samples of several sizes, each carried out in the scratch workspace, stage by stage, measured.

One sample of the size asked for warms up: what it spends on importing and compiling is paid once
per process and is a line of its own, as it is in ledgers; its stages follow each other as those of
the later run do, so peaks of memory are its. Five more follow, of 1, ⅛, ½, ⅛ and 1 of that size,
each of other queries, so that residuals hold how much queries differ; in this order what creeps up
in a process, such as memory that allocators keep, is not taken for growth with size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import EVERY_QUERY, Collection
from rankmill.mining.collection.policies import policies_of
from rankmill.mining.errors import BadInput, Incomplete
from rankmill.mining.names import nearest
from rankmill.mining.store import Workspace
from rankmill.mining.store.execution import Progress
from rankmill.mining.store.workspace import FoundOnly, NotThere
from rankmill.study.estimate import samples
from rankmill.study.estimate.asked import Asked, Work, every_step, requests
from rankmill.study.estimate.measured import SEARCH, Measured, first_use_of
from rankmill.study.estimate.samples import Sample, Source
from rankmill.study.estimate.scratch import CORPUS, LISTED, QUERIES, WHOLE, Made, Scratch
from rankmill.study.grid.design import Study
from rankmill.study.grid.refusals import documents_of
from rankmill.study.grid.steps import Track
from rankmill.study.recipe import Recipe
from rankmill.study.run import Pipeline
from rankmill.study.words import duration

SHARES = (1.0, 1 / 8, 1 / 2, 1 / 8, 1.0)
_WARM_UP = 1.0
FEWEST_QUERIES, FEWEST_DOCUMENTS = 4, 50
_FEWEST_STEPS, _MOST_STEPS = 2, 8  # of training; more for more than 64 queries
_QUERIES_PER_STEP = 8
_WORTH_SAYING_S = 30.0
_clock = time.monotonic  # tests put another in its place
_OF_ONE_CLASS = ("references", "train", "evaluate")  # made once for all that are alike


class _Sampled(Pipeline):
    """A pipeline whose collections are samples."""

    def __init__(
        self, recipe: Recipe, workspace: Workspace, executor: Execution, held: Mapping[str, Sample]
    ):
        super().__init__(recipe, workspace, executor)
        self.held = held

    def collect(self, spec: str | None = None) -> Collection:
        """Return the sample of a collection."""
        return self.held[spec or self.recipe.collection].collection


class Ladder:
    """Measures every class of requests of a study on samples.

    `queries`, `documents`: of the largest sample; a corpus of no more documents is taken whole.
    After `climb`: `sources` by collection, the samples in `drawn`, and by class what was measured.
    """

    def __init__(
        self, study: Study, scratch: Scratch, queries: int, documents: int, progress: Progress
    ):
        self.study, self.scratch, self.progress = study, scratch, progress
        self.queries, self.documents = queries, documents
        self.asked = requests(study, self._tracks(study))
        self.sources: dict[str, Source] = {}
        self.drawn: list[dict[str, Sample]] = []
        self.measured = {one.alike: Measured() for one in self.asked}

    def _tracks(self, study: Study) -> list[Track]:
        return [Track(variant, self.scratch, INLINE) for variant in study.variants]

    def climb(self, there: set[str]) -> None:
        """Open the collections, then carry out the samples one after the other; `there`: keys of
        the requests whose results need no estimate."""
        for one in self.asked:
            if one.step.stage == "collect":
                self._open(self.study.variants[one.variant].recipe, self.measured[one.alike])
        wanted = {one.alike for one in self.asked if one.step.key not in there}
        if not wanted:
            return
        shares, began = (_WARM_UP, *SHARES), _clock()
        for number, share in enumerate(shares):
            left = left_of(_clock() - began, sum(shares[:number]), sum(shares[number:]))
            self.progress.announce(
                f"sample {number + 1} of {len(shares)}: at most {self._queries(share):,} "
                f"queries of a split{left}"
            )
            self._carry_out(number, share, wanted)

    # ---- the collections -------------------------------------------------------------------------

    def _open(self, recipe: Recipe, measured: Measured) -> None:
        specs = [recipe.collection, *(d.collection for d in recipe.domains.values())]
        for spec in dict.fromkeys(one for one in specs if one is not None):
            if spec in self.sources:
                continue
            self.sources[spec] = self._source(recipe, spec)
            made = self.scratch.taken()
            measured.whole += made
            measured.first_use_s += sum(first_use_of(one.cost) for one in made)
            if self.sources[spec].held is None:
                self._measure_reading(spec, self.sources[spec], measured)

    def _source(self, recipe: Recipe, spec: str) -> Source:
        known = "in the workspace"
        try:
            Pipeline(recipe, FoundOnly(self.scratch.base.root), INLINE).collect(spec)
        except NotThere:
            files = samples.files_of(spec)
            if sum(path.stat().st_size for path in files) > samples.LARGE_SOURCE:
                on = policies_of(recipe.option("collect", "on"))
                return samples.beginning_of(spec, self.documents, on)
            known = "read from the source"
        pipeline = Pipeline(recipe, self.scratch, INLINE)
        return samples.source_of(pipeline.collect(spec), known)

    def _measure_reading(self, spec: str, source: Source, measured: Measured) -> None:
        """Collect beginnings of several lengths of a source that is too large to be collected."""
        assert source.corpus is not None
        most = len(source.corpus.ids)
        for number, share in enumerate(SHARES):
            splits = {split: self.queries for split in source.judged}
            documents = max(1, math.ceil(most * share))
            drawn = samples.draw(self.scratch, source, 100 + number, splits, documents)
            part = drawn.documents / most
            told = {"wall_s": source.read_s * part, "cpu_s": source.read_cpu_s * part, "bytes": 0}
            read = Made("source", "", CORPUS, False, told)
            points = measured.points.setdefault(_reading(spec), [])
            size = {_reading(spec): float(drawn.documents)}
            points.append((size, [*self.scratch.taken(), read]))

    # ---- one sample ------------------------------------------------------------------------------

    def _carry_out(self, number: int, share: float, wanted: set[str]) -> None:
        held = {spec: self._draw(spec, number, share) for spec in self.sources}
        self.scratch.taken()
        self.drawn.append(held)
        whole = _with_recipes(self.study, [_of_one_seed(v.recipe) for v in self.study.variants])
        small = _with_recipes(
            whole, [self._smaller(variant.recipe, share) for variant in whole.variants]
        )
        tracks = self._tracks(small)
        for track in tracks:
            track.pipeline = _Sampled(track.recipe, self.scratch, INLINE, held)
        judging = any(o.alike in wanted for o in self.asked if o.step.stage == "evaluate")
        done: set[str] = set()
        stands_for = every_step(whole, self._tracks(whole))
        for asked, its in zip(every_step(small, tracks), stands_for, strict=True):
            alike = its.alike
            needed = alike in wanted or (asked.step.stage == "train" and judging)
            if asked.step.stage in _OF_ONE_CLASS and (alike in done or not needed):
                continue
            self._make(asked, share)
            made = self.scratch.taken()
            if alike not in done and alike in wanted:
                self._note(number, asked, self.measured[alike], made, held)
            done.add(alike)

    def _make(self, asked: Asked, share: float) -> None:
        try:
            asked.step.make()
        except Incomplete as error:
            if self._holds_every_query():
                raise BadInput(
                    f"{asked.step.stage} {asked.step.name}: {error.what}",
                    where=self.study.where,
                    do=error.do,
                ) from error
            raise BadInput(
                f"a sample of {self._queries(share):,} queries is too small for "
                f"{asked.step.stage} {asked.step.name}: {error.what}",
                where=self.study.where,
                do="raise --sample",
            ) from error

    def _holds_every_query(self) -> bool:
        """Say whether a larger sample would hold no more queries than the last one drawn."""
        return all(
            count >= self.sources[spec].queries[split]
            for spec, sample in self.drawn[-1].items()
            for split, count in sample.queries.items()
            if split != EVERY_QUERY
        )

    def _note(
        self,
        number: int,
        asked: Asked,
        measured: Measured,
        made: Sequence[Made],
        held: Mapping[str, Sample],
    ) -> None:
        if asked.step.stage == "collect":
            return
        if asked.step.stage == "evaluate":  # vectors of a student: every other one needs its own
            made = [replace(m, grows=CORPUS) if m.grows == WHOLE else m for m in made]
        measured.whole += [one for one in made if one.grows == WHOLE]
        if number == 0:
            measured.first_use_s += sum(first_use_of(one.cost) for one in made)
        sample = held[asked.work.spec]
        sizes = sizes_of(asked.work, sample.documents, sample.queries)
        for grows in (CORPUS, QUERIES, LISTED, SEARCH):
            of = [one for one in made if _grows(one, sample) == grows]
            points = measured.points.setdefault(grows, [])
            if not of:
                continue
            if number == 1:
                points.clear()  # the time of the sample that warmed up counts where it is alone
            lists = [one.lists.distinct for one in of if one.lists is not None]
            points.append((sizes | {LISTED: float(sum(lists))}, of))
            if number == 0:
                measured.first[grows] = points[-1]

    def target(self, work: Work) -> dict[str, float]:
        """Return how large the whole is, by what costs grow with."""
        source = self.sources[work.spec]
        sizes = sizes_of(work, source.documents, source.queries)
        return sizes | {_reading(s): float(one.documents) for s, one in self.sources.items()}

    def slices(self, work: Work) -> float | None:
        """Return what part of the corpus the largest slice is; None where it is taken whole."""
        sizes = [held[work.spec] for held in self.drawn]
        if all(one.whole_corpus for one in sizes):
            return None
        return max(one.documents for one in sizes) / self.sources[work.spec].documents

    def _queries(self, share: float) -> int:
        return max(FEWEST_QUERIES, math.ceil(self.queries * share))

    def _draw(self, spec: str, number: int, share: float) -> Sample:
        source = self.sources[spec]
        queries = {}
        for split in self._splits(spec):
            if split not in source.queries:
                raise BadInput(
                    f"the collection {spec} has no split {split!r}",
                    where=self.study.where,
                    do=nearest(split, [one for one in source.queries if one != EVERY_QUERY]),
                )
            queries[split] = self._queries(share)
        if source.held is not None and source.documents <= self.documents:
            return samples.draw(self.scratch, source, number, queries, None)
        documents = max(FEWEST_DOCUMENTS, math.ceil(self.documents * share))
        return samples.draw(self.scratch, source, number, queries, documents)

    def _splits(self, spec: str) -> list[str]:
        """Return the judged splits of a collection that the study asks for."""
        named: dict[str, None] = {}
        for variant in self.study.variants:
            recipe = variant.recipe
            if recipe.collection == spec:
                split = recipe.option("mine", "split")
                named[_judged_split(self.sources[spec]) if split == EVERY_QUERY else split] = None
            for domain in recipe.domains.values() if recipe.trains else ():
                if (domain.collection or recipe.collection) == spec:
                    named[domain.split] = None
        return list(named)

    def _smaller(self, recipe: Recipe, share: float) -> Recipe:
        """Return a recipe of few documents to train on, and of splits that are sampled."""
        options = {name: dict(given) for name, given in recipe.options.items()}
        if options["mine"]["split"] == EVERY_QUERY:
            options["mine"]["split"] = _judged_split(self.sources[recipe.collection])
        small = replace(recipe, options=options)
        if recipe.trains:
            train, whole = options["train"], options["train"]["documents"]
            train["documents"] = 1
            most = max(_MOST_STEPS, self.queries // _QUERIES_PER_STEP)
            steps = max(_FEWEST_STEPS, math.ceil(most * share))
            train["documents"] = min(whole, steps * train["batch"] * documents_of(small))
        return small


def left_of(elapsed_s: float, done: float, rest: float) -> str:
    """Say how long the samples that are left may take, where it is more than half a minute.

    `done`, `rest`: in samples of the largest size; the first of them also imported and compiled.
    """
    left = elapsed_s / done * rest if done else 0.0
    if left <= _WORTH_SAYING_S:
        return ""
    return f"; up to {duration(left)} left (less by rankmill estimate --sample N)"


def _of_one_seed(recipe: Recipe) -> Recipe:
    return replace(recipe, seeds=list(recipe.seeds)[:1])


def _with_recipes(study: Study, recipes: Sequence[Recipe]) -> Study:
    pairs = zip(study.variants, recipes, strict=True)
    return replace(study, variants=[replace(one, recipe=recipe) for one, recipe in pairs])


def _reading(spec: str) -> str:
    """Name what grows with the documents of a source that is too large to be collected."""
    return f"documents of {spec}"


def sizes_of(work: Work, documents: int, queries: Mapping[str, int]) -> dict[str, float]:
    """Return the size of a sample, or of the whole, by what costs grow with."""
    asked = float(queries[work.split] if work.documents is None else work.documents)
    return {CORPUS: float(documents), QUERIES: asked, SEARCH: asked * documents}


def _grows(made: Made, sample: Sample) -> str:
    over_a_slice = made.searched and made.grows == QUERIES and not sample.whole_corpus
    return SEARCH if over_a_slice else made.grows


def _judged_split(source: Source) -> str:
    """Return the judged split that stands for every query in samples: the largest."""
    judged = {split: count for split, count in source.queries.items() if split != EVERY_QUERY}
    if not judged:
        raise BadInput(
            "no split of the collection has judgements, so nothing can be sampled",
            do="estimate a recipe of a collection with judgements",
        )
    return max(judged, key=lambda split: judged[split])
