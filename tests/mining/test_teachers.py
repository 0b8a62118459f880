"""Teachers and the shared score store: right scores, each pair once, the same bytes any way."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from odd_teachers import odd_teacher
from rounding import UNIT, network_bound
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.about import vectors_of
from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, Incomplete, UsageError
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.tokens import tokens_of
from rankmill.mining.models.vectors import Vectors
from rankmill.mining.store import Artifact, Output, Shard, Stage, Workspace
from rankmill.mining.store.tables import SCORES, list_values, pool_schema
from rankmill.mining.teachers import TEACHERS, score_pool, teacher_of
from rankmill.mining.teachers import scores as score_module
from rankmill.mining.teachers.bi_encoder import BiEncoder
from rankmill.mining.teachers.cross_encoder import CrossEncoder
from rankmill.mining.teachers.reading import PairScorer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "one": tiny_cross_encoder(folder / "one"),
        "two": tiny_cross_encoder(folder / "two", labels=2),
        "three": tiny_cross_encoder(folder / "three", labels=3),
        "encoder": tiny_encoder(folder / "encoder"),
    }


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


class _PoolWorker:
    def __init__(self, rows: list[tuple[int, list[int]]]):
        self.rows = rows

    def __call__(self, shard: Shard) -> Output:
        rows = self.rows[shard.start : shard.stop]
        docs = [docs for _, docs in rows]
        columns = {
            "query": pa.array([q for q, _ in rows], pa.uint32()),
            "doc": pa.array(docs, pa.list_(pa.uint32())),
            "rank[x]": pa.array([[0] * len(d) for d in docs], pa.list_(pa.uint16())),
            "score[x]": pa.array([[0.0] * len(d) for d in docs], pa.list_(pa.float32())),
        }
        return Output(pa.table(columns, schema=pool_schema(["x"])))


def make_pool(
    collection: Collection, rows: list[tuple[int, list[int]]], cuts: tuple[int, ...] = ()
) -> Artifact:
    """Build a pool artifact of given rows, in parts that end at `cuts`."""
    edges = [0, *cuts, len(rows)]
    shards = [Shard(n, a, b) for n, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True))]
    stage = Stage(
        kind="pool",
        parameters={"rows": repr(rows), "cuts": list(cuts)},
        inputs={"corpus": collection.corpus.artifact, "queries": collection.queries.artifact},
        schema=pool_schema(["x"]),
        shards=lambda: shards,
        worker=_PoolWorker,
        options={"rows": rows},
    )
    return collection.artifact.workspace.build(stage)


ROWS = [(0, [1, 5, 9, 30]), (2, []), (3, [0, 7]), (7, [2, 3, 4, 5, 6, 50]), (11, [58])]


def first_logits(network: Any, inputs: dict[str, Any]) -> Any:
    """Return a classifier's logits of the first row."""
    return network(**inputs).logits[0]


