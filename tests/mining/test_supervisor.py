"""What the supervisor decides, on a simulated cluster: which shard goes where, who waits for whom,
and who is to blame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simulated_ray import HANGS, Actor, Dies, SimulatedRay
from store_workers import squares

from rankmill.mining.actors import connection, slots, supervisor
from rankmill.mining.actors.connection import Cluster
from rankmill.mining.actors.decisions import (
    DEADLINE_S,
    FIRST_DEADLINE_S,
    PATIENCE,
    Deadlines,
    fill_order,
)
from rankmill.mining.actors.supervisor import Supervisor
from rankmill.mining.errors import Incomplete, RankmillError
from rankmill.mining.store import ledger
from rankmill.mining.store.execution import Job, Report, Silent
from rankmill.mining.store.plan import Shard

UP, LOADS, SHARD = 5.0, 1.0, 2.0  # seconds
PLACE: Any = object()  # a private cluster has one


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "here", Cluster("simulated", True, PLACE))
    monkeypatch.setattr(slots, "processors", lambda: 64)


def job_of(tmp_path: Path, shards: int, work: int = 10) -> Job:
    stage = squares(shards * 10)
    pending = [Shard(n, n * 10, n * 10 + 10, work) for n in range(shards)]
    return Job(stage, pending, 0, tmp_path, tmp_path)


def supervised(
    tmp_path: Path,
    shards: int,
    workers: int,
    takes: Callable[..., Any] | None = None,
    before: Callable[[SimulatedRay], None] = lambda _: None,
    **cluster: int,
) -> tuple[SimulatedRay, list[Report]]:
    """Run a job; `takes` says which calls take other seconds than usual."""

    def seconds(actor: Actor, method: str, arguments: tuple[Any, ...]) -> Any:
        usual = {"ready": UP, "prepare": LOADS, "run": SHARD, "rest": 0.0}[method]
        odd = takes(actor, method, arguments) if takes else None
        return usual if odd is None else odd

    ray = SimulatedRay(seconds, **cluster)
    before(ray)
    reports: list[Report] = []
    supervisor = Supervisor(
        ray, job_of(tmp_path, shards), workers, reports.append, Silent(), ray.clock
    )
    supervisor.run()
    return ray, reports


def shards_of(actor: Actor) -> list[int]:
    return [call.arguments[1].number for call in actor.calls if call.method == "run"]


# ---- who gets which shard ----------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_as_many_shards_as_workers_leave_none_idle(tmp_path: Path, workers: int) -> None:
    ray, reports = supervised(tmp_path, workers, workers)
    assert [len(shards_of(actor)) for actor in ray.actors] == [1] * workers
    assert len(reports) == workers
    assert ray.now == UP + LOADS + SHARD


def test_those_that_come_up_late_find_a_shard_left_for_them(tmp_path: Path) -> None:
    def late(actor: Actor, method: str, _: Any) -> Any:
        return UP + actor.number * 0.1 if method == "ready" else None

    ray, _ = supervised(tmp_path, 8, 8, late)
    assert [len(shards_of(actor)) for actor in ray.actors] == [1] * 8


@pytest.mark.parametrize(
    ("loads", "waiting", "starting", "expected"),
    [
        ({0: 0, 1: 0}, 2, 0, [0, 1]),
        ({0: 0, 1: 0}, 3, 0, [0, 1, 0]),
        ({0: 0, 1: 0, 2: 0}, 9, 0, [0, 1, 2, 0, 1, 2]),
        ({0: 1, 1: 0}, 1, 0, [1]),
        ({0: 2, 1: 2}, 5, 0, []),
        ({0: 0}, 2, 1, [0]),
        ({0: 0}, 3, 1, [0, 0]),
        ({0: 1}, 1, 1, []),
        ({}, 5, 2, []),
        ({0: 0}, 0, 0, []),
    ],
)
def test_every_slot_has_one_before_any_has_two(
    loads: dict[int, int], waiting: int, starting: int, expected: list[int]
) -> None:
    assert fill_order(loads, waiting, starting) == expected


def test_an_actor_has_the_next_shard_at_hand(tmp_path: Path) -> None:
    ray, _ = supervised(tmp_path, 9, 3)
    assert sorted(len(shards_of(actor)) for actor in ray.actors) == [3, 3, 3]
    for actor in ray.actors:
        runs = [call for call in actor.calls if call.method == "run"]
        assert [b.begins - a.ends for a, b in zip(runs, runs[1:], strict=False)] == [0.0, 0.0]


# ---- who waits for whom ------------------------------------------------------------------------


def test_actors_start_all_at_once(tmp_path: Path) -> None:
    ray, _ = supervised(tmp_path, 8, 8)
    assert {actor.calls[0].begins for actor in ray.actors} == {0.0}
    assert len(ray.actors) == 8


def test_those_that_come_up_do_the_work(tmp_path: Path) -> None:
    def stuck(actor: Actor, method: str, _: Any) -> Any:
        return HANGS if method == "ready" and actor.number else None

    ray, reports = supervised(tmp_path, 100, 3, stuck)
    assert len(reports) == 100
    assert len(shards_of(ray.actors[0])) == 100
    assert len(ray.actors) == 3  # none is tried again


def test_no_actor_comes_up(tmp_path: Path) -> None:
    def stuck(actor: Actor, method: str, _: Any) -> Any:
        return HANGS if method == "ready" else None

    with pytest.raises(RankmillError, match="no actor came up within 120 s; asked for 32 CPUs"):
        supervised(tmp_path, 4, 2, stuck)


def test_actors_of_an_earlier_stage_are_used_again_and_the_dead_replaced(tmp_path: Path) -> None:
    ray, _ = supervised(tmp_path, 4, 2)
    first, second = ray.actors
    first.end()
    supervisor = Supervisor(ray, job_of(tmp_path, 4), 2, lambda _: None, Silent(), ray.clock)
    supervisor.run()
    assert len(ray.actors) == 3
    assert len(shards_of(second)) + len(shards_of(ray.actors[2])) == 2 + 4


# ---- who is to blame ---------------------------------------------------------------------------


def test_loading_uses_up_no_try_however_long_it_takes(tmp_path: Path) -> None:
    """Three shards of 2 s, then an actor dies, and the next one loads for 61 s and more."""

    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        if method == "prepare" and actor.number > 0:
            return 3000.0
        if method == "run" and actor.number == 0 and arguments[1].number == 3:
            return Dies(1.0)
        return None

    ray, reports = supervised(tmp_path, 6, 1, takes)
    assert len(reports) == 6
    assert len(ray.actors) == 2
    lines = ledger._attempts(tmp_path)
    assert [line["shard"] for line in lines if line["cause"] != "done"] == [3]


def test_a_death_while_loading_is_no_shards_fault(tmp_path: Path) -> None:
    def takes(actor: Actor, method: str, _: Any) -> Any:
        return Dies(3.0) if method == "prepare" and actor.number < 5 else None

    _, reports = supervised(tmp_path, 4, 2, takes)
    assert {report.shard.number for report in reports} == {0, 1, 2, 3}
    assert {line["shard"] for line in ledger._attempts(tmp_path) if line["cause"] != "done"} == {-1}


@pytest.mark.parametrize("ends", [Dies(3.0), HANGS])
def test_a_worker_that_cannot_be_made_is_an_error_not_a_quarantine(
    tmp_path: Path, ends: Any
) -> None:
    def takes(actor: Actor, method: str, _: Any) -> Any:
        return ends if method == "prepare" else None

    with pytest.raises(RankmillError, match="6 actors in a row ended before their worker") as told:
        supervised(tmp_path, 4, 2, takes)
    assert not isinstance(told.value, Incomplete)


def test_a_hang_is_found_after_ten_times_what_others_take_and_the_query_isolated(
    tmp_path: Path,
) -> None:
    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        if method != "run":
            return None
        shard = arguments[1]
        return HANGS if shard.start <= 33 < shard.stop else shard.stop - shard.start

    with pytest.raises(Incomplete, match="1 keys of run killed their worker 3 times each: 33"):
        supervised(tmp_path, 6, 2, takes)
    causes = Counter(line["cause"] for line in ledger._attempts(tmp_path))
    assert (
        causes["no result after 100 s"] == 3 * 5
    )  # 10, 5, 3 or 2, 2 or 1 and 1 query, 3 tries each
    assert {c for c in causes if c != "done"} == {"no result after 100 s"}


def test_a_waiting_shard_is_given_again_without_losing_a_try(tmp_path: Path) -> None:
    hung: list[int] = []

    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        if method == "run" and arguments[1].number == 2 and not hung:
            hung.append(actor.number)
            return HANGS
        return None

    _, reports = supervised(tmp_path, 6, 1, takes)
    assert len(reports) == 6
    assert [line["shard"] for line in ledger._attempts(tmp_path) if line["cause"] != "done"] == [2]


# ---- machines come and go ----------------------------------------------------------------------


def test_a_machine_that_is_lost_costs_no_shard_a_try(tmp_path: Path) -> None:
    """Four machines go, each at the first shard of one of its actors: more than a shard's tries."""

    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        lost = method == "run" and actor.node in {"0", "1", "2", "3"}
        return Dies(1.0, machine=True) if lost else None

    ray, reports = supervised(tmp_path, 12, 6, takes, machines=6)
    assert sorted(report.shard.number for report in reports) == list(range(12))
    assert {actor.node for actor in ray.actors if shards_of(actor)} == set("012345")
    lines = ledger._attempts(tmp_path)
    assert {line["attempt"] for line in lines if line["shard"] >= 0} == {1}
    causes = [line["cause"] for line in lines if line["cause"] != "done"]
    assert causes
    assert all("lost with its machine" in cause for cause in causes)


