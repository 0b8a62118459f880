"""One scale per column and per loss: what statistics call the floor is what the trainer logs."""

from typing import Any

import numpy as np
import pytest
import torch
from training_data import Setting, tiny_setting

from rankmill.mining.derive import retarget_groups
from rankmill.mining.errors import UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.statistics import STATISTICS, measure_groups
from rankmill.mining.statistics.entropy import WITH_FLOOR
from rankmill.mining.store import files
from rankmill.training.losses import LOSSES, Loss
from rankmill.training.trainer import train_student

# One epoch of 20 groups of 6 in batches of 4: the mean over steps is the mean over groups.
ONCE: dict[str, Any] = {
    "documents": 120,
    "batch": 4,
    "query_length": 8,
    "doc_length": 16,
    "lr": 1e-3,
    "threads": 1,
}
# Each floor is a mean of at most 15 terms of at most 1 nat, or a sum of 6: float32 in the trainer.
TOL = 16 * float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module", params=["logit", "similarity"])
def setting(request, tmp_path_factory) -> Setting:
    torch.set_num_threads(1)
    return tiny_setting(tmp_path_factory.mktemp(request.param), repeat=1, kind=request.param)


def logged_floor(setting, groups, loss) -> float:
    made = train_student(
        setting.workspace,
        f'bi_encoder(model="{setting.model.path}")',
        groups,
        collection=setting.collection,
        loss=loss,
        **ONCE,
    )
    return files.read_arrow(made.file("telemetry.arrow"))["floor"].to_numpy().mean()


def floor_of(setting, groups, text) -> float:
    table = measure_groups(setting.workspace, groups, [text]).tables()
    return np.concatenate([t.column(1).to_numpy() for t in table]).mean()


@pytest.mark.parametrize("loss", ["ranknet_soft(T=1)", "ranknet_soft(T=3)", "listnet(T=0.5)"])
def test_the_floor_is_the_one_that_the_trainer_logs(setting, loss):
    logged = logged_floor(setting, setting.groups, loss)
    assert logged > 0.01
    column = str(STATISTICS.parse(f"loss_floor(loss={loss})"))
    assert column == f"loss_floor(loss={loss},score=raw)"
    assert floor_of(setting, setting.groups, column) == pytest.approx(logged, abs=TOL)


def test_an_explicit_target_changes_the_scale_of_both(setting):
    kind = Groups(setting.groups).kind
    if kind == "similarity":
        with pytest.raises(UsageError, match="logprob needs probabilities, and a similarity has"):
            retarget_groups(setting.workspace, setting.groups, "logprob")
        return
    loss = "ranknet_soft(T=1,score=logprob)"
    with pytest.raises(UsageError, match=r"reads the scale logprob.*'logit'\n.*retarget 'logprob'"):
        logged_floor(setting, setting.groups, loss)
    made = retarget_groups(setting.workspace, setting.groups, "logprob")
    logged = logged_floor(setting, made, loss)
    assert floor_of(setting, made, "loss_floor") == pytest.approx(logged, abs=TOL)
    told_before = floor_of(setting, setting.groups, "loss_floor(score=logprob)")
    # The stored log-probabilities are rounded to float32: |s| ≤ 8, slope of h at most ½.
    assert told_before == pytest.approx(logged, abs=TOL + 8 * float(np.finfo(np.float32).eps))
    assert abs(floor_of(setting, setting.groups, "loss_floor") - logged) > 0.01


def test_probabilities_are_refused_by_losses_and_by_their_floor(setting):
    labels = retarget_groups(setting.workspace, setting.groups, "rank_labels(c=3)")
    for ask in (
        lambda: logged_floor(setting, labels, "ranknet_soft"),
        lambda: floor_of(setting, labels, "loss_floor"),
    ):
        with pytest.raises(
            UsageError, match=r"probabilit[^\n]*\n(.*\n)*.*rankmill retarget logprob"
        ):
            ask()
    made = retarget_groups(setting.workspace, labels, "logprob")
    logged = logged_floor(setting, made, "ranknet_soft")
    assert floor_of(setting, made, "loss_floor") == pytest.approx(logged, abs=TOL)


def test_exactly_the_losses_with_a_floor_have_one():
    own = {n for n in LOSSES.names() if LOSSES.member(n)._floor is not Loss._floor}
    assert own == set(WITH_FLOOR)


@pytest.mark.parametrize(
    ("loss", "kind", "fits"),
    [
        ("margin_mse(score=logprob)", "log-prob", True),
        ("margin_mse(score=logprob)", "logit", False),
        ("margin_mse(score=logit)", "logit", True),
        ("kl(T=2,score=logit)", "log-prob", False),
        ("kl(score=logit)", "similarity", False),
        ("kl(score=raw)", "similarity", True),
        ("kl", "logit", True),
    ],
)
def test_a_loss_refuses_groups_on_another_scale_than_it_declares(loss, kind, fits):
    value = LOSSES.parse(loss)
    if fits:
        value.check(kind)
        return
    with pytest.raises(UsageError, match=f"hold scores of kind '{kind}'"):
        value.check(kind)


def test_a_loss_without_a_declared_scale_keeps_its_name():
    assert str(LOSSES.parse("kl(score=raw)")) == str(LOSSES.parse("kl")) == "kl(T=1)"
    assert str(LOSSES.parse("kl(score=logit)")) == "kl(T=1,score=logit)"
    with pytest.raises(UsageError, match="score=z is not a score scale"):
        LOSSES.parse("kl(score=z)")
