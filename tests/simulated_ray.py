"""A cluster without processes and without time: what the supervisor of actors sees of Ray.

Actors compute one call after the other, each in the seconds that a test says, on a clock that jumps
to whatever happens next. So an hour of loading takes no time, and who waits for whom is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rankmill.mining.actors.nodes import Where
from rankmill.mining.meter import Cost
from rankmill.mining.store.execution import Report
from rankmill.mining.store.files import Facts

HANGS = math.inf


class Lost(Exception):
    """The error of a call whose actor has ended."""


class TaskError(Exception):
    """The error of a call that raised; `cause` is what."""

    def __init__(self, cause: Exception):
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True)
class Dies:
    """A call that ends its actor after so many seconds, or with it the whole `machine`."""

    after: float
    machine: bool = False


@dataclass(eq=False)
class Call:
    """A call on its way: when it begins and ends, and with what."""

    method: str
    arguments: tuple[Any, ...]
    begins: float
    ends: float
    result: Any = None
    error: Exception | None = None


@dataclass(eq=False)
class Actor:
    """A process that computes its calls in order."""

    cluster: SimulatedRay
    number: int
    calls: list[Call] = field(default_factory=list)
    over: float = math.inf
    node: str = "0"

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: self._call(method, arguments))

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Call:
        begins = max([self.cluster.now, *(call.ends for call in self.calls[-1:])])
        takes = self.cluster.takes(self, method, arguments)
        if isinstance(takes, Dies):
            self.over = min(self.over, begins + takes.after)
            if takes.machine:
                self.cluster.lose(self.node, self.over)
            takes = takes.after
        call = Call(method, arguments, begins, begins + takes)
        if method == "ready":
            call.result = Where(self.node, self.number)
        if method == "run":
            shard = arguments[1]
            cost = Cost(wall_s=takes)
            call.result = Report(shard, Path("/nowhere"), Facts(0, 0, ""), 0, cost)
        self.calls.append(call)
        self._settle()
        return call

    def end(self) -> None:
        """End now: what is under way ends with an error."""
        self.over = min(self.over, self.cluster.now)
        self._settle()

    def _settle(self) -> None:
        for call in self.calls:
            if call.ends >= self.over:
                call.ends, call.error = max(self.over, min(call.begins, self.over)), Lost("it died")


class SimulatedRay:
    """The functions of `ray` that the supervisor calls, on a clock of its own.

    `takes(actor, method, arguments)` gives the seconds of a call, or `Dies`. Actors go to so many
    `machines` in turn, but not to those that are leaving or lost.
    """

    def __init__(
        self,
        takes: Callable[[Actor, str, tuple[Any, ...]], Any],
        processors: int = 64,
        machines: int = 1,
    ):
        self.takes, self.processors, self.now = takes, processors, 0.0
        self.ends = {str(n): math.inf for n in range(machines)}
        self.notices: dict[str, float] = {}  # when a machine is told to go
        told = SimpleNamespace(get_draining_nodes=self._draining)
        self._private = SimpleNamespace(state=SimpleNamespace(state=told))
        self.actors: list[Actor] = []
        names = ("OutOfMemoryError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError")
        others = {name: type(name, (Exception,), {}) for name in names}
        self.exceptions = SimpleNamespace(RayActorError=Lost, RayTaskError=TaskError, **others)

    def clock(self) -> float:
        """Return the simulated time."""
        return self.now

    def remote(self, **_: Any) -> Callable[[type], Any]:
        """Return what makes a class one of actors."""
        return lambda _: SimpleNamespace(remote=self._actor)

    def _actor(self, *_: Any) -> Actor:
        going = self._draining()
        open_to = [n for n, end in self.ends.items() if end > self.now and n not in going]
        number = len(self.actors)
        self.actors.append(Actor(self, number, node=open_to[number % len(open_to)]))
        return self.actors[-1]

    def _draining(self) -> dict[str, int]:
        return {node: 0 for node, when in self.notices.items() if when <= self.now}

    def lose(self, node: str, when: float) -> None:
        """End a machine and all that runs there."""
        self.ends[node] = min(self.ends[node], when)
        for actor in self.actors:
            if actor.node == node:
                actor.over = min(actor.over, when)
                actor._settle()

    def wait(self, calls: Iterable[Call], num_returns: int, timeout: float) -> tuple[Any, Any]:
        """Go on to the first end of a call, or as far as the timeout."""
        calls = list(calls)
        assert calls
        assert num_returns == 1
        first = min(calls, key=lambda call: call.ends)
        if first.ends > self.now + timeout:
            self.now += timeout
            return [], calls
        self.now = max(self.now, first.ends)
        return [first], [call for call in calls if call is not first]

    def get(self, call: Call) -> Any:
        """Return the result of a call that has ended, or raise its error."""
        assert call.ends <= self.now
        if call.error is not None:
            raise call.error
        return call.result

    def kill(self, actor: Actor) -> None:
        """End an actor."""
        actor.end()

    def nodes(self) -> list[dict[str, Any]]:
        """Return the machines."""
        return [
            {"NodeID": n, "Alive": end > self.now, "Resources": {"CPU": self.processors}}
            for n, end in self.ends.items()
        ]

    def cluster_resources(self) -> dict[str, float]:
        """Return what there is."""
        return {"CPU": float(self.processors)}
