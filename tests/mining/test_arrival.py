"""What is odd about scores that are handed in: counted at every door, in the manifest, and told."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import Collection, collect
from rankmill.mining.groups.imported import import_groups
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers import scores as score_module
from rankmill.mining.teachers.base import PREPARERS, Prepared, Scored
from rankmill.mining.teachers.contract import survey_given, told, told_of_all
from rankmill.mining.teachers.cross_encoder import CrossEncoder
from rankmill.mining.teachers.files.imported import import_scores

Pairs = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Collection:
    folder = tmp_path_factory.mktemp("arrival")
    return collect(Workspace(folder / "work"), f"beir:{tiny_beir(folder / 'tiny', docs=60)}")


def counted(pairs: Pairs, kind: str) -> dict[str, int]:
    """Count slowly, list by list: the definition."""
    lists: dict[str, list[float]] = {}
    for (query, _), score in pairs.items():
        lists.setdefault(query, []).append(float(np.float32(score)))
    several = [scores for scores in lists.values() if len(scores) > 1]
    ends = {"logit": (), "log-prob": (0.0,), "probability": (0.0, 1.0), "similarity": ()}[kind]
    counts = {
        "lists": len(several),
        "constant_lists": sum(len(set(scores)) == 1 for scores in several),
        "saturated": sum(score in ends for score in pairs.values()),
    }
    if kind == "logit" and all(0 <= score <= 1 for score in pairs.values()):
        counts["between_0_and_1"] = len(pairs)
        counts["saturated"] = sum(score in (0, 1) for score in pairs.values())
    return {name: n for name, n in counts.items() if n}


def drawn(kind: str) -> Pairs:
    """Return scores of 12 queries with 1 to 15 documents: some saturated, some lists constant."""
    random = np.random.Generator(np.random.Philox(11))
    pairs: Pairs = {}
    for query in range(12):
        count = 1 if query == 3 else int(random.integers(10, 16))
        values = np.round(random.random(count), 3)
        values[random.random(count) < 0.2] = 1.0
        values[random.random(count) < 0.1] = 0.0
        if query % 4 == 1:
            values[:] = 0.25
        for doc, value in zip(random.permutation(50)[:count], values, strict=True):
            pairs[f"q{query}", f"d{doc}"] = float(value - 1 if kind == "log-prob" else value)
    return pairs


def tsv(path: Path, pairs: Pairs) -> Path:
    path.write_text("".join(f"{q}\t{d}\t{s}\n" for (q, d), s in pairs.items()))
    return path


def jsonl(path: Path, pairs: Pairs) -> Path:
    rows = ({"query_id": q, "doc_id": d, "score": s} for (q, d), s in pairs.items())
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_json(path: Path, pairs: Pairs) -> Path:
    nested: dict[str, dict[str, float]] = {}
    for (query, doc), score in pairs.items():
        nested.setdefault(query, {})[doc] = score
    path.write_text(json.dumps(nested))
    return path


def parquet(path: Path, pairs: Pairs) -> Path:
    query, doc = zip(*pairs, strict=True)
    table = {"query_id": list(query), "doc_id": list(doc), "score": list(pairs.values())}
    pq.write_table(pa.table(table), path)
    return path


def trec(path: Path, pairs: Pairs) -> Path:
    lines = (f"{q} Q0 {d} {n} {s} tag\n" for n, ((q, d), s) in enumerate(pairs.items(), 1))
    path.write_text("".join(lines))
    return path


WRITERS = {"tsv": tsv, "jsonl": jsonl, "json": as_json, "parquet": parquet, "trec": trec}


def read(collection: Collection, path: Path, kind: str, form: str) -> Artifact:
    texts = collection.corpus.artifact, collection.queries.artifact
    return import_scores(collection.artifact.workspace, path, *texts, kind=kind, form=form)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["logit", "log-prob", "probability", "similarity"])
@pytest.mark.parametrize("form", WRITERS)
def test_the_manifest_counts_what_a_file_of_scores_holds(collection, tmp_path, form, kind):
    pairs = drawn(kind)
    made = read(collection, WRITERS[form](tmp_path / f"a.{form}", pairs), kind, form)
    assert made.counts == {"pairs": len(pairs), **counted(pairs, kind)}


SAID = [
    ("logit", r"all \d+ scores lie between 0 and 1, \d+ of them saturated at exactly 0 or 1"),
    ("probability", r"\d+ of \d+ scores are saturated at an end of the range of a probability"),
    ("log-prob", r"\d+ of \d+ scores are saturated at an end of the range of a log-prob"),
    ("similarity", r"3 of 11 lists have one score for all their documents"),
]


@pytest.mark.parametrize(("kind", "said"), SAID)
def test_what_is_odd_is_told_on_arrival_and_later(collection, tmp_path, kind, said):
    path = tsv(tmp_path / "a.tsv", drawn(kind))
    for _ in range(2):  # also when the artifact is there
        with pytest.warns(RuntimeWarning) as warned:
            made = read(collection, path, kind, "tsv")
        assert [str(one.message) for one in warned] == list(told(made).values())
    assert any(re.search(said, one) for one in told(made).values())


def test_good_scores_and_a_few_of_them_are_taken_in_silence(collection, tmp_path):
    pairs = {
        pair: 5 * score - 2 + n / 500 for n, (pair, score) in enumerate(drawn("logit").items())
    }
    few = {pair: 0.5 for pair in list(pairs)[:20]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = read(collection, tsv(tmp_path / "a.tsv", pairs), "logit", "tsv")
        assert made.counts == {"pairs": len(pairs), "lists": 11}
        made = read(collection, tsv(tmp_path / "b.tsv", few), "logit", "tsv")
        assert made.counts["constant_lists"] == made.counts["lists"] == 2


def test_groups_are_counted_likewise(collection, tmp_path):
    random = np.random.Generator(np.random.Philox(5))
    rows, pairs = [], {}
    for query in range(30):
        docs = [f"d{n}" for n in random.permutation(50)[:5].tolist()]
        scores = np.round(random.random(5), 2)
        scores[:2] = 1.0
        if query % 10 == 4:
            scores[:] = 0.5
        rows.append({"qid": f"q{query}", "docid": docs, "score": scores.tolist()})
        pairs |= {(f"q{query}", doc): float(s) for doc, s in zip(docs, scores, strict=True)}
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    workspace = collection.artifact.workspace
    for kind, said in (("logit", "all 150 scores lie between 0 and 1"), ("probability", "of 150")):
        with pytest.warns(RuntimeWarning) as warned:
            made = import_groups(workspace, path, collection, form="trove", kind=kind)
        assert said in str(warned[0].message)
        expected = counted(pairs, kind)
        assert expected.pop("lists") == made.rows == 30
        assert made.counts == expected
        assert "3 of 30 lists have one score" in told(made)["constant_lists"]
    with pytest.warns(RuntimeWarning, match="3 of 30 lists"):
        made = import_groups(workspace, path, collection, form="trove", kind="similarity")
    assert made.counts == {"constant_lists": 3}


@pytest.mark.parametrize(
    ("scores", "offsets", "kind", "expected"),
    [
        ([], [0], "logit", {}),
        ([], [0, 0], "probability", {}),
        ([0.5], [0, 1], "logit", {"between_0_and_1": 1}),
        ([0.0, 0.0], [0, 0, 2], "log-prob", {"lists": 1, "constant_lists": 1, "saturated": 2}),
        ([1.0, 0.0, 0.5], [0, 2, 2, 3], "probability", {"lists": 1, "saturated": 2}),
        ([1.0, 2.0], [0, 2], "logit", {"lists": 1}),
        ([-1.0, -2.0], [0, 2], "rank", {"lists": 1}),
    ],
)
def test_edges(scores, offsets, kind, expected):
    found = survey_given(np.array(scores, np.float32), np.array(offsets), kind)
    assert found == expected


class Served:
    """A teacher whose scores come from a server: shares in quarters, so some are exactly 0 or 1."""

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Answer by the ordinals."""
        return Scored(((query.astype(np.int64) + 3 * doc) % 5 / 4).astype(np.float32))

    score_again = score


