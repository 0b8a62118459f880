"""Every stage, and every command that runs a recipe, takes --workers, --ray-address and --device,
or says in a sentence why it does not."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command

from rankmill import stages
from rankmill.cli import app_of
from rankmill.cli.recipes.given import overrides
from rankmill.mining.actors import connection
from rankmill.mining.errors import UsageError
from rankmill.study.recipe import builtin
from rankmill.training import trainer

OPTIONS = {"--workers": "2", "--ray-address": "auto", "--device": "cpu"}
WHOLE = ("demo", "run", "study", "check", "estimate", "advise", "figures")
COMMANDS = sorted({r.command or verb for verb, r in stages.REQUESTS.items()} | set(WHOLE))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder."""
    return tmp_path_factory.mktemp("where")


@pytest.mark.parametrize("flag", OPTIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_works_or_it_is_said_why_not(rankmill, command: str, flag: str) -> None:
    made: Any = get_command(app_of(command)).commands[command]  # type: ignore[attr-defined]
    options = [one for one in made.params if flag in one.opts]
    assert len(options) == 1, f"rankmill {command} does not know {flag}"
    if not options[0].hidden:
        assert options[0].help
        return
    needed = ["x" for one in made.params if one.param_type_name == "argument" and one.required]
    status, _, err = rankmill(command, *needed, flag, OPTIONS[flag])
    assert status == 2
    assert f"{command} takes no {flag}: " in err
    assert "do: leave it out" in err


def test_a_device_goes_into_every_section_that_runs_models() -> None:
    said = overrides(["train.device=cuda", "seed=3"], "cpu")
    assert said[-2:] == ["train.device=cuda", "seed=3"]
    recipe = builtin("demo", said)
    devices = {name: table["device"] for name, table in recipe.options.items() if "device" in table}
    assert devices.pop("train") == "cuda"
    assert len(devices) > 3
    assert set(devices.values()) == {"cpu"}
    assert overrides(None, None) == []


@pytest.mark.parametrize("address", ["a", "10.0.0.1", "ray://head"])
def test_an_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=f"--ray-address {address} names no cluster"):
        connection._reached(address)
    connection._reached("auto")


@pytest.mark.parametrize(("workers", "said"), [(0, False), (2, True)])
def test_training_says_what_workers_do(monkeypatch, workers: int, said: bool) -> None:
    told: list[str] = []
    monkeypatch.setattr(trainer, "shown", lambda *_: nullcontext())
    monkeypatch.setattr(trainer, "Underway", lambda *_, **__: None)
    monkeypatch.setattr(trainer, "_title", lambda run: "")
    monkeypatch.setattr(trainer, "_machine", lambda run: "")
    telemetry = SimpleNamespace(summary=lambda: {"collapsed": False})
    run = SimpleNamespace(
        budget=str, positions=1, documents=1, run=lambda *_: {}, telemetry=telemetry
    )
    executor = SimpleNamespace(
        workers=workers, ray_address=None, progress=SimpleNamespace(announce=told.append)
    )
    trainer._run(run, "0" * 40, Path(), executor)  # type: ignore[arg-type]
    assert any("the student itself is trained in this process" in one for one in told) == said
