"""Batches hold exactly the texts of their groups, in the declared order, from any position."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from rounding import share_bound
from training_data import Setting, open_groups, tiny_setting

from rankmill.mining.errors import BadInput, UsageError
from rankmill.training.packing import Limits, Pairs, TokenColumns, Towers
from rankmill.training.stream import GroupStream, check_tokens


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("stream"))


LIMITS = Limits(8, 24)


def packer(setting, kind, *, pieces=2, limits=LIMITS, model=None):
    columns = [TokenColumns(tokens) for tokens in setting.tokens]
    return kind(model or setting.model, *columns, limits, pieces)


def rows_of(packed):
    """Undo pieces and padding: one list of ids per row."""
    rows = [
        ids[mask == 1].tolist()
        for piece in packed.pieces
        for ids, mask in zip(piece.ids, piece.mask, strict=True)
    ]
    return [rows[at] for at in packed.place]


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_towers_hold_what_the_tokenizer_says(setting, pieces):
    stream = GroupStream(
        open_groups(setting), packer(setting, Towers, pieces=pieces), batch=7, stop=14
    )
    tokenizer = setting.model.tokenizer()
    for batch in stream:
        queries = setting.collection.queries.texts(batch.groups.query)
        docs = setting.collection.corpus.texts(batch.groups.doc.reshape(-1))
        expected = [tokenizer.encode(t, add_special_tokens=False).ids[:8] for t in queries]
        assert rows_of(batch.texts["queries"]) == [[2, *ids, 3] for ids in expected]
        expected = [tokenizer.encode(t, add_special_tokens=False).ids[:24] for t in docs]
        assert rows_of(batch.texts["docs"]) == [[2, *ids, 3] for ids in expected]
        widths = [piece.ids.shape[1] for piece in batch.texts["docs"].pieces]
        assert widths == sorted(widths)
        longest = max(len(row) for row in rows_of(batch.texts["docs"]))
        assert widths[-1] == longest  # no wider than the longest row


def test_pairs_hold_what_the_tokenizer_says(setting):
    limits = Limits(100, 24)  # queries are whole, so the tokenizer's own pair can be compared
    stream = GroupStream(
        open_groups(setting), packer(setting, Pairs, limits=limits), batch=5, stop=10
    )
    tokenizer = setting.model.tokenizer()
    for batch in stream:
        packed = batch.texts["pairs"]
        queries = setting.collection.queries.texts(np.repeat(batch.groups.query, 6))
        docs = setting.collection.corpus.texts(batch.groups.doc.reshape(-1))
        for row, query, doc in zip(rows_of(packed), queries, docs, strict=True):
            whole = tokenizer.encode(query, doc)
            cut = len(tokenizer.encode(query, add_special_tokens=False).ids) + 2 + 24
            assert row == whole.ids[:cut] + ([3] if len(whole.ids) > cut else [])
        for piece in packed.pieces:
            assert ((piece.types == 1) <= (piece.mask == 1)).all()
            assert (piece.ids[piece.mask == 0] == 0).all()
            first = (piece.types == 0) & (piece.mask == 1)
            second = piece.types == 1
            assert (first.argmin(axis=1) == second.argmax(axis=1)).all()


def test_same_batches_from_any_position_with_and_without_a_thread(setting):
    groups = open_groups(setting)
    whole = [b.groups.doc.copy() for b in GroupStream(groups, batch=7, seed=3, stop=140, ahead=0)]
    for start in (0, 1, 5, 13):
        stream = GroupStream(groups, batch=7, seed=3, position=7 * start, stop=140)
        again = [b.groups.doc.copy() for b in stream]
        assert all(np.array_equal(a, b) for a, b in zip(again, whole[start:], strict=True))
        assert stream.state() == {"position": 140}


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_ranks_together_are_one_process(setting, world):
    groups = open_groups(setting)
    alone = [b.rows for b in GroupStream(groups, batch=7, seed=3, stop=66, ahead=0)]
    ranks = [
        GroupStream(groups, batch=7, seed=3, stop=66, rank=r, world=world) for r in range(world)
    ]
    together = [np.concatenate([b.rows for b in step]) for step in zip(*ranks, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_packed_batch_does_not_depend_on_the_ring(setting):
    """Buffers are used again: what the consumer holds is not overwritten by what is made ahead."""
    pack = packer(setting, Towers)
    groups = open_groups(setting)
    fresh = GroupStream(groups, pack, batch=4, seed=1, ahead=0)
    for batch in GroupStream(groups, pack, batch=4, seed=1, stop=60, ahead=3):
        expected = fresh.batch_at(batch.start, batch.stop)
        for side, packed in batch.texts.items():
            assert rows_of(packed) == rows_of(expected.texts[side])


def test_fewer_negatives_are_drawn_anew_each_epoch(setting):
    groups = open_groups(setting)
    n = len(groups)
    stream = GroupStream(groups, batch=n, seed=5, shuffle=False, negatives=2, stop=3 * n)
    epochs = [(b.groups.doc.copy(), b.groups.inclusion.copy()) for b in stream]
    whole = groups.take(np.arange(n))
    for doc, inclusion in epochs:
        assert doc.shape == (n, 3)
        assert (doc[:, 0] == whole.doc[:, 0]).all()
        for few, many in zip(doc, whole.doc, strict=True):
            assert len(set(few.tolist())) == 3
            assert set(few.tolist()) <= set(many.tolist())
        assert inclusion[:, 0] == pytest.approx(0.5)
        assert inclusion[:, 1:] == pytest.approx(0.5 * 2 / 5)
    assert (epochs[0][0] != epochs[1][0]).any()
    again = next(iter(GroupStream(groups, batch=n, seed=5, shuffle=False, negatives=2)))
    assert (again.groups.doc == epochs[0][0]).all()
    all_of_them = next(iter(GroupStream(groups, batch=n, shuffle=False, negatives=5)))
    assert (all_of_them.groups.doc == whole.doc).all()


def test_every_negative_is_drawn_equally_often(setting):
    from rankmill.native.gather import draw_columns

    keys = np.arange(30_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    out = np.empty((keys.size, 4), np.int64)
    draw_columns(keys, 16, out)
    counts = np.bincount(out.reshape(-1), minlength=16)
    assert counts[0] == 0
    n = keys.size
    assert (np.abs(counts[1:] / n - 4 / 15) <= share_bound(4 / 15, n)).all()
    together = ((out == 1).any(axis=1) & (out == 2).any(axis=1)).mean()
    chance = 4 * 3 / (15 * 14)
    assert abs(together - chance) <= share_bound(chance, n)


def test_plain_arrays_for_other_trainers(setting):
    pack = packer(setting, Towers, pieces=1)
    batch = next(iter(GroupStream(open_groups(setting), pack, batch=4)))
    arrays = batch.arrays()
    assert arrays["docs_ids"].shape == arrays["docs_mask"].shape
    assert arrays["docs_ids"].shape[0] == 24
    assert arrays["score"].dtype == np.float32
    with pytest.raises(UsageError, match="docs come in 2 pieces"):
        next(iter(GroupStream(open_groups(setting), packer(setting, Towers), batch=4))).arrays()


def test_an_error_in_the_thread_reaches_the_consumer(setting):
    def broken(query, doc, allocate):
        raise BadInput("this packer is broken")

    with pytest.raises(BadInput, match="this packer is broken"):
        list(GroupStream(open_groups(setting), broken, batch=4, stop=8))


def test_leaving_early_ends_the_thread(setting):
    import threading

    stream = GroupStream(open_groups(setting), batch=1)
    taken = list(itertools.islice(stream, 3))
    assert len(taken) == 3
    for thread in threading.enumerate():
        if thread.name == "group-stream":
            thread.join(10)  # it ends by itself, at its next batch
            assert not thread.is_alive()


def test_refusals(setting, tmp_path):
    groups = open_groups(setting)
    with pytest.raises(UsageError, match="negatives=6 of groups of 6"):
        GroupStream(groups, batch=4, negatives=6)
    with pytest.raises(UsageError, match="batch=1 for 2 processes"):
        GroupStream(groups, batch=1, world=2)
    with pytest.raises(
        UsageError, match="a row of 131 tokens, 3 of them special, does not fit 128"
    ):
        packer(setting, Pairs, limits=Limits(64, 64))
    with pytest.raises(UsageError, match="query_length=0"):
        Limits(0, 5)
    with pytest.raises(BadInput, match="a groups is not tokens"):
        TokenColumns(setting.groups)
    other = replace(setting.model, tokenizer_hash="f" * 64)
    with pytest.raises(BadInput, match="the token store is of tokenizer"):
        packer(setting, Towers, model=other)
    queries, docs = setting.tokens
    check_tokens(groups, queries, docs)  # groups that do not name their texts pass
    groups.artifact.inputs["corpus"] = "0" * 40
    with pytest.raises(BadInput, match="the tokens are of corpus"):
        check_tokens(groups, queries, docs)
    del groups.artifact.inputs["corpus"]


WITHOUT_TORCH = """
import sys
from rankmill.mining.groups import Groups
from rankmill.mining.models.folder import resolve
from rankmill.mining.store import open_artifact
from rankmill.training.packing import Limits, TokenColumns, Towers
from rankmill.training.stream import GroupStream

columns = [TokenColumns(open_artifact(path)) for path in {tokens!r}]
pack = Towers(resolve({model!r}), *columns, Limits(8, 24), pieces=1)
stream = GroupStream(Groups(open_artifact({groups!r})), pack, batch=4, stop=8)
print([batch.arrays()["docs_ids"].shape[0] for batch in stream], "torch" in sys.modules)
"""


def test_plain_arrays_need_no_torch(setting):
    import subprocess
    import sys

    script = WITHOUT_TORCH.format(
        tokens=[str(artifact.path) for artifact in setting.tokens],
        model=str(setting.model.path),
        groups=str(setting.groups.path),
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout.strip() == "[24, 24] False", ended.stderr
