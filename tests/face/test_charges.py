"""Shared work is paid once: shares add up exactly, in whatever order."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankmill.mining.errors import UsageError
from rankmill.study.costs.charges import lines_of, share_out

amounts = st.floats(0, 1e6, allow_nan=False)
costs = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.dictionaries(st.sampled_from(["cpu_s", "gpu_s", "found_s"]), amounts),
    max_size=8,
)


@st.composite
def studies(draw):
    made = draw(costs)
    weights = st.one_of(st.just(1.0), st.just(0.0), st.integers(0, 10**9).map(float), amounts)
    used = st.dictionaries(st.sampled_from(sorted(made)), weights) if made else st.just({})
    return made, draw(st.dictionaries(st.sampled_from("xyzuvw"), used, min_size=1))


@given(studies())
def test_shares_add_up_exactly(study):
    made, uses = study
    charges = share_out(made, uses)
    for line, whole in charges.whole.items():
        assert sum(told[line] for told in charges.of.values()) == whole
        assert whole == sum(Fraction(lines.get(line, 0)) for lines in made.values())
        assert all(told[line] >= 0 for told in charges.of.values())


@given(studies(), st.randoms())
def test_order_does_not_matter(study, order):
    def mixed(table):
        keys = list(table)
        order.shuffle(keys)
        return {key: table[key] for key in keys}

    made, uses = study
    again = {system: mixed(used) for system, used in mixed(uses).items()}
    one, two = share_out(made, uses), share_out(mixed(made), again)
    assert one.whole == two.whole
    assert one.of == two.of


def test_by_hand():
    made = {
        "index": {"cpu_s": 3.0},
        "scores": {"cpu_s": 10.0, "found_s": 4.0},
        "qrels": {"cpu_s": 2.0},
    }
    uses = {"bm25": {"index": 1.0, "scores": 300.0}, "random": {"scores": 100.0}}
    charges = share_out(made, uses)
    assert charges.of["bm25"] == {"cpu_s": 3 + Fraction(30, 4) + 1, "found_s": 3}
    assert charges.of["random"] == {"cpu_s": Fraction(10, 4) + 1, "found_s": 1}
    assert charges.total(None, "cpu_s", "found_s") == 19.0
    assert charges.total("random", "cpu_s", "gpu_s") == 3.5
    assert charges.as_json()["whole"] == {"cpu_s": 15.0, "found_s": 4.0}


def test_what_cannot_be_charged_is_refused():
    with pytest.raises(UsageError, match="there is no system to charge"):
        share_out({"a": {"cpu_s": 1.0}}, {})
    with pytest.raises(UsageError, match="x uses b, whose cost is not there"):
        share_out({"a": {}}, {"x": {"b": 1.0}})
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="x uses a with weight"):
            share_out({"a": {}}, {"x": {"a": bad}})
        with pytest.raises(UsageError, match="cpu_s of a is"):
            share_out({"a": {"cpu_s": bad}}, {"x": {"a": 1.0}})


def test_lines_that_a_ledger_has_not_are_left_out():
    assert lines_of({"cpu_s": 2, "memory": "x"}, ("cpu_s", "gpu_s", "memory")) == {"cpu_s": 2.0}
