"""Decoder-only students: their score is that of the last token, whatever the padding token."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rounding import network_bound
from tiny_collection import tiny_beir
from tiny_language_models import tiny_decoder_classifier

import rankmill as rm
from rankmill.mining.models.folder import resolve
from rankmill.training.packing import Packed, Piece, filler_of
from rankmill.training.students import parse_student

ROWS = [[5, 9, 2, 7], [5, 9, 2], [8, 0, 0], [4, 7, 7, 7, 7, 2, 7]]  # ends that look like padding


def packed(rows: list[list[int]], fill: int) -> Packed:
    width = max(map(len, rows))
    ids = np.array([[*row, *[fill] * (width - len(row))] for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
    return Packed((Piece(ids, mask, np.zeros_like(ids)),), np.arange(len(rows)))


def last_logit(network: Any, row: list[int]) -> Any:
    return network(input_ids=torch.tensor([row])).logits[0]


@pytest.mark.parametrize("pad", [0, 2, 7, -1, None])
@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma3"])
def test_scores_are_those_of_each_row_alone(tmp_path: Path, kind: str, pad: int | None) -> None:
    folder = tiny_decoder_classifier(tmp_path / "model", kind=kind, pad=pad)
    student, model = parse_student(f'cross_encoder(model="{folder}")')
    network = student.network(model)
    fill = filler_of(model)
    assert fill == (pad if pad and pad > 0 else 0)
    with torch.no_grad():
        said = network.scores({"pairs": packed(ROWS, fill)}, 2).ravel().tolist()
        turned = network.scores({"pairs": packed(ROWS, 11)}, 2).ravel().tolist()
    from transformers import AutoModelForSequenceClassification

    exact: Any = {"dtype": torch.float64, "attn_implementation": "eager"}
    plain = AutoModelForSequenceClassification.from_pretrained(folder, **exact).eval()
    plain.config.get_text_config().pad_token_id = None  # it must not look for one
    for row, score, other in zip(ROWS, said, turned, strict=True):
        run = partial(last_logit, plain, row)
        with torch.no_grad():
            assert abs(score - float(run())) <= network_bound(run)
            assert abs(other - float(run())) <= network_bound(run)
    assert len(set(said)) == len(ROWS)


def test_a_student_is_trained_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its padding token is one that the tokenizer never gives, as those of real decoders."""
    monkeypatch.chdir(tmp_path)
    folder = tiny_decoder_classifier(
        tmp_path / "decoder", kind="qwen3", pad=311, max_position_embeddings=1024
    )
    collection = rm.collect(f"beir:{tiny_beir(tmp_path / 'beir', docs=40, queries=8)}")
    run = rm.mine("random", collection, split="train", depth=6)
    scores = rm.score(f'cross_encoder(model="{folder}")', rm.pool([run]))
    groups = rm.select("uniform", scores.input("pool"), scores, size=3)
    trained = rm.train(f'cross_encoder(model="{folder}")', groups, loss="kl", documents=24)
    assert not resolve(trained.path).heads[0].endswith("ForCausalLM")
    first = rm.mine("random", collection, split="test", depth=4)
    judged = rm.evaluate(student=trained, first_stage=first, depth=4)
    assert judged.rows
