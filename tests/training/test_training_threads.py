"""Threads are part of the request of a student: the same number, the same bytes, whatever the
environment says; another number, another fingerprint."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_data import tiny_setting

from rankmill.mining.errors import UsageError
from rankmill.mining.models.precision import bfloat16_is_faster
from rankmill.mining.processors import processors
from rankmill.training import threads
from rankmill.training.processes import Processes
from rankmill.training.settings import Settings
from rankmill.training.threads import exactly, settled
from rankmill.training.trainer import train_student

# Wide enough that torch shares sums out among threads.
WIDE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 1}
SMALL: dict[str, Any] = {"documents": 192, "batch": 32, "query_length": 8, "doc_length": 32}
SCRIPT = """
import json, os, sys
from pathlib import Path
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[3])])
sys.path.insert(0, sys.argv[1])
from training_data import tiny_setting
from rankmill.training.trainer import train_student

setting = tiny_setting(Path(sys.argv[2]))
found = {}
for said in json.loads(sys.argv[4]):
    made = train_student(setting.workspace, f'bi_encoder(model="{setting.model.path}")',
                         setting.groups, collection=setting.collection, validation=setting.groups,
                         **said, **json.loads(sys.argv[5]))
    found[json.dumps(said)] = [made.fingerprint, made.root_hash]
print(json.dumps(found))
"""


def trained(place: Path, settings: list[dict[str, int]], processors: int, **env: str) -> Any:
    """Train in a process of its own, which may use so many processors; [fingerprint, root] each."""
    from tiny_models import tiny_encoder

    tiny_encoder(place / "encoder", **WIDE)
    tests = str(Path(__file__).parents[1])
    given = [tests, str(place), str(processors), json.dumps(settings), json.dumps(SMALL)]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *given],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | env,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_the_declared_number_of_threads_decides_and_nothing_else(tmp_path: Path) -> None:
    all_of_them = processors()
    two, many = {"threads": 2}, {"threads": 3}
    default: dict[str, int] = {}
    found = [
        trained(tmp_path / "1", [two, many, default], all_of_them, OMP_NUM_THREADS="1"),
        trained(tmp_path / "2", [two, many, default], 1),
        trained(tmp_path / "3", [two, many, default], all_of_them, OMP_NUM_THREADS="3"),
    ]
    for said in (two, many):  # more threads than processors, too
        assert len({tuple(one[json.dumps(said)]) for one in found}) == 1, said
    prints = {one[json.dumps(said)][0] for one in found for said in (two, many, default)}
    assert len(prints) == len({1, 2, 3, all_of_them})
    roots: dict[str, set[str]] = {}
    for one in found:
        for name, root in one.values():
            roots.setdefault(name, set()).add(root)
    assert all(len(same) == 1 for same in roots.values())


def test_threads_are_declared_set_and_restored(tmp_path: Path, monkeypatch: Any) -> None:
    setting = tiny_setting(tmp_path)
    before, seen = torch.get_num_threads(), []
    step = torch.nn.utils.clip_grad_norm_

    def watched(*given: Any, **named: Any) -> Any:
        seen.append(torch.get_num_threads())
        return step(*given, **named)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    made = train_student(
        setting.workspace,
        f'bi_encoder(model="{setting.model.path}")',
        setting.groups,
        collection=setting.collection,
        threads=3,
        **SMALL | {"doc_length": 16, "batch": 16},
    )
    assert set(seen) == {3}
    assert torch.get_num_threads() == before
    assert made.parameters["threads"] == 3
    assert json.loads(made.file("card.json").read_text())["threads"] == 3


def test_the_default_is_what_this_process_may_use(monkeypatch: Any) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 6)
    assert settled(Settings(), Processes()).threads == 6
    assert settled(Settings(threads=2), Processes()).threads == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")  # of torchrun, or left over from another run
    assert threads._share(Processes(0, 8)) == 1
    assert threads._share(Processes()) == 6
    monkeypatch.setattr(threads, "on_gpu", lambda: True)
    assert "threads" not in settled(Settings(threads=2), Processes()).declared()


def test_refusals(monkeypatch: Any) -> None:
    with pytest.raises(UsageError, match="threads=0"):
        Settings(threads=0)
    monkeypatch.setenv("OMP_DYNAMIC", "TRUE")
    with pytest.raises(UsageError, match="OMP_DYNAMIC=TRUE lets OpenMP take fewer"), exactly(2):
        pass
    monkeypatch.setenv("OMP_DYNAMIC", "false")
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    with pytest.raises(UsageError, match="threads=2, but OMP_THREAD_LIMIT=1 allows fewer"):
        with exactly(2):
            pass
    with exactly(1):
        assert torch.get_num_threads() == 1


def test_auto_is_settled_before_the_student_is_named(tmp_path: Path) -> None:
    setting = tiny_setting(tmp_path)
    small: dict[str, Any] = {
        "documents": 64,
        "batch": 4,
        "query_length": 8,
        "doc_length": 16,
        "threads": 1,
    }
    student = f'bi_encoder(model="{setting.model.path}")'
    named = "bfloat16" if bfloat16_is_faster() else "float32"
    made = [
        train_student(
            setting.workspace,
            student,
            setting.groups,
            collection=setting.collection,
            compute=compute,
            **small,
        )
        for compute in ("auto", named)
    ]
    assert made[0].fingerprint == made[1].fingerprint
