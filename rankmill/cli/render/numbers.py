"""Numbers of one column, written such that they can be compared by eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_DIGITS = 4  # of the largest number of a column
_MOST = 6  # decimals


def aligned(values: Sequence[Any]) -> list[str]:
    """Return the values of a column with equally many decimals and widths, so that their points
    stand below one another: the largest has four digits.

    What is no column of floats is written value by value, and so is one of sizes too different to
    show the small ones.
    """
    from rankmill.mining.exports.rows import cell  # which needs Arrow, --help does not

    floats = [one for one in values if isinstance(one, float) and math.isfinite(one)]
    sizes = [abs(one) for one in floats if one]
    if not sizes or not all(one is None or isinstance(one, float) for one in values):
        return [cell(one) for one in values]
    decimals = _DIGITS - 1 - math.floor(math.log10(max(sizes)))
    decimals = min(max(decimals, 0), _MOST)
    if min(sizes) < 0.5 * 10.0**-decimals:
        return [cell(one) for one in values]
    while decimals and all(round(one, decimals) == round(one, decimals - 1) for one in floats):
        decimals -= 1  # zeros at the end of all of them say nothing
    texts = [
        f"{one + 0.0:.{decimals}f}" if one is not None and math.isfinite(one) else cell(one)
        for one in values
    ]
    wide = max(map(len, texts))
    return [text.rjust(wide) for text in texts]