def pairs_of(scores: Artifact) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for table in scores.tables(level=3):
        for row in table.to_pylist():
            found |= {(row["query"], d): s for d, s in zip(row["doc"], row["logit"], strict=True)}
    return found


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_cross_encoder_scores_as_sentence_transformers_does(
    workspace: Workspace, collection: Collection, models: dict[str, Path], name: str
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pool = make_pool(collection, ROWS, cuts=(2,))
    scores = score_pool(workspace, f"cross_encoder(model={models[name]})", pool)
    assert scores.metadata["kind"] == "logit"
    assert str(models[name]) not in str(scores.manifest)
    found = pairs_of(scores)
    assert len(found) == scores.counts["pairs"] == sum(len(d) for _, d in ROWS)
    assert [r for t in scores.tables() for r in t["query"].to_pylist()] == [q for q, _ in ROWS]
    tokenizer = AutoTokenizer.from_pretrained(models[name])
    network = AutoModelForSequenceClassification.from_pretrained(
        models[name], dtype=torch.float64, attn_implementation="eager"
    ).eval()
    for (query, doc), score in found.items():
        texts = collection.queries.text(query), collection.corpus.text(doc)
        inputs = dict(tokenizer(*texts, truncation=True, max_length=128, return_tensors="pt"))
        del inputs["attention_mask"]  # nothing is padded
        bound = network_bound(partial(first_logits, network, inputs))
        with torch.no_grad():
            logits = network(**inputs).logits[0]
        expected = float(logits[1] - logits[0]) if name == "two" else float(logits[0])
        assert score == pytest.approx(expected, rel=0, abs=2 * bound)  # of two logits


def test_pairs_that_are_too_long_are_counted(
    workspace: Workspace, collection: Collection, models: dict[str, Path]
) -> None:
    pool = make_pool(collection, ROWS)
    short = score_pool(workspace, CrossEncoder(str(models["one"]), max_length=16), pool)
    full = score_pool(workspace, CrossEncoder(str(models["one"])), pool)
    assert short.counts["truncated"] > full.counts["truncated"]
    assert short.metadata["max_length"] == "16"


def test_a_bi_encoder_scores_with_its_vectors(
    workspace: Workspace, collection: Collection, models: dict[str, Path]
) -> None:
    scores = score_pool(workspace, BiEncoder(str(models["encoder"])), make_pool(collection, ROWS))
    queries = Vectors(encode(workspace, models["encoder"], collection.queries.artifact))
    docs = Vectors(encode(workspace, models["encoder"], collection.corpus.artifact))
    assert scores.metadata["kind"] == "similarity"
    for (query, doc), score in pairs_of(scores).items():
        q, d = queries.rows(np.asarray([query]))[0], docs.rows(np.asarray([doc]))[0]
        exact = float(q.astype(np.float64) @ d)
        assert score == pytest.approx(exact, rel=UNIT["float32"] * 1.01, abs=1e-12)  # one rounding


def test_a_bi_encoder_may_encode_only_what_is_listed(
    workspace: Workspace, collection: Collection, models: dict[str, Path]
) -> None:
    pool = make_pool(collection, ROWS)
    whole = score_pool(workspace, BiEncoder(str(models["encoder"])), pool)
    listed = score_pool(workspace, BiEncoder(str(models["encoder"]), encode="listed"), pool)
    expected, found = pairs_of(whole), pairs_of(listed)
    assert found.keys() == expected.keys()
    for pair, score in found.items():  # float16 vectors, which other batches may round otherwise
        assert score == pytest.approx(expected[pair], abs=2e-3)
    docs = {doc for _, docs in ROWS for doc in docs}
    assert listed.input("doc_vectors").rows == len(docs) < whole.input("doc_vectors").rows
    listed.input("doc_vectors").verify()
    assert "encode=" not in whole.metadata["teacher"]
    assert "encode=listed" in listed.metadata["teacher"]
    assert str(BiEncoder("x")) == str(BiEncoder("x", encode="corpus"))
    with pytest.raises(UsageError, match="encode=some is not known"):
        BiEncoder("x", encode="some")
    with pytest.raises(UsageError, match="asked for of the whole corpus"):
        vectors_of("bi_encoder(model=x,encode=listed)", pool)


@pytest.mark.parametrize("name", ["one", "encoder"])
def test_a_pair_is_scored_once(
    workspace: Workspace, collection: Collection, models: dict[str, Path], name: str, tmp_path: Path
) -> None:
    def usage(artifact: Artifact) -> list[float]:
        said = artifact.cost()["usage"]
        return [said.get(f"pairs_{k}", 0) for k in ("asked", "scored", "reused")]

    teacher = teacher_of(models[name])
    first = score_pool(workspace, teacher, make_pool(collection, ROWS, cuts=(1, 3)))
    assert usage(first) == [13, 13, 0]
    more = [(0, [1, 2, 9]), (1, [4]), (7, [3, 4, 59]), (11, [58])]
    second = score_pool(workspace, teacher, make_pool(collection, more, cuts=(2,)))
    assert usage(second) == [8, 3, 5]
    assert second.counts["pairs"] == 8
    elsewhere = Workspace(tmp_path / "elsewhere")  # where nothing can be reused
    other = collect(elsewhere, f"beir:{tmp_path / 'beir'}")
    alone = score_pool(elsewhere, teacher, make_pool(other, more, cuts=(2,)))
    assert usage(alone) == [8, 8, 0]
    assert alone.root_hash == second.root_hash


def test_a_pair_of_a_run_that_was_stopped_is_not_scored_again_for_another_pool(
    workspace: Workspace,
    collection: Collection,
    models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Parts that are done are taken though no manifest says what they belong to; damaged ones, and
    those of another teacher, are not."""
    monkeypatch.setattr(score_module, "_SHARD_WORK", 100)
    teacher, other_teacher = (str(models[name]) for name in ("one", "two"))
    pool = make_pool(collection, ROWS)
    once, calls = PairScorer.score, []

    def stopped(scorer: PairScorer, query: np.ndarray, doc: np.ndarray) -> Any:
        calls.append(len(doc))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return once(scorer, query, doc)

    with monkeypatch.context() as patch:
        patch.setattr(PairScorer, "score", stopped)
        with pytest.raises(KeyboardInterrupt):
            score_pool(workspace, teacher, pool)
    (folder,) = (workspace.root / "scores").iterdir()
    done = sorted(folder.glob("part-*.arrow"))
    assert len(done) >= 2
    assert calls[:2] == [4, 2]

    def scored(rows: list[tuple[int, list[int]]], by: str = teacher) -> int:
        used = score_pool(workspace, by, make_pool(collection, rows)).cost()["usage"]
        return int(used["pairs_scored"])

    assert scored([(0, [1, 5, 9]), (3, [0, 8])]) == 1
    assert scored([(0, [1, 5, 9])], other_teacher) == 3
    for part in done:
        part.chmod(0o644)
        part.write_bytes(part.read_bytes()[:-1] + b"?")
    assert scored([(0, [5, 30])]) == 1  # 5 is in finished scores by now
    assert score_pool(workspace, teacher, pool).counts["pairs"] == 13
    elsewhere = Workspace(tmp_path / "elsewhere")
    alone = score_pool(
        elsewhere, teacher, make_pool(collect(elsewhere, f"beir:{tmp_path / 'beir'}"), ROWS)
    )
    assert alone.root_hash == score_pool(workspace, teacher, pool).root_hash


def test_scores_of_another_teacher_are_not_taken(
    workspace: Workspace, collection: Collection, models: dict[str, Path]
) -> None:
    pool = make_pool(collection, ROWS)
    one = CrossEncoder(str(models["one"]))
    score_pool(workspace, one, pool)
    for teacher in (CrossEncoder(str(models["two"])), CrossEncoder(one.model, max_length=64)):
        assert score_pool(workspace, teacher, pool).cost()["usage"]["pairs_scored"] == 13


def test_shards_do_not_show_in_the_scores(
    workspace: Workspace,
    collection: Collection,
    models: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    whole = score_pool(workspace, str(models["one"]), make_pool(collection, ROWS))
    monkeypatch.setattr(score_module, "_SHARD_WORK", 200)
    cut = Workspace(tmp_path / "cut")
    again = collect(cut, f"beir:{tmp_path / 'beir'}")
    pieces = score_pool(cut, str(models["one"]), make_pool(again, ROWS))
    assert len(pieces.parts) > 2
    assert pairs_of(pieces) == pairs_of(whole)


@pytest.mark.ray
def test_actors_give_the_same_bytes(
    ray_cluster: str, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_module, "_SHARD_WORK", 200)
    beir = tiny_beir(tmp_path / "beir", docs=60, queries=12)
    hashes = set()
    for workers in (0, 2):
        workspace = Workspace(tmp_path / f"w{workers}")
        collection = collect(workspace, f"beir:{beir}")
        pool = make_pool(collection, ROWS)
        for texts in (collection.corpus, collection.queries):  # only the scores go to actors
            tokens_of(workspace, texts.artifact, resolve(models["one"]))
        scores = score_pool(workspace, models["one"], pool, executor=Execution(workers=workers))
        assert len(scores.parts) > 2
        hashes.add(scores.root_hash)
    assert len(hashes) == 1


def test_what_is_not_finite_is_scored_once_more(
    workspace: Workspace, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = odd_teacher(monkeypatch, sick=5, again=77.0)
    scores = score_pool(workspace, teacher, make_pool(collection, ROWS))
    assert {d: s for (_, d), s in pairs_of(scores).items()}[5] == 77.0
    assert scores.cost()["usage"]["pairs_again"] == 2
    assert scores.cost()["usage"]["tokens"] == 2


def test_what_stays_not_finite_is_quarantined_and_needs_leave(
    workspace: Workspace, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = odd_teacher(monkeypatch, sick=5, again=float("inf"))
    monkeypatch.setattr(score_module, "_SHARD_WORK", 4)
    pool = make_pool(collection, ROWS)
    said = (
        r"2 queries of scores are quarantined \(not_finite\), {0} are allowed: "
        r"query 'q0' with document 'd5': inf; query 'q7' with document 'd5': inf"
        r"[\s\S]*--allow 2"
    )
    for allow in (0, 1):
        with pytest.raises(Incomplete, match=said.format(allow)):
            score_pool(workspace, teacher, pool, allow=allow)
        assert not list(workspace.artifacts("scores"))
        records = sorted(p.name for p in workspace.root.glob("scores/*/part-*.json"))
        assert "part-00001.json" in records  # what is well was committed, what is not stays open
        assert "part-00000.json" not in records
    scores = score_pool(workspace, teacher, pool, allow=2)
    assert scores.dropped == {"not_finite": [0, 7]}
    assert [q for t in scores.tables(level=3) for q in t["query"].to_pylist()] == [2, 3, 11]
    assert scores.counts["pairs"] == len(pairs_of(scores)) == 3
    assert scores.parameters["allow"] == 2
    with pytest.raises(UsageError, match="allow=-1 is negative"):
        score_pool(workspace, teacher, pool, allow=-1)


def test_bad_requests(
    workspace: Workspace, collection: Collection, models: dict[str, Path], tmp_path: Path
) -> None:
    pool = make_pool(collection, ROWS)
    with pytest.raises(BadInput, match="classifier has 3 labels"):
        score_pool(workspace, CrossEncoder(str(models["three"])), pool)
    with pytest.raises(BadInput, match="max_length=500, the model reads 128 tokens"):
        score_pool(workspace, CrossEncoder(str(models["one"]), max_length=500), pool)
    with pytest.raises(BadInput, match="no model folder"):
        score_pool(workspace, str(tmp_path / "nowhere"), pool)
    other = collect(workspace, f"beir:{tiny_beir(tmp_path / 'other', docs=20, seed=4)}")
    with pytest.raises(BadInput, match="pool was made from another collection"):
        score_pool(workspace, str(models["one"]), pool, collection=other)
    for text, said in (
        (
            "cros_encoder(model=x)",
            "unknown teacher 'cros_encoder'(.|\n)*did you mean cross_encoder",
        ),
        ("cross_encoder(model=x,compute=int4)", "compute=int4 is not known"),
        ("cross_encoder(model=x,max_length=2)", "max_length=2 is less than 8"),
        ("bi_encoder(model=x,dtype=int8)", "dtype=int8 is not known"),
    ):
        with pytest.raises(UsageError, match=said):
            teacher_of(text)


def test_teachers_have_one_text(models: dict[str, Path]) -> None:
    value = CrossEncoder("a/b", max_length=256, compute="bfloat16")
    text = "cross_encoder(model=a/b,max_length=256,compute=bfloat16)"
    assert TEACHERS.text(value) == str(value) == text
    assert TEACHERS.parse(text) == value == teacher_of(text)
    assert teacher_of(models["two"]) == CrossEncoder(str(models["two"]))
    assert teacher_of(str(models["encoder"])) == BiEncoder(str(models["encoder"]))


def test_scores_follow_the_schema(
    workspace: Workspace, collection: Collection, models: dict[str, Path]
) -> None:
    scores = score_pool(workspace, str(models["one"]), make_pool(collection, ROWS, cuts=(3,)))
    table = pa.concat_tables(scores.tables(level=3))
    assert table.schema == SCORES
    offsets, _ = list_values(table["doc"])
    assert np.diff(offsets).tolist() == [len(d) for _, d in ROWS]


@pytest.mark.parametrize("name", ["one", "two", "encoder"])
def test_an_empty_text_has_a_score_like_any_other(
    workspace: Workspace, collection: Collection, models: dict[str, Path], name: str
) -> None:
    (empty,) = collection.corpus.empty.tolist()
    assert not collection.corpus.text(empty)
    alone = pairs_of(score_pool(workspace, models[name], make_pool(collection, [(3, [empty])])))
    among = score_pool(workspace, models[name], make_pool(collection, [(3, [1, 2, empty])]))
    assert np.isfinite(list(alone.values())).all()
    assert pairs_of(among)[3, empty] == alone[3, empty]
    assert among.counts["pairs"] == 3
