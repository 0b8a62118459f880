"""Known answers, the tie rules, the books, and the runs of students."""

import csv
import gzip
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from run_makers import evaluate, given_run, perfect
from training_data import Setting, tiny_setting

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.sources import mine
from rankmill.training.evaluation import (
    Evaluation,
    macro_mean,
    micro_mean,
    parse_measures,
    per_query,
)
from rankmill.training.student_runs import cut_run, rerank_with, retrieve_with
from rankmill.training.trainer import train_student


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("evaluate"))


def test_perfect_and_empty_lists(setting):
    lists = perfect(setting)
    lists[3] = (np.empty(0, np.uint32), np.empty(0, np.float32))
    result = evaluate(setting, given_run(setting, lists, label="perfect"))
    assert result.query.tolist() == setting.collection.split_queries("test").tolist()
    expected = np.ones(20)
    expected[3] = 0
    assert result.values("nDCG@10").tolist() == expected.tolist()
    assert result.values("R@100").tolist() == expected.tolist()
    assert result.mean("AP") == pytest.approx(0.95)
    assert set(result.means()) == {"nDCG@10", "AP", "R@100"}
    assert result.artifact.manifest["schema"][""][0] == "query: uint32"


def test_tie_rules(setting):
    run = given_run(setting, perfect(setting, score=np.zeros_like), label="tied")
    by_list = evaluate(setting, run, measures="nDCG@10")
    by_trec = evaluate(setting, run, measures="nDCG@10", ties="trec")
    assert by_list.mean("nDCG@10") == 1
    corpus, qrels = setting.collection.corpus, setting.collection.qrels("test")
    for query, value in zip(by_trec.query, by_trec.values("nDCG@10"), strict=True):
        docs, grades = qrels.of(query)
        found = np.concatenate([docs, np.setdiff1d(np.arange(50), docs)[:10]])
        grade = dict(zip(corpus.doc_ids(docs), grades, strict=True))
        order = sorted(corpus.doc_ids(found), reverse=True)[:10]  # falling doc_id, as trec_eval
        gain = sum(grade.get(d, 0) / np.log2(i + 2) for i, d in enumerate(order))
        ideal = sum(g / np.log2(i + 2) for i, g in enumerate(sorted(grades, reverse=True)))
        assert value == pytest.approx(gain / ideal)


def test_macro_and_micro_means_differ(setting):
    good = evaluate(setting, given_run(setting, perfect(setting), label="good"))
    lists = [(docs[-5:], scores[-5:]) for docs, scores in perfect(setting)]
    bad = evaluate(setting, given_run(setting, lists, label="bad"))
    assert macro_mean([good, bad], "AP") == pytest.approx(0.5)
    assert micro_mean([good, good, bad], "AP") == pytest.approx(2 / 3)


def test_a_student_reranks_and_searches(setting):
    text = f'bi_encoder(model="{setting.model.path}",normalise=true)'
    student = train_student(
        setting.workspace,
        text,
        setting.groups,
        collection=setting.collection,
        loss="lce",
        documents=120,
        doc_length=16,
        query_length=8,
        threads=1,
    )
    about = {"collection": setting.collection, "split": "test"}
    found = retrieve_with(setting.workspace, student, depth=30, **about)
    first = mine(setting.workspace, "random", setting.collection, "test", depth=40, seed=1)
    again = rerank_with(setting.workspace, student, first, depth=25, **about)
    assert found.rows == again.rows == 20
    lengths = pa.compute.list_value_length(again.table(0)["doc"]).to_pylist()
    assert set(lengths) == {25}
    whole = retrieve_with(setting.workspace, student.path / "model", depth=200, **about)
    position = {}
    for q, docs in zip(*(whole.table(0)[c].to_pylist() for c in ("query", "doc")), strict=True):
        position |= {(q, d): i for i, d in enumerate(docs)}
    for q, docs in zip(*(again.table(0)[c].to_pylist() for c in ("query", "doc")), strict=True):
        places = [position[q, d] for d in docs]
        assert places == sorted(places)  # the same order as full retrieval gives
    assert 0 < evaluate(setting, found).mean("R@100") <= 1


def test_a_cross_encoder_reranks_but_cannot_search(setting):
    student = train_student(
        setting.workspace,
        f'cross_encoder(model="{setting.model.path}",layers=1)',
        setting.groups,
        collection=setting.collection,
        documents=24,
        doc_length=16,
        query_length=8,
        threads=1,
    )
    about = {"collection": setting.collection, "split": "test"}
    setting.workspace.alias("cross", student)
    first = mine(setting.workspace, "random", setting.collection, "test", depth=10, seed=1)
    assert rerank_with(setting.workspace, "cross", first, depth=10, **about).rows == 20
    with pytest.raises(UsageError, match="a cross-encoder cannot search a corpus"):
        retrieve_with(setting.workspace, student, **about)


