"""Money, energy and carbon at declared prices, and nothing without them."""

import math

import pytest

from rankmill.mining.errors import BadInput, UsageError
from rankmill.study.costs.prices import (
    ESTIMATED,
    MEASURED,
    MIXED,
    Bill,
    Prices,
    bill,
    energy,
    prices_of,
    read_prices,
)
from rankmill.study.estimate.fit import Interval
from rankmill.study.estimate.outcome import Row

WORK = {"cpu_s": 3000.0, "compile_s": 400.0, "overhead_s": 200.0, "gpu_s": 7200.0, "wall_s": 9.0}
ALL = {"per_cpu_hour": 0.05, "per_gpu_hour": 2.0, "per_kwh": 0.3, "currency": "EUR"}
ALL |= {"watts_per_cpu": 10.0, "watts_per_gpu": 500.0, "grams_per_kwh": 400}


def test_without_prices_there_are_units_only():
    made = bill([WORK, WORK], Prices())
    assert made == Bill(cpu_hours=2.0, gpu_hours=4.0)
    assert made.lines() == []
    assert made.as_json()["money"] is None
    assert not Prices()


def test_declared_watts_make_an_estimate_that_is_called_one():
    made = bill([WORK], prices_of(ALL, "here"))
    kwh = (3600 * 10 + 7200 * 500) / 3.6e6
    assert made.kwh == pytest.approx(kwh)
    assert made.how == ESTIMATED
    assert made.money == pytest.approx(1 * 0.05 + 2 * 2.0 + kwh * 0.3)
    assert made.grams == pytest.approx(kwh * 400)
    assert made.without == ()
    assert made.lines() == [
        "energy: 1.01 kWh, estimated from declared watts",
        "money: 4.35 EUR",
        "carbon: 404.00 g CO₂e",
    ]


def test_joules_of_the_hardware_win_over_watts():
    made = bill([WORK | {"cpu_joules": 7.2e6, "gpu_joules": 0.0}], Prices(watts_per_cpu=10.0))
    assert (made.kwh, made.how) == (2.0, MEASURED)
    mixed = bill([WORK | {"cpu_joules": 3.6e6}], Prices(watts_per_gpu=500.0))
    assert (mixed.kwh, mixed.how) == (2.0, MIXED)


def test_what_lacks_a_price_is_named():
    made = bill([WORK], Prices(per_cpu_hour=1.0))
    assert (made.money, made.without) == (1.0, ("GPU hours",))
    assert made.lines() == ["money: 1.00, without GPU hours"]
    assert bill([WORK], Prices(per_kwh=1.0)).without == (
        "CPU hours",
        "GPU hours",
        "energy, which nothing tells",
    )
    part = bill([WORK], Prices(watts_per_cpu=1000.0))
    assert (part.kwh, part.how) == (1.0, f"{ESTIMATED}; without that of the GPU")
    dear = bill([WORK], Prices(watts_per_cpu=1000.0, per_kwh=2.0))
    assert (dear.money, dear.without) == (2.0, ("energy of the GPU",))
    assert bill([], Prices(per_cpu_hour=1.0)).money == 0.0


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, 1e13, "3", True, [1]])
@pytest.mark.parametrize("name", ["per_kwh", "watts_per_cpu"])
def test_what_is_no_price_is_refused(name, value):
    with pytest.raises(UsageError, match=f"{name}=.* is no (price|amount)") as error:
        prices_of({name: value}, "r.toml [study.prices]")
    assert "r.toml [study.prices]" in str(error.value)


def test_an_unknown_price_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="unknown price 'per_gpu_hours'.*\n.*\n.*per_gpu_hour"):
        prices_of({"per_gpu_hours": 1}, "r.toml")
    with pytest.raises(UsageError, match="prices are 3, not a table"):
        prices_of(3, "r.toml")
    with pytest.raises(UsageError, match="currency=3 is no text"):
        prices_of({"currency": 3}, "r.toml")


@pytest.mark.parametrize(
    "head", ["", "[prices]\n", "[study.prices]\n", "name = 'x'\n[study.prices]\n"]
)
def test_a_file_of_prices(tmp_path, head):
    path = tmp_path / "p.toml"
    path.write_text(head + "per_kwh = 0.3\ncurrency = 'EUR'\n")
    assert read_prices(path) == Prices(per_kwh=0.3, currency="EUR")


def test_a_bad_file_of_prices(tmp_path):
    path = tmp_path / "p.toml"
    with pytest.raises(BadInput, match="there is no such file of prices"):
        read_prices(path)
    path.write_text("per_kwh = ")
    with pytest.raises(BadInput, match="the prices are not valid TOML"):
        read_prices(path)
    path.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="the prices are not valid TOML"):
        read_prices(path)
    path.write_text("[prices]\nper_watt = 1")
    with pytest.raises(UsageError, match=r"unknown price 'per_watt'\n.*p.toml \[prices\]"):
        read_prices(path)


def test_energy_that_is_little_is_not_written_as_none():
    written = [energy(kwh) for kwh in (0.0, 2.7e-6, 8.9e-5, 1.5e-4, 0.01234, 1.5)]
    assert written == ["0.00 Wh", "0.0027 Wh", "0.089 Wh", "0.15 Wh", "12.34 Wh", "1.50 kWh"]


def test_no_work_takes_no_energy_where_watts_are_declared():
    """The low end of an estimate may be 0 seconds: its energy is then 0, not unknown."""
    nothing = {"cpu_s": 0.0, "gpu_s": 0.0}
    declared = bill([nothing], Prices(watts_per_cpu=10.0, grams_per_kwh=400.0, per_kwh=0.3))
    assert (declared.kwh, declared.grams, declared.money) == (0.0, 0.0, 0.0)
    assert declared.how == ESTIMATED
    assert bill([nothing], Prices()).kwh is None
    measured = bill([{"cpu_s": 1.0, "cpu_joules": 3.6e6}], Prices(watts_per_gpu=300.0))
    assert (measured.kwh, measured.how) == (1.0, MEASURED)
    row = Row("collect", "c", "estimated", "", {"cpu_s": Interval(0.05, 0.0, 0.1)})
    assert row.priced(Prices(watts_per_cpu=10.0))["kwh"].low == 0.0
