"""What cells cost, and gain per cost: lines, bills, units, the frontier; values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankmill.study.costs.prices import ESTIMATED, MEASURED, MIXED, Prices, bill
from rankmill.study.grid.answer.amounts import (
    CPU,
    Amount,
    amount_of,
    first_of,
    mean_of,
    overhead_of,
    units_of,
    work_of,
)
from rankmill.study.grid.answer.worth import front_of

PRICES = Prices(
    per_cpu_hour=0.04,
    per_gpu_hour=2.5,
    per_kwh=0.3,
    watts_per_cpu=12,
    watts_per_gpu=500,
    grams_per_kwh=300,
    currency="EUR",
)
COUNTED = {
    "cpu_s": 90.0,
    "compile_s": 6.0,
    "start_s": 3.0,
    "overhead_s": 1.0,
    "gpu_s": 0.0,
    "wall_s": 70.0,
    "cpu_joules": 1000.0,
}
PLAIN = {"cpu_s": 60.0, "gpu_s": 30.0, "wall_s": 45.0}


def together(cost):
    """Return all lines of a ledger, added up again."""
    parts = [work_of(cost), overhead_of(cost), first_of(cost)]
    return {line: sum(part.get(line, 0.0) for part in parts) for part in parts for line in part}


def test_work_has_its_share_of_the_joules_that_were_counted():
    work = work_of(COUNTED)
    assert work["cpu_s"] == 90.0
    assert work["cpu_joules"] == pytest.approx(900.0)
    assert first_of(COUNTED) == pytest.approx(
        {"first_s": 9.0, "cpu_counted_s": 9.0, "cpu_joules": 90.0}
    )
    lines = together(COUNTED)
    assert sum(lines[line] for line in CPU) == 100.0
    assert lines["cpu_joules"] == pytest.approx(1000.0)


@pytest.mark.parametrize("cost", [COUNTED, PLAIN, {**PLAIN, "gpu_joules": 9000.0}, {}])
def test_the_parts_of_a_ledger_have_the_bill_of_the_whole(cost):
    for prices in (PRICES, Prices(), Prices(per_cpu_hour=1.0), Prices(watts_per_cpu=10)):
        made, wanted = amount_of(together(cost), prices).bill, bill([cost], prices)
        for field in ("cpu_hours", "gpu_hours", "kwh", "money", "grams"):
            assert getattr(made, field) == pytest.approx(getattr(wanted, field)), field
        assert (made.how, made.without) == (wanted.how, wanted.without)


def test_a_bill_by_hand():
    lines = mean_of([work_of(PLAIN), work_of({**PLAIN, "cpu_s": 120.0})])
    made = amount_of(lines, PRICES)
    joules = 90 * 12 + 30 * 500
    assert made.cpu_s == 90.0
    assert made.joules == pytest.approx(joules)
    money = 90 / 3600 * 0.04 + 30 / 3600 * 2.5 + joules / 3.6e6 * 0.3
    assert made.bill.money == pytest.approx(money)
    columns = made.columns("alone")
    assert columns["alone_money"] == pytest.approx(money)
    assert columns["alone_energy"] == ESTIMATED
    assert columns["alone_grams_co2e"] == pytest.approx(joules / 3.6e6 * 300)


def test_what_is_not_known_is_none_and_never_made_up():
    columns = amount_of(work_of(PLAIN), Prices()).columns("alone")
    for name in ("joules", "energy", "money", "money_without", "grams_co2e"):
        assert columns[f"alone_{name}"] is None


def test_energy_says_where_it_comes_from():
    def how(*costs):
        return amount_of(mean_of(work_of(one) for one in costs), PRICES).bill.how

    only = {k: v for k, v in COUNTED.items() if k != "gpu_s"}
    assert how(only) == MEASURED
    assert how(PLAIN) == ESTIMATED
    assert how(only, PLAIN) == MIXED


def keys(amounts, prices):
    return [unit.key for unit in units_of(amounts, prices)]


def test_gains_are_divided_by_money_then_hours_then_energy():
    gpu, cpu = (amount_of(work_of(one), PRICES) for one in (PLAIN, {"cpu_s": 5.0}))
    assert keys([gpu, gpu], PRICES) == ["money", "gpu_hours", "kwh"]
    assert keys([gpu, cpu], PRICES) == ["money", "cpu_hours", "kwh"]  # not all used a GPU
    plain = [amount_of(work_of(one), Prices()) for one in (PLAIN, {"cpu_s": 5.0})]
    assert keys(plain, Prices()) == ["cpu_hours"]
    assert keys([Amount({}, bill([], PRICES))], PRICES) == []
    only_gpu = Prices(per_gpu_hour=2.5)  # costs nothing where no GPU is
    assert keys([amount_of(work_of({"cpu_s": 5.0}), only_gpu)], only_gpu) == ["cpu_hours"]


def test_amounts_in_words():
    money, hours, energy = units_of([amount_of(work_of(PLAIN), PRICES)], PRICES)
    assert money.said(3.1) == "3.10 EUR"
    assert hours.said(2.5) == "2 h 30 min of GPU time"
    assert energy.said(0.25) == "250.00 Wh"


amounts = st.floats(0, 100, allow_nan=False)


@given(st.lists(st.tuples(amounts, amounts), max_size=12))
def test_the_frontier_is_whom_no_other_beats_for_less_or_the_same(points):
    costs = {n: cost for n, (cost, _) in enumerate(points)}
    gains = {n: gain for n, (_, gain) in enumerate(points)}
    front = front_of(costs, gains)
    for n in costs:
        beaten = any(costs[m] <= costs[n] and gains[m] > gains[n] for m in costs if m != n)
        equal = any(m in front and gains[m] == gains[n] and costs[m] <= costs[n] for m in costs)
        assert (n in front) == (not beaten and (n in front or not equal))
    assert [costs[n] for n in front] == sorted(costs[n] for n in front)
    assert np.all(np.diff([gains[n] for n in front]) > 0)
