from __future__ import annotations

import numpy as np

from rankmill.mining.draws import generator, key_of


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
