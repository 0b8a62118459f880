"""One declaration: command line, verbs and recipes offer what the requests declare, and no more."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rankmill as rm
from rankmill import cli, stages
from rankmill.cli.commands import as_written, flag_of
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.options import Field, Unasked, options_of
from rankmill.stages import REQUESTS
from rankmill.study.recipe import SECTIONS

COMMANDS: dict[str, Any] = {str(c.name): c.callback for c in cli.app_of().registered_commands}
MADE = {verb: request.command or verb for verb, request in REQUESTS.items()}
OWN = {  # options of the command line alone: where things are, and how they are shown
    "workspace",
    "json",
    "workers",
    "ray_address",
    "shard",
    "wait",
    "merge",
    "per_query",
    "alone",
    "rows",
    "every",
    "no_workers",  # they say why there are none
    "no_ray_address",
    "no_device",
    "show_input",
    "as_",
}
BELOW = {  # verb → the function that performs it, whose own defaults must be the same
    "collect": "collection:collect",
    "mine": "sources:mine",
    "pool": "runs.pool:pool_runs",
    "score": "teachers:score_pool",
    "select": "selection:select_groups",
    "cells": "derive:crossed_cells",
    "subsample": "derive:subsample_groups",
    "audit": "audit.checks:audit_groups",
    "export": "exports:export_groups",
    "import_scores": "teachers.files.imported:import_scores",
    "import_groups": "groups.imported:import_groups",
}
EVERY = [(verb, field) for verb, request in REQUESTS.items() for field in options_of(request)]


def name_of(value: Any) -> str | None:
    return value.name if isinstance(value, Field) else value if isinstance(value, str) else None


@pytest.mark.parametrize(("verb", "field"), EVERY, ids=name_of)
def test_every_option_is_on_the_command_line_and_a_keyword(verb: str, field: Field) -> None:
    """Same name, default, help; a list is said in the singular, handles and paths as texts."""
    command = inspect.signature(COMMANDS[MADE.get(verb, verb)]).parameters[field.name]
    keyword = inspect.signature(getattr(rm, verb)).parameters[field.name]
    said = command.annotation.__metadata__[0]
    assert as_written(field.option.help) in said.help
    if not field.required:
        assert keyword.default == field.default
        shown = None if field.default == () else field.default
        if isinstance(shown, tuple):
            shown = ",".join(f"{v:g}" for v in shown)
        if isinstance(shown, Unasked):  # left out, so that whether it was said is known
            assert said.show_default == str(shown)
            shown = None
        assert command.default == shown
    if not field.option.argument:
        declared = said.default.split("/")[0]  # typer keeps the first of the flags there
        assert declared == flag_of(field)
        assert declared.removeprefix("--").replace("-", "_") in (
            field.name,
            field.name.removesuffix("s"),
            "set",  # of export formats, as in recipes
        )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_declares_an_option_of_its_own(name: str) -> None:
    verbs = [verb for verb in REQUESTS if MADE.get(verb, verb) == name]
    declared = {field.name for verb in verbs for field in options_of(REQUESTS[verb])}
    if verbs:
        assert set(inspect.signature(COMMANDS[name]).parameters) - declared <= OWN


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_of_a_request_is_a_recipe_key_or_filled_in(section: str) -> None:
    """What a study fills in itself: artifacts, paths, the seed, aliases, and what is named here."""
    filled_in = {
        "collect": {"spec"},  # collection, at the top
        "mine": {"source"},
        "score": {"teacher"},
        "groups": {"strategy"},
        "statistics": {"min_grade", "compat"},  # of lists, and of the reference
        "train": {"weights"},  # of a blend, which is a sampler of the recipe: blend(of=…,weights=…)
        "evaluate": {"measure", "pairs", "split"},  # the first of measures; samplers; domains
    }.get(section, set())
    for verb in SECTIONS[section].requests:
        for field in options_of(REQUESTS[verb]):
            given = field.option.of or field.type is Path or field.form == "mapping"
            if not given and field.name not in {"name", "seed"} | filled_in:
                assert SECTIONS[section].options[field.name] == field


@pytest.mark.parametrize("verb", BELOW)
def test_the_functions_below_have_the_same_defaults(verb: str) -> None:
    module, _, name = BELOW[verb].partition(":")
    below = inspect.signature(getattr(importlib.import_module(f"rankmill.mining.{module}"), name))
    for field in options_of(REQUESTS[verb]):
        parameter = below.parameters.get(field.name)
        if (
            parameter is not None
            and parameter.default is not parameter.empty
            and field.name != "name"
        ):
            assert parameter.default == field.default, field.name


def test_every_request_says_what_its_options_are() -> None:
    for verb, field in EVERY:
        assert field.option.help[0].isupper() or field.option.help[0].islower(), (verb, field.name)
        assert len(field.option.help) > 8, (verb, field.name)
    assert {r for r in REQUESTS.values()} == {
        one
        for one in vars(stages).values()
        if isinstance(one, type) and issubclass(one, stages.Request) and one is not stages.Request
    }


class Thing:
    """Stands for an artifact of a kind, or a collection."""

    def __init__(self, kind: str):
        self.kind = self.corpus = kind


def example_of(option: Field) -> Any:
    if option.form == "mapping":
        return {}
    return Thing(option.option.of.split(" or ")[0]) if option.option.of else "x"


@pytest.mark.parametrize(
    ("request_", "given", "message"),
    [
        (stages.Mine, {"depth": 0}, "depth=0 must be at least 1"),
        (stages.Mine, {"depth": "10"}, "depth='10' is not a whole number"),
        (stages.Mine, {"depth": True}, "depth=True is not a whole number"),
        (stages.Mine, {"seed": -1}, "seed=-1 must be at least 0"),
        (stages.Select, {"filters": "margin(gap=1)"}, "is not a list of texts"),
        (stages.Select, {"when_short": "fil"}, "did you mean fill"),
        (stages.Cross, {"span": 0.0}, "span=0.0 must be above 0"),
        (stages.Train, {"lr": 0.0}, "lr=0.0 must be above 0"),
        (stages.Compare, {"alpha": 0.5}, "alpha=0.5 must be below 0.5"),
    ],
)
def test_values_are_refused_by_the_declaration(request_: Any, given: dict, message: str) -> None:
    needed = {o.name: example_of(o) for o in options_of(request_) if o.required}
    with pytest.raises(UsageError, match=message.replace("(", "[(]").replace(")", "[)]")):
        request_(**needed | given)


def test_every_request_is_a_verb() -> None:
    assert set(REQUESTS) <= set(dir(rm))
    for verb in REQUESTS:
        assert getattr(rm, verb).__name__ == verb


def test_a_verb_documents_its_options() -> None:
    assert "depth: Documents per query." in (rm.mine.__doc__ or "")
    assert "rankmill mine" not in (rm.mine.__doc__ or "")
    assert str(inspect.signature(rm.subsample)) == (
        "(groups: 'Artifact | str', *, size: 'int', times: 'int' = 1, seed: 'int' = 0, "
        "name: 'str | None' = None, executor: 'Execution | None' = None, "
        "workspace: 'Workspace | str | Path | None' = None, progress: 'bool | None' = None)"
        " -> 'Groups'"
    )


@pytest.mark.parametrize(
    ("verb", "given", "message"),
    [
        ("mine", ("random", 5), "collection: a handle of kind collection is wanted, got 5"),
        ("mine", ("random", "t"), "'t' cannot be looked for: there is no workspace here"),
        ("pool", ("t",), "runs: a list is wanted, got 't'"),
        ("pool", (Thing("run"),), "runs: a list is wanted"),
        ("pool", ([Thing("pool")],), "of kind run is wanted, got one of kind pool"),
        ("score", ("x", Thing("groups")), "of kind pool or run is wanted, got one of kind groups"),
        ("select", ("top", Thing("scores"), Thing("pool")), "pool: a handle of kind pool"),
        ("compare", ([Thing("evaluation")],), "systems: a mapping from labels is wanted"),
        ("stats", (Thing("scores"),), "groups: a handle of kind groups is wanted"),
    ],
)
def test_the_wrong_thing_is_named(
    verb: str, given: tuple[Any, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, BadInput), match=message):
        getattr(rm, verb)(*given, **({"split": "train"} if verb == "mine" else {}))


def test_a_call_that_does_not_fit_is_said_in_the_verbs_own_words() -> None:
    with pytest.raises(
        UsageError, match=r"mine\(\) has no option 'depht'[\s\S]*did you mean depth"
    ):
        rm.mine("random", Thing("collection"), split="test", depht=8)  # type: ignore[call-arg,arg-type]
    with pytest.raises(UsageError, match=r"mine\(\) needs collection and split"):
        rm.mine("random")  # type: ignore[call-arg]


def test_help_is_printed_as_it_is_written() -> None:
    """Square brackets in a help text are no markup: `[study]` is printed."""
    from rich.text import Text

    for command in cli.app_of().registered_commands:
        assert command.callback is not None
        said = [command.help or ""]
        for parameter in inspect.signature(command.callback).parameters.values():
            said += [one.help or "" for one in getattr(parameter.annotation, "__metadata__", ())]
        for text in said:
            assert Text.from_markup(text).plain == text.replace("\\[", "["), command.name


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(UsageError, match="must be a finite number"):
        stages.Train("bi_encoder", Thing("groups"), lr=value)  # type: ignore[arg-type]


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    """Of more than a pipe holds, read by nobody: test_hostile_machine."""
    line = f"{sys.executable} -m rankmill --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_output_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    line = f"{sys.executable} -m rankmill --help > /dev/full"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "bug" not in done.stderr
