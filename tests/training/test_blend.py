"""Blends: the order is that of the oracle, weights are shares, it resumes and is shared exactly."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from oracles.blend import blended
from tiny_collection import tiny_beir
from training_data import tiny_setting, write_groups

from rankmill.mining.collection import Collection, collect
from rankmill.mining.errors import UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.models.tokens import tokens_of
from rankmill.training.blend import Blend, BlendedOrder, counts_of
from rankmill.training.order import Order
from rankmill.training.packing import JoinedColumns, Limits, Towers
from rankmill.training.stream import GroupStream
from rankmill.training.trainer import train_student


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [((7, 20), (1, 1)), ((5, 9, 100), (3, 1, 1)), ((1, 30), (0.1, 0.9)), ((50, 3), (0.7, 1.4))],
)
@pytest.mark.parametrize("seed", [0, 9])
def test_the_order_is_that_of_the_definition(sizes, weights, seed):
    counts = counts_of(weights)
    order = BlendedOrder(sizes, counts, seed)
    starts = np.cumsum([0, *sizes])
    expected = blended(sizes, counts, seed, 700)
    rows = order.take(0, 700)
    assert rows.tolist() == [int(starts[part]) + row for part, row, _ in expected]
    assert order.epochs(0, 700).tolist() == [epoch for _, _, epoch in expected]
    for start, stop in ((0, 0), (1, 2), (63, 66), (300, 555), (699, 700)):  # from anywhere
        assert order.take(start, stop).tolist() == rows[start:stop].tolist()
    assert set(order.take(0, order.horizon).tolist()) == set(range(sum(sizes)))


def test_weights_are_shares_of_the_examples_in_every_block():
    counts = counts_of((3, 1, 1))
    assert [c / sum(counts) for c in counts] == [0.6, 0.2, 0.2]
    order = BlendedOrder((11, 200, 3), counts, seed=4)
    for block in range(9):
        part, _ = order.drawn(block * sum(counts), (block + 1) * sum(counts))
        assert Counter(part.tolist()) == dict(enumerate(counts))
    for weights in ((0.1, 0.2, 0.7), (1, 2, 7), (10, 20, 70)):
        assert counts_of(weights) == counts_of((0.1, 0.2, 0.7))
    third = counts_of((0.123456, 0.876544))  # finer than a ten-thousandth
    assert sum(third) == 10_000
    assert third == (1235, 8765)


def test_each_part_runs_through_its_own_epochs():
    order = BlendedOrder((8, 5), counts_of((1, 3)), seed=2)
    rows, epochs = order.take(0, 640), order.epochs(0, 640)
    for low, high in ((0, 8), (8, 13)):
        mine = (rows >= low) & (rows < high)
        for epoch in range(int(epochs[mine].max())):
            seen = sorted(rows[mine & (epochs == epoch)].tolist())
            assert seen == list(range(low, high))


def test_one_part_is_the_order_of_its_groups_alone():
    alone, blend = Order(17, seed=5), BlendedOrder((17,), counts_of((2,)), seed=5)
    assert blend.take(3, 90).tolist() == alone.take(3, 90).tolist()
    straight = BlendedOrder((4, 4), (1, 1), shuffle=False)
    assert straight.take(0, 6).tolist() == [0, 4, 1, 5, 2, 6]


@pytest.mark.parametrize(
    "weights",
    [(0, 1), (-1, 2), (float("nan"), 1), (float("inf"), 1), (1, 1e9), (True, 1), ("1", 1)],
)
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(UsageError, match="weight"):
        counts_of(weights)


# ---- of stored groups --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    return tiny_setting(tmp_path_factory.mktemp("blend"))


@pytest.fixture(scope="module")
def parts(setting) -> list[Groups]:
    """Return two groups artifacts of one size and another of a smaller one."""
    work, held = setting.workspace, setting.collection
    return [
        Groups(write_groups(work, held, size=size, repeat=repeat, texts=True))
        for size, repeat in ((3, 1), (3, 2), (2, 1))
    ]


@pytest.fixture(scope="module")
def elsewhere(setting, tmp_path_factory) -> tuple[Groups, Collection]:
    """Return groups of another collection in the same workspace."""
    place = tiny_beir(tmp_path_factory.mktemp("other") / "beir", docs=70, queries=24)
    corpus = (place / "corpus.jsonl").read_text().replace('"text": "', '"text": "other ')
    (place / "corpus.jsonl").write_text(corpus)
    held = collect(setting.workspace, f"beir:{place}")
    return Groups(write_groups(setting.workspace, held, size=3, texts=True)), held


def test_a_blend_reads_the_groups_of_its_parts(parts):
    blend = Blend(parts[:2], (1, 2))
    first, second = parts[:2]
    rows = np.array([len(first), 0, len(blend) - 1, 2])
    taken = blend.take(rows)
    for at, (part, row) in enumerate(
        [(second, 0), (first, 0), (second, len(second) - 1), (first, 2)]
    ):
        one = part[row]
        for name in ("query", "doc", "score", "grade", "inclusion"):
            assert (getattr(taken, name)[at] == getattr(one, name)[0]).all()
    assert len(blend.take(np.empty(0, np.int64))) == 0


def test_it_resumes_from_one_integer_and_any_number_of_processes_share_it(parts):
    blend = Blend(parts[:2], (3, 1))

    def rows(**options):
        stream = GroupStream(blend, batch=8, seed=3, stop=50, negatives=1, ahead=0, **options)
        return [(b.rows.tolist(), b.groups.doc.tolist()) for b in stream]

    whole = rows()
    assert rows(position=24) == whole[3:]
    for world in (2, 3):
        shares = [rows(rank=rank, world=world) for rank in range(world)]
        for step, (seen, docs) in enumerate(whole):
            assert [r for one in shares for r in one[step][0]] == seen
            assert [d for one in shares for d in one[step][1]] == docs


def test_unlike_groups_are_refused_with_their_sizes(parts):
    with pytest.raises(UsageError, match=r"several sizes .*: 3, .*: 2\n  do: subsample"):
        Blend([parts[0], parts[2]])
    with pytest.raises(UsageError, match="named twice"):
        Blend([parts[0], parts[0]])
    with pytest.raises(UsageError, match="3 weights for 2 groups"):
        Blend(parts[:2], (1, 1, 1))
    with pytest.raises(UsageError, match="no groups"):
        Blend([])


def test_parts_may_be_of_several_collections(parts, elsewhere, setting):
    other, held = elsewhere
    blend = Blend([parts[0], other], (1, 1))
    assert len(blend.texts) == 2
    tokens = [
        {r: tokens_of(setting.workspace, a, setting.model) for r, a in texts.items()}
        for texts in blend.texts
    ]
    columns = [JoinedColumns([one[role] for one in tokens]) for role in ("queries", "corpus")]
    pack = Towers(setting.model, *columns, Limits(8, 24), 1)
    tokenizer = setting.model.tokenizer()
    stream = GroupStream(blend, pack, batch=16, seed=1, stop=64, ahead=0)
    seen = set()
    for batch in stream:
        packed = batch.texts["docs"].pieces[0]
        for at, row in enumerate(batch.rows.tolist()):
            second = row >= len(parts[0])
            part, corpus = (other, held.corpus) if second else (parts[0], setting.collection.corpus)
            texts = corpus.texts(part[row - len(parts[0]) * second].doc[0])
            for k, text in enumerate(texts):
                line = packed.ids[3 * at + k][packed.mask[3 * at + k] == 1].tolist()
                ids = tokenizer.encode(text, add_special_tokens=False).ids[:24]
                assert line == [2, *ids, 3]
            seen.add(second)
    assert seen == {False, True}


def test_a_student_of_several_collections_names_the_texts_of_each(parts, elsewhere, setting):
    settings = {"documents": 24, "batch": 4, "doc_length": 20, "query_length": 10, "threads": 1}
    made = train_student(
        setting.workspace,
        f"bi_encoder(model={setting.model.path})",
        [parts[0].artifact, elsewhere[0].artifact],
        **settings,
    )
    held = elsewhere[1]
    assert made.inputs["corpus[2]"] == held.corpus.artifact.fingerprint
    assert made.inputs["queries[2]"] == held.queries.artifact.fingerprint


def test_training_on_a_blend_is_resumed_and_told_in_the_card(parts, setting):
    work = setting.workspace
    settings = {"documents": 60, "batch": 4, "doc_length": 20, "query_length": 10, "threads": 1}
    text = f"bi_encoder(model={setting.model.path})"

    def trained(weights):
        artifacts = [part.artifact for part in parts[:2]]
        return train_student(work, text, artifacts, weights=weights, **settings)

    made = trained((3, 1))
    card = json.loads((made.path / "card.json").read_text())
    assert [one["share"] for one in card["groups"]] == [0.75, 0.25]
    assert [one["groups"] for one in card["groups"]] == [p.artifact.root_hash for p in parts[:2]]
    assert made.inputs["groups[2]"] == parts[1].artifact.fingerprint
    assert trained((6, 2)).fingerprint == made.fingerprint
    assert trained((1, 1)).fingerprint != made.fingerprint
    assert trained(None).fingerprint == trained((1, 1)).fingerprint
