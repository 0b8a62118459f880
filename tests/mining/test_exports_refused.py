"""What no export does: lose scores in silence, write what cannot be held, leave half a folder."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_groups import DOCS, PLAIN, QUERIES, json_lines, publish_arrays, random_toy, rows_of, toy

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, RankmillError, UsageError
from rankmill.mining.exports import EXPORTS, export_groups
from rankmill.mining.groups.format import Groups
from rankmill.mining.store import Workspace, files

LOSSY = ("arctic-embed", "arctic-embed-batches", "beir", "gpl", "ms-swift", "nemo", "tevatron-ids")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return random_toy(tmp_path_factory.mktemp("exports"))


@pytest.mark.parametrize("form", PLAIN)
def test_lossy_formats_need_to_be_allowed(made, tmp_path, form):
    groups, collection = made
    assert (EXPORTS.parse(form).scores != "raw") == (form in LOSSY)
    if form in LOSSY:
        with pytest.raises(
            UsageError, match=rf"{form}.* (cannot hold|holds only)(.|\n)*--allow-los"
        ):
            export_groups(form, groups, collection, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("colbrt", r"unknown export format 'colbrt'(.|\n)*did you mean colbert"),
        ("splade(kind=pkl_dict)", r"pkl_dict is a pickle(.|\n)*choose one of json, trec, raw"),
        ("splade(kind=x)", r"kind=x(.|\n)*choose one of json, trec, raw"),
        ("lsr(kind=scores)", r"scores is a gzip pickle(.|\n)*use kind=triplets"),
        ("lsr(kind=x)", "kind=x"),
        ("matchmaker(kind=x)", r"kind=x(.|\n)*texts, ids"),
        ("nemo(layout=x)", r"layout=x(.|\n)*ids, inline, arrow"),
        ("sentence-transformers-rows(layout=x)", r"layout=x(.|\n)*tuples, triplets, pairs, lists"),
        ("sentence-transformers-rows(file=csv)", r"file=csv(.|\n)*parquet, jsonl"),
        ("lightning-ir(name=a.b)", r"'a.b' as name cannot stand in the file name"),
        ("lightning-ir(name=a__b)", r"'a__b' as name cannot stand in the file name"),
        ("contrastors(shard=0)", r"shard=0"),
        ("arctic-embed-batches(model=x,queries=0)", r"queries=0"),
        ("arctic-embed-batches", "needs model"),
        ("lightning-ir(name=a/b)", r"'a/b' as name cannot stand in the file name"),
        ("lightning-ir(name=/tmp/x)", r"'/tmp/x' as name cannot stand in the file name"),
        ('trec(tag="a b")', r"tag='a b' is no word(.|\n)*one word, such as rankmill"),
        ('trec(tag="a\\nq1 Q0 d1 1 9 x")', "is no word"),
        ('trec(tag="")', "tag='' is no word"),
        ('trec(tag="\u00a0")', "is no word"),
        ('datasets(title="a\\nb")', "holds a quotation mark, a backslash"),
        ('datasets(title="a\\\\d")', r"title='a\\\\d' holds a quotation mark, a backslash"),
        ('datasets(license="a\\u0085b")', "what cannot be printed"),
        ("colbert(x=1)", "colbert has no parameter 'x'"),
        ("3", "'3' is not an export format"),
    ],
)
def test_formats_that_are_not_there(made, tmp_path, form, message):
    groups, collection = made
    with pytest.raises(UsageError, match=message):
        export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True)


@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_size_that_the_groups_do_not_have(made, tmp_path, size):
    groups, collection = made
    with pytest.raises(UsageError, match=rf"size={size} of groups of 6(.|\n)*give 2 to 6"):
        export_groups("colbert", groups, collection, tmp_path / "out", size=size)


def test_missing_scores_stop_the_export_or_drop_the_group(made, tmp_path):
    groups, collection = made
    arrays = Groups(groups).part(0)
    score = arrays.score.copy()
    score[2, 3] = np.nan
    broken = publish_arrays(collection, replace(arrays, score=score))
    query, docs, _ = list(rows_of(groups, collection))[2]
    where = rf"score of query '{query}' with document '{docs[3]}' is nan(.|\n)*drop_group"
    with pytest.raises(BadInput, match=where):
        export_groups("colbert", broken, collection, tmp_path / "out")
    with pytest.raises(UsageError, match=r"missing=zero(.|\n)*error, drop_group"):
        export_groups("colbert", broken, collection, tmp_path / "out", missing="zero")
    assert not (tmp_path / "out").exists()
    out = export_groups("colbert", broken, collection, tmp_path / "out", missing="drop_group")
    assert out.facts["dropped_groups"] == {"missing_score": 1}
    assert len(json_lines(out.path / "train.json")) == out.facts["groups"] == 12
    all_gone = publish_arrays(collection, replace(arrays, score=np.full_like(score, np.inf)))
    with pytest.raises(BadInput, match="there is no group to write"):
        export_groups("colbert", all_gone, collection, tmp_path / "b", missing="drop_group")


@pytest.mark.parametrize(
    ("docs", "queries", "message"),
    [
        (DOCS | {"1": " \t"}, QUERIES, "1 documents of the groups are empty: '1'"),
        (DOCS, {"10": ""}, "1 queries of the groups are empty: '10'"),
    ],
)
def test_empty_texts_are_refused(tmp_path, docs, queries, message):
    groups, collection = toy(tmp_path, docs, queries)
    with pytest.raises(BadInput, match=message):
        export_groups("tevatron", groups, collection, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_groups("trec", groups, collection, tmp_path / "out")  # holds no texts


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("trec", "the id .* holds a blank"),
        ("gpl", "the id .* holds a blank"),
        ("matchmaker(kind=ids)", "the id .* holds a blank"),
    ],
)
@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u3000", "\u2028", "\x0b", "\x1c"])
def test_ids_with_blanks_have_no_place_in_a_run(tmp_path, form, message, blank):
    docs = {"0": "one", f"a{blank}b": "two"}
    groups, collection = toy(tmp_path, docs, groups=[("10", list(docs), [1, 2])])
    with pytest.raises(BadInput, match=message):
        export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["ids", "arrow"])
def test_a_query_called_like_the_further_group_of_another_is_refused(tmp_path, layout):
    """NeMo wants unique ids, and the second group of `q` is `q#2` there, and on the way back."""
    queries = {"q": "one", "q#2": "two", "r#1": "three", "#7": "four"}
    some = [(q, ["0", "1"], [2, 1]) for q in queries]
    groups, collection = toy(tmp_path, queries=queries, groups=some)
    form = f"nemo(layout={layout})"
    with pytest.raises(BadInput, match=r"beside the query 'q' stands one(.|\n)*q#N(.|\n)*inline"):
        export_groups(form, groups, collection, tmp_path / "out", allow_lossy=True)
    assert not (tmp_path / "out").exists()
    export_groups("nemo(layout=inline)", groups, collection, tmp_path / "in", allow_lossy=True)


def test_a_margin_beyond_float32_is_refused(tmp_path):
    groups, collection = toy(tmp_path, groups=[("10", ["0", "1"], [3e38, -3e38])])
    with pytest.raises(BadInput, match="of query '10' and document '1' lies beyond"):
        export_groups("gpl", groups, collection, tmp_path / "out", allow_lossy=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["beir", "gpl"])
def test_marks_of_ids_are_written_as_beirs_reader_wants_them(tmp_path, form):
    """BEIR reads judgements by `csv.reader` with its own quoting, and so do we."""
    docs = {'"A"x': "alpha", 'b"': "beta", '""': "gamma", "d": "delta"}
    groups = [('"q"', ['"A"x', "d", "d"], [2.0, 1.0, 0.5]), ("r", ['""', 'b"', "d"], [2.0, 1, 0])]
    groups[0][1][2] = 'b"'
    judged, collection = toy(tmp_path, docs, {'"q"': "what", "r": "who"}, groups)
    out = export_groups(form, judged, collection, tmp_path / "out", allow_lossy=True).path
    with open(out / "qrels" / "train.tsv", encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_MINIMAL))
    assert rows[1:] == [['"q"', '"A"x', "1"], ["r", '""', "1"]]
    back = collect(Workspace(tmp_path / "other"), f"beir:{out}")
    qrels = back.qrels("train")
    assert back.queries.ids(qrels.query) == ['"q"', "r"]
    assert sorted(back.corpus.ids(qrels.doc)) == ['""', '"A"x']


def test_ids_with_tabs_have_no_place_in_beir(tmp_path):
    docs = {"0": "one", "a\tb": "two"}
    groups, collection = toy(tmp_path, docs, groups=[("10", list(docs), [1, 2])])
    both = replace(Groups(groups).part(0), grade=np.array([[1, 1]], np.int8))
    judged = publish_arrays(collection, both)
    with pytest.raises(BadInput, match=r"the id 'a\\tb' holds a tab"):
        export_groups("beir", judged, collection, tmp_path / "out", allow_lossy=True)


def test_groups_of_another_collection_are_refused(made, tmp_path):
    _, other = toy(tmp_path)
    with pytest.raises(BadInput, match="the groups are about another corpus than this collection"):
        export_groups("colbert", made[0], other, tmp_path / "out")


def test_queries_out_of_order_cannot_be_joined(made, tmp_path):
    groups, collection = made
    arrays = Groups(groups).part(0)
    backwards = publish_arrays(collection, arrays[np.arange(len(arrays))[::-1]])
    with pytest.raises(BadInput, match="the groups are not in the order of their queries"):
        export_groups("trec", backwards, collection, tmp_path / "out")


def test_a_folder_that_is_not_empty_is_left_alone(made, tmp_path):
    groups, collection = made
    (tmp_path / "out").mkdir()
    export_groups("colbert", groups, collection, tmp_path / "out")  # empty: fine
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match="the target folder is not empty"):
        export_groups("trove", groups, collection, tmp_path / "out")
    with pytest.raises(BadInput, match="the target is a file"):
        export_groups("trove", groups, collection, tmp_path / "out" / "train.json")
    assert sorted(tmp_path.rglob("*")) == before


def failing(at: int, counted: list[str], below: Path):
    """Return a fault that notes every step of the disk below a folder and fails at one of them;
    what other tests of the process left running writes elsewhere."""

    def strike(step: str, path: Path) -> None:
        if not Path(path).is_relative_to(below):
            return
        counted.append(step)
        if len(counted) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return strike


@pytest.mark.parametrize("form", ["sentence-transformers", "colbert", "contrastors", "nemo"])
def test_a_full_disk_at_any_step_leaves_nothing_behind(made, tmp_path, monkeypatch, form):
    groups, collection = made
    steps: list[str] = []
    monkeypatch.setattr(files.steps, "fault", failing(0, steps, tmp_path))
    export_groups(form, groups, collection, tmp_path / "whole", allow_lossy=True)
    last = steps.index("rename") + 1  # afterwards the folder stands there, complete
    for at in range(1, last + 1):
        place = tmp_path / str(at)
        place.mkdir()
        monkeypatch.setattr(files.steps, "fault", failing(at, [], tmp_path))
        with pytest.raises(RankmillError, match=r"No space left on device(.|\n)*choose another pl"):
            export_groups(form, groups, collection, place / "out", allow_lossy=True)
        assert list(place.iterdir()) == [], steps[at - 1]


@pytest.mark.parametrize("form", ["pylate", "tevatron", "contrastors", "tevatron-megatron"])
def test_a_disk_that_fills_while_writing_leaves_nothing_behind(made, tmp_path, monkeypatch, form):
    groups, collection = made

    def full(self: object, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.HashingSink, "write", full)
    with pytest.raises(RankmillError, match=r"No space left on device \([\d,]+ bytes free\)"):
        export_groups(form, groups, collection, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["sentence-transformers", "nemo"])
def test_a_kill_at_any_step_leaves_the_whole_folder_or_none(made, tmp_path, monkeypatch, form):
    """What a kill would leave is what lies on the disk at that step."""
    groups, collection = made
    place, states = tmp_path / "place", tmp_path / "states"
    place.mkdir()
    states.mkdir()

    def keep(step: str, path: Path) -> None:
        shutil.copytree(place, states / f"{len(list(states.iterdir()))}-{step}")

    monkeypatch.setattr(files.steps, "fault", keep)
    export_groups(form, groups, collection, place / "out", allow_lossy=True)
    monkeypatch.setattr(files.steps, "fault", None)
    whole = content_of(place / "out")
    ends = set()
    for state in states.iterdir():
        ends.add((state / "out").exists())
        if not (state / "out").exists():
            export_groups(form, groups, collection, state / "out", allow_lossy=True)
        assert content_of(state / "out") == whole, state.name
        assert all(path.name.startswith(".out.") for path in state.iterdir() if path.name != "out")
    assert ends == {True, False}


def content_of(folder: Path) -> dict[str, bytes]:
    below = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in below}
