"""A blend on the command line: names with commas, weights, what the card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from training_data import tiny_setting, write_groups

from rankmill.mining.groups.format import Groups


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a workspace `work` that holds groups `a`, `b` and `small`."""
    root = tmp_path_factory.mktemp("blend")
    setting = tiny_setting(root)
    for name, size, repeat in (("a", 3, 1), ("b", 3, 2), ("small", 2, 1)):
        held = setting.collection
        made = write_groups(setting.workspace, held, size=size, repeat=repeat, texts=True)
        setting.workspace.alias(name, made)
        assert Groups(made).size == size
    return root


def test_names_with_commas_are_a_blend(place, rankmill):
    words = [
        "train",
        "bi_encoder(model=encoder)",
        "-w",
        "work",
        "--documents",
        "24",
        "--batch",
        "4",
    ]
    words += ["--doc-length", "20", "--query-length", "10", "--threads", "1", "--to", "out"]
    status, out, err = rankmill(*words, "--groups", "a,b", "--weights", "3,1", "--json")
    assert status == 0, err
    card = json.loads((Path(json.loads(out)["path"]) / "card.json").read_text())
    assert [one["share"] for one in card["groups"]] == [0.75, 0.25]
    for said, message in (
        (("--groups", "a,small"), "several sizes"),
        (("--groups", "a,a"), "named twice"),
        (("--groups", "a,b", "--weights", "1"), "1 weights for 2 groups"),
        (("--groups", "a", "--weights", "3"), "of a single groups artifact, which is no blend"),
        (("--groups", "a,b", "--weights", "1,0"), "--weights 0.0 must be above 0"),
        (("--groups", "a,b", "--weights", "1,nan"), "--weights nan must be a finite number"),
    ):
        status, _, err = rankmill(*words[:-1], "new", *said)
        assert (status, message in err) == (2, True), err
