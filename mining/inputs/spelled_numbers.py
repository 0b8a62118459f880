"""Numbers as people spell them in text files: one notion, read by every door.

Decimal, with or without a sign, a point and an exponent, or hexadecimal as C prints it. Python's
`float` takes more, such as `1_0` and the digits of other scripts; those are typing errors here.
"""

from __future__ import annotations

import math
import re

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX][\da-fA-F]*\.?[\da-fA-F]*([pP][+-]?\d+)?", re.ASCII)


def spelled_number(text: str) -> float:
    """Return the float64 that a text means; NaN for what is no number, infinity for what is too
    large."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except (ValueError, OverflowError):
            return math.nan
    return math.nan
