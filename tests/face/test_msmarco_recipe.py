"""recipes/msmarco.toml, all of it, on a stand-in that ir_datasets' own classes read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ms_marco_standin import stand_in
from tiny_models import tiny_encoder

RECIPE = Path(__file__).parents[2] / "recipes" / "msmarco.toml"


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
        assert f"{domain}: the teacher has no score of any pair here" in page
    files = sorted(tmp_path.joinpath("work").rglob("*"))
    assert run(words, home) == told
    assert sorted(tmp_path.joinpath("work").rglob("*")) == files  # nothing was done again
