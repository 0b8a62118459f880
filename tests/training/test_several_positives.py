"""Further positives of a group are no negatives: not of draws, not of losses that go by labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from toy_groups import publish_arrays, random_toy

from rankmill.mining.errors import BadInput
from rankmill.mining.groups.format import GroupArrays, Groups
from rankmill.training.blend import Blend
from rankmill.training.losses import LOSSES
from rankmill.training.passes import Passes
from rankmill.training.settings import settings_from
from rankmill.training.stream import Batch, GroupStream

GRADES = [
    [1, 1, 0, 0, 0, 0],
    [1, 0, 0, 0, 0, 0],
    [2, 0, 1, 3, 0, 0],
]  # the last as imported ones may


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Three groups of six with two, one and three positives, and the same in three parts."""
    groups, collection = random_toy(tmp_path_factory.mktemp("several"))
    some = Groups(groups).rows(0, 3)
    arrays = GroupArrays(
        some.query, some.doc, some.score, np.array(GRADES, np.int8), np.ones((3, 6), np.float32)
    )
    made = [publish_arrays(collection, arrays, n, positives="together") for n in (1, 3)]
    return [Groups(one) for one in made]


@pytest.fixture(scope="module")
def several(both):
    return both[0]


def negatives_of(groups, row, least=1):
    return {
        int(doc)
        for doc, grade in zip(groups[row].doc[0], GRADES[row], strict=True)
        if grade < least
    }


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_drawn_negatives_are_negatives_each_equally_often(several, wanted):
    times = 3000
    stream = GroupStream(
        several, batch=3, seed=3, shuffle=False, negatives=wanted, stop=3 * times, ahead=0
    )
    seen = [Counter() for _ in range(3)]
    for batch in stream:
        assert not batch.further.any()
        assert (batch.groups.doc[:, 0] == [several[row].doc[0, 0] for row in range(3)]).all()
        for row in range(3):
            seen[row].update(batch.groups.doc[row, 1:].tolist())
            share = np.float32(wanted / len(negatives_of(several, row)))
            assert (batch.groups.inclusion[row, 1:] == share).all()
    for row in range(3):
        among = negatives_of(several, row)
        assert set(seen[row]) == among
        chance = wanted / len(among)
        # The draws of neighbouring epochs are keyed apart: a binomial share, five deviations.
        room = 5 * np.sqrt(chance * (1 - chance) / times)
        assert all(abs(n / times - chance) <= room for n in seen[row].values())


def test_more_negatives_than_a_group_has_are_refused(several):
    stream = GroupStream(several, batch=3, shuffle=False, negatives=4, ahead=0)
    with pytest.raises(BadInput, match="has 3 positives and 3 negatives, and negatives=4"):
        stream.batch_at(0, 3)


class Given:
    """A network whose scores are given."""

    training = False

    def __init__(self, f: torch.Tensor):
        self.f = f

    def scores(self, texts: object, size: int) -> torch.Tensor:
        return self.f

    def scores_in_batch(self, *given: object) -> torch.Tensor:
        return self.f


def through(loss: str, batch: Batch, f: torch.Tensor) -> torch.Tensor:
    settings = settings_from({"documents": 10, "batch": 2})
    network: Any = Given(f)
    passes = Passes(network, LOSSES.parse(loss), settings, 6, torch.device("cpu"))
    values, _, own = passes(batch, len(batch))
    assert torch.equal(own, f.detach()[:, :6])
    return values


@pytest.mark.parametrize(("loss", "columns"), [("lce", 6), ("infonce", 9)])
def test_losses_by_labels_leave_them_out_and_teach_them_nothing(several, loss, columns):
    batch = next(iter(GroupStream(several, batch=3, shuffle=False, ahead=0)))
    assert batch.further.tolist() == [[j > 0 and g > 0 for j, g in enumerate(r)] for r in GRADES]
    f = torch.linspace(-1, 1, 3 * columns).reshape(3, columns).sin().requires_grad_()
    values = through(loss, batch, f)
    further = np.zeros((3, columns), bool)
    further[:, :6] = batch.further
    for row in range(3):
        rest = [x for x, other in zip(f[row].tolist(), further[row], strict=True) if not other]
        expected = np.log(np.exp(rest).sum()) - rest[0]
        assert values[row].item() == pytest.approx(
            expected, rel=64 * 2.0**-24
        )  # some ten roundings
    assert f.grad is not None
    assert ((f.grad == 0).numpy() == further).all()


def test_a_loss_that_goes_by_the_teacher_keeps_them(several):
    batch = next(iter(GroupStream(several, batch=3, shuffle=False, ahead=0)))
    f = torch.linspace(-1, 1, 18).reshape(3, 6).requires_grad_()
    whole = LOSSES.parse("kl(T=1)").values(f.detach(), torch.from_numpy(batch.groups.score))
    assert torch.equal(through("kl(T=1)", batch, f), whole)


def test_a_blend_asks_each_part_what_a_positive_is(both, monkeypatch):
    monkeypatch.setattr(both[1], "min_grade", 2)
    blend = Blend(both)
    rows = np.array([0, 2, 3, 5])
    assert blend.least_of(rows).tolist() == [1, 1, 2, 2]
    stream = GroupStream(blend, batch=6, shuffle=False, ahead=0, stop=6)
    for batch in stream:
        for row, further in zip(batch.rows, batch.further, strict=True):
            least = 1 if row < 3 else 2
            grades = GRADES[row % 3]
            assert further.tolist() == [j > 0 and g >= least for j, g in enumerate(grades)]
