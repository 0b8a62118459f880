from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankmill.mining.derive.cuts import CUTS
from rankmill.mining.errors import UsageError
from rankmill.mining.exports.base import EXPORTS
from rankmill.mining.names import (
    Call,
    Family,
    Identity,
    nearest,
    neutral,
    parse,
    text_of,
    unless_neutral,
)
from rankmill.mining.selection import FILTERS, STRATEGIES
from rankmill.mining.sources import SOURCES
from rankmill.mining.statistics import STATISTICS
from rankmill.mining.store import Output, Shard, Stage, Workspace, fingerprint_of
from rankmill.mining.teachers import TEACHERS

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


@ANIMALS.register("owl")
@dataclass(frozen=True, slots=True)
class Owl:
    """Everything that a parameter can be."""

    number: float = 1.0
    whole: int | None = None
    either: int | float = 0
    says: str = "hoo"
    maybe: str | None = "hoo"
    wise: bool = False
    all: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    counts: tuple[int, ...] = (1,)
    of: tuple[Any, ...] = ()


AWKWARD = st.sampled_from(
    ["1e5", "true", "None", "none", "-inf", "inf", "nan", "+5", "007", "", "12e45678", "'", '"']
    + ["\\", "a\\", "\\'", "[a", "b]", "(", ")", ",", "=", "a=b", "\n", "\t", "\x00", "\u2028", "é"]
    + [
        "f(x=1)",
        "rrf(of=[a,b])",
        " a",
        "a ",
        "-0",
        "1_000",
        "٣",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    ]
)
words = st.one_of(AWKWARD, st.text(max_size=12))
whole = st.one_of(st.integers(), st.integers(-(10**390), 10**390))
reals = st.one_of(
    st.floats(allow_nan=False),
    st.sampled_from([-0.0, 0.0, 1e15, 2e15, 1e16, 1e300, 5e-324, float("inf"), float("-inf")]),
)
plain = st.one_of(st.none(), st.booleans(), whole, reals, words)
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


def typed(value):
    """Return a value with the type and the sign of everything in it."""
    if isinstance(value, tuple):
        return tuple, [typed(v) for v in value]
    if isinstance(value, Call):
        return Call, value.name, typed(value.positional), [(k, typed(v)) for k, v in value.named]
    return type(value), repr(value)


@given(values)
def test_text_and_value_are_the_same_thing(value):
    assert typed(parse(text_of(value))) == typed(value)


owls = st.builds(
    Owl,
    number=reals,
    whole=st.none() | whole,
    either=whole | reals,
    says=words,
    maybe=st.none() | words,
    wise=st.booleans(),
    all=st.lists(words, max_size=3).map(tuple),
    weights=st.none() | st.lists(reals, max_size=3).map(tuple),
    counts=st.lists(whole, max_size=3).map(tuple),
    of=st.lists(st.one_of(words, st.builds(Call, names)), max_size=3).map(tuple),
)


@given(owls)
def test_every_value_of_a_member_comes_back_with_its_types(owl):
    for read in (ANIMALS.parse, ANIMALS.stored):
        again = read(str(owl))
        for field in dataclasses.fields(Owl):
            came, was = getattr(again, field.name), getattr(owl, field.name)
            if field.name == "either" and isinstance(was, float) and was == int_of(was):
                assert came == was  # a number is a number: 2.0 is written 2
            else:
                assert plainly(came) == plainly(was), field.name
    assert plainly(ANIMALS.parse(ANIMALS.display(owl)).says) == plainly(owl.says)


def int_of(value: float) -> float:
    return value if abs(value) < 1e15 and value.is_integer() else float("nan")


def plainly(value):
    """Return type and value, where an identity text within is a text."""
    if isinstance(value, tuple):
        return [plainly(v) for v in value]
    return (str, str(value)) if isinstance(value, str) else typed(value)


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


def test_a_word_keeps_its_spelling_where_a_text_is_wanted():
    assert ANIMALS.parse("wolf(pack=12345e67)").pack == "12345e67"  # digits of a fingerprint
    assert ANIMALS.parse("wolf(007)").pack == "007"
    assert ANIMALS.parse("wolf(true)").pack == "true"
    assert ANIMALS.parse("owl(all=[none,1e5,-inf,f(a=1.0)])").all == (
        "none",
        "1e5",
        "-inf",
        "f(a=1)",
    )
    assert ANIMALS.parse("owl(of=[12345e67,random])").of == ("12345e67", "random")
    assert ANIMALS.parse("owl(maybe=none)").maybe is None
    assert ANIMALS.parse("owl(maybe='none')").maybe == "none"
    assert ANIMALS.parse("owl(number=-inf)").number == float("-inf")


