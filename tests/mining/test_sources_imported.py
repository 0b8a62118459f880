from __future__ import annotations

import gzip

import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.runs.files import import_run
from rankmill.mining.runs.run import Run
from rankmill.mining.runs.trec import to_trec
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace

GOOD = """\
q1 Q0 d5 1 2.5 theirs
q1 Q0 d3 2 2.5 theirs
q3\tQ0\td1  9  -1e-3 theirs
q1 Q0 d9 3 7 theirs
q0 Q0 d9 3 7 theirs
q1 Q0 odd-0 4 1 theirs
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    workspace = Workspace(folder / "work")
    return workspace, collect(workspace, f"beir:{tiny_beir(folder / 'tiny')}")


@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_a_run_is_sorted_by_score_then_rank(made, tmp_path, name):
    workspace, collection = made
    data = GOOD.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    run = Run(import_run(workspace, path, collection, "test", name=f"their-{len(name)}"))
    assert run.row(0)[1].tolist() == collection.corpus.ordinals(["d9", "d5", "d3"]).tolist()
    assert run.row(0)[2].tolist() == [7.0, 2.5, 2.5]
    assert run.row(1)[1].tolist() == collection.corpus.ordinals(["d1"]).tolist()
    assert [len(run.row(row)[1]) for row in range(2, 20)] == [0] * 18
    assert run.artifact.counts == {
        "outside_split": 1,
        "empty_documents": 1,
        "queries_ranked_against_scores": 1,
        "queries_without_candidates": 18,
    }
    assert run.label == f"imported(tag=their-{len(name)})"
    assert run.artifact.verify() == 1
    assert workspace.find(f"their-{len(name)}").fingerprint == run.artifact.fingerprint


def test_a_run_survives_the_way_out_and_back(made, tmp_path):
    workspace, collection = made
    run = mine(workspace, "rrf(of=[random,imported(path=x)])".replace(
        "imported(path=x)", f'imported(path="{written(tmp_path)}")'
    ), collection, "test", depth=50)  # fmt: skip
    path = to_trec(run, tmp_path / "out.txt")
    back = Run(import_run(workspace, path, collection, "test"))
    for row in range(20):
        for a, b in zip(back.row(row)[1:], Run(run).row(row)[1:], strict=True):
            assert a.tolist() == b.tolist()
    tag = path.read_text().split("\n")[0].split(" ")[5]
    assert tag == "rrf(of=[random,imported(tag=theirs)],k=60)"
    assert back.label == f"imported(tag={'.'})".replace(".", f'"{tag}"')


def written(folder, text=GOOD):
    path = folder / "run.txt"
    path.write_text(text)
    return path


def test_depth_keeps_the_best(made, tmp_path):
    workspace, collection = made
    path = written(tmp_path)
    run = Run(mine(workspace, f'imported(path="{path}")', collection, "test", depth=2))
    assert [len(run.row(row)[1]) for row in range(3)] == [2, 1, 0]
    assert run.row(0)[1].tolist() == collection.corpus.ordinals(["d9", "d5"]).tolist()
    assert run.label == "imported(tag=theirs)"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d7 1 2.5", r"5 columns, a TREC run has 6(.|\n)*line 7"),
        ("q1 Q0 d7 1 nan x", r"the score 'nan' is not a finite number(.|\n)*line 7"),
        ("q1 Q0 d7 1 1e39 x", r"the score 1e\+39 lies beyond ±3.4e\+38(.|\n)*line 7"),
        ("q1 Q0 d7 1 high x", r"the score 'high' is not a finite number(.|\n)*line 7"),
        ("q1 Q0 d3 1 2 x", r"document 'd3' stands twice in the list of query 'q1'(.|\n)*line 7"),
        ("q1 Q0 zz 1 2 x", r"the run names 1 unknown documents: 'zz'(.|\n)*line 7\n"),
    ],
)
def test_bad_lines_are_refused(made, tmp_path, line, message):
    _, collection = made
    workspace = Workspace(tmp_path / "work")
    with pytest.raises(BadInput, match=message):
        import_run(workspace, written(tmp_path, f"{GOOD}{line}\n"), collection, "test")
    assert not workspace.root.exists()


def test_files_that_cannot_be_runs_are_refused(made, tmp_path):
    workspace, collection = made
    with pytest.raises(BadInput, match=r"there is no file run.txt(.|\n)*the folder holds"):
        import_run(workspace, tmp_path / "run.txt", collection, "test")
    with pytest.raises(BadInput, match="the run file holds no line"):
        import_run(workspace, written(tmp_path, "\n"), collection, "test")
    with pytest.raises(UsageError, match="imported needs path"):
        mine(workspace, "imported", collection, "test", depth=2)


def test_ids_with_blanks_have_no_trec_form(tmp_path):
    workspace = Workspace(tmp_path / "work")
    folder = tiny_beir(tmp_path / "tiny")
    corpus = folder / "corpus.jsonl"
    corpus.write_text(corpus.read_text(encoding="utf-8").replace('"odd-1"', '"odd 1"'))
    collection = collect(workspace, f"beir:{folder}")
    run = mine(workspace, "random", collection, "test", depth=199)
    with pytest.raises(BadInput, match="the id 'odd 1' holds a blank"):
        to_trec(run, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
