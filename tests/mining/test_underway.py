"""Stages that tell how far they are, batch by batch, in this process and from actors."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from store_workers import squares

from rankmill.mining.actors import Execution
from rankmill.mining.errors import BadInput
from rankmill.mining.meter.underway import Underway
from rankmill.mining.store import Workspace
from rankmill.mining.store.execution import Silent
from rankmill.mining.store.parts.titles import title_of


class Watching(Silent):
    """Looks at the facts of a stage while it is made."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []
        self.found: list[str] = []
        self._over = threading.Event()

    def there(self, kind: str, fingerprint: str) -> None:
        """Keep the kind."""
        self.found.append(kind)

    def begin(self, stage: Underway) -> None:
        """Look again and again, from a thread, as displays do."""
        self._over.clear()
        self.stage, self._looking = stage, threading.Thread(target=self._look)
        self._looking.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.facts.append(self.stage.facts())

    def end(self, stage: Underway) -> None:
        """Stop looking."""
        self._over.set()
        self._looking.join()
        self.facts.append(stage.facts())

    def shares_before_a_part(self) -> set[float]:
        """Return the shares that were told while no part was committed."""
        return {facts["share"] for facts in self.facts if not facts["shards_done"]} - {0.0}


def test_a_stage_of_one_part_tells_its_batches(workspace: Workspace) -> None:
    told = Watching()
    stage = squares(40, size=40, mischief="batches:2.4")
    made = workspace.build(stage, Execution(progress=told))
    assert len(made.parts) == 1
    assert told.shares_before_a_part() <= {0.25, 0.5, 0.75, 1.0}
    assert {0.25, 0.5} <= told.shares_before_a_part()
    last = told.facts[-1]
    assert (last["share"], last["count_done"], last["shards_done"]) == (1.0, 40, 1)
    assert told.found == []
    workspace.build(stage, Execution(progress=told))
    assert told.found == ["run"]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_actors_tell_their_batches_and_leave_nothing_behind(workspace: Workspace) -> None:
    import ray
    from ray.experimental import internal_kv

    told = Watching()
    stage = squares(40, size=40, mischief="batches:6")
    made = workspace.build(stage, Execution(workers=1, progress=told))
    assert told.shares_before_a_part() & {0.25, 0.5, 0.75}
    assert told.facts[-1]["share"] == 1.0
    assert ray.is_initialized()
    assert internal_kv._internal_kv_list(str(workspace.root), namespace="rankmill") == []
    oracle = Workspace(workspace.root / "oracle").build(squares(40, size=40))
    assert made.root_hash == oracle.root_hash


def test_what_is_left_of_a_stage_that_failed_is_what_the_next_has_to_do(
    workspace: Workspace,
) -> None:
    told = Watching()
    with pytest.raises(BadInput):
        workspace.build(squares(mischief="fail:2"), Execution(progress=told))
    assert (told.facts[-1]["shards_done"], told.facts[-1]["share"]) == (2, 0.5)
    workspace.build(squares(), Execution(progress=told))
    last = told.facts[-1]
    assert (last["shards"], last["shards_found"], last["count"]) == (2, 2, 20)


@pytest.mark.parametrize(
    ("kind", "parameters", "inputs", "title"),
    [
        (
            "scores",
            {"teacher": "cross_encoder(model=MiniLM-L6@0a1b2c3d,max_length=64)"},
            {"pool": ("pool", "p"), "corpus": ("corpus", "c")},
            "scores of pool nf-pool by MiniLM-L6",
        ),
        ("run", {"source": "bm25(k1=0.9,b=0.4)"}, {"corpus": ("corpus", "c")}, None),
        ("tokens", {}, {"texts": ("corpus", "c")}, "tokens of nf documents"),
        ("qrels", {"split": "test"}, {"corpus": ("corpus", "c")}, "qrels (test) of nf"),
        ("pool", {}, {"runs[0]": ("run", "r"), "runs[1]": ("run", "s" * 20)}, None),
        (
            "groups",
            {"strategy": "mixture(" + ",".join("abcdefgh" * 8) + ")"},
            {"pool": ("pool", "p"), "scores": ("scores", "x")},
            None,
        ),
        ("copy-keys", {}, {}, "copy-keys"),
    ],
)
def test_titles_name_what_a_stage_is_made_from_and_by_what(
    kind: str,
    parameters: dict[str, str],
    inputs: dict[str, tuple[str, str]],
    title: str | None,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    titles = {
        "run": "run of nf by bm25(k1=0.9,b=0.4)",
        "pool": f"pool of nf-bm25, {'s' * 12}",
        "groups": "groups of pool nf-pool by mixture(a,b,c,d,e,f,g,h,a,b,c,d,e,f,g,h,a,b,c,d…",
    }
    named = {"p": "nf-pool", "c": "nf", "r": "nf-bm25"}
    monkeypatch.setattr("rankmill.mining.store.parts.titles.names_in", lambda _: named)
    made = {role: SimpleNamespace(kind=k, fingerprint=f) for role, (k, f) in inputs.items()}
    stage: Any = SimpleNamespace(kind=kind, parameters=parameters, inputs=made, metadata={})
    assert title_of(stage, workspace) == (title or titles[kind])
