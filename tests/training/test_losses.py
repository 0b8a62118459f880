"""Golden values of docs/quantities.md §9, identities behind the floors, and what losses refuse."""

import itertools
import math

import oracles.losses
import pytest
import torch

from rankmill.mining.errors import UsageError
from rankmill.training.losses import LOSSES, pair_differences

TOL = 5e-7
G = torch.tensor([[-0.2, -1.0, -4.0, -6.0]], dtype=torch.float64)
F = torch.tensor([[1.0, 0.5, -0.5, 0.0]], dtype=torch.float64)

GOLDEN = {
    "lce": 0.787339,
    "infonce": 0.787339,
    "ranknet_hard": 0.458361,
    "ranknet_soft": 0.488699,
    "margin_mse": 9.473333,
    "kl": 0.262716,
    "mse": 12.985,  # (1.2² + 1.5² + 3.5² + 6²)/4
    "listnet": 0.964489,  # list entropy .701773 + kl
    "listmle": 2.441685,  # lce + .680270 + .974077: the teacher's order is that of the columns
    "bregman": 0.262716,
    "bregman(phi=entropy,of=pairs)": 0.265148,
    "bregman(phi=squared,of=margins)": 9.473333,
}


POINTWISE = {"mse", "bce"}


@pytest.mark.parametrize(("name", "value"), GOLDEN.items())
def test_golden_values(name, value):
    assert LOSSES.parse(name).values(F, G).item() == pytest.approx(value, abs=TOL)


def test_floor_of_soft_ranknet_is_the_entropy_in_nats():
    loss = LOSSES.parse("ranknet_soft")
    assert loss.floor(G).item() == pytest.approx(0.223550, abs=TOL)
    excess = loss.values(F, G) - loss.floor(G)
    assert excess.item() == pytest.approx(0.265148, abs=TOL)
    assert loss.values(G, G).item() == pytest.approx(loss.floor(G).item(), abs=TOL)


@pytest.mark.parametrize(("T", "bits"), [(0.5, 0.135852), (2, 0.622939), (4, 0.862475)])
def test_temperature_softens_the_teacher(T, bits):
    floor = LOSSES.parse(f"ranknet_soft(T={T})").floor(G).item()
    assert floor / math.log(2) == pytest.approx(bits, abs=TOL)


def test_pair_terms_are_those_of_the_golden_table():
    assert pair_differences(F)[0].tolist() == [0.5, 1.5, 1.0, 1.0, 0.5, -0.5]
    u, v = pair_differences(F)[0], pair_differences(G)[0]
    soft = torch.nn.functional.softplus(u) - torch.sigmoid(v) * u
    expected = [0.629090, 0.234235, 0.316280, 0.360688, 0.477423, 0.914476]
    assert soft.tolist() == pytest.approx(expected, abs=TOL)


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_stays_above_its_floor_and_has_finite_gradients(name):
    generator = torch.Generator().manual_seed(5)
    f = 5 * torch.randn(200, 6, generator=generator)
    g = 5 * torch.randn(200, 6, generator=generator)
    loss = LOSSES.parse(name)
    f.requires_grad_(True)
    values = loss.values(f, g)
    assert values.shape == (200,)
    assert (values.detach() >= loss.floor(g) - 1e-5).all()
    values.mean().backward()
    assert torch.isfinite(f.grad).all()
    shifted = loss.values(f.detach() + 3.0, g)
    same = torch.allclose(shifted, values.detach(), rtol=1e-3, atol=1e-4)
    assert same == (name not in POINTWISE)  # of the others only differences within a group matter


def drawn(groups: int, size: int) -> list[torch.Tensor]:
    """Student and teacher scores, float64."""
    generator = torch.Generator().manual_seed(11)
    return [2 * torch.randn(groups, size, generator=generator, dtype=torch.float64) for _ in "fg"]


@pytest.mark.parametrize("name", oracles.losses.LOSSES)
@pytest.mark.parametrize("size", [2, 7])
def test_values_are_those_of_the_plain_formula(name, size):
    f, g = drawn(20, size)
    plain = oracles.losses.LOSSES[name]
    expected = [plain(a, b) for a, b in zip(f.tolist(), g.tolist(), strict=True)]
    assert LOSSES.parse(name).values(f, g).tolist() == pytest.approx(expected)


def test_every_loss_has_a_plain_formula():
    named = {name.partition("(")[0] for name in oracles.losses.LOSSES}
    assert named | {"lambda_loss"} == set(LOSSES.names())  # its loop stands below


EVERY = [
    *LOSSES.names(),
    "mse(T=3)",
    "bce(T=3)",
    "margin_mse(pairs=all)",
    "bregman(of=pairs)",
    "bregman(phi=burg)",
]


@pytest.mark.parametrize("name", EVERY)
def test_gradients_are_finite_differences(name):
    f, g = drawn(5, 6)
    loss = LOSSES.parse(name)
    f.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: loss.values(x, g), (f,), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_negatives_does_not_matter(name):
    f, g = drawn(8, 6)
    moved = [0, 4, 2, 5, 1, 3]
    loss = LOSSES.parse(name)
    assert torch.allclose(loss.values(f, g), loss.values(f[:, moved], g[:, moved]))
    assert torch.allclose(loss.floor(g), loss.floor(g[:, moved]))


