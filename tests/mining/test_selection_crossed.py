"""Conditions on statistics, and locality × entropy cells that are equal in all that can be
counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_groups, make_vectors

from rankmill.mining.derive import CUTS, crossed_cells, cut_groups
from rankmill.mining.derive.cells import Cell
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.statistics import measure_groups

COLUMNS = ["pair_entropy", "radius", "ties", "pair_entropy(score=logit)"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from rankmill.mining.store import Workspace

    workspace = Workspace(tmp_path_factory.mktemp("crossed"))
    rng = np.random.Generator(np.random.Philox(8))
    queries = np.sort(rng.integers(0, 60, 100))  # some queries have several groups
    queries = np.unique(queries, return_inverse=True)[1]
    grade = np.zeros((100, 4), np.int8)
    grade[:, 0] = 1
    grade[rng.random(100) < 0.3, 1] = 1
    groups = make_groups(
        workspace, rng.normal(0, 2, (100, 4)), queries=queries.tolist(), grade=grade, parts=3
    )
    vectors = make_vectors(workspace, rng.normal(0, 1, (400, 6)).astype(np.float32))
    return workspace, groups, measure_groups(workspace, groups, COLUMNS, vectors=vectors)


def values(measured, name):
    return pa.concat_tables(measured.tables())[name].to_numpy().astype(float)


def test_cells_are_equal_in_groups_documents_pairs_and_positives(made):
    workspace, groups, measured = made
    cells = crossed_cells(workspace, groups, measured, seed=5)
    assert set(cells) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    facts = []
    for artifact in cells.values():
        rows = Groups(artifact).take(np.arange(artifact.rows))
        pairs = {(q, d) for q, docs in zip(rows.query, rows.doc, strict=True) for d in docs}
        assert len(set(rows.query.tolist())) == len(rows)
        facts.append((len(rows), rows.doc.size, len(pairs), int((rows.grade > 0).sum())))
    assert len(set(facts)) == 1
    assert facts[0][0] >= 10


def test_cells_lie_where_their_name_says(made):
    workspace, groups, measured = made
    radius, entropy = values(measured, RADIUS), values(measured, "pair_entropy(T=1)")
    whole = Groups(groups).take(np.arange(groups.rows))
    row_of = {tuple(docs): i for i, docs in enumerate(whole.doc.tolist())}
    for (near, sure), artifact in crossed_cells(workspace, groups, measured).items():
        found = Groups(artifact).take(np.arange(artifact.rows))
        rows = [row_of[tuple(docs)] for docs in found.doc.tolist()]
        assert ((radius[rows] > np.median(radius)) == bool(near)).all()
        assert ((entropy[rows] > np.median(entropy)) == bool(sure)).all()
        books = artifact.rows and sum(len(q) for q in artifact.dropped.values())
        assert books + len(set(found.query.tolist())) == len(set(whole.query.tolist()))


RADIUS = "radius(metric=euclidean,of=mean,to=positive)"


def test_a_cell_depends_on_its_seed_and_nothing_else(made):
    workspace, groups, measured = made
    drawn = [crossed_cells(workspace, groups, measured, seed=seed) for seed in (1, 2)]
    roots = [{place: cell.parts for place, cell in cells.items()} for cells in drawn]
    assert [a.rows for a in drawn[0].values()] == [b.rows for b in drawn[1].values()]
    assert any(
        [p.sha256 for p in roots[0][place]] != [p.sha256 for p in roots[1][place]]
        for place in roots[0]
    )
    assert str(CUTS.parse("cell(0,1)")) == str(Cell(0, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell(near=2,sure=0)", "near=2,sure=0 is no cell of 2 × 2"),
        ("cell(near=0,sure=0,bins=1)", "bins=1 makes no cells"),
        ("cell(near=0,sure=0,entropy=entropy)", "unknown statistic 'entropy'"),
        ("where('ties >')", "unable to parse"),
        ("where('1 = 1')", "names no column"),
        ("where(\"read_csv('/etc/passwd')\")", "unsupported function 'read_csv'"),
        ("where('SELECT ties')", "expected an expression"),
    ],
)
def test_cuts_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        CUTS.parse(text)


def kept_rows(made, expression):
    workspace, groups, measured = made
    return np.array(CUTS.parse(f"where('{expression}')").kept(_measured(groups, measured))[0])


def _measured(groups, measured):
    from rankmill.mining.derive.cuts import Measured

    return Measured(pa.concat_tables(measured.tables()), groups, measured.path)


def test_conditions_are_what_numpy_says(made):
    _, _, measured = made
    entropy, radius = values(measured, "pair_entropy(T=1)"), values(measured, RADIUS)
    found = kept_rows(made, f'"pair_entropy(T=1)" < 0.5 AND "{RADIUS}" > 1.2')
    assert found.tolist() == ((entropy < 0.5) & (radius > 1.2)).tolist()
    assert found.any()
    found = kept_rows(made, '"pair_entropy(T=1)" > AVG("pair_entropy(T=1)")')
    assert found.tolist() == (entropy > entropy.mean()).tolist()


def test_a_condition_cuts_groups_and_stands_in_the_manifest(made):
    workspace, groups, measured = made
    text = "where('\"pair_entropy(T=1)\" < 0.5')"
    cut = cut_groups(workspace, groups, measured, text)
    assert cut.rows == (values(measured, "pair_entropy(T=1)") < 0.5).sum()
    assert CUTS.parse(cut.parameters["cut"]) == CUTS.parse(text)


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("entropy > 1", UsageError, "'entropy' was not measured"),
        ("ties", UsageError, "is not true or false of every group"),
        ("ties > (SELECT 1)", UsageError, "where: "),
        ("ties > 1000", BadInput, "keeps none of 100 groups"),
    ],
)
def test_conditions_that_cannot_be_judged(made, expression, error, message):
    workspace, groups, measured = made
    with pytest.raises(error, match=message):
        cut_groups(workspace, groups, measured, f"where('{expression}')")


def test_an_undefined_statistic_keeps_nothing(workspace):
    scores = np.array([[0.0, -1.0], [-1.0, -2.0]], np.float32)  # log-probability 0 has no logit
    groups = make_groups(workspace, scores, kind="log-prob")
    measured = measure_groups(workspace, groups, ["pair_entropy(score=logit)"])
    text = "where('\"pair_entropy(T=1,score=logit)\" >= 0')"
    cut = cut_groups(workspace, groups, measured, text)
    assert cut.rows == 1
    assert cut.dropped == {"undefined": [0]}
