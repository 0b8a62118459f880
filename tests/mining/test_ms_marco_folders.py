"""MS MARCO's folders as Microsoft's archives unpack, read by `tsv:` under their own names."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest

from rankmill.mining.collection import Collection, collect
from rankmill.mining.errors import BadInput
from rankmill.mining.store import Workspace

DOCS = {"0": "the first passage", "7": "another one", "12": 'with a " mark'}
PASSAGES = "".join(f"{i}\t{t}\n" for i, t in DOCS.items())
TRAIN, DEV = "121352\tdefine extreme\n634306\twhat does x mean\n", "1048585\twho was paula\n"
QTRAIN, QDEV = "121352\t0\t7\t1\n634306\t0\t0\t1\n", "1048585\t0\t12\t1\n"
WHOLE = {
    "collection.tsv": PASSAGES,
    "queries.train.tsv": TRAIN,
    "queries.dev.small.tsv": DEV,
    "qrels.train.tsv": QTRAIN,
    "qrels.dev.small.tsv": QDEV,
}
READ = {
    "train": [("121352", "7", 1), ("634306", "0", 1)],
    "dev.small": [("1048585", "12", 1)],
}


def folder(place: Path, files: Mapping[str, str]) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(exist_ok=True)
        data = text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return place


def judged(found: Collection) -> dict[str, list[tuple[str, str, int]]]:
    read = {}
    for split in found.splits:
        qrels = found.qrels(split)
        queries, docs = found.queries.ids(qrels.query), found.corpus.ids(qrels.doc)
        read[split] = sorted(zip(queries, docs, qrels.grade.tolist(), strict=True))
    return read


LAYOUTS = {
    "as unpacked": (WHOLE, READ),
    "all compressed": ({f"{name}.gz": text for name, text in WHOLE.items()}, READ),
    "one of each": (
        {
            **{k: v for k, v in WHOLE.items() if k != "queries.train.tsv"},
            "queries.train.tsv.gz": TRAIN,
        },
        READ,
    ),
    "plain beside compressed": ({**WHOLE, "queries.train.tsv.gz": "1\tnever read\n"}, READ),
    "queries without judgements": ({**WHOLE, "queries.eval.tsv": "1\ta blind one\n"}, READ),
    "a query in two files": ({**WHOLE, "queries.dev.tsv": DEV + "5\tmore\n"}, READ),
    "other files of the archive": (
        {**WHOLE, "top1000.dev.tsv": "1\t2\tq\tp\n", "triples.train.small.tsv": "q\tp\tn\n"},
        READ,
    ),
    "deep learning": (
        {
            "collection.tsv": PASSAGES,
            "msmarco-test2019-queries.tsv.gz": "19335\tanthropological\n",
            "2019qrels-pass.txt": "19335 Q0 7 2\n19335 Q0 0 0\n",
        },
        {"test2019": [("19335", "0", 0), ("19335", "7", 2)]},
    ),
    "train and deep learning": (
        {
            **WHOLE,
            "msmarco-test2020-queries.tsv": "23849\tare naturalization\n",
            "2020qrels-pass.txt.gz": "23849 0 12 3\n",
        },
        {**READ, "test2020": [("23849", "12", 3)]},
    ),
    "documents": (
        {
            "msmarco-docs.tsv": "D1\thttp://a\tA title\tbody\nD2\thttp://b\t\tmore\n",
            "msmarco-doctrain-queries.tsv": "3\tthree\n",
            "msmarco-doctrain-qrels.tsv.gz": "3 0 D2 1\n",
        },
        {"train": [("3", "D2", 1)]},
    ),
    "a folder of judgements": (
        {
            "collection.tsv": PASSAGES,
            "queries.train.tsv": TRAIN,
            "qrels/train.tsv": QTRAIN,
        },
        {"train": READ["train"]},
    ),
    "plain names beside": (
        {
            "collection.tsv": PASSAGES,
            "queries.tsv": "1\tone\n",
            "qrels.tsv": "1\t7\t1\n",
            "queries.dev.small.tsv": DEV,
            "qrels.dev.small.tsv": QDEV,
        },
        {"all": [("1", "7", 1)], "dev.small": READ["dev.small"]},
    ),
}


@pytest.mark.parametrize(("files", "right"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_folder_is_read_under_its_own_names(workspace, tmp_path, files, right):
    found = collect(workspace, f"tsv:{folder(tmp_path / 'ms', files)}")
    assert judged(found) == right
    if "collection.tsv" in files:
        ids = list(DOCS)
        assert found.corpus.ids(range(len(found.corpus))) == ids
        assert found.corpus.texts(range(3)) == list(DOCS.values())


def test_every_query_is_there_once(workspace, tmp_path):
    place = folder(tmp_path / "ms", {**WHOLE, "queries.dev.tsv": DEV + "5\tmore\n"})
    queries = collect(workspace, f"tsv:{place}").queries
    asked = dict(
        zip(queries.ids(range(len(queries))), queries.texts(range(len(queries))), strict=True)
    )
    assert len(queries) == 4
    assert asked == {
        "121352": "define extreme",
        "634306": "what does x mean",
        "1048585": "who was paula",
        "5": "more",
    }


REFUSED = {
    "another text": (
        {"queries.dev.tsv": "1048585\tanother text\n"},
        ["'1048585'", "conflicting_row"],
    ),
    "unreadable judgements": ({"qrels.dev.csv": "1,2,3\n"}, ["qrels.dev.csv", "qrels.SPLIT.tsv"]),
    "a split twice": ({"qrels/train.tsv": QTRAIN}, ["'train'", "train.tsv and qrels.train.tsv"]),
    "two forms of a split": ({"qrels.train.trec": QTRAIN}, ["'train'", "qrels.train.trec"]),
    "passages and documents judged": (
        {"2019qrels-pass.txt": QDEV, "2019qrels-docs.txt": QDEV},
        ["'test2019'", "2019qrels-docs.txt"],
    ),
    "a query that is not there": ({"qrels.eval.tsv": "99 0 7 1\n"}, ["'99'", "qrels.eval.tsv"]),
}


@pytest.mark.parametrize(("more", "said"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(workspace: Workspace, tmp_path, more, said):
    with pytest.raises(BadInput) as caught:
        collect(workspace, f"tsv:{folder(tmp_path / 'ms', {**WHOLE, **more})}")
    for part in said:
        assert part in str(caught.value)
    assert not [p for p in workspace.root.rglob("*.arrow")]
