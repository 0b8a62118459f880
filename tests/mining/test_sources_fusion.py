from __future__ import annotations

import numpy as np
import pytest
from oracles import runs as oracle
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.errors import UsageError
from rankmill.mining.sources import Run, mine
from rankmill.mining.store import Workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fusion")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'tiny')}")
    for seed, depth in ((1, 30), (2, 60), (3, 5)):
        run = mine(workspace, "random", collection, "test", depth=depth, seed=seed)
        workspace.alias(f"r{seed}", run)
    return workspace, collection


def lists_of(workspace, row, names=("r1", "r2", "r3")):
    lists = []
    for name in names:
        _, docs, scores = Run.open(workspace, name).row(row)
        lists.append(list(zip(docs.tolist(), scores.tolist(), strict=True)))
    return lists


@pytest.mark.parametrize("depth", [10, 200])
@pytest.mark.parametrize(
    ("text", "fuse"),
    [
        ("rrf(of=[r1,r2,r3])", lambda lists: oracle.rrf(lists, 60)),
        ("rrf(of=[r1,r2,r3],k=0)", lambda lists: oracle.rrf(lists, 0)),
        ("combsum(of=[r1,r2,r3])", oracle.combsum),
    ],
)
def test_fusion_against_the_oracle(made, text, fuse, depth):
    workspace, collection = made
    run = Run(mine(workspace, text, collection, "test", depth=depth))
    for row in range(len(run)):
        total = fuse(lists_of(workspace, row))
        wanted = sorted(total, key=lambda doc: (-np.float32(total[doc]), doc))[:depth]
        _, docs, scores = run.row(row)
        assert docs.tolist() == wanted
        assert scores.tolist() == [np.float32(total[doc]) for doc in wanted]
    assert run.artifact.verify() == 1


def test_the_label_names_what_was_fused_not_its_aliases(made):
    workspace, collection = made
    fused = mine(workspace, "rrf(of=[r1,r2])", collection, "test", depth=10)
    assert fused.metadata["source"] == "rrf(of=[random,random],k=60)"
    workspace.alias("another-name", workspace.find("r1"))
    again = mine(workspace, "rrf(of=[another-name,r2],k=60)", collection, "test", depth=10)
    assert again.fingerprint == fused.fingerprint
    swapped = mine(workspace, "rrf(of=[r2,r1])", collection, "test", depth=10)
    assert swapped.fingerprint != fused.fingerprint


def test_members_given_as_sources_are_mined(made):
    workspace, collection = made
    fused = Run(mine(workspace, "rrf(of=[random,r2])", collection, "test", depth=30, seed=1))
    assert (
        fused.row(0)[1].tolist()
        == Run(mine(workspace, "rrf(of=[r1,r2])", collection, "test", depth=30)).row(0)[1].tolist()
    )


def test_fusion_needs_two_runs_and_a_sensible_k(made):
    workspace, collection = made
    with pytest.raises(UsageError, match="fusion needs at least two runs"):
        mine(workspace, "rrf(of=[r1])", collection, "test", depth=10)
    with pytest.raises(UsageError, match="k=-1 must be at least 0"):
        mine(workspace, "rrf(of=[r1,r2],k=-1)", collection, "test", depth=10)
