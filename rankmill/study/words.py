"""What a comparison showed, in words for people and in plain values for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.training.comparison import Comparison
    from rankmill.training.significance import Interval

ONE_SEED = "too few seeds: one, two at least for an interval that holds for a new seed"


def plain(compared: Comparison) -> Mapping[str, Any]:
    """Return a comparison for machines; keys that do not apply are left out."""
    d, equal = compared.difference, compared.equivalence
    plain: dict[str, Any] = {
        "difference": d.mean,
        **bounds(d),
        "p": compared.p_t,
        "p_holm": compared.p_adjusted,
        "p_randomisation": compared.p_randomisation,
        "p_randomisation_holm": compared.p_randomisation_adjusted,
        "seeds": compared.seeds,
    }
    if compared.effects is not None:
        plain["variance"] = asdict(compared.effects)
    if equal is not None:
        plain["equivalence"] = {
            "outcome": equal.outcome,
            "margin": equal.margin,
            "low": equal.interval.low,
            "high": equal.interval.high,
            "level": equal.interval.level,
            "p": equal.p,
            "p_holm": equal.p_adjusted,
            "power": equal.power,
        }
    return plain


def bounds(interval: Interval, *, trained: bool = True) -> Mapping[str, Any]:
    """Return an interval for machines: low and high (null, with the reason, where there is none),
    what it is over, and `cut` where an end is that of the measure; of a system trained with one
    seed also that there is none for a new one."""
    plain: dict[str, Any] = {"low": interval.low, "high": interval.high, "over": interval.over}
    if interval.low is None:
        return plain | {"reason": interval.reason}
    if interval.reason is not None:
        plain["cut"] = interval.reason
    if trained and interval.over == "queries":
        plain |= {"with_a_new_seed": None, "reason": ONE_SEED}
    return plain


def finite(value: Any) -> Any:
    """Return plain values for JSON, which has finite numbers only: null for what is undefined,
    "inf" for what is infinite, such as κ where a sampler reaches none of its target."""
    if isinstance(value, float) and value - value != 0:
        return None if value != value else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


def between(interval: Interval, sign: str = "", form: str = ".4f") -> str:
    """Write the ends of an interval, and whether it is cut, or the reason why it has none."""
    if interval.low is None or interval.high is None:
        return str(interval.reason)
    cut = "" if interval.reason is None else f", {interval.reason}"
    return f"{interval.low:{sign}{form}} to {interval.high:{sign}{form}}{cut}"


def scoped(interval: Interval) -> str:
    """Write the ends of a difference's interval and what it is about, or why it has none."""
    between_ = between(interval, "+")
    if interval.low is None:
        return between_
    return f"{between_}{' ' if interval.reason is None else ', '}{interval.scope}"


def against(compared: Comparison, name: str) -> str:
    """Say whether a beats or trails `name`, or does not differ significantly from it."""
    if compared.p_adjusted >= 0.05:
        return f"does not differ significantly from {name}:"
    return f"{'beats' if compared.difference.mean > 0 else 'trails'} {name}:"


def signed(compared: Comparison) -> str:
    """Write the difference with its interval and its p value after Holm."""
    d, p = compared.difference, p_value(compared.p_adjusted)
    return f"{d.mean:+.4f} ({scoped(d)}, p {p})"


def verdict(compared: Comparison) -> str:
    """Say what a comparison showed; "equivalent" only with a margin and enough power."""
    said, equal = signed(compared), compared.equivalence
    if equal is None:
        return f"{said}; {'significant' if compared.p_adjusted < 0.05 else 'not significant'}"
    return (
        f"{said}; {equal.outcome} (margin ±{equal.margin:g}, p {p_value(equal.p_adjusted)}, "
        f"power {equal.power:.2f})"
    )


def p_value(value: float) -> str:
    """Write a p value; a very small one as a bound."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def duration(seconds: float) -> str:
    """Print seconds for people: 4.2 s, 3 min 10 s, 2 h 5 min."""
    if seconds == float("inf"):
        return "unknown time"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def size(count: float) -> str:
    """Print bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
