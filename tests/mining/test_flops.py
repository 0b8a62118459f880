"""Operations of forward passes and of training: against a count by hand, and against torch's."""

import numpy as np
import pytest
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.models.flops import TRAINING, Shape, shape_of
from rankmill.training.telemetry import Telemetry

# A layer of width 32: query, key, value and output, then up to 64 and down again.
WEIGHTS = 2 * (4 * 32 * 32 + 2 * 32 * 64)


def loaded(folder, head=None):
    transformers = pytest.importorskip("transformers")
    which = "AutoModelForSequenceClassification" if head else "AutoModel"
    options = {"attn_implementation": "eager", "local_files_only": True}
    return getattr(transformers, which).from_pretrained(folder, **options).eval()


def test_a_tiny_model_by_hand(tmp_path):
    network = loaded(tiny_encoder(tmp_path / "m"))
    assert shape_of(network) == Shape(WEIGHTS, 2 * 32)
    # Five tokens: 2 operations for each weight and token; per layer 5·5 products of 32 for the
    # weights of attention and 5·5·32 for what they weigh.
    by_hand = 2 * WEIGHTS * 5 + 2 * (2 * 5 * 5 * 32 + 2 * 5 * 5 * 32)
    assert shape_of(network).forward(np.array([5])) == by_hand
    assert shape_of(network).forward(np.array([], int)) == 0
    assert shape_of(network).forward(np.array([3, 5], np.int32)) == (
        2 * WEIGHTS * 8 + 4 * 64 * (9 + 25)
    )


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_the_count_is_torchs_own(tmp_path, kind):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = loaded(tiny_cross_encoder(tmp_path / "m", kind=kind), head="classifier")
    trunk = network.base_model
    trunk.pooler = None
    ids = torch.arange(5, 5 + 12)[None]
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        trunk(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert shape_of(network).forward(np.array([12])) == counted.get_total_flops()


def test_training_takes_three_forward_passes(tmp_path):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = loaded(tiny_encoder(tmp_path / "m")).train()
    network.pooler = None
    ids = torch.arange(5, 5 + 12)[None]
    with FlopCounterMode(display=False) as counted:
        network(input_ids=ids).last_hidden_state.sum().backward()
    assert TRAINING * shape_of(network).forward(np.array([12])) == counted.get_total_flops()


def test_where_the_count_would_not_hold_there_is_none():
    transformers = pytest.importorskip("transformers")
    small = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    albert = transformers.AlbertConfig(**small, intermediate_size=8, embedding_size=8)
    assert shape_of(transformers.AlbertModel(albert)) is None
    t5 = transformers.T5Config(vocab_size=20, d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4)
    assert shape_of(transformers.T5Model(t5)) is None


def test_a_training_run_adds_up_its_steps():
    row = dict.fromkeys(Telemetry().rows, 0.0) | {"tokens": 8.0, "squares": 34.0, "cells": 10.0}
    spent = {"step_s": 1.0, "wait_s": 0.0, "memory": 1.0}
    twice = 2 * 3 * (2 * WEIGHTS * 8 + 4 * 64 * 34)
    for shape, expected in ((Shape(WEIGHTS, 64), twice), (None, 0)):
        made = Telemetry(shape=shape)
        for _ in range(2):
            made.add(row, spent)
        assert made.usage().get("flops", 0) == expected