PERFECT = ["kl", "mse", "reverse_kl", "jensen_shannon", "margin_mse", "bregman(phi=burg)"]


@pytest.mark.parametrize("name", PERFECT)
def test_a_perfect_student_reaches_the_floor(name):
    assert LOSSES.parse(name).values(G, G).item() == pytest.approx(0, abs=1e-12)


def test_relations_between_members():
    forward = LOSSES.parse("kl").values(F, G)
    backward = LOSSES.parse("reverse_kl").values(G, F)
    assert torch.allclose(forward, backward)
    js = LOSSES.parse("jensen_shannon").values(F, G).item()
    assert 0 < js < math.log(2)
    pairs = LOSSES.parse("margin_mse(pairs=all)").values(F, G)
    expected = (pair_differences(F) - pair_differences(G)).square().mean(dim=1)
    assert torch.allclose(pairs, expected)
    tie = torch.zeros(1, 2)
    hard = LOSSES.parse("ranknet_hard").values(torch.tensor([[-9.0, 9.0]]), tie)
    assert hard.item() < 1e-3  # of a tie the later document wins


def test_canonical_texts():
    for text in ("kl(T=0.05)", "margin_mse(T=1,pairs=all)", "lce"):
        assert str(LOSSES.parse(text)) == text
    assert str(LOSSES.parse("kl")) == "kl(T=1)"


def test_refusals():
    with pytest.raises(UsageError, match="cannot use teacher scores of kind 'probability'"):
        LOSSES.parse("kl").check("probability")
    with pytest.raises(UsageError, match="needs teacher scores and the groups carry none"):
        LOSSES.parse("margin_mse").check(None)
    LOSSES.parse("lce").check(None)
    LOSSES.parse("ranknet_hard").check("probability")
    with pytest.raises(UsageError, match="T=0.0 is not positive"):
        LOSSES.parse("kl(T=0)")
    with pytest.raises(UsageError, match="pairs=some is not anchored or all"):
        LOSSES.parse("margin_mse(pairs=some)")


def test_listnet_floor_is_the_list_entropy():
    loss = LOSSES.parse("listnet")
    assert loss.floor(G).item() == pytest.approx(0.701773, abs=TOL)
    assert loss.values(G, G).item() == pytest.approx(0.701773, abs=TOL)


def test_bregman_divergences_from_their_definition():
    a = torch.tensor([0.678091, 0.304686, 0.015169, 0.002053], dtype=torch.float64)
    b = torch.tensor([0.455054, 0.276004, 0.101536, 0.167405], dtype=torch.float64)
    squared = LOSSES.parse("bregman(phi=squared)").values(F, G).item()
    assert squared == pytest.approx((a - b).square().sum().item(), abs=1e-5)
    burg = LOSSES.parse("bregman(phi=burg)").values(F, G).item()
    by_definition = (-a.log() + b.log() + (a - b) / b).sum().item()  # φ(a) − φ(b) − φ'(b)(a − b)
    assert burg == pytest.approx(by_definition, abs=1e-3)
    p = torch.sigmoid(pair_differences(G)) - torch.sigmoid(pair_differences(F))
    pairs = LOSSES.parse("bregman(phi=squared,of=pairs)").values(F, G)
    assert torch.allclose(pairs, p.square().mean(dim=1))


def test_list_mle_is_the_probability_of_an_order():
    f = torch.tensor([[0.3, -1.2, 0.8]], dtype=torch.float64)
    total = 0.0
    for order in itertools.permutations(range(3)):
        g = torch.zeros(1, 3, dtype=torch.float64)
        g[0, list(order)] = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
        total += math.exp(-LOSSES.parse("listmle").values(f, g).item())
    assert total == pytest.approx(1)


def test_lambda_loss_by_the_loop():
    f, g = [0.2, 1.0, -0.4, 0.9], [3.0, 1.0, 2.0, 0.0]
    y, r = [3, 1, 2, 0], [3, 1, 4, 2]  # k − teacher's rank; the student's ranks
    discount = [math.log2(1 + rank) for rank in range(6)]
    ideal = sum(
        gain / discount[rank] for gain, rank in zip([3, 2, 1, 0], [1, 2, 3, 4], strict=True)
    )
    expected = 0.0
    for i, j in itertools.permutations(range(4), 2):
        if y[i] <= y[j]:
            continue
        rho = abs(1 / discount[r[i]] - 1 / discount[r[j]])
        apart = abs(r[i] - r[j])
        delta = abs(1 / discount[apart] - 1 / discount[apart + 1])
        weight = (rho + 10 * delta) * abs(y[i] - y[j]) / ideal
        expected += weight * math.log2(1 + math.exp(-(f[i] - f[j])))
    given = [torch.tensor([x], dtype=torch.float64) for x in (f, g)]
    assert LOSSES.parse("lambda_loss").values(*given).item() == pytest.approx(expected)


def test_list_losses_refuse():
    with pytest.raises(UsageError, match="of=lists is not one of softmax, pairs, margins"):
        LOSSES.parse("bregman(of=lists)")
    with pytest.raises(UsageError, match="phi=burg has no divergence of pairs"):
        LOSSES.parse("bregman(phi=burg,of=pairs)")
    with pytest.raises(UsageError, match="mu=-1.0 is negative"):
        LOSSES.parse("lambda_loss(mu=-1)")
