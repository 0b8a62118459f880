"""The stage that chooses: a pool and its teacher scores in, groups of fixed size out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection, check_min_grade
from ..draws import generator
from ..errors import BadInput, NothingMade, UsageError
from ..groups.format import GroupArrays, groups_table
from ..meter.underway import so_far
from ..names import nearest, unless_neutral
from ..runs.itself import KEEP, pairs_of_split
from ..runs.pool import Pool
from ..store import Artifact, Output, Shard, Stage, Workspace, split_by_work
from ..store.tables import groups_schema
from ..text.copies import copy_keys
from .base import FILTERS, FIXED, STRATEGIES, Candidates, Filter, Strategy, draw_uniformly
from .candidates import COPIES, EXACT
from .drawn import spare_chances, unsteady
from .empty import no_group
from .kernels.chooser import in_order, kernel_chooser
from .reader import Asked, CandidateReader, paths_of

_SHARD_PAIRS, _BLOCK_PAIRS = 4_000_000, 2_000_000
_CHOICES = {
    "positives": ("first", "all", "together", "best"),
    "when_short": ("drop_query", "error", "fill"),
    "missing": ("error", "drop_doc", "drop_query"),
    "copies": COPIES,
}


def select_groups(
    workspace: Workspace,
    strategy: str | Strategy,
    pool: Artifact | str,
    scores: Artifact | str,
    *,
    collection: Collection,
    split: str,
    size: int,
    seed: int = 0,
    filters: Sequence[str | Filter] = (),
    positives: str = "first",
    min_grade: int | None = None,
    when_short: str = "drop_query",
    missing: str = "error",
    copies: str = "folded",
    self_rule: str | None = None,
    vectors: Artifact | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Choose groups of `size` documents, the positive first, from a scored pool.

    One group per query, around its highest-graded positive (the lowest ordinal among equals);
    `positives="all"` makes one group for each, `"together"` puts them all into one group (at most
    half of it), `"best"` puts the teacher's best document of the pool first, judged or not, so that
    queries without a positive have a group too. Positives are graded `min_grade` (the pool's) or
    more; they, copies of their text (`copies`), empty documents, those judged excluded and the
    query itself (`self_rule`, by default that of the collection) never become negatives. `filters`
    remove candidates before the strategy chooses. A query with too few candidates is dropped with
    the reason `too_few_candidates`, refused (`when_short="error"`) or filled up from the pool at
    random (`fill`). `missing` says what happens to a pool document without a teacher score:
    `error`, `drop_doc`, `drop_query`. A query without a usable positive is dropped as
    `no_positive`. Draws are keyed by (seed, query_id). `vectors`: of the documents.

    Raises UsageError for a malformed request, BadInput for scores that are missing or not finite
    and for a pool of another collection, NothingMade where there is no group at all.
    """
    pool, scores = workspace.find(pool, "pool"), workspace.find(scores, "scores")
    min_grade = Pool(pool).min_grade if min_grade is None else min_grade
    when_short = "fill" if when_short == "fill(random)" else when_short
    given = {"positives": positives, "when_short": when_short, "missing": missing}
    check_request(size, min_grade, {**given, "copies": copies})
    check_same_collection(pool, collection, split)
    bound = STRATEGIES.parse(strategy).bind(Pool(pool).labels)
    parameters = {
        "strategy": str(bound),
        "filters": [FILTERS.text(FILTERS.parse(f)) for f in filters],
        **{"split": split, "size": size, "seed": seed, "min_grade": min_grade},
        **given | books_of(missing),
        **barring(collection, split, copies, self_rule),
    }
    inputs = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    inputs |= {"qrels": collection.qrels_artifact(split), "pool": pool, "scores": scores}
    inputs |= keys_for(workspace, collection, copies, executor) | _given(vectors=vectors)
    _check_needs(bound, inputs)
    stage = _stage(parameters, inputs)
    try:
        return workspace.build(stage, executor)
    except NothingMade as nothing:
        raise no_group(Selector(**stage.options), nothing) from None


def _given(**artifacts: Artifact | None) -> dict[str, Artifact]:
    return {role: artifact for role, artifact in artifacts.items() if artifact is not None}


