"""What is odd about scores and groups that were handed in, as commands show it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

pytestmark = pytest.mark.filterwarnings("always::RuntimeWarning")  # as on a command line


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a collection, a file of scores and one of groups, both odd."""
    root = tmp_path_factory.mktemp("cli-arrival")
    tiny_beir(root / "tiny", docs=60)
    rows, lines = [], []
    for query in range(12):
        docs = [f"d{(query + n) % 50}" for n in range(10)]
        scores = [1.0, 0.0, *(round(n / 10, 2) for n in range(1, 9))]
        scores = [0.5] * 10 if query < 2 else scores
        lines += [f"q{query}\t{d}\t{s}\n" for d, s in zip(docs, scores, strict=True)]
        rows.append({"qid": f"q{query}", "docid": docs, "score": scores})
    (root / "scores.tsv").write_text("".join(lines))
    text = "".join(json.dumps(row) + "\n" for row in [*rows, rows[0]])
    (root / "groups.jsonl").write_text(text)
    return root


LOGITS = "all 120 scores lie between 0 and 1, 20 of them saturated at exactly 0 or 1"
CONSTANT = "2 of 12 lists have one score for all their documents"


def test_import_show_and_doctor_say_it(rankmill):
    assert rankmill("collect", "beir:tiny", "--name", "t", "-w", "work")[0] == 0
    scores = ["import", "scores.tsv", "--as", "scores", "--kind", "logit", "-c", "t", "-w", "work"]
    status, out, err = rankmill(*scores, "--name", "s")
    assert status == 0
    for line in ("pairs: 120", "lists: 12", "constant lists: 2", "saturated: 20"):
        assert line in out, line
    assert LOGITS in err
    assert CONSTANT in err
    status, out, _ = rankmill("show", "s", "-w", "work")
    assert (status, LOGITS in out, CONSTANT in out) == (0, True, True)
    status, out, _ = rankmill("doctor", "s", "-w", "work")
    assert (status, LOGITS in out, CONSTANT in out) == (0, True, True)
    status, out, _ = rankmill("doctor", "s", "-w", "work", "--json")
    assert json.loads(out)["constant lists"]["state"] == "odd"
    status, _, err = rankmill("doctor", "t", "-w", "work")
    assert (status, "this is a collection: it has no teacher's scores" in err) == (2, True)


def test_groups_and_their_policies(rankmill):
    assert rankmill("collect", "beir:tiny", "--name", "t", "-w", "work")[0] == 0
    words = ["import", "groups.jsonl", "--as", "groups", "--format", "trove", "--kind", "logit"]
    words += ["-c", "t", "-w", "work", "--name", "g"]
    status, out, err = rankmill(*words)
    assert status == 0, err
    assert "duplicate group: 1: line 13: query 'q0'" in out
    assert "all 130 scores lie between 0 and 1, 20 of them" in err
    for command in ("show", "doctor"):
        status, out, _ = rankmill(command, "g", "-w", "work")
        assert (status, "3 of 13 lists have one score" in out) == (0, True)
    assert "line 13: query 'q0'" in rankmill("show", "g", "-w", "work")[1]
    status, out, _ = rankmill(*words, "--on", "duplicate_group=keep_first", "--json")
    told = json.loads(out)
    assert (told["rows"], told["counts"]["groups_duplicate_group"]) == (12, 1)
    assert told["first"]["groups_duplicate_group"] == ["line 13: query 'q0'"]
    status, _, err = rankmill(*words, "--on", "duplicate_group=refuse")
    assert (status, "a group a second time" in err) == (4, True)
    status, _, err = rankmill(*words, "--on", "dupe=refuse")
    assert (status, "no kind of odd row" in err) == (2, True)
    scores = ["import", "scores.tsv", "--as", "scores", "--kind", "logit", "-c", "t", "-w", "work"]
    status, _, err = rankmill(*scores, "--on", "duplicate_group=keep_first")
    assert (status, "--on is not of scores" in err) == (2, True)
