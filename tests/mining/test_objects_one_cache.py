"""Processes that share one cache of an object store: races for a file, kills between any two steps.

RANKMILL_TEST_STORE_STEPS=first kills at every kind of step on the disk, =each at every step, not
only at those that change what the cache holds: minutes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest
from object_store import Machines, Proxy, runs
from store_workers import squares, write_folder

from rankmill.mining.store import Workspace
from rankmill.mining.store.objects import address
from rankmill.mining.store.objects.mirror import Mirror

WHICH = os.environ.get("RANKMILL_TEST_STORE_STEPS", "cache")


def evict_all(mirror: Mirror) -> None:
    """Remove from the cache whatever nobody holds."""
    mirror.cache.make_room(mirror.cache.bound)


@pytest.mark.parametrize("afresh", [False, True])
def test_a_part_that_is_held_stays_where_another_process_brings_it_too(
    machine: Machines, afresh: bool
) -> None:
    here = machine()
    made = here.build(squares())
    part, path = made.parts[1], made.path / made.parts[1].file
    assert here.mirror is not None
    evict_all(here.mirror)
    assert not path.exists()
    other = Mirror(here.root, here.mirror.address)
    with here.mirror.parts.holding(made.path, part):
        if afresh:  # as `verify` does
            with other.parts.holding(made.path, part, afresh=True):
                pass
        else:  # it had missed the file in the same moment
            other.parts._fetch(made.path, part)
        evict_all(other)
        assert path.exists()
    evict_all(other)
    assert not path.exists()


def test_nothing_is_brought_while_another_process_makes_room(machine: Machines) -> None:
    """Else what has just taken the place of a file could be removed in its stead."""
    here = machine()
    made = here.build(squares())
    mirror, path = here.mirror, made.path / made.parts[1].file
    assert mirror is not None
    evict_all(mirror)
    mirror.cache.make_room(0)  # so that there is room, as is known
    other = threading.Thread(target=lambda: made.table(1))
    with mirror.cache.turn():
        other.start()
        time.sleep(0.3)
        assert not path.exists()
    other.join()
    assert path.exists()


def test_killed_between_two_steps_in_a_cache_that_another_process_reads_through(
    store: Proxy, machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine()
    base = here.build(squares(19, 5))  # of fewer queries than what is made
    here.alias("base", base)
    assert here.mirror is not None
    bound = int(2.5 * max(part.bytes for part in base.parts))
    monkeypatch.setenv(address.CACHE_SIZE, str(bound))
    told = runs(store, "strike", str(here.mirror.address), str(tmp_path / "caches"), WHICH)
    assert len(told) >= 12
    # Some steps are taken by the other process, as it happens: then nobody is killed.
    assert sum(one["struck"] != 0 for one in told) > len(told) // 2
    disk = Workspace(tmp_path / "disk")
    for number, one in enumerate(told, 1):
        made = disk.build(squares(20 + number, 10))
        student = disk.build_folder("student", {"number": number}, {}, write_folder)
        assert one["read"] == [0, json.dumps([base.rows])], one["at"]
        status, said = one["resumed"]
        assert status == 0, one["at"]
        assert json.loads(said) == {
            "roots": [made.root_hash, student.root_hash],
            "faults": [],
            "bytes": pytest.approx(bound / 2, abs=bound / 2),
            "left": [],
        }, one["at"]
