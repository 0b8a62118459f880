"""Documents seen, epochs and different pairs, against a set of tuples."""

import pytest
from training_data import Setting, open_groups, tiny_setting

from rankmill.training import budget
from rankmill.training.budget import budget_of, planned
from rankmill.training.stream import GroupStream


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("budget"))


@pytest.mark.parametrize("negatives", [None, 2])
@pytest.mark.parametrize("positions", [7, 60, 150])
@pytest.mark.parametrize("keys", [1 << 24, 50])
def test_different_pairs_are_counted(setting, monkeypatch, negatives, positions, keys):
    monkeypatch.setattr(budget, "_KEYS", keys)
    monkeypatch.setattr(budget, "_BATCH", 16)
    groups = open_groups(setting)
    stream = GroupStream(groups, batch=4, seed=2, negatives=negatives, stop=positions, ahead=0)
    found = budget_of(stream, positions)
    pairs, positives, queries, seen = set(), set(), set(), 0
    for batch in stream:
        g = batch.groups
        for query, docs, grades in zip(g.query, g.doc, g.grade, strict=True):
            pairs |= {(int(query), int(doc)) for doc in docs}
            graded = zip(docs, grades, strict=True)
            positives |= {(int(query), int(doc)) for doc, grade in graded if grade >= 1}
            queries.add(int(query))
            seen += len(docs)
    assert (found.documents, found.groups, found.stored) == (seen, positions, 60)
    assert found.unique_pairs == len(pairs)
    assert (found.positives, found.queries) == (len(positives), len(queries))
    documents = seen - stream.size + 1  # rounded up to whole groups
    assert planned(groups, documents, seed=2, negatives=negatives) == found
    assert found.epochs == pytest.approx(positions / 60, abs=1e-4)


def test_it_reads_as_a_sentence(setting):
    found = budget_of(GroupStream(open_groups(setting), batch=4), 90)
    assert str(found).startswith("540 documents seen in 90 groups: 1.5 epochs over 60, ")
    assert str(found).endswith(f"{found.unique_pairs:,} different pairs")
