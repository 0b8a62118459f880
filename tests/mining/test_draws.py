from __future__ import annotations

import numpy as np
import pytest

from rankmill.mining.draws import generator, key_of, keys_of


def test_a_draw_depends_on_seed_stage_and_key_only():
    first = generator(7, "select", "q1").integers(0, 1 << 30, 8)
    np.testing.assert_array_equal(first, generator(7, "select", "q1").integers(0, 1 << 30, 8))
    for other in [(8, "select", "q1"), (7, "mine", "q1"), (7, "select", "q2")]:
        assert (generator(*other).integers(0, 1 << 30, 8) != first).any()


def test_golden_keys_never_change():
    # Changing these changes every data set that was ever drawn: a new format version.
    assert key_of(0, "select", "q1") == 13716080297399630808
    assert key_of(42, "random", "10") == 3743089279043062948
    assert generator(42, "random", "10").integers(0, 1000, 4).tolist() == [399, 694, 716, 932]


@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("stage", ["select", "", "a stage with a long name " * 12])
def test_keys_of_many_texts_are_those_of_each(seed, stage):
    """Lengths about the blocks of 128 bytes, which the stage begins, and bytes beyond ASCII."""
    lengths = [0, 1, 7, 8, 119, 120, 121, 122, 127, 128, 129, 247, 248, 249, 255, 256, 257, 1000]
    texts = ["é€😀"[i % 3] + "q" * (length - 1) for i, length in enumerate(lengths) if length]
    texts += ["", "q1", "q1"]
    coded = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(coded), np.uint8)
    bounds = np.cumsum([0, *map(len, coded)])
    found = keys_of(seed, stage, data, bounds)
    assert found.dtype == np.uint64
    assert found.tolist() == [key_of(seed, stage, text) for text in texts]
    assert keys_of(seed, stage, data[:0], bounds[:1]).tolist() == []
