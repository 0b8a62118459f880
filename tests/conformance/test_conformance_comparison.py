"""The comparison that `make conformance` rests on: it finds what a loader loses or changes."""

from __future__ import annotations

import copy
import importlib
import subprocess
from pathlib import Path

import pytest
from tiny_models import tiny_encoder
from toy_groups import toy

from rankmill.mining.models.folder import resolve

HERE = Path(__file__).resolve().parent
GROUPS = [
    {"query": "q", "docs": ["a", "b", "c"], "scores": [9.25, 3.5, -1.25]},
    {"query": "r", "docs": ["d", "e", "f"], "scores": [1.0, 2.0, 3.0]},
]


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("run")


@pytest.fixture
def comparison(runner):
    return importlib.import_module("comparison")


def target(runner, **changes):
    given = {"name": "t", "packages": (), "requirements": (), "loader": "", "formats": ("f",)}
    return runner.Target(**(given | changes))


def test_what_is_expected_is_as_much_as_a_layout_holds(runner, comparison, tmp_path):
    groups, _ = toy(tmp_path)

    def expected(**changes):
        (row,) = comparison.expected(target(runner, **changes), groups, "")
        return row

    texts = ["alpha beans grow tall", "beta soup is warm", "gamma rays pass walls"]
    whole = {"query": "what grows tall", "docs": texts, "scores": [9.25, 3.5, -1.25]}
    assert expected() == whole
    assert expected(scores="margins") == whole | {"scores": [0, 5.75, 10.5]}
    assert expected(scores="grades") == whole | {"docs": texts[:1], "scores": [1]}
    assert expected(texts="ids") == whole | {"query": "10", "docs": ["0", "1", "2"]}


def test_texts_are_expected_as_token_ids(comparison, tmp_path):
    model = tiny_encoder(tmp_path / "encoder")
    tokenizer = resolve(model).tokenizer()
    tokenizer.no_padding()
    tokenizer.enable_truncation(4)
    ids = tokenizer.encode("what grows tall").ids
    assert comparison.cut_tokens(model, 4)("what grows tall") == " ".join(map(str, ids))
    assert len(ids) == 4


def test_equal_groups_are_equal(runner):
    for order in ("kept", "positive first", "none"):
        assert runner.differences(target(runner, order=order), GROUPS, GROUPS) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.pop(), "1 groups were read, 2 were written"),
        (lambda rows: rows[0]["scores"].reverse(), "1 groups differ, the first of query 'q'"),
        (
            lambda rows: rows[1]["docs"].__setitem__(2, ""),
            "1 groups differ, the first of query 'r'",
        ),
        (lambda rows: rows[0].update(query="x"), "1 groups differ, the first of query 'q'"),
        (lambda rows: rows.reverse(), "the groups came in another order"),
    ],
)
def test_what_a_loader_changes_is_found(runner, change, said):
    read = copy.deepcopy(GROUPS)
    change(read)
    assert runner.differences(target(runner), GROUPS, read) == said


def test_as_much_order_is_asked_as_the_loader_keeps(runner):
    shuffled = [
        {"query": "q", "docs": ["a", "c", "b"], "scores": [9.25, -1.25, 3.5]},
        {"query": "r", "docs": ["e", "d", "f"], "scores": [2.0, 1.0, 3.0]},
    ]
    assert "2 groups differ" in runner.differences(target(runner), GROUPS, shuffled)
    first = target(runner, order="positive first")
    assert "1 groups differ, the first of query 'r'" in runner.differences(first, GROUPS, shuffled)
    assert runner.differences(target(runner, order="none"), GROUPS, shuffled[::-1]) == ""
    kept = [shuffled[0], GROUPS[1]][::-1]
    assert runner.differences(target(runner, order="shuffled"), GROUPS, kept) == ""
    assert "came in another order" in runner.differences(first, GROUPS, kept)


def test_blanks_are_forgiven_between_tabs_only(runner):
    theirs = [dict(GROUPS[0], docs=["a b", "b", "c"]), GROUPS[1]]
    ours = [dict(GROUPS[0], docs=["a\tb\n", "b", "c"]), GROUPS[1]]
    assert "1 groups differ" in runner.differences(target(runner), ours, theirs)
    assert runner.differences(target(runner, texts="between tabs"), ours, theirs) == ""


def test_what_cannot_be_installed_is_unproved_with_the_reason(runner, tmp_path, monkeypatch):
    def fail(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: no such package\n")

    monkeypatch.setattr(runner.subprocess, "run", fail)
    rows = list(runner.prove(target(runner), None, tmp_path, tmp_path))
    assert rows == [("t", "f", "unproved", "ERROR: no such package")]


def test_a_repository_that_was_not_cloned_is_asked_for(runner, tmp_path):
    rows = list(runner.prove(target(runner, repository="them/theirs"), None, tmp_path, tmp_path))
    reason = f"no package; clone github.com/them/theirs to {tmp_path / 'theirs'}"
    assert rows == [("t", "f", "unproved", reason)]


def test_every_target_has_a_loader_and_every_format_a_target(runner):
    from rankmill.mining.exports import EXPORTS

    targets = importlib.import_module("targets")
    for one in targets.TARGETS:
        assert (HERE / "loaders" / one.loader).is_file()
    read = {form.split("(")[0] for one in targets.TARGETS for form in one.formats}
    assert set(EXPORTS.names()) == read