def barring(
    collection: Collection, split: str, copies: str, self_rule: str | None
) -> dict[str, Any]:
    """Return the parameters that say what can be no negative, as far as they change anything."""
    rule = collection.self_rule if self_rule is None else self_rule
    pairs = pairs_of_split(collection, split, rule)
    return unless_neutral(copies=(copies, EXACT), self_rule=(rule if len(pairs) else KEEP, KEEP))


BOOKS = "unscored"


def books_of(missing: str) -> dict[str, Any]:
    """Return the parameter that says that candidates left out for want of a score are counted;
    they were not always."""
    return unless_neutral(**{BOOKS: ("counted" if missing == "drop_doc" else None, None)})


def keys_for(
    workspace: Workspace, collection: Collection, copies: str, executor: Execution
) -> dict[str, Artifact]:
    """Return what finds folded copies as an input of a selection."""
    if copies != "folded":
        return {}
    return {"copy_keys": copy_keys(workspace, collection.corpus.artifact, executor)}


def _stage(parameters: dict[str, Any], inputs: dict[str, Artifact]) -> Stage:
    scores = inputs["scores"]
    return Stage(
        kind="groups",
        parameters=parameters,
        inputs=inputs,
        schema=groups_schema(parameters["size"]),
        shards=lambda: split_by_work(candidates_per_query(inputs["pool"]), _SHARD_PAIRS),
        unit="candidates",
        items="queries",
        worker=Selector,
        options={
            "paths": paths_of(inputs),
            **{k: v for k, v in parameters.items() if k not in ("split", BOOKS)},
        },
        metadata={
            "kind": scores.metadata["kind"],
            "teacher": scores.metadata.get("teacher", ""),
            "strategy": parameters["strategy"],
            "split": parameters["split"],
        },
    )


def _check_needs(strategy: Strategy, inputs: dict[str, Artifact]) -> None:
    for need in sorted(strategy.needs - inputs.keys()):
        raise UsageError(f"{strategy} needs {need}", do=f"declare them: {need}=…")


def check_request(size: int, min_grade: int, given: dict[str, str]) -> None:
    """Refuse a size, grade or choice that no selection can have."""
    if not 2 <= size <= 1024:
        raise UsageError(f"size={size} is not a group size", do="choose 2 to 1024")
    check_min_grade(min_grade)
    if given["when_short"] == "allow_short":
        raise UsageError(
            "groups of one data set have one size, so none can be short",
            do="choose drop_query, error or fill(random), or a smaller size",
        )
    for name, value in given.items():
        if value not in _CHOICES[name]:
            raise UsageError(f"{name}={value!r} is unknown", do=nearest(value, _CHOICES[name]))


def check_same_collection(pool: Artifact, collection: Collection, split: str) -> None:
    """Refuse a pool of another collection or split."""
    same = all(
        pool.inputs.get(role) == artifact.fingerprint
        for role, artifact in (
            ("corpus", collection.corpus.artifact),
            ("queries", collection.queries.artifact),
        )
    )
    if not same:
        raise BadInput(
            "the pool was made from another collection",
            where=pool.path,
            do="name the collection that the pool was mined from",
        )
    if pool.metadata["split"] not in (split, EVERY_QUERY):
        raise BadInput(
            f"the pool holds the split {pool.metadata['split']!r}, not {split!r}",
            where=pool.path,
            do=f"select with the split {pool.metadata['split']!r}, or mine {split!r}",
        )


def candidates_per_query(pool: Artifact) -> np.ndarray:
    """Return 1 + the number of candidates of every pool row: what a plan balances."""
    lengths = [np.diff(part.offsets) for part in Pool(pool).parts()]
    return np.concatenate(lengths) + 1 if lengths else np.empty(0, np.int64)


