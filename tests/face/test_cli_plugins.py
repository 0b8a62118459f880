"""Other people's parts on the command line, as an installed package brings them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_makers import install, on_path
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """Return a folder with a tiny collection, an encoder, and the package beside it."""
    root = tmp_path_factory.mktemp("plugins")
    tiny_beir(root / "tiny", docs=60, queries=24)
    tiny_encoder(root / "encoder", max_position_embeddings=256)
    with on_path(install(root / "site")):
        yield root


def test_the_whole_way_with_parts_of_other_people(rankmill, place):
    for line in (
        ["collect", "beir:tiny", "--name", "tiny"],
        ["mine", "shared_words(least=1)", "--collection", "tiny", "--split", "train"]
        + ["--depth", "20", "--name", "run"],
        ["pool", "run", "--name", "pool"],
        ["score", "overlap(per=500)", "--pool", "pool", "--name", "scores"],
        ["select", "uniform", "--pool", "pool", "--scores", "scores", "--size", "3"]
        + ["--name", "groups"],
        ["stats", "--groups", "groups", "--statistic", "spread", "--name", "stats"],
        ["train", "bi_encoder(model=encoder,layers=1)", "--groups", "groups"]
        + ["--loss", "squared_gap", "--documents", "24", "--name", "student"],
    ):
        status, out, err = rankmill(*line)
        assert status == 0, (line, out, err)
    rows = rankmill("show", "pool", "--format", "jsonl")[1].splitlines()
    assert any("shared_words(least=1,version=src-" in row for row in rows)
    rows = rankmill("show", "stats", "--format", "jsonl")[1].splitlines()
    column = 'spread(times=1,version="2")'
    assert all(json.loads(row)[column] >= 0 for row in rows)
    assert rankmill("verify", "student")[0] == 0


def test_wrong_requests_name_the_part(rankmill, place):
    status, _, err = rankmill(
        *["mine", "shared_words(lest=1)", "--collection", "tiny", "--split", "train"]
    )
    assert status == 2
    assert "shared_words has no parameter 'lest'" in err
    assert "did you mean least?" in err
    status, _, err = rankmill(*["mine", "shared_word", "--collection", "tiny", "--split", "train"])
    assert status == 2
    assert "did you mean shared_words?" in err
