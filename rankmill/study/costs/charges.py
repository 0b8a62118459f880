"""Who pays for shared work: each piece of it once in all, and in parts by who uses it.

A piece that one system uses is charged to it. A piece that several use is split among them by their
weights (of teacher scores the pairs that each needs; else equal ones), and one that none of them
uses, such as reading the collection or judging BM25, is split equally among all, for the study is
theirs. Shares are fractions: what the systems are charged adds up to what the work cost, exactly,
in whatever order it comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from rankmill.mining.errors import UsageError

Lines = Mapping[str, float]
"""Amounts of one piece of work by name: seconds, joules, bytes."""


@dataclass(frozen=True, slots=True)
class Charges:
    """What all of the work cost, and what each system is charged: by line, exact fractions."""

    whole: Mapping[str, Fraction]
    of: Mapping[str, Mapping[str, Fraction]]

    def total(self, system: str | None, *lines: str) -> float:
        """Return some lines of a system together; of all of them where it is None."""
        told = self.whole if system is None else self.of[system]
        return float(sum((told.get(line, Fraction()) for line in lines), Fraction()))

    def as_json(self) -> dict[str, dict[str, float] | dict[str, dict[str, float]]]:
        """Return it as plain numbers."""
        return {
            "whole": {line: float(value) for line, value in self.whole.items()},
            "systems": {
                system: {line: float(value) for line, value in told.items()}
                for system, told in self.of.items()
            },
        }


def share_out(costs: Mapping[str, Lines], uses: Mapping[str, Mapping[str, float]]) -> Charges:
    """Charge pieces of work to systems.

    `costs`: the lines of each piece, by its key. `uses`: by system the pieces that it uses, with
    its weight in each (0: it does not). Raises UsageError without a system, for a piece that has no
    cost, and for a weight or an amount that is no number of at least 0.
    """
    if not uses:
        raise UsageError("there is no system to charge", do="name at least one")
    for system, used in uses.items():
        for key, weight in used.items():
            if key not in costs:
                raise UsageError(f"{system} uses {key}, whose cost is not there")
            _check(weight, f"{system} uses {key} with weight")
    names = sorted({line for lines in costs.values() for line in lines})
    whole = dict.fromkeys(names, Fraction())
    of = {system: dict.fromkeys(names, Fraction()) for system in uses}
    for key, lines in costs.items():
        shares = _shares({system: used.get(key, 0) for system, used in uses.items()})
        for line, value in lines.items():
            _check(value, f"{line} of {key} is")
            exact = Fraction(value)
            whole[line] += exact
            for system, share in shares.items():
                of[system][line] += exact * share
    return Charges(whole, of)


def _shares(weights: Mapping[str, float]) -> dict[str, Fraction]:
    """Return the part of each system; equal parts where none has a weight."""
    exact = {system: Fraction(weight) for system, weight in weights.items()}
    together = sum(exact.values(), Fraction())
    if not together:
        return dict.fromkeys(exact, Fraction(1, len(exact)))
    return {system: weight / together for system, weight in exact.items() if weight}


def _check(value: float, what: str) -> None:
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"{what} {value}", do="give numbers of at least 0")


def lines_of(cost: Mapping[str, object], names: Iterable[str]) -> dict[str, float]:
    """Return the named lines of a ledger that are there."""
    told = {name: cost.get(name) for name in names}
    return {name: float(v) for name, v in told.items() if isinstance(v, int | float)}
