"""The stored source: lists of scores that are in the workspace, as candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import Collection, collect
from rankmill.mining.errors import BadInput
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.teachers.files.imported import import_scores
from rankmill.native.ranked import rank_lists


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


def stored(workspace: Workspace, collection: Collection, folder: Path, text: str) -> None:
    path = folder / "scores.tsv"
    path.write_text(text)
    scores = import_scores(
        workspace, path, collection.corpus.artifact, collection.queries.artifact, kind="logit"
    )
    workspace.alias("theirs", scores)


def test_lists_are_ordered_by_score_then_document_and_missing_ones_are_counted(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    docs = collection.corpus.ids(range(6))
    query = collection.queries.query_ids(collection.split_queries("train")[:2])
    scores = [(query[1], d, s) for d, s in zip(docs, (0.5, -1, 2, 0.5, 0, -7), strict=True)]
    scores += [(query[0], docs[3], 1.0)]
    text = "".join(f"{q}\t{d}\t{s}\n" for q, d, s in scores)
    stored(workspace, collection, tmp_path, text)
    run = Run(mine(workspace, "stored(scores=theirs)", collection, "train", depth=4))
    asked = collection.split_queries("train")
    assert run.queries.tolist() == asked.tolist()
    assert run.row(0)[1].tolist() == [3]
    assert run.row(1)[1].tolist() == [2, 0, 3, 4]
    assert run.row(1)[2].tolist() == [2, 0.5, 0.5, 0]
    assert all(len(run.row(n)[1]) == 0 for n in range(2, len(asked)))
    assert run.artifact.counts["queries_without_candidates"] == len(asked) - 2
    run.artifact.verify()


def test_scores_of_another_collection_are_refused(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "documents.tsv").write_text("d0\tone\nd1\ttwo\n")
    (other / "queries.tsv").write_text("q0\tone\n")
    elsewhere = collect(workspace, f"tsv:{other}")
    stored(workspace, elsewhere, tmp_path, "q0\td0\t1\n")
    with pytest.raises(BadInput, match="about another collection"):
        mine(workspace, "stored(scores=theirs)", collection, "train", depth=4)


@pytest.mark.parametrize("seed", range(8))
def test_the_kernel_equals_sorting_by_falling_score_and_document(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 400, 30)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    docs = np.concatenate([np.sort(random.permutation(5000)[:n]) for n in lengths])
    scores = random.normal(0, 3, offsets[-1]).astype(np.float32)
    odd = [0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0, -1.0]
    some = random.random(len(scores)) < 0.5
    scores[some] = random.choice(np.array(odd, np.float32), int(some.sum()))
    rows = np.where(random.random(30) < 0.2, -1, np.arange(30))
    room = np.where(rows < 0, 0, np.minimum(lengths, random.integers(1, 400)))
    bounds = np.concatenate([[0], np.cumsum(room)])
    out_docs, out_bits = np.empty(bounds[-1], np.uint32), np.empty(bounds[-1], np.uint32)
    docs = docs.astype(np.uint32)
    rank_lists(offsets, docs, scores.view(np.uint32), rows, bounds, out_docs, out_bits)
    for i in range(30):
        here = slice(bounds[i], bounds[i + 1])
        pairs = [] if rows[i] < 0 else list(zip(
            scores[offsets[i] : offsets[i + 1]].tolist(),
            docs[offsets[i] : offsets[i + 1]].tolist(), strict=True))  # fmt: skip
        wanted = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[: room[i]]
        assert out_docs[here].tolist() == [d for _, d in wanted]
        assert (
            out_bits[here].tolist()
            == np.array([s for s, _ in wanted], np.float32).view(np.uint32).tolist()
        )
