"""Declared machines, what they refuse, and how an estimate is carried over to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.limits import Limit, disk_limit, memory_limit
from rankmill.study.costs.prices import Prices
from rankmill.study.estimate.declared import carried_over
from rankmill.study.estimate.fit import Interval
from rankmill.study.estimate.machines import KNOWN, Machine, machine_of
from rankmill.study.estimate.outcome import Estimate, Limits, Row

HERE = {
    "wall_s": Interval(100.0, 80.0, 120.0),
    "cpu_s": Interval(200.0, 160.0, 240.0),
    "peak_rss_bytes": Interval(2e9, 1e9, 3e9),
    "disk_bytes": Interval(1e9, 9e8, 1.1e9),
    "cpu_joules": Interval(5.0, 4.0, 6.0),
}
UNKNOWN = Limit(None, "nobody")


def test_a_name_says_how_many_of_which_gpu():
    eight = machine_of("8xH100", cores=2)
    assert (eight.gpus, eight.gpu, eight.cores) == (8, "H100", 16)
    assert eight.bfloat16_tflops == KNOWN["H100"].bfloat16
    assert machine_of("l4", cores=2).gpus == 1
    assert all(one.source for one in KNOWN.values())


@pytest.mark.parametrize("text", ["8xH1000", "0xH100", "H100x8", "", "x"])
def test_an_unknown_machine_is_refused_with_what_to_write(text):
    with pytest.raises(UsageError, match="is no machine that is known"):
        machine_of(text, cores=2)


def machine_file(tmp_path: Path, text: str) -> str:
    (tmp_path / "m.toml").write_text(text)
    return str(tmp_path / "m.toml")


def test_a_file_declares_a_machine(tmp_path):
    said = 'name = "rack"\ncores = 64\nspeed = 1.5\ngpus = 4\ngpu = "A100"\nmemory_gb = 512\n'
    rack = machine_of(machine_file(tmp_path, said + "utilisation = [0.2, 0.4]\n"), cores=2)
    assert (rack.name, rack.cores, rack.gpus, rack.utilisation) == ("rack", 64, 4, (0.2, 0.4))
    assert rack.memory == Limit(512e9, "memory of rack")
    assert rack.disk.bytes is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("corse = 4", "unknown key 'corse' of a machine(.|\n)*cores"),
        ("cores = 0", "cores=0 does not fit(.|\n)*whole number from 1"),
        ("cores = 2.5", "cores=2.5 does not fit"),
        ("speed = -1", "speed=-1 does not fit"),
        ("speed = true", "speed=True does not fit"),
        ("memory_gb = inf", "memory_gb=inf does not fit"),
        ("speed_range = 0.5", "speed_range=0.5 does not fit"),
        ("utilisation = [0.5, 0.1]", "utilisation=.* does not fit"),
        ("utilisation = 0.5", "utilisation=0.5 does not fit"),
        ('gpu = "H1OO"', "gpu='H1OO' is not known"),
        ("gpus = 2", "gpus=2, and nothing says how fast they are"),
    ],
)
def test_a_key_or_value_that_does_not_fit_is_refused(tmp_path, said, message):
    with pytest.raises(UsageError, match=message):
        machine_of(machine_file(tmp_path, said), cores=2)


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no such file of a machine"):
        machine_of(str(tmp_path / "none.toml"), cores=2)
    with pytest.raises(BadInput, match="the machine is not valid TOML"):
        machine_of(machine_file(tmp_path, "cores = "), cores=2)


# ---- carrying over -------------------------------------------------------------------------------


def test_processor_time_is_divided_by_the_speed_and_intervals_are_wider():
    machine = Machine("m", cores=8, speed=2.0)
    there = carried_over(HERE, machine, "select", "float32")
    cpu = there["cpu_s"]
    assert (cpu.low, cpu.point, cpu.high) == pytest.approx((160 / 3, 100.0, 180.0))
    elapsed = there["wall_s"]
    assert elapsed.low == pytest.approx(160 / 3.0 / 8)
    assert elapsed.high == pytest.approx(180.0 / 2)
    assert elapsed.low < elapsed.point < elapsed.high
    assert elapsed.high / elapsed.low > HERE["wall_s"].high / HERE["wall_s"].low
    assert "cpu_joules" not in there  # those were counted on another processor


def test_flops_become_gpu_seconds_at_the_declared_utilisation():
    lines = {**HERE, "flops": Interval(1e15, 1e15, 1e15)}
    machine = machine_of("2xH100", cores=1)
    there = carried_over(lines, machine, "score", "bfloat16")
    assert there["gpu_s"].low == pytest.approx(1e15 / (989.4e12 * 0.5))
    assert there["gpu_s"].high == pytest.approx(1e15 / (989.4e12 * 0.1))
    assert there["gpu_s"].low < there["gpu_s"].point < there["gpu_s"].high
    full = carried_over(lines, machine, "score", "float32")
    assert full["gpu_s"].high == pytest.approx(1e15 / (67e12 * 0.1))
    alone = carried_over(lines, machine, "train", "bfloat16")  # a student has one GPU
    assert alone["wall_s"].point > there["wall_s"].point
    assert there["peak_gpu_bytes"] == HERE["peak_rss_bytes"]


# ---- what cannot fit -----------------------------------------------------------------------------


def estimate(limits: Limits, *rows: Row, prices: Prices | None = None) -> Estimate:
    given = rows or (Row("train", "small", "estimated", "64 documents seen", HERE),)
    return Estimate("t", given, limits, prices or Prices(), [])


def test_memory_above_the_limit_is_refused_with_stage_figure_limit_and_what_to_change():
    made = estimate(Limits(Limit(1.5e9, "ulimit -v"), UNKNOWN, UNKNOWN))
    with pytest.raises(BadInput) as refused:
        made.refuse()
    said = str(refused.value)
    assert "train small needs 2.0 GB of memory; ulimit -v is 1.5 GB" in said
    assert "train.micro" in said
    assert refused.value.exit_status == 4


def test_memory_that_only_the_high_end_exceeds_is_a_doubt():
    made = estimate(Limits(Limit(2.5e9, "the machine's memory"), UNKNOWN, UNKNOWN))
    made.refuse()
    assert [one.stage for one in made.doubts] == ["train"]
    assert any(line.startswith("may not fit: train small needs 3.0 GB") for line in made.lines())


def test_disk_counts_what_lies_there_already_and_is_refused_once():
    rows = [
        Row("mine", str(n), "estimated", "", {"disk_bytes": HERE["disk_bytes"]}) for n in "abcd"
    ]
    made = estimate(Limits(UNKNOWN, Limit(2.5e9, "free at /data"), UNKNOWN), *rows)
    assert [one.name for one in made.refusals] == ["c"]
    with pytest.raises(BadInput, match="mine c needs 3.0 GB of disk"):
        made.refuse()


def test_gpu_memory_is_refused_too():
    row = Row("score", "big", "declared", "", {"peak_gpu_bytes": Interval(9e10, 8e10, 1e11)})
    made = estimate(Limits(UNKNOWN, UNKNOWN, Limit(8e10, "memory of a GPU of H100")), row)
    with pytest.raises(BadInput, match="score big needs 90.0 GB of GPU memory"):
        made.refuse()


def test_nothing_is_refused_for_what_nobody_knows_and_what_is_there_needs_nothing():
    estimate(Limits(UNKNOWN, UNKNOWN, UNKNOWN)).refuse()
    there = Row("mine", "bm25", "there", "10 queries", {})
    estimate(Limits(Limit(1.0, "x"), Limit(1.0, "x"), UNKNOWN), there).refuse()


def test_money_energy_and_carbon_follow_the_declared_prices():
    prices = Prices(per_cpu_hour=36.0, watts_per_cpu=10.0, grams_per_kwh=400.0, currency="EUR")
    lines = {name: value for name, value in HERE.items() if name != "cpu_joules"}
    row = Row("select", "a", "estimated", "", lines)
    made = estimate(Limits(UNKNOWN, UNKNOWN, UNKNOWN), row, row, prices=prices)
    total = made.total
    assert total["money"].point == pytest.approx(4.0)
    assert total["money"].low == pytest.approx(3.2)
    assert total["kwh"].point == pytest.approx(4000 / 3.6e6)
    assert total["grams"].high == pytest.approx(4800 / 3.6e6 * 400)
    assert any(line.startswith("money in EUR: 4.00 (3.20 to 4.80)") for line in made.lines())
    assert "money" not in estimate(Limits(UNKNOWN, UNKNOWN, UNKNOWN), row).total


def test_a_sum_of_money_or_energy_that_lacks_a_part_says_which():
    lines = {name: value for name, value in HERE.items() if name != "cpu_joules"}
    row = Row("score", "a", "declared", "", lines | {"gpu_s": Interval(50.0, 40.0, 60.0)})
    prices = Prices(per_cpu_hour=36.0, watts_per_cpu=10.0, currency="EUR")
    made = estimate(Limits(UNKNOWN, UNKNOWN, UNKNOWN), row, prices=prices)
    energy, money = (line for line in made.lines() if line.startswith(("energy", "money")))
    assert energy.endswith(", estimated from declared watts; without that of the GPU")
    assert money == "money in EUR: 2.00 (1.60 to 2.40), without GPU hours"
    told = made.as_json()
    assert told["energy"] == "estimated from declared watts; without that of the GPU"
    assert told["money_without"] == ["GPU hours"]


def test_the_cgroup_and_ulimit_of_this_process_are_limits(tmp_path):
    (tmp_path / "sys/job/step").mkdir(parents=True)
    (tmp_path / "sys/job/memory.max").write_text("1000000\n")
    (tmp_path / "sys/job/step/memory.max").write_text("max\n")
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    limit = memory_limit(tmp_path / "cgroup", tmp_path / "sys")
    assert limit == Limit(1e6, "the memory limit of the cgroup")
    (tmp_path / "sys/memory/old").mkdir(parents=True)
    (tmp_path / "sys/memory/old/memory.limit_in_bytes").write_text("2000000")
    (tmp_path / "sys/memory/memory.limit_in_bytes").write_text(str(2**63 - 4096))
    (tmp_path / "cgroup").write_text("5:memory:/old\n")
    assert memory_limit(tmp_path / "cgroup", tmp_path / "sys").bytes == 2e6
    assert memory_limit(tmp_path / "none", tmp_path / "none").bytes > 1e6
    assert disk_limit(tmp_path / "not" / "there").bytes > 0
