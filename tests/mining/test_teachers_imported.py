"""Scores from files, stored scores and ensembles: right numbers, and what is missing is said."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rounding import UNIT
from tiny_collection import tiny_beir

from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool, teacher_of
from rankmill.mining.teachers.contract import check_arrival, outside, survey
from rankmill.mining.teachers.files.imported import import_scores

Pairs = dict[tuple[str, str], float]


@pytest.fixture
def collection(workspace: Workspace, tmp_path: Path) -> Collection:
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")


@pytest.fixture
def run(collection: Collection) -> Artifact:
    return mine(collection.artifact.workspace, "random", collection, "train", depth=5)


def asked(run: Artifact, collection: Collection) -> list[tuple[str, str]]:
    """The pairs of a run by id."""
    found = []
    for table in run.tables():
        for row in table.to_pylist():
            query_id = collection.queries.query_id(row["query"])
            found += [(query_id, d) for d in collection.corpus.doc_ids(row["doc"])]
    return found


def drawn(pairs: list[tuple[str, str]], seed: int = 0) -> Pairs:
    rng = np.random.Generator(np.random.Philox(seed))
    return {
        pair: float(np.float32(s))
        for pair, s in zip(pairs, rng.normal(size=len(pairs)), strict=True)
    }


def pairs_of(scores: Artifact, collection: Collection) -> Pairs:
    found: Pairs = {}
    for table in scores.tables(level=3):
        offsets, docs = list_values(table["doc"])
        query = np.repeat(table["query"].to_numpy(), np.diff(offsets))
        names = collection.queries.query_ids(query), collection.corpus.doc_ids(docs)
        ids = zip(*names, strict=True)
        found |= dict(zip(ids, list_values(table["logit"])[1].tolist(), strict=True))
    return found


def written(path: Path, scores: Pairs) -> Path:
    """Write scores in the format that the ending says."""
    rows = [{"query_id": q, "doc_id": d, "score": s} for (q, d), s in scores.items()]
    nested: dict[str, dict[str, float]] = {}
    for (q, d), s in scores.items():
        nested.setdefault(q, {})[d] = s
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        names = {"query_id": "qid", "doc_id": "docno", "score": "score"}  # as Rank-DistiLLM has it
        pq.write_table(
            pa.Table.from_pylist([{names[k]: v for k, v in r.items()} for r in rows]), path
        )
        return path
    texts = {
        "scores.json": json.dumps(nested),
        "scores.jsonl": "\n".join(json.dumps(r) for r in rows),
        "lists.jsonl": "\n".join(
            json.dumps({"qid": q, "docid": list(d), "score": list(d.values())})
            for q, d in nested.items()
        ),
        "scores.tsv": "\n".join(f"{q}\t{d}\t{s!r}" for (q, d), s in scores.items()),
        "named.tsv": "score\tpid\tqid\n"
        + "\n".join(f"{s!r}\t{d}\t{q}" for (q, d), s in scores.items()),
        "scores.run": "\n".join(f"{q} Q0 {d} 1 {s!r} theirs" for (q, d), s in scores.items()),
    }
    data = (texts[name] + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize(
    "name",
    ["scores.json", "scores.json.gz", "scores.jsonl", "lists.jsonl", "scores.tsv", "named.tsv.gz"]
    + ["scores.parquet", "scores.run"],
)
def test_every_format_gives_the_scores_of_the_pool(
    workspace: Workspace, collection: Collection, run: Artifact, tmp_path: Path, name: str
) -> None:
    expected = drawn(asked(run, collection))
    more = expected | {("q1", "d3"): 4.5}  # what is not asked for stays in the store
    path = written(tmp_path / name, more)
    scores = score_pool(workspace, f"imported(path={path},kind=logit)", run)
    assert pairs_of(scores, collection) == expected
    assert scores.metadata["kind"] == "logit"
    assert scores.metadata["range"] == "-inf..inf"
    assert str(tmp_path) not in json.dumps(scores.manifest)
    alone = scores.input("scores")
    assert pairs_of(alone, collection) == more
    assert alone.counts["pairs"] == len(more)
    workspace.alias("theirs", alone)
    again = score_pool(workspace, "stored(scores=theirs)", run)
    assert again.fingerprint == scores.fingerprint


def test_triples_of_margins_are_read_as_pairs(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    path = tmp_path / "triples.tsv"
    path.write_text("9.5\t1.25\tq0\td1\td2\n9.5\t-3\tq0\td1\td4\n")
    texts = collection.corpus.artifact, collection.queries.artifact
    scores = import_scores(workspace, path, *texts, kind="logit")
    assert pairs_of(scores, collection) == {
        ("q0", "d1"): 9.5, ("q0", "d2"): 1.25, ("q0", "d4"): -3.0,
    }  # fmt: skip


def test_what_the_file_lacks_follows_the_policy(
    workspace: Workspace, collection: Collection, run: Artifact, tmp_path: Path
) -> None:
    pairs = asked(run, collection)
    expected = drawn(pairs)
    gone = {pairs[0], pairs[7]}
    path = written(tmp_path / "scores.tsv", {p: s for p, s in expected.items() if p not in gone})
    teacher = f"imported(path={path},kind=logit,missing={{}})"
    query_id, doc_id = pairs[0]
    with pytest.raises(
        BadInput, match=f"2 of 30 pairs have no score: query '{query_id}' with document '{doc_id}'"
    ):
        score_pool(workspace, teacher.format("error"), run)
    fewer = score_pool(workspace, teacher.format("drop_doc"), run)
    assert pairs_of(fewer, collection) == {p: s for p, s in expected.items() if p not in gone}
    assert fewer.counts["missing"] == 2
    assert fewer.rows == run.rows
    lost = {q for q, _ in gone}
    whole = score_pool(workspace, teacher.format("drop_query"), run)
    assert pairs_of(whole, collection) == {p: s for p, s in expected.items() if p[0] not in lost}
    assert sorted(whole.dropped) == ["missing_score"]
    assert collection.queries.query_ids(whole.dropped["missing_score"]) == sorted(lost)


def test_unknown_ids_are_refused_or_left_out(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text("q0\td1\t1.5\nq0\tghost\t2\nspook\td1\t3\n")
    texts = collection.corpus.artifact, collection.queries.artifact
    said = "names 1 unknown queries: 'spook'[\\s\\S]*scores.tsv, line 3\n[\\s\\S]*unknown=skip"
    with pytest.raises(BadInput, match=said):
        import_scores(workspace, path, *texts, kind="logit")
    scores = import_scores(workspace, path, *texts, kind="logit", unknown="skip")
    assert pairs_of(scores, collection) == {("q0", "d1"): 1.5}
    assert scores.counts == {"pairs": 1, "unknown_ids": 2}
    assert scores.examples == {"unknown_queries": ["spook"], "unknown_documents": ["ghost"]}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "q0\td1\tx\n", r"the score 'x' is not a finite number\n  where: .*line 1"),
        ("a.tsv", "q0\td1\t1\nq0\td2\tnan\n", r"'nan' is not a finite number\n  where: .*line 2"),
        ("a.tsv", "q0\td1\t1e60\n", "the score '1e60' lies beyond"),
        ("a.tsv", "q0\td1\n", "2 columns, expected 3: query id, document id, score"),
        ("a.tsv", "q0\td1\t1\nq0\td1\t2\n", r"1 pairs stand there with two scores.*1 and 2"),
        ("a.run", "q0 Q0 d1 1 0.5\n", "5 columns, a TREC run has 6"),
        ("a.json", '{"q0": {"d1": 1.5}', "invalid JSON: Expecting ',' delimiter at line 1"),
        ("a.json", '{"q0": 1}', "the file is not an object of objects"),
        ("a.jsonl", '{"query_id": "q0", "doc_id": "d1"}', "the field 'query_id|'score'"),
        ("a.jsonl", '{"qid": "q0", "docid": ["d1", "d2"], "score": [1]}', "2 documents and 1 scor"),
        (
            "a.jsonl",
            '{"qid": "q0", "docid": 1.5, "score": 1}',
            "'docid' is 1.5, neither text nor a",
        ),
        ("a.jsonl", '{"qid": "q0", "docid": "d1", "score": true}', "the score true is not a fin"),
        ("a.jsonl", "", "the file holds no score"),
        ("a.parquet", "no parquet", "this is not a readable Parquet file"),
        ("a.pkl.gz", "x", "this is a pickle[\\s\\S]*rankmill unsafe-convert-pickle"),
    ],
)
def test_files_that_cannot_be_read(
    workspace: Workspace, collection: Collection, tmp_path: Path, name: str, text: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput, match=said):
        import_scores(
            workspace, path, collection.corpus.artifact, collection.queries.artifact, kind="logit"
        )


def test_kinds_have_ranges_and_the_sign_can_be_turned(
    workspace: Workspace, collection: Collection, tmp_path: Path
) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text("q0\td1\t0.5\nq0\td2\t1.5\n")
    texts = collection.corpus.artifact, collection.queries.artifact
    with pytest.raises(
        BadInput, match=r"the score 1.5 is no probability, whose range is 0..1 \(1 "
    ):
        import_scores(workspace, path, *texts, kind="probability")
    with pytest.raises(BadInput, match="the score 0.5 is no log-prob, whose range is -inf..0"):
        import_scores(workspace, path, *texts, kind="log-prob")
    turned = import_scores(workspace, path, *texts, kind="log-prob", sign=-1)
    assert pairs_of(turned, collection) == {("q0", "d1"): -0.5, ("q0", "d2"): -1.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imported(path=x,kind=grade)", "kind=grade is not known\n  do: one of logit, log-prob"),
        ("imported(path=x,kind=rank,sign=-1)", "sign=-1 turns scores round\n  do: leave it out"),
        ("imported(path=x,kind=logit,missing=zero)", "missing=zero is not known"),
        ("imported(path=x,kind=logit,unknown=keep)", "unknown=keep is not known"),
        ("imported(path=x,kind=logit,sign=2)", "sign=2 is neither 1 nor -1"),
        ("imported(path=x)", "imported needs kind"),
        ("stored(scores=x,missing=zero)", "missing=zero is not known"),
        ("ensemble(of=[a])", r"at least two teachers, of=\['a'\] names 1"),
        ("ensemble(of=[a,b],weights=[1])", "weights has 1 numbers, the ensemble 2 members"),
        ("ensemble(of=[a,b],weights=[1,-1])", r"weights=\[1.0, -1.0\] must not be negative"),
        ("ensemble(of=[a,b],kind=grade)", "kind=grade is not known"),
        ("ensemble(of=[a,b],missing=0)", "missing=0 is not known"),
    ],
)
def test_bad_teachers(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        teacher_of(text)


def test_formats_need_a_name(workspace: Workspace, collection: Collection, tmp_path: Path) -> None:
    texts = collection.corpus.artifact, collection.queries.artifact
    path = tmp_path / "scores.dat"
    path.write_text("q0\td1\t2\n")
    with pytest.raises(UsageError, match=r"the ending of scores.dat says no format"):
        import_scores(workspace, path, *texts, kind="logit")
    with pytest.raises(UsageError, match="format=csv is not known"):
        import_scores(workspace, path, *texts, kind="logit", form="csv")
    assert import_scores(workspace, path, *texts, kind="logit", form="tsv").counts["pairs"] == 1
    with pytest.raises(BadInput, match="there is no file gone.tsv"):
        import_scores(workspace, tmp_path / "gone.tsv", *texts, kind="logit")


def test_stored_scores_of_another_collection_are_refused(
    workspace: Workspace, collection: Collection, run: Artifact, tmp_path: Path
) -> None:
    other = collect(workspace, f"beir:{tiny_beir(tmp_path / 'other', docs=20, seed=4)}")
    path = tmp_path / "scores.tsv"
    path.write_text("q0\td1\t2\n")
    texts = other.corpus.artifact, other.queries.artifact
    workspace.alias("theirs", import_scores(workspace, path, *texts, kind="logit"))
    with pytest.raises(BadInput, match="scores theirs are about another collection"):
        score_pool(workspace, "stored(scores=theirs)", run)


def test_an_ensemble_is_the_weighted_mean_after_calibration(
    workspace: Workspace, collection: Collection, run: Artifact, tmp_path: Path
) -> None:
    pairs = asked(run, collection)
    logits, more = drawn(pairs, 1), drawn(pairs, 2)
    chances = {p: float(np.float32(1 / (1 + math.exp(-2 * s)))) for p, s in more.items()}
    cosines = {p: float(np.float32(math.tanh(s))) for p, s in drawn(pairs, 3).items()}
    members = []
    for name, scores, kind in (
        ("a", logits, "logit"),
        ("b", chances, "probability"),
        ("c", cosines, "similarity"),
    ):
        (tmp_path / name).mkdir()
        path = written(tmp_path / name / "scores.tsv", scores)
        members.append(f"imported(path={path},kind={kind})")
    text = (
        f"ensemble(of=[{','.join(members)}],weights=[1,2,1],scales=[1,0.5,20],"
        "shifts=[0,-0.25,0],kind=logit)"
    )
    mean = score_pool(workspace, text, run)
    assert mean.metadata["kind"] == "logit"
    assert mean.metadata["teacher"].startswith("ensemble(of=[stored(scores=imported(path=scores@")
    for pair, found in pairs_of(mean, collection).items():
        p = chances[pair]
        expected = (
            logits[pair] + 2 * (0.5 * math.log(p / (1 - p)) - 0.25) + 20 * cosines[pair]
        ) / 4
        # The stored probability is off by u·p, its logit by u/(1 − p), the cosine by u; the mean is
        # stored in float32 too. What was read is what is compared, so the first two are a reserve.
        off = UNIT["float32"] * (0.25 / (1 - p) + 5 + 2 * abs(expected))
        assert abs(found - expected) <= off
    plain = score_pool(workspace, f"ensemble(of=[{members[0]},{members[0]}])", run)
    assert pairs_of(plain, collection) == logits
    with pytest.raises(UsageError, match="gives probability, the mean is to be logit"):
        score_pool(workspace, f"ensemble(of=[{members[0]},{members[1]}])", run)
    with pytest.raises(UsageError, match="member 2 of the ensemble gives similarity"):
        score_pool(workspace, f"ensemble(of=[{members[0]},{members[2]}],kind=logit)", run)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what the import says of them
def test_scores_of_a_broken_teacher_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    """Constant lists, saturation and the wrong sign, on a collection large enough to tell."""
    beir = tiny_beir(tmp_path / "many", docs=200, queries=60)
    collection = collect(workspace, f"beir:{beir}")
    run = mine(workspace, "random", collection, "train", depth=190)
    pairs = asked(run, collection)
    qrels = collection.qrels("train")
    good = {
        (collection.queries.query_id(q), collection.corpus.doc_id(d))
        for q, d, g in zip(qrels.query, qrels.doc, qrels.grade, strict=True)
        if g > 0
    }
    noise = drawn(pairs)
    for number, (kind, scores, said) in enumerate(
        (
            ("logit", dict.fromkeys(pairs, 1.0), "one score to all documents in 30 of 30 lists"),
            (
                "probability",
                {p: float(noise[p] > 0) for p in pairs},
                "stand at an end of their ran",
            ),
            (
                "logit",
                {p: noise[p] - 3 * (p in good) for p in pairs},
                "the scores run the wrong wa",
            ),
        )
    ):
        (tmp_path / str(number)).mkdir()
        path = written(tmp_path / str(number) / "scores.tsv", scores)
        for _ in range(2):  # also when the artifact is there
            with pytest.raises(BadInput, match=said):
                score_pool(workspace, f"imported(path={path},kind={kind})", run)
    path = written(tmp_path / "scores.tsv", {p: noise[p] + 3 * (p in good) for p in pairs})
    fine = score_pool(workspace, f"imported(path={path},kind=logit)", run)
    assert fine.counts["positives_won"] > 10 * fine.counts["positives_lost"]
    check_arrival(fine)


def test_the_survey_against_a_loop() -> None:
    rng = np.random.Generator(np.random.Philox(7))
    offsets = np.asarray([0, 0, 1, 6, 8, 20])
    scores = rng.integers(0, 4, 20).astype(np.float32) / 3
    scores[6:8] = 0.25
    positive = rng.random(20) < 0.4
    won = lost = 0
    for low, high in zip(offsets[:-1], offsets[1:], strict=True):
        for i in range(low, high):
            for j in range(low, high):
                if positive[i] and not positive[j]:
                    won, lost = won + (scores[i] > scores[j]), lost + (scores[i] < scores[j])
    found = survey(scores, offsets, positive, (0.0, 1.0))
    ends = int(np.isin(scores, [0, 1]).sum())
    assert found == {
        "lists": 3, "constant_lists": 1, "saturated": ends, "positives_won": won,
        "positives_lost": lost,
    }  # fmt: skip
    assert outside(np.asarray([0.0, 1.0002, 1.1, -0.2, np.nan]), (0.0, 1.0)).tolist() == [2, 3]


def test_what_nobody_counted_is_not_0(
    workspace: Workspace, collection: Collection, run: Artifact, tmp_path: Path
) -> None:
    """How many pairs were cut when a stored score was made is not known, nor for a mean of such."""
    path = written(tmp_path / "scores.tsv", drawn(asked(run, collection)))
    one = f"imported(path={path},kind=logit)"
    for teacher in (one, f"ensemble(of=[{one},{one}])"):
        counts = score_pool(workspace, teacher, run).counts
        assert counts["pairs"] == 30
        assert "truncated" not in counts


def test_what_is_looked_up_is_not_counted_as_scored(
    workspace: Workspace, collection: Collection, run: Artifact, tmp_path: Path
) -> None:
    path = written(tmp_path / "scores.tsv", drawn(asked(run, collection)))
    one = f"imported(path={path},kind=logit)"
    for teacher in (one, f"ensemble(of=[{one},{one}])"):
        usage = score_pool(workspace, teacher, run).cost()["usage"]
        assert usage == {"pairs_asked": 30, "pairs_scored": 0, "pairs_reused": 30}
