"""recipes/msmarco.toml, all of it, and the commands of docs/msmarco.md, on a stand-in that
ir_datasets' own classes read."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ms_marco_standin import stand_in
from tiny_models import tiny_encoder

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "msmarco.toml"


def run(words: list[str], home: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "rankmill", *words, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "IR_DATASETS_HOME": str(home)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    del told["command"]  # what the command itself took
    return told


def test_the_whole_recipe(tmp_path: Path) -> None:
    pytest.importorskip("ir_datasets")
    home = tmp_path / "home"
    scores = stand_in(home)
    model = tiny_encoder(tmp_path / "model")
    teacher = f"imported(path={scores},kind=logit,missing=drop_doc,unknown=skip)"
    encoder = f"bi_encoder(model={model},max_length=32)"
    changes = {
        "teacher": teacher,
        "mine.sources.dense": f"dense(model={model},max_length=32)",
        "statistics.encoder": encoder,
        "train.student": f"bi_encoder(model={model})",
        "mine.depth": "60",
        "groups.size": "6",
        "train.documents": "96",
        "train.batch": "4",
        "train.settings.doc_length": "30",
    }
    words = ["run", str(RECIPE), "--workspace", str(tmp_path / "work")]
    words += ["--report", str(tmp_path / "report.html")]
    for key, value in changes.items():
        words += ["--set", f"{key}={value}"]
    told = run(words, home)
    judged = {(row["domain"], row["system"]) for row in told["systems"]}
    samplers = {"random", "bm25", "dense", "fusion"}
    # The file's scores are of training queries: the teacher is no reference anywhere.
    expected = samplers | {"first stage", "untrained start"}
    domains = ("dl19", "dl20", "nfcorpus", "scifact")
    assert judged == {(domain, system) for domain in domains for system in expected}
    page = (tmp_path / "report.html").read_text()
    for domain in domains:
        assert f"{domain}: the teacher scored none of these pairs" in page
    files = sorted(tmp_path.joinpath("work").rglob("*"))
    assert run(words, home) == told
    assert sorted(tmp_path.joinpath("work").rglob("*")) == files  # nothing was done again


ONE_BY_ONE = """
import json, sys
from rankmill.cli import main
for words in json.loads(sys.stdin.read()):
    sys.argv = words
    try:
        main()
    except SystemExit as ended:
        print(ended.code or 0, *words, file=sys.stderr)
        if ended.code:
            raise
"""


def test_the_commands_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("ir_datasets")
    scores: dict[int, dict[int, float]] = {}
    for line in stand_in(tmp_path / "home").read_text().splitlines():
        row = json.loads(line)
        scores.setdefault(int(row["query_id"]), {})[int(row["doc_id"])] = row["score"]
    name = "cross-encoder-ms-marco-MiniLM-L-6-v2-scores.pkl.gz"
    (tmp_path / name).write_bytes(gzip.compress(pickle.dumps(scores)))
    text = (ROOT / "docs" / "msmarco.md").read_text().partition("```\n")[2].partition("```")[0]
    lines = [shlex.split(one, comments=True) for one in re.sub(r"\\\n", " ", text).splitlines()]
    lines = [words for words in lines if words]
    assert len(lines) == 12
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "IR_DATASETS_HOME": str(tmp_path / "home")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "excluded:unscored: " in done.stdout  # what the published file has no score of
    assert (tmp_path / "st-groups").is_dir()
