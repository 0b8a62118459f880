"""What some work took, line by line, and its bill; the units in which a gain is divided by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rankmill.study import words
from rankmill.study.costs.charges import Lines
from rankmill.study.costs.gains import FIRST
from rankmill.study.costs.prices import Bill, Prices, amount, bill, energy

CPU = ("cpu_s", "overhead_s", "first_s")
"""Processor seconds: of the work itself, of planning and publishing, of compiling and importing."""
_JOULES_PER_KWH = 3.6e6


def work_of(cost: Mapping[str, Any]) -> dict[str, float]:
    """Return the lines of a ledger's work itself: without overhead, compiling and importing.

    Joules that a processor counted are those of all its seconds: the work has its share of them, as
    the meter gives every process its share of what a package counts.
    """
    return _parts(cost)[0]


def overhead_of(cost: Mapping[str, Any]) -> dict[str, float]:
    """Return the lines of planning and publishing."""
    return _parts(cost)[1]


def first_of(cost: Mapping[str, Any]) -> dict[str, float]:
    """Return the lines of compiling and importing, which the first user pays for all."""
    return _parts(cost)[2]


def _parts(cost: Mapping[str, Any]) -> list[dict[str, float]]:
    seconds = [
        float(cost.get("cpu_s") or 0.0),
        float(cost.get("overhead_s") or 0.0),
        sum(float(cost.get(line) or 0.0) for line in FIRST),
    ]
    whole, joules = sum(seconds), cost.get("cpu_joules")
    parts = []
    for line, own in zip(CPU, seconds, strict=True):
        made = {line: own}
        if joules is None:
            made["cpu_uncounted_s"] = own
        else:
            made |= {"cpu_counted_s": own, "cpu_joules": joules * own / whole if whole else 0.0}
        parts.append(made)
    gpu = float(cost.get("gpu_s") or 0.0)
    parts[0] |= {"wall_s": float(cost.get("wall_s") or 0.0), "gpu_s": gpu}
    if (joules := cost.get("gpu_joules")) is None:
        parts[0]["gpu_uncounted_s"] = gpu
    else:
        parts[0] |= {"gpu_counted_s": gpu, "gpu_joules": float(joules)}
    return parts


@dataclass(frozen=True, slots=True)
class Amount:
    """What some work took: the lines above added up, and their bill at the study's prices."""

    lines: Lines
    bill: Bill

    @property
    def cpu_s(self) -> float:
        """Processor seconds, all lines together."""
        return sum(self.lines.get(line, 0.0) for line in CPU)

    @property
    def gpu_s(self) -> float:
        """Seconds of accelerators."""
        return self.lines.get("gpu_s", 0.0)

    @property
    def joules(self) -> float | None:
        """Energy, counted or estimated from declared watts; None where neither is there."""
        return None if self.bill.kwh is None else self.bill.kwh * _JOULES_PER_KWH

    def columns(self, before: str) -> dict[str, Any]:
        """Return it as columns of a table whose names begin with `before`."""
        return {
            f"{before}_cpu_s": self.cpu_s,
            f"{before}_gpu_s": self.gpu_s,
            f"{before}_wall_s": self.lines.get("wall_s", 0.0),
            f"{before}_joules": self.joules,
            f"{before}_energy": self.bill.how or None,
            f"{before}_money": self.bill.money,
            f"{before}_money_without": ", ".join(self.bill.without) or None,
            f"{before}_grams_co2e": self.bill.grams,
        }


def amount_of(lines: Lines, prices: Prices) -> Amount:
    """Return lines with their bill: counted joules as they are, the rest by declared watts."""
    ledgers: list[dict[str, float]] = []
    for part in ("cpu", "gpu"):
        counted, rest = (lines.get(f"{part}_{how}_s", 0.0) for how in ("counted", "uncounted"))
        if counted:
            joules = lines.get(f"{part}_joules", 0.0)
            ledgers.append({f"{part}_s": counted, f"{part}_joules": joules})
        if rest:
            ledgers.append({f"{part}_s": rest})
    return Amount(lines, bill(ledgers, prices))


def mean_of(amounts: Iterable[Lines]) -> dict[str, float]:
    """Return the mean of every line; one that is not there counts as 0."""
    every = list(amounts)
    names = dict.fromkeys(name for lines in every for name in lines)
    return {name: sum(lines.get(name, 0.0) for lines in every) / len(every) for name in names}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a gain is divided by: `key` for machines, `name` of one of them for people."""

    key: str
    name: str
    title: str
    """Of an axis, what the cost is."""

    def of(self, amount: Amount) -> float | None:
        """Return an amount in this unit; None where it is not known."""
        bill = amount.bill
        if self.key == "money":
            return bill.money
        if self.key == "kwh":
            return bill.kwh
        return (amount.gpu_s if self.key == "gpu_hours" else amount.cpu_s) / 3600

    def said(self, value: float) -> str:
        """Write an amount for people."""
        if self.key == "money":
            return f"{amount(value)} {self.name}"
        if self.key == "kwh":
            return energy(value)
        return f"{words.duration(3600 * value)} of {self.name.partition('-')[0]} time"


def units_of(amounts: Iterable[Amount], prices: Prices) -> list[Unit]:
    """Return the units in which the cost of every one of these is known and more than 0, the one to
    decide by first: money where prices are declared, else hours of GPUs, or of processors where
    not all of the work used a GPU."""
    every = list(amounts)
    currency = prices.currency or "unit of money"
    money = Unit("money", currency, f"money ({currency})")
    gpu = Unit("gpu_hours", "GPU-hour", "GPU time")
    cpu = Unit("cpu_hours", "CPU-hour", "CPU time")
    kwh = Unit("kwh", "kWh", "energy")

    def known(unit: Unit) -> bool:
        return bool(every) and all((unit.of(one) or 0.0) > 0 for one in every)

    return [unit for unit in (money, gpu if known(gpu) else cpu, kwh) if known(unit)]
