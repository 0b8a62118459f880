"""The processors of a process are those of its affinity and of its cgroup's quota, never those of
the machine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rankmill.mining import processors as module
from rankmill.mining.processors import processors


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that fakes affinity, /proc/self/cgroup and files below /sys/fs/cgroup."""

    def fake(affinity: int, membership: str = "", **limits: str) -> None:
        mount = tmp_path / "cgroup"
        (tmp_path / "membership").write_text(membership)
        for name, text in limits.items():
            path = mount / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        monkeypatch.setattr(module, "_MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(module, "_MOUNT", mount)
        monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(affinity)))
        monkeypatch.setattr(module.os, "cpu_count", lambda: 64)

    return fake


def test_affinity_counts_not_the_machine(machine):
    machine(6)
    assert processors() == 6


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 8)],
)
def test_the_quota_of_version_2_rounded_up(machine, quota, expected):
    machine(8, "0::/job\n", **{"job/cpu.max": quota})
    assert processors() == expected


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("250001", 3), ("-1", 8)])
def test_the_quota_of_version_1(machine, folder, quota, expected):
    limits = {f"{folder}/a/cpu.cfs_quota_us": quota, f"{folder}/a/cpu.cfs_period_us": "100000"}
    machine(8, f"9:memory:/other\n4:{folder}:/a\n", **limits)
    assert processors() == expected


def test_the_smallest_limit_of_all_the_groups_around(machine):
    limits = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "500000 100000"}
    machine(8, "0::/a/b\n", **limits, **{"cpu.max": "700000 100000"})
    assert processors() == 3


def test_a_container_sees_its_own_group_at_the_mount(machine):
    """Docker's private mount with the path that the host knows."""
    machine(8, "0::/docker/0123\n", **{"cpu.max": "400000 100000"})
    assert processors() == 4


def test_affinity_within_a_wide_quota(machine):
    machine(2, "0::/\n", **{"cpu.max": "1600000 100000"})
    assert processors() == 2


def test_where_nothing_can_be_asked(machine, monkeypatch):
    machine(1)
    monkeypatch.delattr(module.os, "sched_getaffinity")
    assert processors() == 64
    monkeypatch.setattr(module, "_MEMBERSHIP", Path("/nowhere/at/all"))
    monkeypatch.setattr(module.os, "cpu_count", lambda: None)
    assert processors() == 1


def test_what_files_of_the_kernel_say_here_is_understood():
    """On whatever machine this runs."""
    assert 1 <= processors() == math.floor(processors())