@pytest.mark.parametrize("kind", ["logit", "probability", "similarity"])
@pytest.mark.parametrize("given", [True, False])
def test_scores_that_a_server_gave_are_counted_as_those_of_a_file(
    collection, monkeypatch, kind, given
):
    prepared = Prepared(
        label=f"served({kind},{given})",
        kind=kind,
        parameters={},
        make=Served,
        options={},
        pair_work=lambda query, doc: np.ones(len(query), np.int64),
        cuts=False,
        given=given,
    )
    monkeypatch.setitem(PREPARERS, CrossEncoder, lambda *_: prepared)
    monkeypatch.setattr(score_module, "_SHARD_WORK", 40)
    run = mine(collection.artifact.workspace, "random", collection, "train", depth=15)
    asked = {"teacher": CrossEncoder("served"), "pool": run, "direction": "trusted"}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        made = score_pool(collection.artifact.workspace, **asked)
    assert len(made.parts) > 2
    lists = [row for table in made.tables() for row in table["logit"].to_pylist()]
    pairs = {(str(q), str(n)): s for q, row in enumerate(lists) for n, s in enumerate(row)}
    wanted = counted(pairs, kind)
    if not given:
        wanted.pop("between_0_and_1", None)
        if kind == "logit":
            wanted.pop("saturated")
    found = {name: made.counts[name] for name in ("lists", *wanted)}
    assert found == wanted
    assert ("between_0_and_1" in made.counts) == (given and kind == "logit")
    odd = list(told(made).values())
    assert bool(odd) == (kind == "probability" or (given and kind == "logit"))
    assert [str(one.message) for one in warned] == (odd if given else [])


def test_what_a_file_held_is_told_of_all_that_was_taken_from_it(collection, tmp_path):
    both = itertools.product(range(12), range(10))
    pairs = {(f"q{q}", f"d{d}"): (q + 3 * d) % 5 / 4 for q, d in both}
    path = tsv(tmp_path / "a.tsv", pairs)
    run = mine(collection.artifact.workspace, "random", collection, "train", depth=15)
    with pytest.warns(RuntimeWarning, match="all 120 scores lie between 0 and 1"):
        made = score_pool(
            collection.artifact.workspace,
            f"imported(path={path},kind=logit,missing=drop_doc)",
            run,
            direction="trusted",
        )
    (own, nothing), (file, said) = told_of_all(made)
    assert own.path == made.path
    assert nothing == {}
    assert "all 120 scores lie between 0 and 1" in said["between_0_and_1"]
    assert file.path == made.input("scores").path
