"""Odd groups of other people, in every format: counted by kind, and done with as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import Collection, collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.files import LAYOUTS
from rankmill.mining.groups.format import Groups
from rankmill.mining.groups.imported import import_groups
from rankmill.mining.groups.odd import GROUP_KINDS
from rankmill.mining.store import Workspace

Group = tuple[str, list[str], list[float]]  # query, documents, scores; the positive first

A: Group = ("q0", ["d1", "d2", "d3"], [3.0, 2.0, 1.5])
B: Group = ("q2", ["d4", "d5", "d6"], [3.0, 2.0, -1.5])
BARRED = ("q4", "d9")  # judged −100


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd-groups")
    beir = tiny_beir(folder / "tiny", docs=30, queries=10)
    with open(beir / "qrels" / "train.tsv", "a") as out:
        out.write("\t".join((*BARRED, "-100")) + "\n")
    return collect(Workspace(folder / "work"), f"beir:{beir}")


def _lines(folder: Path, rows: Sequence[Any], name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def triple(folder: Path, groups: Sequence[Group]) -> Path:
    query, docs, scores = zip(*groups, strict=True)
    table = {"query_id": query, "document_ids": docs, "scores": scores}
    pq.write_table(pa.table({k: list(v) for k, v in table.items()}), folder / "train.parquet")
    return folder / "train.parquet"


def rows(folder: Path, groups: Sequence[Group]) -> Path:
    return _lines(folder, [{"query": q, "documents": d, "scores": s} for q, d, s in groups])


def colbert(folder: Path, groups: Sequence[Group]) -> Path:
    number = lambda name: int(name[1:]) if name[1:].isdigit() else 999  # noqa: E731
    made = [
        [number(q), *([number(d), s] for d, s in zip(docs, scores, strict=True))]
        for q, docs, scores in groups
    ]
    of = [("query", f"q{n}", str(n)) for n in range(10)]
    of += [("document", f"d{n}", str(n)) for n in range(30)] + [("document", "nowhere", "999")]
    names = dict(zip(("of", "ours", "theirs"), map(list, zip(*of, strict=True)), strict=True))
    pq.write_table(pa.table(names), folder / "id_map.parquet")
    return _lines(folder, made, "train.json")


def tevatron(folder: Path, groups: Sequence[Group]) -> Path:
    made = []
    for query, docs, scores in groups:
        passages = [{"docid": d, "score": s} for d, s in zip(docs, scores, strict=True)]
        row = {"query_id": query, "positive_passages": passages[:1]}
        made.append(row | {"negative_passages": passages[1:]})
    return _lines(folder, made)


def megatron(folder: Path, groups: Sequence[Group]) -> Path:
    made = [
        {"query": q, "passages": [{"text": text} for text in docs], "scores": scores}
        for q, docs, scores in groups
    ]
    return _lines(folder, made)


def flag(folder: Path, groups: Sequence[Group]) -> Path:
    made = [
        {"query": q, "pos": d[:1], "neg": d[1:], "pos_scores": s[:1], "neg_scores": s[1:]}
        for q, d, s in groups
    ]
    return _lines(folder, made)


def trove(folder: Path, groups: Sequence[Group]) -> Path:
    return _lines(folder, [{"qid": q, "docid": d, "score": s} for q, d, s in groups])


def rankers(folder: Path, groups: Sequence[Group]) -> Path:
    teacher: dict[str, dict[str, float]] = {}
    for query, docs, scores in groups:
        teacher.setdefault(query, {}).update(zip(docs, scores, strict=True))
    (folder / "teacher.json").write_text(json.dumps(teacher))
    made = [{"query_id": q, "doc_id_a": d[0], "doc_id_b": d[1:]} for q, d, _ in groups]
    return _lines(folder, made)


def flat(folder: Path, groups: Sequence[Group]) -> Path:
    made = [
        {"qid": q, "pos": d[:1], "neg": d[1:], "pos.score": s[:1], "neg.score": s[1:]}
        for q, d, s in groups
    ]
    return _lines(folder, made)


def contrastors(folder: Path, groups: Sequence[Group]) -> Path:
    made = [
        {"query": q, "document": d[0], "negatives": d[1:], "pos_score": s[0], "scores": s[1:]}
        for q, d, s in groups
    ]
    return _lines(folder, made)


def _triplets(folder: Path, groups: Sequence[Group], order: Sequence[int]) -> Path:
    text = ""
    for query, docs, scores in groups:
        for doc, score in zip(docs[1:], scores[1:], strict=True):
            cells = [query, docs[0], doc, str(scores[0]), str(score)]
            text += "\t".join(cells[at] for at in order) + "\n"
    (folder / "train.tsv").write_text(text)
    return folder / "train.tsv"


WRITERS: dict[str, Callable[[Path, Sequence[Group]], Path]] = {
    "triple": triple,
    "datasets": triple,
    "rows": rows,
    "colbert": colbert,
    "tevatron": tevatron,
    "tevatron-megatron": megatron,
    "flag-embedding": flag,
    "trove": trove,
    "rankers": rankers,
    "flat": flat,
    "contrastors": contrastors,
    "lsr": lambda folder, groups: _triplets(folder, groups, (0, 1, 2, 3, 4)),
    "matchmaker": lambda folder, groups: _triplets(folder, groups, (3, 4, 0, 1, 2)),
}
FORMATS = sorted(WRITERS)
ONE_SCORE = {"rankers"}  # of a query and document, for all its groups


def test_every_format_is_here():
    assert set(WRITERS) == set(LAYOUTS)


def written(collection: Collection, folder: Path, form: str, groups: Sequence[Group]) -> Path:
    """Write groups in a format, by ids or by the texts of the collection."""
    if not LAYOUTS[form].by_text:
        return WRITERS[form](folder, groups)
    corpus, queries = collection.corpus, collection.queries
    texts = dict(zip(corpus.doc_ids(range(30)), corpus.texts(range(30)), strict=True))
    asked = dict(zip(queries.query_ids(range(10)), queries.texts(range(10)), strict=True))
    named = [(asked[q], [texts.get(d, d) for d in docs], scores) for q, docs, scores in groups]
    return WRITERS[form](folder, named)


def read(collection: Collection, path: Path, form: str, **options: Any):
    workspace = collection.artifact.workspace
    return import_groups(workspace, path, collection, form=form, kind="logit", **options)


TWICE: Group = ("q6", ["d7", "d8", "d8"], [3.0, 2.0, 2.0])
OUT: Group = ("q4", ["d7", "d8", "d9"], [3.0, 2.0, 1.0])
LOST: Group = ("q6", ["d7", "nowhere", "d8"], [3.0, 2.0, 1.0])
OTHER: Group = ("q0", ["d1", "d10", "d3"], [3.0, 2.5, 1.25])

CASES = [  # kind, groups, what the default does, {action: (rows, counts)}
    (
        "duplicate_document",
        [A, B, TWICE],
        "twice",
        {
            "keep_first": (3, {"duplicate_document": 1}),
            "drop": (2, {"groups_duplicate_document": 1}),
        },
    ),
    (
        "duplicate_group",
        [A, B, A, B],
        (4, {"duplicate_group": 2}),
        {"keep_first": (2, {"groups_duplicate_group": 2}), "refuse": "a group a second time"},
    ),
    (
        "excluded_document",
        [A, B, OUT],
        "excludes from the query, by its grade",
        {"drop": (2, {"groups_excluded_document": 1}), "keep": (3, {"excluded_document": 1})},
    ),
    (
        "unknown_id",
        [A, B, LOST],
        "the document (id|text) 'nowhere' is not in the collection",
        {"drop": (2, {"groups_unknown_id": 1})},
    ),
    (
        "conflicting_score",
        [A, B, OTHER],
        (3, {"conflicting_score": 1}),
        {"refuse": "with several scores, in several groups"},
    ),
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("kind", "groups", "default", "told"), CASES)
def test_every_kind_in_every_format(collection, tmp_path, form, kind, groups, default, told):
    if form in ONE_SCORE and kind == "conflicting_score":
        pytest.skip("a pair has one score in this format")
    path = written(collection, tmp_path, form, groups)
    shape = {"size": 2} if kind == "duplicate_document" else {}
    for action, expected in {GROUP_KINDS[kind].actions[0]: default, **told}.items():
        on = {"on": [f"{kind}={action}"]} if action != GROUP_KINDS[kind].actions[0] else {}
        if kind == "duplicate_document" and action == "keep_first":
            on |= shape
        if isinstance(expected, str):
            with pytest.raises(BadInput, match=expected):
                read(collection, path, form, **on)
            continue
        made = read(collection, path, form, **on)
        assert (made.rows, made.counts) == expected, action
        ((counted, first),) = made.examples.items()
        assert counted in expected[1]
        assert first[0].startswith(("line ", "row "))
        assert len(first) == expected[1][counted]


def test_what_is_kept_is_what_the_file_says(collection, tmp_path):
    path = written(collection, tmp_path, "triple", [A, B, TWICE])
    made = read(collection, path, "triple", on="duplicate_document=keep_first".split(), size=2)
    groups = Groups(made).part(0)
    assert [collection.corpus.doc_ids(row) for row in groups.doc] == [
        ["d1", "d2"], ["d4", "d5"], ["d7", "d8"],
    ]  # fmt: skip
    assert groups.score.tolist() == [[3.0, 2.0], [3.0, 2.0], [3.0, 2.0]]
    assert made.examples == {"duplicate_document": ["row 3: query 'q6', document 'd8'"]}
    for number, groups in enumerate(([A, OUT], [B, OUT])):  # the same, whatever files are called
        shard = tmp_path / "shards" / f"train-{number:05d}-of-00002.parquet"
        shard.parent.mkdir(exist_ok=True)
        triple(tmp_path, groups).rename(shard)
    made = read(collection, shard.parent, "triple", on={"excluded_document": "keep"})
    first = ["row 2: query 'q4'", "file 2, row 2: query 'q4'"]
    assert made.examples == {"duplicate_group": first[1:], "excluded_document": first}
    path = written(collection, tmp_path, "triple", [A, OUT, B, OUT])
    made = read(collection, path, "triple", on={"excluded_document": "drop"})
    assert made.dropped == {"excluded_document": [4]}
    assert made.counts == {"groups_excluded_document": 2}
    assert made.rows == 2


def test_a_grade_of_the_file_excludes_too(collection, tmp_path):
    path = tmp_path / "train.parquet"
    table = {"query_id": ["q0"], "document_ids": [["d1", "d2"]], "scores": [[2.0, 1.5]]}
    pq.write_table(pa.table(table | {"grades": [[1, -100]]}), path)
    with pytest.raises(BadInput, match=r"by its grade: the group of query 'q0'[\s\S]*row 1"):
        read(collection, path, "triple")
    made = read(collection, path, "triple", on={"excluded_document": "keep"})
    assert made.counts == {"excluded_document": 1}
    pq.write_table(pa.table(table | {"grades": [[1, -1]]}), path)  # judged, and not relevant
    assert read(collection, path, "triple").counts == {}


def test_what_a_policy_changes_is_part_of_the_identity(collection, tmp_path):
    path = written(collection, tmp_path, "trove", [A, B])
    plain = read(collection, path, "trove")
    assert "on" not in plain.parameters
    assert "odd" not in plain.parameters
    assert read(collection, path, "trove", on=["duplicate_group=keep"]).root_hash == plain.root_hash
    other = read(collection, path, "trove", on=["duplicate_group=keep_first"])
    assert other.fingerprint != plain.fingerprint
    kept = read(collection, path, "trove", on=["excluded_document=keep"])
    assert set(kept.parameters["judged"]) == {"train", "test"}
    with pytest.raises(UsageError, match="did you mean duplicate_group"):
        read(collection, path, "trove", on=["duplicate_groups=keep"])
    with pytest.raises(UsageError, match="is not possible"):
        read(collection, path, "trove", on=["unknown_id=keep"])


def test_short_groups_and_those_without_a_positive_can_be_refused(collection, tmp_path):
    short = ("q6", ["d7", "d8"], [3.0, 2.0])
    path = written(collection, tmp_path, "trove", [A, B, short])
    made = read(collection, path, "trove", size=3)
    assert made.counts == {"groups_too_few_documents": 1}
    assert made.examples == {"groups_too_few_documents": ["line 3: query 'q6'"]}
    assert made.dropped == {"too_few_documents": [6]}
    with pytest.raises(BadInput, match="fewer documents than --size: the group of query 'q6'"):
        read(collection, path, "trove", size=3, on=["too_few_documents=refuse"])
    none = [{"docid": "d1", "score": 3}, {"docid": "d2", "score": -1}]
    row = {"query_id": "q6", "positive_passages": [], "negative_passages": none}
    good = row | {"query_id": "q0", "positive_passages": none[:1], "negative_passages": none[1:]}
    path = _lines(tmp_path, [good, row])
    assert read(collection, path, "tevatron").counts == {"groups_no_positive": 1}
    with pytest.raises(BadInput, match="names no positive"):
        read(collection, path, "tevatron", on=["no_positive=refuse"])


def test_unknown_queries_are_left_out_too(collection, tmp_path):
    path = written(collection, tmp_path, "trove", [A, ("q99", B[1], B[2]), B])
    with pytest.raises(BadInput, match=r"'q99'[\s\S]*--on unknown_id=drop leaves"):
        read(collection, path, "trove")
    made = read(collection, path, "trove", on=["unknown_id=drop"])
    assert (made.rows, made.counts, made.dropped) == (2, {"groups_unknown_id": 1}, {})
    path = written(collection, tmp_path, "trove", [("q99", B[1], B[2])])
    with pytest.raises(BadInput, match="all are left out by unknown_id"):
        read(collection, path, "trove", on=["unknown_id=drop"])


def test_repeated_groups_against_a_loop(collection, tmp_path):
    random = np.random.Generator(np.random.Philox(3))
    groups: list[Group] = []
    for _ in range(120):
        docs = [f"d{n}" for n in random.permutation(4)[:2].tolist()]
        scores = random.integers(0, 2, 2).astype(float).tolist()
        groups.append((f"q{int(random.integers(0, 4))}", docs, [scores[0] + 2, scores[1] - 2]))
    seen: set[str] = set()
    known: dict[tuple[str, str], float] = {}
    again, clash = 0, 0
    for group in sorted(groups, key=lambda one: one[0]):  # as they are read: by query
        again += str(group) in seen
        seen.add(str(group))
        pairs = [((group[0], doc), score) for doc, score in zip(*group[1:], strict=True)]
        clash += any([known.setdefault(pair, score) != score for pair, score in pairs])
    made = read(collection, written(collection, tmp_path, "trove", groups), "trove")
    assert made.counts == {"duplicate_group": again, "conflicting_score": clash}
    assert all(len(first) == 10 for first in made.examples.values())
