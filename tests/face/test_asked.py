"""Requests as ledgers keep them: what can be said is read back, what cannot is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankmill import stages
from rankmill.asked import kept
from rankmill.mining.errors import Corrupt
from rankmill.replay import replay


def test_a_request_is_kept_without_its_defaults_alias_apart():
    told = kept(stages.Collect("beir:x", splits=["test"], name="nf"))
    assert told == {
        "verb": "collect",
        "options": {"spec": "beir:x", "splits": ["test"]},
        "folder": str(Path.cwd()),
        "name": "nf",
    }


def test_what_only_its_author_can_perform_is_not_kept():
    assert kept(stages.Collect(documents=[{"doc_id": "a", "text": "b"}])) is None
    assert kept(stages.Collect("beir:\udcff")) is None  # a path whose bytes are no text


def test_artifacts_are_kept_by_kind_and_fingerprint(workspace):
    from store_workers import squares

    run = workspace.build(squares())
    told = kept(stages.Pool([run], depth=3))
    assert told is not None
    assert told["options"] == {"runs": [{"artifact": ["run", run.fingerprint]}], "depth": 3}


@pytest.mark.parametrize(
    "told", [{}, {"verb": "no such"}, {"verb": "pool", "options": [], "folder": "/"}]
)
def test_a_ledger_that_names_no_request_of_ours_is_said(workspace, told):
    with pytest.raises(Corrupt, match="the ledger names no request of ours"):
        replay(told, workspace)


@pytest.mark.parametrize("option", ["trec", "to"])
def test_a_ledger_can_have_nothing_written_elsewhere(workspace, tmp_path, option):
    """Whoever made a ledger may have written anything into it."""
    verb = {"trec": "mine", "to": "export"}[option]
    told = {"verb": verb, "options": {option: str(tmp_path / "out")}, "folder": "/"}
    with pytest.raises(Corrupt, match=f"{verb} with {option} would write outside the workspace"):
        replay(told, workspace)
    assert not (tmp_path / "out").exists()