def test_cutting_a_run(setting):
    run = given_run(setting, perfect(setting), label="long")
    cut = cut_run(setting.workspace, run, setting.collection, "test", 3)
    before, after = run.table(0)["doc"].to_pylist(), cut.table(0)["doc"].to_pylist()
    assert after == [docs[:3] for docs in before]
    assert cut_run(setting.workspace, run, setting.collection, "test", 100) is run
    with pytest.raises(UsageError, match="depth=0"):
        cut_run(setting.workspace, run, setting.collection, "test", 0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ndcg@10", "did you mean nDCG@10?"),
        ("nDGC@10", "did you mean nDCG@10?"),
        ("mrr@10", "did you mean MRR@10?"),
        ("recall@5", "did you mean Recall@5?"),
        ("map", "did you mean AP?"),
        ("ndcg_cut_10", "did you mean nDCG@10?"),
        ("P_5", "did you mean P@5?"),
        ("recip_rank", "did you mean RR?"),
        ("P@5,R@5", "blanks stand between measures: 'P@5 R@5'"),
        ("nDCG@-1", "examples: nDCG@10"),
        ("__import__('os')", "examples: nDCG@10"),
    ],
)
def test_a_measure_in_another_spelling_is_told_how_it_is_written(written: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_measures(written)
    assert f"unknown measure {written!r}" in str(refused.value)
    assert f"do: {meant}" in str(refused.value)


def test_refusals(setting, tmp_path):
    with pytest.raises(UsageError, match="unknown measure 'nDGC@10'"):
        parse_measures("AP nDGC@10")
    with pytest.raises(UsageError, match="no measure is named"):
        parse_measures("")
    run = given_run(setting, perfect(setting), label="perfect2")
    with pytest.raises(UsageError, match="ties=doc is not one of list, trec"):
        evaluate(setting, run, ties="doc")
    with pytest.raises(BadInput, match=r"P@5 was not measured"):
        evaluate(setting, run).values("P@5")
    with pytest.raises(BadInput, match="a run is not an evaluation"):
        Evaluation(run)
    other = tiny_setting(tmp_path, size=3, repeat=1)
    with pytest.raises(BadInput, match="nothing is called"):
        evaluate(other, run.fingerprint)


# ---- known answers -----------------------------------------------------------------------------

QRELS = {  # the judgements, and the smallest grade that counts as relevant in verified_runs.tsv
    "dl19": ("qrels/qrels.dl19-passage.txt.gz", 2),
    "dl20": ("qrels/qrels.dl20-passage.txt.gz", 2),
    "covid": ("beir-topics-qrels/qrels.beir-v1.0.0-trec-covid.test.txt.gz", 1),
    "news": ("beir-topics-qrels/qrels.beir-v1.0.0-trec-news.test.txt.gz", 1),
}
COLUMNS = {
    "nDCG@10": "nDCG@10",
    "AP_rel2": "AP(rel={rel})",
    "AP_rel1": "AP",
    "RR": "RR(rel={rel})",
    "R@100": "R(rel={rel})@100",
}


def read(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    with opened as lines:
        yield from (line.split() for line in lines if line.strip())


def read_qrels(path):
    qrels = defaultdict(dict)
    for query, _, doc, grade in read(path):
        qrels[query][doc] = int(grade)
    return qrels


def read_run(path):
    run = defaultdict(dict)
    for query, _, doc, _, score, _ in read(path):
        run[query][doc] = float(score)
    return run


def test_verified_runs_to_the_printed_digits(shared):
    folder = shared / "trec"
    with open(folder / "verified_runs.tsv") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t")]
    qrels = {name: read_qrels(folder / file) for name, (file, _) in QRELS.items()}
    assert {row["qrels"] for row in rows} == set(qrels)
    assert len(rows) > 90
    for row in rows:
        run = read_run(folder / "runs" / row["run"])
        wanted = {k: m.format(rel=QRELS[row["qrels"]][1]) for k, m in COLUMNS.items()}
        values = per_query(list(dict.fromkeys(wanted.values())), qrels[row["qrels"]], run)
        for column, measure in wanted.items():
            name = str(parse_measures(measure)[0])
            mean = np.mean(list(values[name].values()))
            assert round(mean, 4) == pytest.approx(float(row[column]), abs=1e-9), (row, column)


def test_trec_evals_own_fixture(shared):
    folder = shared / "trec" / "trec_eval-tests"
    run = read_run(folder / "results.test.gz")
    qrels = {q: d for q, d in read_qrels(folder / "qrels.test.gz").items() if q in run}
    expected = {}
    for name, query, value in read(folder / "out.test.a"):
        if query == "all":
            expected[name] = value
    names = {"AP": "map", "nDCG": "ndcg", "nDCG@10": "ndcg_cut_10", "RR": "recip_rank"}
    names |= {"P@5": "P_5", "R@100": "recall_100", "Rprec": "Rprec", "Bpref": "bpref"}
    values = per_query(list(names), qrels, run)
    for measure, theirs in names.items():
        mean = np.mean(list(values[measure].values()))
        assert f"{mean:.4f}" == expected[theirs], measure


def test_trec_evals_own_fixture_query_by_query(shared):
    folder = shared / "trec" / "trec_eval-tests"
    run, qrels = read_run(folder / "results.test.gz"), read_qrels(folder / "qrels.test.gz")
    names = {"map": "AP", "recip_rank": "RR", "ndcg_cut_10": "nDCG@10", "P_5": "P@5"}
    values = per_query(list(names.values()), {q: d for q, d in qrels.items() if q in run}, run)
    checked = 0
    for name, query, value in read(folder / "out.test.aq"):
        if name in names and query != "all":
            assert f"{values[names[name]][query]:.4f}" == value, (name, query)
            checked += 1
    assert checked == len(names) * len([q for q in run if q in qrels])