@dataclass(slots=True)
class _Books:
    """Groups made and queries dropped by one shard."""

    size: int
    min_grade: int
    rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=list
    )
    dropped: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    made: list[tuple[np.ndarray, GroupArrays]] = field(default_factory=list)
    place: list[int] = field(default_factory=list)  # the pool row of each of `rows`

    def drop(self, query: int, reason: str) -> None:
        self.dropped.setdefault(reason, []).append(query)

    def output(self) -> Output:
        def stack(column: int, dtype: Any) -> np.ndarray:
            lists = [row[column] for row in self.rows]
            return np.array(lists, dtype=dtype).reshape(len(lists), self.size)

        query = np.array([row[0] for row in self.rows], dtype=np.uint32)
        arrays = GroupArrays(
            query,
            stack(1, np.uint32),
            stack(2, np.float32),
            stack(3, np.int8),
            stack(4, np.float32),
        )
        if self.made:
            arrays = in_order([*self.made, (np.array(self.place, np.int64), arrays)])
        self.counts["pairs"] = arrays.doc.size
        return Output(
            groups_table(arrays, self.min_grade),
            dropped=self.dropped,
            counts=self.counts,
            usage={"pairs_used": arrays.doc.size},
        )


class Chooser:
    """Strategy, filters, and what happens when candidates are too few: one group at a time."""

    def __init__(self, strategy: str, filters: Sequence[str], size: int, when_short: str):
        self.strategy: Strategy = STRATEGIES.stored(strategy)
        self.filters: dict[str, Filter] = {text: FILTERS.stored(text) for text in filters}
        self.wanted, self.when_short = size - 1, when_short

    def narrow(self, candidates: Candidates) -> dict[str, int]:
        """Take what the filters remove from `allowed`; returns how many each removed."""
        removed = {}
        for text, one in self.filters.items():
            kept = one.keeps(candidates)
            removed[text] = int((candidates.allowed & ~kept).sum())
            candidates.allowed &= kept
        candidates.removed = removed
        return removed

    def probabilities(self, candidates: Candidates) -> tuple[np.ndarray, float]:
        """Narrow, then return π over the candidates (float64) and of a document outside the pool.

        π is what could have happened: where a source draws its lists itself, documents that this
        list happens not to hold have a probability too. NaN where it has no closed form.
        """
        self.narrow(candidates)
        wanted = self.negatives(candidates)
        return self._chances(candidates, self.strategy.reach(candidates, wanted), wanted)

    def by_draws(self, candidates: Candidates) -> bool:
        """Say whether strategy or filters look at lists that depend on what a source drew."""
        return unsteady(candidates, self.reads(list(candidates.rank)))

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the pool's columns on which the choice depends."""
        parts: list[Strategy | Filter] = [self.strategy, *self.filters.values()]
        return frozenset().union(*(part.reads(labels) for part in parts))

    def _chances(
        self, candidates: Candidates, reach: np.ndarray, wanted: int
    ) -> tuple[np.ndarray, float]:
        """Return π over narrowed candidates, given that a group is made of them.

        Where `fill` makes up for too few, it is given that this group was, or was not, filled up.
        """
        chances, labels = np.zeros(len(candidates)), list(candidates.rank)
        short = len(reach) < wanted
        drawn_filters = any(
            unsteady(candidates, one.reads(labels)) for one in self.filters.values()
        )
        if drawn_filters or (short and unsteady(candidates, self.strategy.reads(labels))):
            chances[candidates.allowed] = np.nan
            return chances, float("nan")
        if short:
            spare = self._spare(candidates, reach)
            chances[reach] = 1.0
            chances[spare], beyond = spare_chances(candidates, spare, wanted - len(reach))
            return chances, beyond
        beyond = self.strategy.beyond(candidates, reach, wanted)
        chances[candidates.allowed] = beyond
        chances[reach] = self.strategy.inclusion(candidates, reach, wanted)
        return chances, beyond

    def negatives(self, candidates: Candidates) -> int:
        """Return how many negatives the group takes beside its positives."""
        return self.wanted - len(candidates.also)

    def choose(
        self, candidates: Candidates, draws: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return (indices of the negatives, their π, how many were filled up); None drops the
        group.

        `fill` takes all that can be reached and draws the rest uniformly from the other allowed
        candidates of the pool. Raises BadInput for too few candidates under `error`.
        """
        wanted = self.negatives(candidates)
        reach = self.strategy.reach(candidates, wanted)
        if len(reach) >= wanted:
            chosen = self.strategy.choose(candidates, reach, wanted, draws)
            return chosen, self._chances(candidates, reach, wanted)[0][chosen], 0
        missing = wanted - len(reach)
        if self.when_short == "error":
            raise BadInput(
                f"query {candidates.query_id!r} has {len(reach)} candidates, "
                f"a group of {self.wanted + 1} needs {wanted}",
                where=str(self.strategy),
                do="mine deeper, filter less, choose smaller groups, or another when_short",
            )
        spare = self._spare(candidates, reach)
        if self.when_short == "drop_query" or len(spare) < missing:
            return None
        chosen = np.concatenate([reach, draw_uniformly(spare, missing, draws)])
        return chosen, self._chances(candidates, reach, wanted)[0][chosen], missing

    @staticmethod
    def _spare(candidates: Candidates, reach: np.ndarray) -> np.ndarray:
        return np.setdiff1d(np.flatnonzero(candidates.allowed), reach)


class Selector:
    """The worker: chooses the groups of a range of queries."""

    def __init__(
        self,
        paths: dict[str, str],
        strategy: str,
        filters: list[str],
        size: int,
        seed: int,
        when_short: str,
        **reading: Any,
    ):
        self.reader = CandidateReader(paths, size=size, **reading)
        self.chooser = Chooser(strategy, filters, size, when_short)
        self.size, self.seed = size, seed
        chooser = self.chooser
        self.kernels = kernel_chooser(self.reader, chooser.strategy, chooser.filters, when_short)

    def __call__(self, shard: Shard) -> Output:
        """Return the groups of pool rows start…stop−1."""
        self.reader.counts = {}
        books = _Books(self.size, self.reader.min_grade, counts=self.reader.counts)
        if self.kernels is None:
            self._one_by_one(books, shard.start, shard.stop)
            return books.output()
        for start, stop in self._blocks(shard):
            made = self.kernels(start, stop, self.seed)
            books.made.append((start + made.row, made.groups))
            for reason, queries in made.dropped.items():
                books.dropped.setdefault(reason, []).extend(queries.tolist())
            for name, number in made.counts.items():
                self.reader.count(name, number)
            for row in (start + made.declined).tolist():
                self._one_by_one(books, row, row + 1)
            so_far(stop - shard.start, shard.stop - shard.start)
        return books.output()

    def _blocks(self, shard: Shard) -> list[tuple[int, int]]:
        """Cut the shard into ranges whose columns take some 100 MB."""
        lengths = self.reader.pool.lengths(shard.start, shard.stop)
        cuts = split_by_work(lengths + 1, _BLOCK_PAIRS)
        return [(shard.start + cut.start, shard.start + cut.stop) for cut in cuts]

    def _one_by_one(self, books: _Books, start: int, stop: int) -> None:
        """Choose query by query: whatever strategy and filters are."""
        for row, asked in enumerate(self.reader.rows(start, stop), start):
            so_far(row - start, stop - start)
            if asked.reason is not None:
                books.drop(asked.query, asked.reason)
                continue
            made = [self._group(asked, number, books) for number in range(len(asked.around))]
            books.place += [row] * sum(made)
            self.reader.count("groups_short", len(made) - sum(made))
            if not any(made):
                books.drop(asked.query, "too_few_candidates")

    def _group(self, asked: Asked, number: int, books: _Books) -> bool:
        """Add the group around positive `number`; False when there are too few candidates."""
        candidates = asked.around[number]
        for name, removed in self.chooser.narrow(candidates).items():
            self.reader.count(f"filtered:{name}", removed)
        key = asked.query_id if number == 0 else f"{asked.query_id}\x00{number}"
        choice = self.chooser.choose(candidates, generator(self.seed, "select", key))
        if choice is None:
            return False
        first = [candidates.positive, *candidates.also]
        items = np.concatenate([first, choice[0]]).astype(np.int64)
        inclusion = np.concatenate([np.ones(len(first)), choice[1]])
        self.reader.count("filled", choice[2])
        drawn = any(origin != FIXED for origin in candidates.origin.values())
        if drawn and (choice[2] or self.chooser.by_draws(candidates)):
            unknown = bool(np.isnan(inclusion).any())
            estimated = bool(self.chooser.filters) or candidates.share_outside < 1.0
            self.reader.count("inclusion:unknown", unknown)
            self.reader.count("inclusion:estimated", estimated and not unknown)
        doc = candidates.doc[items]
        grade = asked.grade_of(doc).clip(-128, 127)
        books.rows.append((asked.query, doc, candidates.score[items], grade, inclusion))
        return True
