"""The group format: zero-copy views, access by row, refusals, and the bytes themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from group_makers import make_groups, make_scores

from rankmill.mining.errors import BadInput
from rankmill.mining.groups.format import GroupArrays, Groups, groups_table


def arrays(n=6, size=4, **changed):
    """Groups of distinct documents, the first of each a positive."""
    given = {
        "query": np.arange(n, dtype=np.uint32),
        "doc": np.arange(n * size, dtype=np.uint32).reshape(n, size),
        "score": np.linspace(-3, 3, n * size, dtype=np.float32).reshape(n, size),
        "grade": np.tile(np.array([2, 0, 0, -1][:size], np.int8), (n, 1)),
        "inclusion": np.full((n, size), 0.25, np.float32),
    }
    return GroupArrays(**{**given, **changed})


def test_a_part_is_a_view_of_the_mapped_file(workspace):
    scores = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)
    part = Groups(make_groups(workspace, scores)).part(0)
    assert part.score.tobytes() == scores.tobytes()
    assert part.doc.dtype == np.uint32
    assert part.grade.dtype == np.int8
    for view in (part.query, part.doc, part.score, part.grade, part.inclusion):
        assert not view.flags.writeable
        assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        part.score[0, 0] = 1.0


def test_rows_are_found_across_parts(workspace):
    scores = np.arange(44, dtype=np.float32).reshape(11, 4)
    groups = Groups.open(workspace, make_groups(workspace, scores, parts=3))
    assert (len(groups), groups.size, groups.kind) == (11, 4, "logit")
    assert [groups.locate(i)[0] for i in range(11)] == [0] * 3 + [1] * 4 + [2] * 4
    assert groups[10].score[0].tolist() == [40, 41, 42, 43]
    asked = np.array([10, 0, 4, 4, 9])
    assert groups.take(asked).score.tolist() == scores[asked].tolist()
    assert groups.take(asked).query.tolist() == asked.tolist()
    assert groups.rows(2, 9).score.tolist() == scores[2:9].tolist()
    assert not groups.rows(3, 7).score.flags.owndata
    assert len(groups.rows(5, 5)) == 0
    for wrong in (11, -1):
        with pytest.raises(IndexError, match="of 11"):
            groups.locate(wrong)
    with pytest.raises(IndexError, match="of 11"):
        groups.take(np.array([3, 11]))


def test_the_columns_are_the_contract(workspace):
    table = groups_table(arrays())
    assert [f"{f.name}: {f.type}" for f in table.schema] == [
        "query: uint32",
        "doc: fixed_size_list<item: uint32>[4]",
        "score: fixed_size_list<item: float>[4]",
        "grade: fixed_size_list<item: int8>[4]",
        "inclusion: fixed_size_list<item: float>[4]",
    ]
    assert table["score"].chunk(0).flatten().to_numpy().tobytes() == arrays().score.tobytes()


def test_golden_bytes(workspace):
    """Changing the file format changes every artifact: this hash must not move by accident."""
    scores = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
    artifact = make_groups(workspace, scores)
    assert artifact.parts[0].sha256.startswith("153544f7d1a50886")
    assert artifact.verify() == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_cannot_be_written(value):
    groups = arrays()
    groups.score[3, 2] = value
    with pytest.raises(BadInput, match=f"teacher score of document 14 is {value}\n.*ordinal 3"):
        groups_table(groups)


def test_a_document_twice_and_a_late_positive_are_refused():
    groups = arrays()
    groups.doc[1, 3] = groups.doc[1, 0]
    with pytest.raises(
        BadInput, match=r"a group holds a document twice: document \d+\n  where: query ordinal 1"
    ):
        groups_table(groups)
    groups = arrays(grade=np.tile(np.array([0, 1, 0, 0], np.int8), (6, 1)))
    with pytest.raises(BadInput, match="the positive is not first"):
        groups_table(groups)


def test_other_kinds_are_refused(workspace):
    with pytest.raises(BadInput, match="a scores is not groups"):
        Groups(make_scores(workspace, [[1.0]]))
