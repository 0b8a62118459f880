"""Remarks on groups that teach little, against counts that are made from the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selection_world import QUERIES, build_world, score, select, write_run

from rankmill.mining.audit.checks import audit_groups
from rankmill.mining.audit.poor_data import advice_of
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact

LISTED = "imported(tag=x)"  # the label of a run that is read from a file


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return build_world(tmp_path_factory.mktemp("poor"))


def pooled(world: dict[str, Any], *sources: str, depth: int, positives: bool = True) -> dict:
    """Return the world with a pool of other sources, and its scores."""
    runs = [
        mine(world["workspace"], one, world["collection"], "train", depth=depth) for one in sources
    ]
    pool = pool_runs(
        world["workspace"],
        runs,
        collection=world["collection"],
        split="train",
        positives=positives,
    )
    return world | {"pool": pool, "scores": score(world["workspace"], pool)}


def listed(world: dict[str, Any], depth: int) -> str:
    """Return a source that finds `depth` documents from the query's own number on: the positives,
    4 and 20 further on, are at the fourth and the twentieth place."""
    path: Path = world["folder"] / f"run-{depth}.txt"
    return f"imported(path={write_run(path, depth)},tag=x)"


def apart(groups: Artifact) -> list[str]:
    return [one.said() for one in advice_of(groups) if one.kind == "apart"]


def test_a_source_of_negatives_that_found_no_positive_is_named(world):
    few = pooled(world, listed(world, 3), depth=3)
    groups = select(few, "top", size=4, positives="all")
    (said,) = apart(groups)
    queries = QUERIES - 2  # the last has no positive, query 1 two candidates: d4 copies its d5
    assert said.startswith(
        f"{LISTED} found 0% of the positives and 100% of the negatives (of {2 * queries} and "
        f"{3 * queries}): students can learn that what it finds is not relevant"
    )
    assert "no-positives of pool" in said
    (one,) = (one for one in advice_of(groups) if one.kind == "apart")
    assert "pool.positives = false" in one.said(recipe=True)
    found = audit_groups(world["workspace"], groups, collection=world["collection"])["imbalance"]
    assert found["positives_found_by"] == {LISTED: 0.0}
    assert found["negatives_found_by"] == {LISTED: 1.0}


def test_nothing_is_said_where_positives_were_found_too(world):
    deep = pooled(world, listed(world, 10), depth=10)  # half of the positives: 4, not 20 further on
    groups = select(deep, "top", size=4, positives="all")
    assert apart(groups) == []
    found = audit_groups(world["workspace"], groups, collection=world["collection"])["imbalance"]
    assert found["positives_found_by"] == {LISTED: 0.5}


def test_what_helps_is_said_no_more_where_it_was_done(world):
    deep = pooled(world, listed(world, 5), depth=5)
    said = apart(select(deep, "top", size=4, positives="first"))
    alone = pooled(world, listed(world, 5), depth=5, positives=False)
    assert said == []  # the first positive, 4 further on, is among five
    groups = select(alone, "top", size=4, missing="drop_doc", positives="all")
    assert groups.rows == QUERIES - 1
    assert apart(groups) == []


def test_drawn_documents_say_nothing(world):
    drawn = pooled(world, "random", depth=10)
    assert Pool(drawn["pool"]).drawn == {"random"}
    assert apart(select(drawn, "top(source=random)", size=4, positives="all")) == []


def test_of_two_sources_the_one_that_tells_them_apart_is_named(world):
    both = pooled(world, listed(world, 3), "random", depth=10)
    (of_list,) = apart(select(both, f'top(source="{LISTED}")', size=4, positives="all"))
    assert of_list.startswith(f"{LISTED} found 0% of the positives")
    assert apart(select(both, "top(source=random)", size=4, positives="all")) == []
