from __future__ import annotations

import numpy as np
import pytest
from oracles import runs as oracle
from rounding import UNIT, sum_bound
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.errors import UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import mine
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
        ("combsum(of=[r1,r3],normalise=z)", lambda found: oracle.linear(found[::2], [1, 1], "z")),
        ("combmnz(of=[r1,r2,r3])", lambda lists: oracle.combmnz(lists, "min_max")),
        ("combmnz(of=[r1,r2,r3],normalise=raw)", lambda lists: oracle.combmnz(lists, "raw")),
        (
            "linear(of=[r1,r2,r3],weights=[0.5,2,-1],normalise=z)",
            lambda lists: oracle.linear(lists, [0.5, 2, -1], "z"),
        ),
        (
            "linear(of=[r1,r2,r3],weights=[0.25,0.25,0.5])",
            lambda lists: oracle.linear(lists, [0.25, 0.25, 0.5], "min_max"),
        ),
    ],
)
def test_fusion_against_the_oracle(made, text, fuse, depth):
    workspace, collection = made
    run = Run(mine(workspace, text, collection, "test", depth=depth))
    for row in range(len(run)):
        total = fuse(lists_of(workspace, row))
        _, docs, scores = run.row(row)
        exact = np.asarray([total[doc] for doc in docs.tolist()])
        # A sum of three in float64 over scores of up to 10, and one rounding where it is stored.
        off = sum_bound(100, 10.0, "float64") + 1.01 * UNIT["float32"] * np.abs(exact)
        assert (np.abs(scores - exact) <= off).all()
        keys = [(-s, d) for s, d in zip(scores.tolist(), docs.tolist(), strict=True)]
        assert keys == sorted(keys)
        assert len(docs) == min(depth, len(total))
        left = [total[doc] for doc in set(total) - set(docs.tolist())]
        assert max(left, default=-np.inf) <= exact.min() + off.max()
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


def test_normalisations_and_weights_are_checked(made):
    workspace, collection = made
    with pytest.raises(UsageError, match="normalise=max is not known\n  do: did you mean min_max"):
        mine(workspace, "combmnz(of=[r1,r2],normalise=max)", collection, "test", depth=10)
    with pytest.raises(UsageError, match="1 weights for 2 runs"):
        mine(workspace, "linear(of=[r1,r2],weights=[1])", collection, "test", depth=10)


def test_lists_of_one_score_and_empty_lists_are_fused(made, tmp_path):
    workspace, collection = made
    lines = "".join(f"q1 Q0 d{d} 1 7 flat\n" for d in (4, 2, 9))
    (tmp_path / "flat.run").write_text(lines)  # every other query has an empty list
    flat = f"imported(path={tmp_path / 'flat.run'})"
    for text, expected in (
        (f"combsum(of=[{flat},{flat}])", 2.0),
        (f"combsum(of=[{flat},{flat}],normalise=z)", 0.0),
        (f"combmnz(of=[{flat},{flat}])", 4.0),
        (f"linear(of=[{flat},{flat}],weights=[3,1],normalise=raw)", 28.0),
    ):
        run = Run(mine(workspace, text, collection, "test", depth=10))
        docs = collection.corpus.ordinals(["d2", "d4", "d9"]).tolist()
        assert run.row(0)[1].tolist() == docs
        assert run.row(0)[2].tolist() == [expected] * 3
        assert [len(run.row(row)[1]) for row in range(1, len(run))] == [0] * (len(run) - 1)
