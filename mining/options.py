"""What is said of an option besides name, type and default: help, unit, limits, an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .names import nearest


@dataclass(frozen=True, slots=True)
class Option:
    """The `Annotated` part of an option's declaration.

    `help`: one sentence. `unit`: of a number. `example`: a value as it is typed. `argument`: it
    stands without a flag on the command line. `flag`: a short flag, or the flag where it is not
    the name (a list is said in the singular: `--filter`). `least`, `most`, `above`, `below`: limits
    of a number. `choices`: the only texts. `of`: the kind of artifact that a name stands for.
    `count`: the command line and recipes also read 100k and 1.5M.
    """

    help: str
    unit: str | None = None
    example: Any = None
    argument: bool = False
    flag: str | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    of: str | None = None
    count: bool = False

    def check(self, name: str, value: Any) -> None:
        """Refuse a value outside the limits, or none of the choices."""
        if self.choices and value not in self.choices:
            known = nearest(str(value), self.choices)
            raise UsageError(f"{name}={value} is not one of {', '.join(self.choices)}", do=known)
        for limit, holds, word in (
            (self.least, lambda v, least: v >= least, "at least"),
            (self.most, lambda v, most: v <= most, "at most"),
            (self.above, lambda v, low: v > low, "above"),
            (self.below, lambda v, high: v < high, "below"),
        ):
            if limit is not None and not holds(value, limit):
                raise UsageError(f"{name}={value} must be {word} {limit:g}")