def test_a_query_that_ends_every_machine_is_found_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOSSES", 2)

    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        return Dies(1.0, machine=True) if method == "run" and arguments[1].start == 0 else None

    with pytest.raises(Incomplete, match="1 keys of run killed their worker"):
        supervised(tmp_path, 2, 1, takes, machines=99)


def test_a_machine_with_notice_gets_no_new_shards(tmp_path: Path) -> None:
    def started(ray: SimulatedRay) -> None:
        ray.notices["1"] = UP + LOADS + 1.5 * SHARD

    ray, reports = supervised(tmp_path, 30, 2, before=started, machines=2)
    assert len(reports) == 30
    gone = [actor for actor in ray.actors if actor.node == "1"]
    assert len(gone) == 1
    assert 1 <= len(shards_of(gone[0])) <= 3  # what it ran, what it had at hand, a second of delay
    assert len(shards_of(ray.actors[0])) + len(shards_of(gone[0])) == 30
    assert {line["cause"] for line in ledger._attempts(tmp_path)} == {"done"}


def test_actors_without_a_place_are_waited_for_where_nodes_may_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On somebody else's cluster: a GPU node that an autoscaler brings takes ten minutes."""
    monkeypatch.setattr(connection, "here", Cluster("simulated", ours=False))
    monkeypatch.setattr(supervisor.nodes, "may_grow", lambda _: True)
    monkeypatch.setattr(slots.visible, "leave", lambda _: None)
    said: list[str] = []
    monkeypatch.setattr(Silent, "announce", lambda _, text: said.append(text))

    def late(actor: Actor, method: str, _: Any) -> Any:
        return 600.0 + actor.number if method == "ready" else None

    ray, reports = supervised(tmp_path, 8, 4, late)
    assert len(reports) == 8
    assert len(ray.actors) == 4
    assert len(said) == 1
    assert said[0].startswith("4 of 4 actors have no place on the cluster yet")


