"""The stage that chooses: a pool and its teacher scores in, groups of fixed size out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..actors import INLINE, Execution
from ..collection.handles import EVERY_QUERY, Collection
from ..collection.rows import check_min_grade
from ..errors import BadInput, NothingMade, UsageError
from ..names import nearest, unless_neutral
from ..runs.itself import KEEP, pairs_of_split
from ..runs.pool import Pool
from ..store import Artifact, Stage, Workspace, split_by_work
from ..store.tables import groups_schema
from ..text.copies import copy_keys
from .base import FILTERS, STRATEGIES, Filter, Strategy
from .candidates import COPIES, EXACT
from .empty import no_group
from .reader import paths_of
from .selector import Selector

_SHARD_PAIRS = 4_000_000
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
        raise no_group(Selector(**stage.options), nothing, collection, parameters) from None


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
