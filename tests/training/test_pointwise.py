"""Pointwise losses: what they read of each kind of score, their floor, and whom they refuse."""

from __future__ import annotations

import math

import numpy as np
import oracles.losses as oracle
import pytest
import torch
from group_makers import make_groups
from training_data import tiny_setting

from rankmill.mining.derive import retarget_groups
from rankmill.mining.errors import UsageError
from rankmill.mining.statistics import measure_groups
from rankmill.mining.store import files
from rankmill.training.losses import LOSSES
from rankmill.training.trainer import train_student

Z = [[4.0, 0.5, -2.0, -7.0], [0.0, 0.0, 1.0, -1.0]]
F = [[1.0, -0.5, -3.0, 2.0], [0.25, 2.0, -1.0, 0.0]]
P = [[oracle.sigmoid(z) for z in row] for row in Z]


def exact(rows):
    return torch.tensor(rows, dtype=torch.float64)


def entropy(p):
    return oracle.cross_entropy(p, p)


@pytest.mark.parametrize("score", ["logit", "logprob", "probability"])
def test_the_teachers_probability_is_the_same_on_every_scale(score):
    loss = LOSSES.parse(f"bce(score={score})")
    read = {"logit": lambda p: math.log(p / (1 - p)), "logprob": math.log, "probability": float}
    g = exact([[read[score](p) for p in row] for row in P])
    wanted = [
        oracle.mean([oracle.cross_entropy(p, oracle.sigmoid(f)) for p, f in zip(a, b, strict=True)])
        for a, b in zip(P, F, strict=True)
    ]
    # Quotients and logarithms of probabilities from 9e-4 to 0.98: a few hundred roundings of 1e-16.
    assert loss.values(exact(F), g).tolist() == pytest.approx(wanted, rel=1e-13)
    floors = [oracle.mean([entropy(p) for p in row]) for row in P]
    assert loss.floor(g).tolist() == pytest.approx(floors, rel=1e-13)
    assert loss.values(exact(Z), g).tolist() == pytest.approx(floors, rel=1e-13)


def test_a_temperature_softens_logits():
    softer = [[z / 2 for z in row] for row in Z]
    for name in ("bce", "mse"):
        once, twice = LOSSES.parse(name), LOSSES.parse(f"{name}(T=2)")
        assert twice.values(exact(F), exact(Z)).equal(once.values(exact(F), exact(softer)))
        assert twice.floor(exact(Z)).equal(once.floor(exact(softer)))


@pytest.mark.parametrize(
    ("score", "ends"), [("probability", [0.0, 1.0]), ("logprob", [-90.0, 0.0])]
)
def test_certain_teachers_have_no_entropy_and_finite_losses(score, ends):
    loss, g = LOSSES.parse(f"bce(score={score})"), torch.tensor([ends])
    assert loss.floor(g).item() == pytest.approx(0.0, abs=1e-30)
    f = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    value = loss.values(f, g)
    assert value.item() == pytest.approx(0.0, abs=1e-30)
    value.sum().backward()
    assert torch.isfinite(f.grad).all()
    # half a ulp of float16 above 1 is let in as a probability, and counts as 1
    assert LOSSES.parse("bce(score=probability)").floor(torch.tensor([[1.0004]])).item() == 0.0


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("mse", "rank", "mse.* needs real scores; this teacher gives only ranks"),
        ("bce", "rank", "bce.* needs real scores; this teacher gives only ranks"),
        ("mse", "probability", "cannot use teacher scores of kind 'probability'"),
        ("mse(score=logit)", "log-prob", "reads the scale logit"),
        (
            "bce",
            "similarity",
            r"of kind 'similarity'\n.*has no probability: take mse, kl",
        ),
        ("bce", "probability", r"reads score=logit.*'probability'\n.*write bce\(score=probab"),
        ("bce(score=probability)", "logit", r"reads score=probability.*'logit'\n.*write bce:"),
        ("bce(score=logprob)", "probability", "reads score=logprob"),
        ("bce", None, "needs teacher scores and the groups carry none"),
    ],
)
def test_kinds_that_do_not_fit_are_refused(text, kind, message):
    with pytest.raises(UsageError, match=message):
        LOSSES.parse(text).check(kind)


