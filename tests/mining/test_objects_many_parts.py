"""An artifact of many tiny parts on an object store: what it takes grows with the parts, not with
their square. Requests are counted, and looks at files of the cache, never seconds.

RANKMILL_TEST_STORE_PARTS=10000 has as many as that, against half of them: minutes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store_workers import squares

from rankmill.mining.errors import BadInput
from rankmill.mining.store import Workspace
from rankmill.mining.store.objects import address, bucket, cache
from rankmill.mining.upkeep.verify import verify_workspace

PARTS = int(os.environ.get("RANKMILL_TEST_STORE_PARTS", "320"))
Asked = Counter[str]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A store in memory; counts requests by kind, objects listed, and files of caches looked at."""
    store = pytest.importorskip("obstore.store", reason="pip install -e '.[test]'")
    there, asked = store.MemoryStore(), Counter[str]()
    monkeypatch.setattr(bucket.Bucket, "_made", lambda *_: there)
    monkeypatch.setattr(bucket, "fault", lambda what, name: asked.update([what]))
    monkeypatch.setattr(cache, "_LOOK_S", 1e9)  # what a machine is too slow for does not count
    pages, parts = bucket.Bucket._pages, cache.Cache._parts

    def counting(what: str, call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def counted(*given: Any) -> Iterator[Any]:
            for one in call(*given):
                asked[what] += 1
                yield one

        return counted

    monkeypatch.setattr(bucket.Bucket, "_pages", counting("objects listed", pages))
    monkeypatch.setattr(cache.Cache, "_parts", counting("files looked at", parts))
    return asked


def on_machine(place: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RANKMILL_CACHE", str(place / f"machine{number}"))
    return Workspace(f"s3://bucket/{place.name}")


def taken(parts: int, place: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what each step of the life of an artifact asks of the store and of the cache."""
    costs: dict[str, Asked] = {}

    def step(name: str, do: Callable[[], Any]) -> Any:
        asked.clear()
        done = do()
        costs[name] = Counter(asked)
        return done

    monkeypatch.delenv(address.CACHE_SIZE, raising=False)
    here = on_machine(place, 1, monkeypatch)
    with pytest.raises(BadInput, match="a bad query"):
        here.build(squares(parts, 1, mischief=f"fail:{parts // 2}"))
    other = on_machine(place, 2, monkeypatch)
    made = step("go on", lambda: other.build(squares(parts, 1)))
    assert len(made.parts) == parts
    monkeypatch.setenv(address.CACHE_SIZE, str(made.bytes * 2 // 3))
    third = on_machine(place, 3, monkeypatch)
    step("open", lambda: third.open("run", made.fingerprint))
    step("list", lambda: [one.rows for one in third.artifacts()])
    step("find", lambda: third.find(made.fingerprint[:12]))
    rows = step(
        "read", lambda: sum(t.num_rows for t in third.open("run", made.fingerprint).tables())
    )
    assert rows == made.rows
    faults = step("verify", lambda: [one.faults for one in verify_workspace(third)])
    assert faults == [()]
    stored = sum(p.stat().st_size for p in third.root.glob("*/*/part-*.arrow"))
    assert 0 < stored <= made.bytes * 2 // 3
    return costs


def test_what_many_parts_ask_for_grows_with_them(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (
        taken(parts, tmp_path / f"of{parts}", asked, monkeypatch) for parts in (PARTS // 2, PARTS)
    )
    for name, costs in many.items():  # twice as many parts: twice as much, not four times
        for what, count in costs.items():
            assert count <= 3 * few[name][what] + 12, f"{name}: {what}"
    # Each part is asked for once, whatever for, and the listing of an artifact is read a few times.
    assert sum(many["open"][what] for what in ("get", "head", "list", "fetch")) < 10
    assert many["read"]["fetch"] == PARTS
    assert many["verify"]["fetch"] <= PARTS * 2
    assert many["verify"]["get"] < PARTS + 20
    for name in ("open", "list", "find", "read", "verify"):
        assert many[name]["objects listed"] <= 12 * PARTS, name
    assert many["read"]["files looked at"] <= 40 * PARTS
