"""The rerank source: a run in the order of a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.teachers import score_pool


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("models") / "cross")


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


def test_a_run_is_sorted_by_the_teachers_scores(
    workspace: Workspace, collection: Collection, teacher: Path
) -> None:
    first = mine(workspace, "random", collection, "train", depth=8)
    workspace.alias("drawn", first)
    source = f"rerank(teacher={teacher},of=drawn)"
    run = mine(workspace, source, collection, "train", depth=8)
    scores = score_pool(workspace, str(teacher), first)
    assert scores.cost()["usage"]["pairs_asked"] == 8 * len(collection.split_queries("train"))
    found, before = Run(run), Run(first)
    rows = [row for table in scores.tables() for row in table.to_pylist()]
    for number, row in enumerate(rows):
        query, docs, values = found.row(number)
        assert query == row["query"]
        assert sorted(docs.tolist()) == row["doc"] == sorted(before.row(number)[1].tolist())
        by_doc = dict(zip(row["doc"], row["logit"], strict=True))
        assert values.tolist() == [by_doc[d] for d in docs.tolist()]
        keys = [(-v, d) for d, v in zip(docs.tolist(), values.tolist(), strict=True)]
        assert keys == sorted(keys)
    run.verify()
    short = Run(mine(workspace, source, collection, "train", depth=3))
    for number in range(len(rows)):
        assert short.row(number)[1].tolist() == found.row(number)[1][:3].tolist()


def test_the_label_names_teacher_and_run_by_content(
    workspace: Workspace, collection: Collection, teacher: Path
) -> None:
    first = mine(workspace, "random", collection, "train", depth=4)
    workspace.alias("drawn", first)
    run = mine(workspace, f"rerank(teacher={teacher},of=drawn)", collection, "train", depth=4)
    label = run.metadata["source"]
    assert label.startswith("rerank(teacher=cross_encoder(model=bert-32x2@")
    assert label.endswith(f",of={first.metadata['source']})")
    assert run.metadata["kind"] == "logit"


def test_a_second_sampler_pays_only_for_new_pairs(
    workspace: Workspace, collection: Collection, teacher: Path
) -> None:
    mine(workspace, f"rerank(teacher={teacher},of=random)", collection, "train", depth=5)
    other = mine(workspace, "random", collection, "train", depth=20, seed=1)
    seen = mine(workspace, "random", collection, "train", depth=5)
    usage = score_pool(workspace, str(teacher), other).cost()["usage"]
    shared = sum(
        len(np.intersect1d(Run(seen).row(n)[1], Run(other).row(n)[1])) for n in range(seen.rows)
    )
    assert usage["pairs_reused"] == shared > 0
    assert usage["pairs_scored"] == usage["pairs_asked"] - shared


def test_a_run_of_another_split_is_refused(
    workspace: Workspace, collection: Collection, teacher: Path
) -> None:
    workspace.alias("drawn", mine(workspace, "random", collection, "test", depth=4))
    with pytest.raises(BadInput, match="is over split 'test', 'train' is needed"):
        mine(workspace, f"rerank(teacher={teacher},of=drawn)", collection, "train", depth=4)


def test_a_teacher_that_leaves_queries_out_is_refused(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    every = collection.corpus.ids(range(len(collection.corpus)))
    (tmp_path / "few.tsv").write_text("".join(f"q0\t{doc_id}\t0.5\n" for doc_id in every))
    teacher = f"imported(path={tmp_path / 'few.tsv'},kind=logit,missing=drop_query)"
    with pytest.raises(BadInput, match="the teacher leaves out 5 queries, a run answers all"):
        mine(workspace, f"rerank(teacher={teacher},of=random)", collection, "train", depth=4)
