"""Models of the Hub and devices on the command line: what a folder gives, a name gives too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_hub import COMMIT, files_in, put_in_cache
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

CROSS, ENCODER = "some-owner/tiny-cross", "some-owner/tiny-encoder"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a collection, two models as folders, and both in the Hub's cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    tiny_beir(tmp_path / "beir", docs=30, queries=8)
    for name, folder in (
        (CROSS, tiny_cross_encoder(tmp_path / "cross")),
        (ENCODER, tiny_encoder(tmp_path / "encoder")),
    ):
        put_in_cache(tmp_path / "cache", name, files_in(folder))
    return tmp_path


def made(rankmill, *words: str) -> dict[str, object]:
    status, out, error = rankmill(*words, "--json")
    assert status == 0, error
    return json.loads(out)


def test_every_command_takes_a_model_by_its_name_on_the_hub(rankmill, place: Path) -> None:
    made(rankmill, "collect", "beir:beir", "--name", "tiny")
    run = ("-c", "tiny", "--split", "train", "--depth", "6")
    made(rankmill, "mine", "random", *run, "--name", "run")
    made(rankmill, "pool", "run", "--name", "pool")
    trained = ("--groups", "groups", "--documents", "32", "--doc-length", "40")

    def each(cross: str, encoder: str) -> list[object]:
        scored = made(rankmill, "score", cross, "--pool", "pool", "--name", "scores", "--device",
                      "cpu", "--batch-tokens", "256")  # fmt: skip
        groups = ("--pool", "pool", "--scores", "scores", "--size", "4", "--name", "groups")
        made(rankmill, "select", "random", *groups, "--filter", "between(low=-1000,high=1000)")
        several = [
            scored,
            made(rankmill, "mine", f"dense(model={encoder})", *run, "--device", "cpu"),
            made(rankmill, "stats", "--groups", "groups", "--encoder", encoder),
            made(rankmill, "train", f"cross_encoder(model={cross})", *trained, "--device", "cpu"),
            made(rankmill, "train", f"bi_encoder(model={encoder})", *trained),
            made(rankmill, "rerank", "--student", cross, "--run", "run", "--depth", "6"),
        ]
        return [one["fingerprint"] for one in several]

    named = each(CROSS, f"{ENCODER}@{COMMIT[:9]}")
    assert named == each(str(place / "cross"), str(place / "encoder"))


def test_what_cannot_be_had_ends_with_what_to_do(rankmill, place: Path) -> None:
    made(rankmill, "collect", "beir:beir", "--name", "tiny")
    made(rankmill, "mine", "random", "-c", "tiny", "--split", "train", "--depth", "4", "-n", "run")
    status, _, error = rankmill("score", "some-owner/tiny-cros", "--pool", "run")
    assert status == 4
    assert "did you mean some-owner/tiny-cross" in error
    assert "hf download some-owner/tiny-cros --include" in error
    status, _, error = rankmill("score", CROSS, "--pool", "run", "--device", "cuda:999")
    assert (status, "there is no device cuda:999" in error) == (4, True)
    status, _, error = rankmill("score", CROSS, "--pool", "run", "--device", "tpu")
    assert (status, "--device tpu is not known" in error) == (2, True)
