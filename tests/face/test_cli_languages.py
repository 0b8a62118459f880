"""Languages and prompts on the command line: said, shown, warned about, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_models import tiny_encoder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("languages")
    texts = ["東京タワーは東京都港区にある。", "京都の清水寺は有名な寺院です。", "東京の高さ"]
    rows = [json.dumps({"_id": f"d{n}", "text": text}) for n, text in enumerate(texts)]
    (folder / "jp" / "qrels").mkdir(parents=True)
    (folder / "jp" / "corpus.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "jp" / "queries.jsonl").write_text('{"_id": "q1", "text": "東京の寺院"}\n')
    (folder / "jp" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td0\t1\n")
    tiny_encoder(folder / "e5-base-v2")
    return folder


def test_a_language_is_warned_about_said_and_shown(rankmill) -> None:
    assert rankmill("collect", "beir:jp", "--name", "jp")[0] == 0
    assert "for BM25, by script and stop words: language=cjk" in rankmill("survey", "jp")[1]
    where = ("-c", "jp", "--split", "test", "--depth", "3", "--name")
    status, _, told = rankmill("mine", "bm25", *where, "plain")
    assert status == 0
    assert "warning: the texts are mostly Japanese" in told
    assert "terms: lucene-english-1" in rankmill("show", "plain")[1]
    status, _, told = rankmill("mine", "bm25(language=cjk)", *where, "pairs")
    assert (status, "warning" in told) == (0, False)
    assert "terms: cjk-1, unicode" in rankmill("show", "pairs")[1]
    status, _, told = rankmill("mine", "bm25(language=ja)", *where, "no")
    assert status == 2
    assert "language=ja is not known" in told
    assert "say language=cjk" in told


def test_prompts_are_said_and_shown(rankmill) -> None:
    where = ("-c", "jp", "--split", "test", "--depth", "3", "--name")
    status, _, told = rankmill("mine", "dense(model=e5-base-v2)", *where, "bare")
    assert status == 0
    assert "preset=e5 puts them before texts" in told
    assert rankmill("mine", "dense(preset=e5,model=e5-base-v2)", *where, "e5")[0] == 0
    shown = rankmill("show", "e5")[1]
    assert "before each query: 'query: '" in shown
    assert "before each document: 'passage: '" in shown
    status, _, told = rankmill("mine", "dense(preset=bge,model=e5-base-v2)", *where, "no")
    assert status == 4
    assert "pooling of preset=bge is cls, the model's files say mean" in told
