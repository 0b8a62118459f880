"""The commands for other people's scores, runs and negatives, as a user types them."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rankmill(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return a function that runs one command on a tiny collection: (status, stdout, stderr)."""
    from rankmill import cli

    tiny_beir(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rankmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    assert run("collect", "beir:tiny", "--name", "t")[0] == 0
    return run


def test_from_a_pickle_to_groups(rankmill: Command) -> None:
    docs = [*(f"d{d}" for d in range(195)), *(f"odd-{d}" for d in range(5))]
    scores = {
        f"q{q}": {doc: (q * 7 + i * 13) % 11 - 4.5 for i, doc in enumerate(docs)} for q in range(40)
    }
    Path("scores.pkl").write_bytes(pickle.dumps(scores))
    convert = ("unsafe-convert-pickle", "scores.pkl", "--to", "scores.jsonl")
    status, _, err = rankmill(*convert)
    assert status == 2
    assert "add --i-trust-this-file" in err
    assert not Path("scores.jsonl").exists()
    status, out, _ = rankmill(*convert, "--i-trust-this-file")
    assert (status, out) == (0, "scores.jsonl: 8,000 scores\n")
    imported = ("import", "scores.jsonl", "--as", "scores", "-c", "t", "--name", "theirs")
    assert "import --as scores needs --kind" in rankmill(*imported)[2]
    status, out, _ = rankmill(*imported, "--kind", "logit")
    assert status == 0
    assert "pairs: 8,000" in out
    rankmill("mine", "random", "-c", "t", "--split", "train", "--depth", "20", "--name", "b")
    rankmill("pool", "b", "--name", "p")
    teacher = "stored(scores=theirs,missing=drop_doc)"
    status, out, err = rankmill("score", teacher, "--pool", "p", "--name", "s", "--allow", "1")
    assert (status, err) == (0, "")
    select = ("select", "random", "--pool", "p", "--scores", "s", "--size", "4", "--name", "g")
    assert rankmill(*select)[0] == 0
    status, out, _ = rankmill("cost", "g", "--json")
    stages = {s["name"]: s["usage"] for s in json.loads(out)["stages"]}
    assert stages["s"]["pairs_asked"] == stages["s"]["pairs_reused"] > 0
    assert stages["s"]["pairs_scored"] == 0
    assert stages["g"]["pairs_used"] % 4 == 0 < stages["g"]["pairs_used"]
    status, out, _ = rankmill("cost", "g")
    assert "pairs used" in out


def test_hard_negatives_are_imported_by_system(rankmill: Command) -> None:
    line = {"qid": "q0", "pos": ["d1"], "neg": {"bm25": ["d5", "d1"], "ance": ["d2"]}}
    Path("hard.jsonl").write_text(json.dumps(line) + "\n")
    command = ("import", "hard.jsonl", "-c", "t", "--split", "train", "--system")
    assert rankmill(*command, "ance", "--name", "a")[0] == 0
    status, out, _ = rankmill("show", "a", "--rows", "1", "--format", "jsonl")
    assert json.loads(out)["doc_id"] == ["d2"]
    status, _, err = rankmill(*command, "bm52")
    assert status == 4
    assert "did you mean bm25?" in err
    mined = ("mine", "hard_negatives(path=hard.jsonl,system=bm25)", "-c", "t", "--split", "train")
    assert rankmill(*mined, "--name", "b")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("import", "x", "--as", "pears", "-c", "t"), 2, "cannot import 'pears'"),
        (("import", "x", "-c", "t"), 2, "import --as run needs --split"),
        (("import", "x.tsv", "--as", "scores", "--kind", "rank", "-c", "t"), 2, "kind=rank is not"),
        (("import", "x.tsv", "--as", "scores", "--kind", "logit", "-c", "t"), 4, "no file x.tsv"),
        (
            ("unsafe-convert-pickle", "x.pkl", "--to", "y", "--i-trust-this-file"),
            4,
            "there is no such file",
        ),
    ],
)
def test_wrong_arguments(
    rankmill: Command, arguments: tuple[str, ...], status: int, said: str
) -> None:
    found, _, err = rankmill(*arguments)
    assert said in err
    assert found == status