def test_what_is_advised_for_similarities_takes_them():
    with pytest.raises(UsageError) as refused:
        LOSSES.parse("bce").check("similarity")
    assert "retarget" not in str(refused.value)
    for name in ("mse", "kl", "margin_mse", "lce"):
        assert name in str(refused.value)
        LOSSES.parse(name).check("similarity")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bce(T=0)", "T=0.0 is not positive"),
        ("bce(score=raw)", "score=raw is not logit, logprob, probability"),
        ("bce(T=2,score=probability)", "T=2 softens logits, and score=probability are none"),
    ],
)
def test_refusals_name_the_value(text, message):
    with pytest.raises(UsageError, match=message):
        LOSSES.parse(text)


def test_students_whose_scores_mean_something_else_are_refused():
    for text, teacher in (("bce", "logit"), ("bce", None), ("mse", "logit")):
        with pytest.raises(UsageError, match=r"and this one gives log-prob\n.*score=logit"):
            LOSSES.parse(text).check_student("log-prob", teacher)
    LOSSES.parse("mse").check_student("log-prob", "log-prob")
    LOSSES.parse("kl").check_student("log-prob", "logit")
    for student in ("logit", "similarity"):
        LOSSES.parse("bce").check_student(student, "logit")
        LOSSES.parse("mse").check_student(student, "logit")


def test_canonical_texts():
    texts = ("bce(T=1)", "bce(T=1,score=probability)", "mse(T=1)", "mse(T=0.05)")
    assert [str(LOSSES.parse(text)) for text in texts] == list(texts)


@pytest.mark.parametrize(
    ("kind", "read"), [("logit", Z), ("probability", P), ("log-prob", np.log(P).tolist())]
)
def test_the_floor_as_a_statistic(workspace, kind, read):
    groups = make_groups(workspace, read, kind=kind)
    made = measure_groups(workspace, groups, ["loss_floor(loss=bce)"])
    stored = np.asarray(read, np.float32).astype(np.float64)
    p = {"logit": lambda s: 1 / (1 + np.exp(-s)), "log-prob": np.exp}.get(kind, np.asarray)(stored)
    wanted = [oracle.mean([entropy(x) for x in row]) for row in p.tolist()]
    found = made.table().column(1).to_pylist()
    assert made.table().column_names[1] == "loss_floor(loss=bce(T=1),score=raw)"
    # A logit of p near 1 loses p's last digits: 2⁻⁵³/(1 − p), times the slope of h, below 4 there.
    assert found == pytest.approx(wanted, rel=1e-13)


def test_the_floor_of_certain_and_of_no_probabilities(workspace):
    groups = make_groups(workspace, [[1.0, 0.0, 0.5, 1.0]], kind="probability")
    made = measure_groups(workspace, groups, ["loss_floor(loss=bce)"])
    assert made.table().column(1).to_pylist() == [pytest.approx(math.log(2) / 4, rel=1e-15)]
    cosines = make_groups(workspace, [[0.5, 0.25]], kind="similarity")
    made = measure_groups(workspace, cosines, ["loss_floor(loss=bce)"])
    assert made.counts == {"null[loss_floor(loss=bce(T=1),score=raw)]:no_probability": 1}


def test_students_are_trained_on_them(tmp_path):
    """The logged floor is the statistic's; students of log-probabilities are refused."""
    torch.set_num_threads(1)
    setting = tiny_setting(tmp_path, repeat=1, kind="logit")

    def train(loss, groups=setting.groups, student=f'bi_encoder(model="{setting.model.path}")'):
        options = {"documents": 120, "batch": 4, "query_length": 8, "doc_length": 16, "threads": 1}
        made = train_student(
            setting.workspace, student, groups, collection=setting.collection, loss=loss, **options
        )
        return files.read_arrow(made.file("telemetry.arrow"))

    log = train("bce(T=2)")
    measured = measure_groups(setting.workspace, setting.groups, ["loss_floor(loss=bce(T=2))"])
    floors = np.concatenate([t.column(1).to_numpy() for t in measured.tables()])
    # A mean of six terms of at most 1 nat in float32.
    assert log["floor"].to_numpy().mean() == pytest.approx(
        floors.mean(), abs=8 * float(np.finfo(np.float32).eps)
    )
    assert (log["loss"].to_numpy() >= log["floor"].to_numpy() - 1e-6).all()
    assert np.isfinite(train("mse")["loss"].to_numpy()).all()
    labels = retarget_groups(setting.workspace, setting.groups, "rank_labels(c=3)")
    assert np.isfinite(train("bce(score=probability)", labels)["loss"].to_numpy()).all()
    with pytest.raises(UsageError, match="this one gives log-prob"):
        train("bce", student=f'cross_encoder(model="{setting.model.path}",score=log-prob)')
