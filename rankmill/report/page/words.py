"""Numbers as people read them: intervals, p-values, bytes, seconds, counts."""

from __future__ import annotations

import math

from rankmill.study import words

MINUS = "−"


def number(value: float, digits: int = 3) -> str:
    """Write with fixed digits and a real minus sign."""
    if not math.isfinite(value):
        return "–"
    text = f"{abs(value):,.{digits}f}"
    return f"{MINUS}{text}" if value < 0 and float(text.replace(",", "")) else text


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign, also when positive."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def significant(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """Write with so many significant digits, as many as a rate of any size needs."""
    if not math.isfinite(value):
        return "–"
    size = math.floor(math.log10(abs(value))) if value else 0
    if size < -4:
        text = f"{value:+.{digits - 1}e}" if sign else f"{value:.{digits - 1}e}"
        return text.replace("-", MINUS)
    return (signed if sign else number)(value, max(0, digits - 1 - size))


def p_value(p: float) -> str:
    """Write a p-value; very small ones as a bound."""
    if not math.isfinite(p):
        return "p –"
    return f"p {words.p_value(p)}"


def seconds(value: float | None) -> str:
    """Write a duration: 0.42 s, 12.3 s, 4 min 05 s."""
    if value is None:
        return "–"
    if value < 9.95:
        return f"{value:.2f} s"
    if value < 119.5:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(value: float | None) -> str:
    """Write a number of bytes with a decimal unit."""
    if value is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 99.5 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def count(value: int | None) -> str:
    """Write a count with thousands apart."""
    return "–" if value is None else f"{value:,}"
