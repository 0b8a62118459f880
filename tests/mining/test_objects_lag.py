"""An object store whose listings lag: they do not show yet what was stored, and still show what was
removed. Single objects are there at once, as stores promise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from object_store import Machines, Proxy
from store_workers import squares, write_folder

from rankmill.mining.errors import BadInput
from rankmill.mining.store import Workspace
from rankmill.mining.store.together.failures import NeighbourFailed, Neighbours
from rankmill.mining.store.together.shares import Share
from rankmill.mining.upkeep.verify import verify_workspace

replicas = pytest.mark.parametrize(
    "old", [[True], [True, False], [False, True, True]], ids=["all", "every second", "two of three"]
)


def turns(old: list[bool]) -> Callable[[], bool]:
    """Say of each listing in turn whether it is an old one."""
    answers = itertools.cycle(old)
    return lambda: next(answers)


def cut_short(workspace: Workspace) -> None:
    """Make two parts of four."""
    with pytest.raises(BadInput, match="a bad query"):
        workspace.build(squares(mischief="fail:2"))


def removed(workspace: Workspace, below: str) -> int:
    """Remove objects as somebody does with the store's own tools; returns how many."""
    assert workspace.mirror is not None
    names = [one.name for one in workspace.mirror.bucket.below(below)]
    workspace.mirror.bucket.remove(names)
    return len(names)


@replicas
def test_what_no_listing_shows_yet_is_found_whole(
    store: Proxy, machine: Machines, tmp_path: Path, old: list[bool]
) -> None:
    disk = Workspace(tmp_path / "disk")
    root = disk.build(squares()).root_hash
    student = disk.build_folder("student", {}, {}, write_folder).root_hash
    with store.lagging(turns(old)):
        here = machine()
        here.alias("mine", here.build(squares()))
        here.alias("theirs", here.build_folder("student", {}, {}, write_folder))
        for workspace in (here, machine(), here):
            made, folder = workspace.find("mine", "run"), workspace.find("theirs")
            assert (made.root_hash, folder.root_hash) == (root, student)
            assert made.faults() == folder.faults() == []
            assert made.cost()["attempts"] == 4
            assert workspace.build(squares()).root_hash == root


@replicas
def test_parts_that_no_listing_shows_yet_are_not_lost(
    store: Proxy, machine: Machines, tmp_path: Path, old: list[bool]
) -> None:
    here, trace = machine(), tmp_path / "made"
    with store.lagging(turns(old)):
        cut_short(here)
        made = here.build(squares(trace=str(trace)))
        assert sorted(trace.read_text().split()) == ["2", "3"]
        other = machine()
        assert other.build(squares()).root_hash == made.root_hash
    assert made.root_hash == Workspace(tmp_path / "disk").build(squares()).root_hash
    assert machine().open("run", made.fingerprint).faults() == []


def test_another_machine_goes_on_where_no_listing_shows_what_is_done(
    store: Proxy, machine: Machines, tmp_path: Path
) -> None:
    with store.lagging():
        cut_short(machine())
        made = machine().build(squares())
    assert made.root_hash == Workspace(tmp_path / "disk").build(squares()).root_hash
    assert machine().open("run", made.fingerprint).faults() == []


@replicas
def test_parts_that_listings_still_show_are_made_again(
    store: Proxy, machine: Machines, old: list[bool]
) -> None:
    here, other = machine(), machine()
    cut_short(here)
    with store.lagging(turns(old)):
        store.lags = lambda: False
        assert removed(here, "run") >= 4
        store.lags = turns(old)
        made = here.build(squares())
        assert made.faults() == []
        assert other.build(squares()).faults() == []
    assert machine().open("run", made.fingerprint).faults() == []


def test_data_that_are_gone_are_made_again_though_their_record_stands(
    store: Proxy, machine: Machines
) -> None:
    here = machine()
    cut_short(here)
    assert here.mirror is not None
    names = [one.name for one in here.mirror.bucket.below("run")]
    with store.lagging():
        here.mirror.bucket.remove([name for name in names if ".arrow." in name])
        made = here.build(squares())
    assert machine().open("run", made.fingerprint).faults() == []


def test_an_artifact_and_a_name_that_listings_still_show_are_passed_over(
    store: Proxy, machine: Machines
) -> None:
    here = machine()
    kept, gone = here.build(squares(20)), here.build(squares())
    for name, made in {"kept": kept, "gone": gone}.items():
        here.alias(name, made)
    with store.lagging():
        assert here.mirror is not None
        removed(here, f"run/{gone.fingerprint}")
        here.mirror.bucket.remove(["names/gone.json"])
        other = machine()
        assert [one.fingerprint for one in other.artifacts()] == [kept.fingerprint]
        assert list(other.names()) == ["kept"]
        assert other.stray() == []
        assert [one.faults for one in verify_workspace(other)] == [()]
        with pytest.raises(BadInput, match="nothing is called 'gone'"):
            other.find("gone")


def test_the_mark_of_a_share_that_runs_again_is_gone_though_it_is_listed(
    store: Proxy, machine: Machines
) -> None:
    here = machine()
    both = [Neighbours(here.root, here.mirror, Share(i, 2), "a command") for i in (0, 1)]
    for one in both:
        one.begin()
    both[0].leave(RuntimeError("a full disk"))
    with pytest.raises(NeighbourFailed, match="share 0 of 2 has failed.*a full disk"):
        both[1].check()
    with store.lagging():
        both[0].begin()
        both[1].check()
