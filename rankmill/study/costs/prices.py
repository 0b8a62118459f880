"""What work costs in money, energy and carbon, at prices that the user declares.

Nothing is assumed: what no price or power is given for stays in its own unit, and a sum that lacks
a part says which. Joules that the hardware counted are used as they are; where it counted none they
are estimated from the declared watts of a busy core and of a device, and called an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rankmill.mining.errors import UsageError
from rankmill.mining.names import nearest
from rankmill.study.toml_files import read_toml

MEASURED = "measured"
ESTIMATED = "estimated from declared watts"
MIXED = "measured in part, the rest estimated from declared watts"
MOST = 1e12  # of any currency, watts and grams: sums of more mean nothing, and products overflow
_JOULES_PER_KWH = 3.6e6
_CPU_LINES = ("cpu_s", "compile_s", "start_s", "overhead_s")


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per hour of a processor core and of a GPU, and per kWh, in one currency; watts of a
    busy core and of a GPU in use; grams of CO₂ equivalent per kWh. None: not known.

    Hours and kWh add up: a rented machine's hour often holds its power, then leave out `per_kwh`.
    """

    per_cpu_hour: float | None = None
    per_gpu_hour: float | None = None
    per_kwh: float | None = None
    watts_per_cpu: float | None = None
    watts_per_gpu: float | None = None
    grams_per_kwh: float | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        for name in NUMBERS:
            value = getattr(self, name)
            if value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value <= MOST:
                raise UsageError(
                    f"{name}={value!r} is no price"
                    if name.startswith("per")
                    else f"{name}={value!r} is no amount",
                    do=f"write a number from 0 to {MOST:.0e}, or leave it out",
                )
        if not isinstance(self.currency, str):
            raise UsageError(f"currency={self.currency!r} is no text", do='write "EUR", say')

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in NUMBERS)


NUMBERS = tuple(one.name for one in fields(Prices) if one.name != "currency")


def prices_of(table: Any, where: str) -> Prices:
    """Read prices from a TOML table; `where` names the file and the table for errors.

    Raises UsageError for an unknown key, with the nearest, and for what is no number of at least 0.
    """
    known = [one.name for one in fields(Prices)]
    if not isinstance(table, Mapping):
        do = f"write a table with {known[0]} = …"
        raise UsageError(f"prices are {table!r}, not a table", where=where, do=do)
    for key in table:
        if key not in known:
            raise UsageError(f"unknown price {key!r}", where=where, do=nearest(str(key), known))
    try:
        return Prices(**table)
    except UsageError as error:
        raise UsageError(error.what, where=where, do=error.do) from error


def read_prices(path: Path) -> Prices:
    """Read a TOML file of prices: its keys, or those of its table [prices] or [study.prices]."""
    data = read_toml(path, "the prices are", "there is no such file of prices")
    study = data.get("study")
    if isinstance(study, Mapping) and "prices" in study:
        return prices_of(study["prices"], f"{path} [study.prices]")
    if "prices" in data:
        return prices_of(data["prices"], f"{path} [prices]")
    return prices_of(data, str(path))


@dataclass(frozen=True, slots=True)
class Bill:
    """Hours, energy, money and carbon of some work. None where prices or counters say nothing.

    `cpu_hours` of cores, compiling and overhead among them. `how`: where the joules come from.
    `without`: parts that `money` lacks because their price is not known.
    """

    cpu_hours: float
    gpu_hours: float
    kwh: float | None = None
    how: str = ""
    money: float | None = None
    currency: str = ""
    grams: float | None = None
    without: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "cpu_hours": self.cpu_hours,
            "gpu_hours": self.gpu_hours,
            "kwh": self.kwh,
            "energy": self.how or None,
            "money": self.money,
            "currency": self.currency or None,
            "grams_co2e": self.grams,
            "without": list(self.without),
        }

    def lines(self) -> list[str]:
        """Say it in words, a sentence each; nothing for what is not known."""
        said = []
        if self.kwh is not None:
            said.append(f"energy: {energy(self.kwh)}, {self.how}")
        if self.money is not None:
            lacking = f", without {' and '.join(self.without)}" if self.without else ""
            said.append(f"money: {amount(self.money)} {self.currency}".rstrip() + lacking)
        if self.grams is not None:
            said.append(f"carbon: {amount(self.grams)} g CO₂e")
        return said


def bill(costs: Iterable[Mapping[str, Any]], prices: Prices) -> Bill:
    """Return the bill of some ledgers (`Artifact.cost()`), each of which is charged whole."""
    cpu_s = gpu_s = 0.0
    joules, ways, unknown = 0.0, set[str](), set[str]()
    for cost in costs:
        spent = {
            "cpu": sum(float(cost.get(line) or 0.0) for line in _CPU_LINES),
            "gpu": float(cost.get("gpu_s") or 0.0),
        }
        cpu_s, gpu_s = cpu_s + spent["cpu"], gpu_s + spent["gpu"]
        for part, seconds in spent.items():
            counted, watts = cost.get(f"{part}_joules"), getattr(prices, f"watts_per_{part}")
            if counted is not None:
                joules, ways = joules + float(counted), ways | {MEASURED}
            elif seconds and watts is not None:
                joules, ways = joules + seconds * watts, ways | {ESTIMATED}
            elif seconds:
                unknown.add(part.upper())
    if not (ways or unknown) and (prices.watts_per_cpu, prices.watts_per_gpu) != (None, None):
        ways = {ESTIMATED}  # no work: no energy, as far as watts are declared
    kwh = joules / _JOULES_PER_KWH if ways else None
    how = MIXED if len(ways) > 1 else next(iter(ways), "")
    if kwh is not None and unknown:
        how += f"; without that of the {' and the '.join(sorted(unknown))}"
    hours = {"per_cpu_hour": cpu_s / 3600, "per_gpu_hour": gpu_s / 3600}
    money, without = _money(hours, kwh, prices)
    if prices.per_kwh is not None and kwh is not None:
        without += tuple(f"energy of the {part}" for part in sorted(unknown))
    rate = prices.grams_per_kwh
    grams = None if kwh is None or rate is None else kwh * rate
    return Bill(
        cpu_hours=cpu_s / 3600,
        gpu_hours=gpu_s / 3600,
        kwh=kwh,
        how=how,
        money=money,
        currency=prices.currency,
        grams=grams,
        without=without,
    )


def _money(
    hours: Mapping[str, float], kwh: float | None, prices: Prices
) -> tuple[float | None, tuple[str, ...]]:
    """Return what has a price, and the parts that have none though others do."""
    said = {"per_cpu_hour": "CPU hours", "per_gpu_hour": "GPU hours"}
    priced = {name: getattr(prices, name) for name in hours}
    if all(price is None for price in (*priced.values(), prices.per_kwh)):
        return None, ()
    money = sum(hours[name] * price for name, price in priced.items() if price is not None)
    without = [said[name] for name in hours if priced[name] is None and hours[name]]
    if prices.per_kwh is not None:
        if kwh is None:
            without.append("energy, which nothing tells")
        else:
            money += kwh * prices.per_kwh
            without = [part for part in without if part != "CPU hours" and part != "GPU hours"]
    return money, tuple(without)


def energy(kwh: float) -> str:
    """Write energy for people: two decimals, three digits of what would have none of them."""
    if kwh >= 1:
        return f"{kwh:.2f} kWh"
    return f"{1000 * kwh:.2f} Wh" if 1000 * kwh >= 0.1 or not kwh else f"{1000 * kwh:.3g} Wh"


def amount(value: float) -> str:
    """Write an amount for people: cents from 1 on, three digits below."""
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"
