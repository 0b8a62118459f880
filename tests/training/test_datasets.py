"""Other trainers get the same groups, in the same order."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from training_data import Setting, open_groups, tiny_setting

from rankmill.mining.errors import BadInput
from rankmill.mining.groups.format import Groups
from rankmill.training.datasets import StreamDataset, TextGroups
from rankmill.training.packing import Limits, TokenColumns, Towers
from rankmill.training.stream import GroupStream


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("datasets"))


def test_text_tuples(setting):
    groups = open_groups(setting)
    data = TextGroups(groups, setting.collection)
    assert len(data) == 60
    for row in (0, 37, 59, -1):
        query, texts, scores = data[row]
        group = groups[row % 60]
        assert query == setting.collection.queries.text(int(group.query[0]))
        assert texts == [setting.collection.corpus.text(int(d)) for d in group.doc[0]]
        assert scores == group.score[0].tolist()
    with pytest.raises(IndexError, match="group 60 of 60"):
        data[60]
    (queries, texts, scores), *_ = DataLoader(data, batch_size=4)
    assert len(queries) == 4
    assert len(texts) == len(scores) == 6


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process with threads
def test_loader_keeps_the_order_of_the_stream(setting, workers):
    def make():
        columns = [TokenColumns(tokens) for tokens in setting.tokens]
        pack = Towers(setting.model, *columns, Limits(8, 16), pieces=1)
        return GroupStream(Groups(setting.groups), pack, batch=7, seed=3, stop=66, ahead=0)

    loaded = list(DataLoader(StreamDataset(make), batch_size=None, num_workers=workers))
    expected = list(make())
    assert len(loaded) == len(expected) == 10
    for theirs, batch in zip(loaded, expected, strict=True):
        arrays = batch.arrays()
        assert theirs.keys() == arrays.keys()
        assert theirs["row"].tolist() == batch.rows.tolist()
        assert theirs["doc"].dtype == torch.int64
        assert np.array_equal(theirs["doc"].numpy(), arrays["doc"])
    widths = [
        (t["docs_ids"].shape, b.arrays()["docs_ids"].shape)
        for t, b in zip(loaded, make(), strict=True)
    ]
    assert all(a == b for a, b in widths)


def test_texts_of_another_collection_are_refused(setting, tmp_path):
    class About:
        inputs = {"corpus": "0" * 40}
        path = tmp_path

    groups = open_groups(setting)
    groups.artifact = About()
    with pytest.raises(BadInput, match="about another corpus than this collection"):
        TextGroups(groups, setting.collection)
