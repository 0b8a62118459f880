"""The machines of a cluster: which are there, which are going, and which have gone.

A machine that is lost is no fault of what ran on it. Whether one is lost is asked of the cluster's
control service, and of the machine itself: the service learns of a death only after some seconds.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any, NamedTuple

ANSWER_S = 2.0


class Where(NamedTuple):
    """The node of an actor, as the cluster names it, and its process there."""

    node: str
    process: int


def this_node() -> str:
    """Return the name of the node that an actor runs on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def processors_of(ray: Any, leaving: frozenset[str] = frozenset()) -> list[int]:
    """Return the processors of every living node that is not `leaving`."""
    return [
        int(node["Resources"].get("CPU", 0))
        for node in ray.nodes()
        if node["Alive"] and node.get("NodeID") not in leaving
    ]


def leaving(ray: Any) -> frozenset[str]:
    """Return the nodes that have notice to go: an autoscaler drains them, or a preemption is near.

    A cluster whose Ray does not tell has none.
    """
    state = getattr(getattr(ray, "_private", None), "state", None)
    told = getattr(getattr(state, "state", None), "get_draining_nodes", None)
    return frozenset(told()) if told is not None else frozenset()


def lost_errors(ray: Any) -> tuple[type[Exception], ...]:
    """Return what Ray raises where a process, a machine or what it held has gone."""
    return (
        ray.exceptions.RayActorError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.ObjectLostError,
    )


def is_lost(ray: Any, node: str | None) -> bool:
    """Whether a node has gone: its service says so, has forgotten it, or it does not answer."""
    if node is None:
        return False
    known = {one["NodeID"]: one for one in ray.nodes()}
    told = known.get(node)
    if told is None or not told["Alive"]:
        return True
    address = told.get("NodeManagerAddress"), told.get("NodeManagerPort")
    if not all(address):
        return False
    try:
        socket.create_connection((str(address[0]), int(address[1])), ANSWER_S).close()
    except OSError:
        return True
    return False


def fits_somewhere(ray: Any, processors: int, gpus: int) -> bool:
    """Whether a living node, once idle, has what an actor asks for."""
    return any(
        node["Resources"].get("CPU", 0) >= processors and node["Resources"].get("GPU", 0) >= gpus
        for node in ray.nodes()
        if node["Alive"]
    )


def may_grow(ray: Any) -> bool:
    """Whether an autoscaler looks after the cluster, so that nodes may come which are not there."""
    raylet = getattr(ray, "_raylet", None)
    asked = [("__autoscaling_status", None)]  # the first autoscaler reports there
    if raylet is not None:
        with contextlib.suppress(AttributeError):
            second = raylet.GCS_AUTOSCALER_V2_ENABLED_KEY, raylet.GCS_AUTOSCALER_STATE_NAMESPACE
            asked.append(second)
    try:
        from ray.experimental.internal_kv import _internal_kv_get
    except ImportError:
        return False
    answers = [_internal_kv_get(key, namespace=space) for key, space in asked]
    return answers[0] is not None or answers[-1] == b"1"
