"""Two processes under torchrun train the student that one process trains, up to rounding."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_data import tiny_setting

from rankmill.mining.devices import Engine, using
from rankmill.mining.errors import UsageError
from rankmill.mining.store import files
from rankmill.training.processes import Processes
from rankmill.training.trainer import train_student

SETTINGS = {"documents": 126, "batch": 4, "query_length": 8, "doc_length": 16, "lr": 1e-3}
SETTINGS |= {"threads": 1}

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from rankmill.mining.collection import collect
from rankmill.mining.store import Workspace
from rankmill.training.trainer import train_student

workspace = Workspace({root!r})
made = train_student(workspace, "bi_encoder(model={model})", {groups!r},
                     collection={collection!r}, **{settings!r})
(Path({root!r}) / ("rank-" + made.root_hash[:12])).touch()
torch.distributed.destroy_process_group()
"""


def test_torchrun_shares_every_batch(tmp_path):
    # 21 groups of 6: the last step has one group, so that process 1 has nothing to do in it.
    torch.set_num_threads(1)
    setting = tiny_setting(tmp_path)
    script = tmp_path / "train.py"
    script.write_text(
        SCRIPT.format(
            tests=str(Path(__file__).parents[1]),
            root=str(setting.workspace.root),
            model=setting.model.path,
            groups=setting.groups.fingerprint,
            collection=setting.collection.artifact.fingerprint,
            settings=SETTINGS,
        )
    )
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run([sys.executable, *torchrun, script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    (both,) = setting.workspace.artifacts("student")
    assert (setting.workspace.root / f"rank-{both.root_hash[:12]}").exists()

    alone = tiny_setting(tmp_path / "alone")
    one = train_student(
        alone.workspace,
        f'bi_encoder(model="{alone.model.path}")',
        alone.groups,
        collection=alone.collection,
        **SETTINGS,
    )
    assert (both.parameters.pop("processes"), both.parameters) == (2, one.parameters)
    assert both.parameters["threads"] == 1  # in each of the two
    mine, theirs = (files.read_arrow(a.file("telemetry.arrow")) for a in (one, both))
    assert (
        theirs["documents"].to_pylist()
        == mine["documents"].to_pylist()
        == [24, 48, 72, 96, 120, 126]
    )
    for name in ("loss", "gradient_norm", "score_variance"):
        assert theirs[name].to_pylist() == pytest.approx(mine[name].to_pylist(), rel=2e-3), name
    assert theirs["tokens"].to_pylist() == mine["tokens"].to_pylist()


def test_one_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert Processes.here() == Processes(0, 1)
    tensor = torch.ones(3)
    Processes().add_up([tensor])
    assert tensor.tolist() == [1, 1, 1]


def test_torchrun_gives_each_process_a_gpu_so_none_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with (
        using(Engine(device="cuda:1")),
        pytest.raises(UsageError, match=r"cuda:1 under torchrun(.|\n)*CUDA_VISIBLE_DEVICES"),
    ):
        Processes.here()
