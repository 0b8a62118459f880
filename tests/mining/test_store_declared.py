"""What a manifest says follows from its request, or the second request is refused."""

from dataclasses import replace

import pytest
from store_workers import squares

from rankmill.mining.errors import RankmillError
from rankmill.mining.store import Workspace


def test_equal_requests_that_say_different_things_are_a_named_bug(workspace, tmp_path):
    stage = replace(squares(13), metadata={"model": "first"})
    workspace.build(stage)
    assert workspace.build(stage).metadata == {"model": "first"}
    other = replace(stage, metadata={"model": "second"})
    for place in (workspace, Workspace(tmp_path / "of another user")):
        with pytest.raises(RankmillError, match=r"two requests of one run would write[\s\S]*bug"):
            place.build(other)
    with pytest.raises(RankmillError, match="two requests of one run would write"):
        workspace.build(replace(stage, schema=stage.schema.append(stage.schema.field(0))))


def test_a_folder_artifact_is_held_to_the_same(workspace):
    def write(folder, scratch):
        (folder / "file").write_text("")

    workspace.build_folder("thing", {"a": 13}, {}, write, metadata={"from": "one"})
    with pytest.raises(RankmillError, match="two requests of one thing would write"):
        workspace.build_folder("thing", {"a": 13}, {}, write, metadata={"from": "two"})


def test_what_follows_from_an_input_that_differs_may_differ(tmp_path):
    """One request in two workspaces, over an input that no two of them need have alike."""
    said = []
    for name in ("one", "two"):
        place = Workspace(tmp_path / name)

        def write(folder, scratch, name=name):
            (folder / "file").write_text(name)

        server = place.build_folder("server", {"model": 13}, {}, write)
        stage = replace(squares(13), inputs={"server": server}, metadata={"served": name})
        said.append(place.build(stage).metadata)
    assert said == [{"served": "one"}, {"served": "two"}]
