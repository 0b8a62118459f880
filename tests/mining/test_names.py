from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankmill.mining.errors import UsageError
from rankmill.mining.names import Call, Family, nearest, parse, text_of

ANIMALS = Family("animal")


@ANIMALS.register("cat")
@dataclass(frozen=True, slots=True)
class Cat:
    lives: int = 9
    weight: float = 4.0
    name: str | None = None
    friends: tuple[str, ...] = ()
    tame: bool = True

    def __post_init__(self) -> None:
        if self.lives < 0:
            raise UsageError(f"lives={self.lives} must not be negative")


@ANIMALS.register("wolf")
@dataclass(frozen=True, slots=True)
class Wolf:
    pack: str


words = st.text(min_size=0, max_size=12).filter(lambda s: "\x00" not in s)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), words
)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda s: s not in {"true", "false", "none", "inf"}
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.builds(
            lambda name, args, named: Call(name, tuple(args), tuple(named.items())),
            names,
            st.lists(inner, max_size=2),
            st.dictionaries(names, inner, max_size=2),
        ),
    ),
    max_leaves=8,
)


@given(values)
def test_text_and_value_are_the_same_thing(value):
    assert parse(text_of(value)) == value


@given(st.integers(0, 9), st.floats(0, 100), st.none() | words, st.lists(words, max_size=3))
def test_members_round_trip(lives, weight, name, friends):
    value = Cat(lives, weight, name, tuple(friends))
    assert ANIMALS.parse(str(value)) == value


def test_canonical_text_prints_every_parameter_but_none():
    assert str(Cat()) == "cat(lives=9,weight=4,friends=[],tame=true)"
    assert ANIMALS.parse("cat( weight = 4 , lives=9 )") == Cat()
    assert ANIMALS.parse("cat") == Cat()
    assert ANIMALS.parse(Cat()) == Cat()
    assert ANIMALS.parse("wolf(/a/b-c.d)") == Wolf("/a/b-c.d")


def test_a_nested_value_may_stand_where_a_name_is_wanted():
    assert ANIMALS.parse("cat(friends=[a,cat(lives=1)])").friends == ("a", "cat(lives=1)")
    assert ANIMALS.parse("wolf(pack=bm25(k1=0.9))").pack == "bm25(k1=0.9)"
    assert ANIMALS.parse("wolf(pack=42)").pack == "42"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cta", "unknown animal 'cta'\n  do: did you mean cat?"),
        ("zebra", "known: cat, wolf"),
        ("cat(live=3)", "cat has no parameter 'live'"),
        ("cat(live=3)", "did you mean lives?"),
        ("cat(lives=many)", "lives=many is not a whole number"),
        ("cat(lives=1.5)", "lives=1.5 is not a whole number"),
        ("cat(tame=3)", "tame=3 is not true or false"),
        ("cat(lives=-1)", "lives=-1 must not be negative"),
        ("cat(1,lives=2)", "parameter 'lives' is given twice"),
        ("cat(1,2,a,[],true,6)", "6 arguments, at most 5"),
        ("wolf", r"wolf needs pack\n.*\n  do: write wolf\(pack=…\)"),
        ("cat(", "expected a name or a value at character 5"),
        ("cat(lives=1))", "unexpected text at character 13"),
        ("cat(lives=1 2)", r"expected ',' or '\)' at character 13"),
        ("wolf('a)", "the quote is never closed"),
        ('wolf("\\q")', "this quoted text is not valid"),
        ("[a]", "is not a animal"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(text, message):
    with pytest.raises(UsageError, match=message):
        ANIMALS.parse(text)


def test_nearest_offers_what_is_close_or_everything():
    assert nearest("bm52", ["bm25", "dense"]) == "did you mean bm25?"
    assert nearest("x", ["bm25", "dense"]) == "known: bm25, dense"
    assert nearest("x", []) == "known: none"
