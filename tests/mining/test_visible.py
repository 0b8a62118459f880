"""A workspace that two machines see: each reads what the other has written, or is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rankmill.mining.errors import BadInput
from rankmill.mining.store.together import visible


def test_both_read_what_the_other_wrote(tmp_path: Path) -> None:
    proof = visible.leave(tmp_path)
    visible.answer(proof, "n1", patience=0)
    visible.check_answer(proof, "n1", patience=0)


def test_another_folder_of_the_same_path_is_refused(tmp_path: Path) -> None:
    """A node's own disk: nothing there, or what a run of its own has left."""
    proof = visible.leave(tmp_path)
    os.unlink(proof.path)
    with pytest.raises(BadInput, match=r"node n2 does not see what the driver wrote") as told:
        visible.answer(proof, "n2", patience=0)
    assert "mount one shared folder at this same path" in str(told.value)
    proof.path.write_text("0" * 32)
    with pytest.raises(BadInput, match="node n2 does not see"):
        visible.answer(proof, "n2", patience=0)


def test_what_the_node_writes_must_come_back(tmp_path: Path) -> None:
    proof = visible.leave(tmp_path)
    with pytest.raises(BadInput, match="node n3 wrote there, and it is not to be seen here"):
        visible.check_answer(proof, "n3", patience=0)
