"""One root hash for any number of workers on a cluster of several nodes, one of them lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import end_shared_cluster, name_test_modules_to_actors
from object_store import ACCESS, BUCKET, object_store
from store_workers import squares
from tiny_collection import tiny_beir

from rankmill.mining import actors
from rankmill.mining.actors import Execution
from rankmill.mining.actors.decisions import threads_of_each
from rankmill.mining.actors.nodes import processors_of
from rankmill.mining.actors.supervisor import Supervisor
from rankmill.mining.collection import collect
from rankmill.mining.sources import mine, uniform
from rankmill.mining.store import Workspace
from rankmill.mining.store.objects import reach

pytestmark = pytest.mark.ray
_NODE = {"num_cpus": 3, "object_store_memory": 80 * 1024**2}
_SOON = {  # that a node has gone is noticed within seconds
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
}


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the nodes, not the driver, cache what is on an object store; its credentials."""
    place = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ACCESS | {"RANKMILL_CACHE": str(place)}).items():
            patch.setenv(name, value)
        yield place


@pytest.fixture(scope="module")
def nodes(caches: Path) -> Iterator[Any]:
    """Three nodes of 1, 3 and 3 processors, in place of the cluster that other tests share."""
    import ray
    from ray.cluster_utils import Cluster

    end_shared_cluster()
    name_test_modules_to_actors()
    head = _NODE | {"num_cpus": 1, "include_dashboard": False, "_system_config": _SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            cluster.add_node(**_NODE)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.parametrize(
    ("processors", "workers", "threads"),
    [
        ([7], 1, 7),
        ([7], 3, 2),
        ([1, 3, 3], 1, 3),
        ([1, 3, 3], 3, 1),
        ([1, 3, 3], 2, 3),
        ([2], 7, 1),
    ],
)
def test_an_actor_asks_for_no_more_than_a_node_has(
    processors: list[int], workers: int, threads: int
) -> None:
    assert threads_of_each(processors, workers) == threads


def test_workers_on_several_nodes_give_the_bytes_of_one_process(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uniform, "_SHARD_PAIRS", 12)
    beir = tiny_beir(tmp_path / "beir", docs=40, queries=40)
    hashes = {}
    with actors.cluster(1, nodes.address):
        for workers in (0, 1, 2, 3, 7):
            workspace = Workspace(tmp_path / f"w{workers}")
            collection = collect(workspace, f"beir:{beir}")
            executor = Execution(workers, nodes.address if workers else None)
            run = mine(workspace, "random", collection, "train", depth=6, seed=3, executor=executor)
            assert len(run.parts) == 10
            hashes[workers] = run.root_hash
    assert len(set(hashes.values())) == 1, hashes


def test_nodes_with_mirrors_of_their_own_give_the_bytes_of_a_folder(
    nodes: Any, caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*given: Any) -> reach.Reach:
        left = leaving(*given)
        left.path.unlink()  # so that nobody takes the driver's mirror for one of this machine
        return left

    leaving = reach.leave
    monkeypatch.setattr(reach, "leave", leave)
    monkeypatch.setenv("RANKMILL_CACHE", str(tmp_path / "driver"))
    beir = tiny_beir(tmp_path / "beir", docs=40, queries=40)
    monkeypatch.setattr(uniform, "_SHARD_PAIRS", 12)
    roots, places = {}, {}
    with object_store() as store, actors.cluster(1, nodes.address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
        for workers, place in ((0, tmp_path / "disk"), (3, f"s3://{BUCKET}/nodes")):
            workspace = places[workers] = Workspace(place)
            collection = collect(workspace, f"beir:{beir}")
            executor = Execution(workers, nodes.address if workers else None)
            run = mine(workspace, "random", collection, "train", depth=6, seed=3, executor=executor)
            roots[workers] = run.root_hash
        far = places[3].open("run", run.fingerprint)
        assert not list(far.path.glob("*.arrow"))  # what nodes have made is in the store
        assert far.verify() == 10
        mirror = places[3].mirror
        assert mirror is not None
        seen = [one.name for one in mirror.bucket.below("tmp")]
    assert len(set(roots.values())) == 1
    assert list(caches.glob("*/mirror.json"))
    assert seen == []


def test_a_node_is_lost_and_nothing_else(
    nodes: Any, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = Workspace(tmp_path / "oracle").build(squares(200)).root_hash
    lost: list[int] = []
    landed = Supervisor._land

    def land(self: Any, reference: Any) -> None:
        shard = reference in self.flights
        landed(self, reference)
        if shard and not lost:
            lost.append(len(processors_of(self.ray)))
            nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    monkeypatch.setattr(Supervisor, "_land", land)
    artifact = workspace.build(squares(200, mischief="delay:0"), Execution(7, nodes.address))
    assert lost == [3]
    assert artifact.root_hash == oracle
