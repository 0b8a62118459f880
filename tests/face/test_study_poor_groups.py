"""What a study says of groups that teach little: each kind once, with the cell it is worst in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from group_makers import make_groups

from rankmill.mining.store import Artifact, Workspace
from rankmill.study.grid.budgets import remarks_on

GOOD = [[2.0, 1.0, 0.5], [3.0, 0.1, 0.2]]
SOME = [[1.0, 1.5, 0.5], [3.0, 3.5, 0.2]]  # half of the negatives above the positive
MOST = [[0.0, 1.0, 0.5], [3.0, 4.0, 0.2]]  # three of four


@dataclass
class Track:
    groups: list[Artifact]

    def groups_of(self, cell: Any, place: int) -> tuple[Artifact, ...]:
        assert place == 0
        return (self.groups[cell.number],)


def said(tmp_path: Path, *scores: list[list[float]]) -> list[str]:
    workspace = Workspace(tmp_path / "w")
    track = Track([make_groups(workspace, one) for one in scores])
    cells = [SimpleNamespace(number=n, name=f"cell {n}", variant=0) for n, _ in enumerate(scores)]
    return list(remarks_on(cast(Any, SimpleNamespace(cells=cells)), cast(Any, [track])))


def test_the_worst_cell_of_a_kind_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    (line,) = said(tmp_path, GOOD, SOME, MOST, SOME)
    assert line.startswith("Groups of cell 2: 75% of the negatives (3 of 4) score above the pos")
    assert "groups.filters = ['margin(gap=0)']" in line
    assert line.endswith("(and something like it of 2 other cells).")


def test_of_equal_cells_the_first_is_named_and_one_alone_has_no_others(tmp_path: Path) -> None:
    (line,) = said(tmp_path, SOME, SOME)
    assert line.startswith("Groups of cell 0: 50% of the negatives (2 of 4)")
    assert line.endswith("(and something like it of 1 other cell).")
    (line,) = said(tmp_path / "alone", GOOD, MOST)
    assert "something like it" not in line


@pytest.mark.parametrize("scores", [[GOOD], [GOOD, GOOD]])
def test_nothing_is_said_of_good_groups(tmp_path: Path, scores: list[list[list[float]]]) -> None:
    assert said(tmp_path, *scores) == []
