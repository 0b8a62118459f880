"""Selections from a pool over every query (`*`): judged, judged in another split, not judged."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from selection_world import QUERIES, score, write_collection

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput
from rankmill.mining.groups.format import Groups
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.selection import select_groups
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace

JUDGED = {2: {6: 2, 22: 1}, 3: {7: 2}, 9: {20: 0}}  # of `train`: grade by query and document
LISTED = (2, 3, 5, 9, 11)  # queries with a list in the run; the others' are empty


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("every")
    write_collection(folder / "beir")
    head = "query-id\tcorpus-id\tscore\n"
    lines = [f"q{q}\td{d}\t{g}\n" for q, docs in JUDGED.items() for d, g in docs.items()]
    (folder / "beir" / "qrels" / "train.tsv").write_text(head + "".join(lines))
    (folder / "beir" / "qrels" / "test.tsv").write_text(head + "q5\td9\t1\n")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{folder / 'beir'}")
    run = "".join(
        f"q{q} Q0 d{q + step} {step + 1} {100.0 - step} x\n"
        for q in LISTED
        for step in range(1, 30)
    )
    (folder / "run.txt").write_text(run)
    source = f"imported(path={folder / 'run.txt'},tag=listed)"
    listed = mine(workspace, source, collection, "*", depth=30)
    pool = pool_runs(workspace, [listed], collection=collection, split="*")
    return {"workspace": workspace, "collection": collection, "pool": pool}


def chosen(world: dict[str, Any], scores: Artifact | None = None, **options: Any) -> Artifact:
    pool = world["pool"]
    given: dict[str, Any] = {"split": "train", "size": 4} | options
    return select_groups(
        world["workspace"],
        "top",
        pool,
        scores or score(world["workspace"], pool),
        collection=world["collection"],
        **given,
    )


@pytest.mark.parametrize("positives", ["first", "all", "together", "best"])
@pytest.mark.parametrize("missing", ["error", "drop_doc", "drop_query"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_query_has_groups_or_a_reason(
    world: dict[str, Any], split: str, positives: str, missing: str
) -> None:
    groups = chosen(world, split=split, positives=positives, missing=missing)
    have = {int(q) for part in Groups(groups).parts() for q in part.query}
    dropped = {reason: set(queries) for reason, queries in groups.dropped.items()}
    if positives == "best":
        assert have == set(LISTED)
        assert dropped == {"unscored": set(range(QUERIES)) - have}
        return
    judged = {"train": {2, 3}, "test": {5}}[split]  # with a positive, which is in their lists
    assert have == judged
    assert dropped == {"no_positive": set(range(QUERIES)) - judged}


def test_the_teachers_best_stands_first_with_its_grade(world: dict[str, Any]) -> None:
    for part in Groups(chosen(world, positives="best")).parts():
        for row, query in enumerate(part.query.tolist()):
            pool = range(query + 1, query + 30)
            # The formula of the scores, ties to the lower ordinal; d5 copies d4, d0 is empty.
            best = max(pool, key=lambda doc: ((7 * query + 13 * doc) % 37, -doc))
            assert part.doc[row, 0] == best
            grades = [JUDGED.get(query, {}).get(doc, 0) for doc in part.doc[row].tolist()]
            assert part.grade[row].tolist() == grades


def test_a_hole_in_the_first_document_drops_that_document_only(world: dict[str, Any]) -> None:
    """`drop_doc` with `best`: whichever document has no score, the others have a best."""
    whole = chosen(world, positives="best", missing="drop_doc")
    for doc in (3, 8, 31):  # the first of query 2's list, one within, the last
        holed = score(world["workspace"], world["pool"], hole=(2, doc))
        groups = chosen(world, holed, positives="best", missing="drop_doc")
        assert groups.rows == whole.rows
        row = next(p.doc[p.query == 2] for p in Groups(groups).parts())
        assert not np.isin(doc, row)
        dropped = chosen(world, holed, positives="best", missing="drop_query").dropped
        assert 2 in dropped["unscored"]
        with pytest.raises(BadInput, match=f"query 'q2': document 'd{doc}' has no teacher score"):
            chosen(world, holed, positives="best", missing="error")


def test_every_query_has_no_judgements_of_its_own(world: dict[str, Any]) -> None:
    for positives in ("first", "best"):
        with pytest.raises(BadInput, match="no judgements of every query[\\s\\S]*test, train"):
            chosen(world, split="*", positives=positives)


def test_a_pool_of_one_split_serves_no_other(world: dict[str, Any]) -> None:
    workspace, collection = world["workspace"], world["collection"]
    runs = {s: mine(workspace, "random", collection, s, depth=9) for s in ("train", "test")}
    for pooled, asked in itertools.permutations(("train", "test")):
        pool = pool_runs(workspace, [runs[pooled]], collection=collection, split=pooled)
        with pytest.raises(BadInput, match=f"holds the split '{pooled}', not '{asked}'"):
            chosen(world | {"pool": pool}, split=asked, positives="best")