def test_none_is_written_where_it_is_no_default():
    assert str(Owl(maybe=None)).count("maybe=none") == 1
    assert ANIMALS.stored(str(Owl(maybe=None))) == Owl(maybe=None)
    assert STRATEGIES.stored(str(STRATEGIES.parse("uniform(source=a,last=none)"))).last is None


def test_what_has_no_text_is_refused():
    with pytest.raises(UsageError, match="nan has no text"):
        text_of(float("nan"))
    with pytest.raises(UsageError, match="half a character"):
        text_of("a\ud800")
    with pytest.raises(UsageError, match="half a character"):
        parse("wolf(a\ud800)")
    with pytest.raises(UsageError, match="half a character"):
        parse('wolf("\\ud800")')
    with pytest.raises(UsageError, match="more than 400 characters"):
        text_of(10**400)
    deep = ()
    for _ in range(40):
        deep = (deep,)
    with pytest.raises(UsageError, match="nested deeper than 32"):
        text_of(deep)


@pytest.mark.parametrize(
    "bomb",
    ["[" * 100_000, "f(" * 100_000, "[" * 33 + "]" * 33, "wolf(" + "[a," * 5000],
)
def test_a_text_nested_without_end_is_refused(bomb):
    with pytest.raises(UsageError, match="nested deeper than 32"):
        parse(bomb)


def test_deep_is_deep_enough():
    text = "[" * 32 + "]" * 32
    assert text_of(parse(text)) == text


@pytest.mark.parametrize("bomb", ["9" * 5000, "1e" + "9" * 500, "-" + "1" * 401, "0." + "3" * 999])
def test_a_number_without_end_is_refused(bomb):
    with pytest.raises(UsageError, match="a number of more than 400 characters at character"):
        ANIMALS.parse(f"owl(number={bomb})")


def test_a_whole_number_too_large_for_a_float_is_refused():
    with pytest.raises(UsageError, match="is not a number"):
        ANIMALS.parse("owl(number=1" + "0" * 380 + ")")