def test_demand_may_exceed_what_is_alive_on_somebody_elses_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots.visible, "leave", lambda _: None)
    ray, _ = supervised(tmp_path, 8, 8, processors=2)
    assert len(ray.actors) == 2
    monkeypatch.setattr(connection, "here", Cluster("simulated", ours=False))
    ray, _ = supervised(tmp_path, 8, 8, processors=2)
    assert len(ray.actors) == 8


def test_what_no_node_will_ever_have_is_an_error_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "here", Cluster("simulated", ours=False))
    monkeypatch.setattr(slots.visible, "leave", lambda _: None)
    monkeypatch.setattr(supervisor.nodes, "may_grow", lambda _: False)
    monkeypatch.setattr(supervisor.nodes, "fits_somewhere", lambda *_: False)

    def stuck(actor: Actor, method: str, _: Any) -> Any:
        return HANGS if method == "ready" else None

    with pytest.raises(RankmillError, match="no actor came up within 120 s"):
        supervised(tmp_path, 4, 2, stuck)


# ---- deadlines ---------------------------------------------------------------------------------


def test_deadlines() -> None:
    small, large = Shard(0, 0, 10, 10), Shard(1, 10, 11, 500)
    limits = Deadlines([], [10, 10, 500])
    assert limits.of(small, first=True) == FIRST_DEADLINE_S
    for seconds in (40.0, 8.0, 10.0):  # the first one compiles
        limits.ended(small, seconds)
    assert limits.of(small, first=False) == 10 * 10
    assert limits.of(small, first=True) == 10 * 40
    assert limits.of(large, first=False) == 10 * 500  # 1 s a unit of work
    quick = Deadlines([0.5, 0.5], [10])
    assert quick.of(small, first=False) == DEADLINE_S


