"""The bench of teachers: no pair goes through a model twice, and no text through a tokenizer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))
import _teacher_counts  # noqa: E402


@pytest.mark.models
def test_a_pair_is_scored_once_and_a_text_tokenised_once_whoever_asks(tmp_path: Path) -> None:
    source = tiny_beir(tmp_path / "beir", docs=40, queries=10)
    counts = _teacher_counts.count(tmp_path, source)
    assert counts["pairs"][0] == counts["pairs"][1] > 100
    assert (
        counts["texts"][0] == counts["texts"][1] == 2 * 50
    )  # the study has a collection of its own