def test_a_nested_value_may_stand_where_a_name_is_wanted():
    assert ANIMALS.parse("cat(friends=[a,cat(lives=1)])").friends == ("a", "cat(lives=1)")
    assert ANIMALS.parse("wolf(pack=bm25(k1=0.9))").pack == "bm25(k1=0.9)"
    assert ANIMALS.parse("wolf(pack=42)").pack == "42"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cta", "unknown animal 'cta'\n  do: did you mean cat?"),
        ("zebra", "known: cat, owl, wolf"),
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
        ("[a]", "is not a animal\n  do: write one of cat, owl, wolf"),
        (
            "cat(friends=a)",
            r"friends=a is not a list\n.*\n  do: friends= takes a list, such as friends=\[a,…\]",
        ),
        ("owl(weights=[0.5,a])", "weights: a is not a number"),
        ("owl(counts=[1.5])", "counts: 1.5 is not a whole number"),
        ("owl(weights=2)", r"weights= takes a list, such as weights=\[0.5,2\]"),
        ("owl(all=[[a]])", r"all: \[a\] is not a text"),
        ("owl(whole=a)", "whole=a is not a whole number or none"),
        ("owl(says=[a])", r"says=\[a\] is not a text"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(text, message):
    with pytest.raises(UsageError, match=message):
        ANIMALS.parse(text)


def test_nearest_offers_what_is_close_or_everything():
    assert nearest("bm52", ["bm25", "dense"]) == "did you mean bm25?"
    assert nearest("x", ["bm25", "dense"]) == "known: bm25, dense"
    assert nearest("x", []) == "known: none"


def test_nothing_is_neutral_but_what_is_written_alike():
    given = unless_neutral(a=(1, 1), b=(True, 1), c=(None, None), d=("x", "y"), e=(0, False))
    assert given == {"b": True, "d": "x", "e": 0}


def family_of(member: type) -> Family:
    family = Family("beast")
    family.register("beast")(member)
    return family


@dataclass(frozen=True)
class First:
    legs: int = 4
    inner: str = "cat(lives=3)"


def test_a_new_parameter_changes_no_identity():
    @dataclass(frozen=True)
    class Later:
        legs: int = 4
        inner: str = "cat(lives=3)"
        wings: int = neutral(0)
        name: str | None = None
        tail: float = neutral(1.0, default=2.0)

    old, new = family_of(First), family_of(Later)
    text = str(First())
    assert new.stored(text) == Later(tail=1.0)
    assert str(new.stored(text)) == text
    assert text == old.text(First())
    assert new.parse(text) == new.parse("beast") or isinstance(text, Identity)


def test_an_identity_is_filled_with_neutral_values_and_a_users_text_with_defaults():
    @dataclass(frozen=True)
    class Later:
        legs: int = 4
        tail: float = neutral(1.0, default=2.0)

    family = family_of(Later)
    assert family.parse("beast(legs=4)") == Later(4, 2.0)
    assert family.stored("beast(legs=4)") == Later(4, 1.0)
    assert family.parse(family.text(Later(4, 1.0))) == Later(4, 1.0)
    assert [str(Later(4, t)) for t in (1.0, 2.0)] == ["beast(legs=4)", "beast(legs=4,tail=2)"]
    assert str(Later(4, 1)) == "beast(legs=4)"  # type: ignore[arg-type]


def test_an_identity_within_an_identity_is_one():
    """A parameter that is another value's text: `replace` and reading it again change nothing."""

    @dataclass(frozen=True)
    class Inner:
        tail: float = neutral(1.0, default=2.0)

    inner = family_of(Inner)

    @dataclass(frozen=True)
    class Outer:
        of: str = "beast"
        k: int = 1

        def __post_init__(self) -> None:
            object.__setattr__(self, "of", inner.text(inner.parse(self.of)))

    outer = family_of(Outer)
    for text, tail in (("beast", 2.0), ("beast(tail=1)", 1.0)):
        value = Outer(text)
        for again in (
            value,
            replace(value, k=2),
            outer.stored(str(value)),
            outer.parse(str(value)),
        ):
            assert inner.parse(again.of) == Inner(tail)
        assert inner.stored(outer.stored("".join(str(value))).of) == Inner(tail)


def test_display_leaves_out_what_is_at_its_default():
    assert ANIMALS.display(Cat()) == "cat"
    assert ANIMALS.display(Cat(lives=3, friends=("a",))) == "cat(lives=3,friends=[a])"
    assert ANIMALS.display(Wolf("grey")) == "wolf(pack=grey)"
    assert ANIMALS.display(Owl(maybe=None)) == "owl(maybe=none)"
    assert ANIMALS.parse(ANIMALS.display(Owl(maybe=None))) == Owl(maybe=None)


def stage_of(value: object) -> Stage:
    import pyarrow as pa

    schema = pa.schema([("key", pa.int64())])
    return Stage(
        kind="thing",
        parameters={"value": str(value)},
        inputs={},
        schema=schema,
        shards=lambda: [Shard(0, 0, 1)],
        worker=lambda: lambda shard: Output(pa.table({"key": [1]}, schema=schema)),
    )


def test_adding_a_parameter_changes_no_fingerprint_and_changing_a_default_does(
    workspace: Workspace,
):
    @dataclass(frozen=True)
    class Added:
        legs: int = 4
        inner: str = "cat(lives=3)"
        wings: int = neutral(0)

    @dataclass(frozen=True)
    class Changed:
        legs: int = 5
        inner: str = "cat(lives=3)"

    @dataclass(frozen=True)
    class AddedThenChanged:
        legs: int = 4
        inner: str = "cat(lives=3)"
        wings: int = neutral(0, default=2)

    made = {}
    for member in (First, Added, Changed, AddedThenChanged):
        value = family_of(member).parse("beast")
        made[member.__name__] = workspace.build(stage_of(value)).fingerprint
    assert made["Added"] == made["First"]
    assert len({made["First"], made["Changed"], made["AddedThenChanged"]}) == 3
    stored = family_of(AddedThenChanged).stored(str(First()))
    assert fingerprint_of("thing", {"value": str(stored)}, {}) == made["First"]


@pytest.mark.parametrize(
    "family",
    [SOURCES, TEACHERS, STATISTICS, STRATEGIES, FILTERS, CUTS, EXPORTS],
    ids=lambda family: family.noun,
)
def test_the_index_names_the_module_of_every_member(family):
    index = family.index()
    for name, module in index.items():
        member = family.member(name)
        assert member.__module__ == import_module(module_of(module)).__name__, name
        assert member.canonical_name == name
    ours = {n for n in family._members if family._members[n].__module__.startswith("rankmill.")}
    assert ours == set(index)


def module_of(name: str) -> str:
    """Resolve `rankmill.mining.selection..derive.blocks` as an import does."""
    package, dots, rest = name.partition("..")
    return f"{package.rpartition('.')[0]}.{rest}" if dots else name