def test_a_deadline_before_anything_is_measured_follows_the_declared_work() -> None:
    small, usual, heavy = Shard(0, 0, 10, 1), Shard(1, 10, 20, 10), Shard(2, 20, 21, 500)
    limits = Deadlines([], [10, 10, 500])
    assert limits.of(usual, first=True) == FIRST_DEADLINE_S
    assert limits.of(small, first=True) == FIRST_DEADLINE_S  # the floor
    assert limits.of(heavy, first=True) == 50 * FIRST_DEADLINE_S
    assert limits.of(usual, first=True, attempt=2) == PATIENCE * FIRST_DEADLINE_S
    resumed = Deadlines([8.0, 8.0, 8.0], [10, 10, 500])
    assert resumed.of(heavy, first=False) == 50 * 10 * 8.0


@pytest.mark.parametrize("workers", [1, 4])
def test_a_hang_before_any_shard_has_ended_is_found_within_minutes(
    tmp_path: Path, workers: int
) -> None:
    hung: list[int] = []

    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        if method == "run" and len(hung) < workers:  # every slot's first one
            hung.append(arguments[1].number)
            return HANGS
        return None

    ray, reports = supervised(tmp_path, 8, workers, takes)
    assert len(reports) == 8
    assert ray.now < FIRST_DEADLINE_S + 60


def test_a_first_shard_that_is_only_slow_ends_at_a_later_try(tmp_path: Path) -> None:
    slow = 2 * FIRST_DEADLINE_S

    def takes(actor: Actor, method: str, arguments: Any) -> Any:
        return slow if method == "run" else None

    _, reports = supervised(tmp_path, 3, 1, takes)
    assert len(reports) == 3
    lines = ledger._attempts(tmp_path)
    assert [line["shard"] for line in lines if line["cause"] != "done"] == [0]


def test_what_an_earlier_run_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang before any shard has ended is not waited for an hour where the ledger knows better."""
    for shard, seconds in enumerate((2.0, 4.0)):
        ledger.note(tmp_path, shard, 1, ledger.Cost(wall_s=seconds, cpu_s=5 * seconds))
    ledger.note(tmp_path, -1, 1, ledger.Cost(wall_s=900.0))  # looking at the input
    ledger.note(tmp_path, 2, 1, None, "no result after 60 s")
    assert ledger.seconds_here(tmp_path) == [10.0, 20.0]
    assert Deadlines(ledger.seconds_here(tmp_path), [1]).of(Shard(3, 0, 1), first=True) == 200.0
    with monkeypatch.context() as patch:
        patch.setattr(ledger.socket, "gethostname", lambda: "another")
        assert ledger.seconds_here(tmp_path) == []
