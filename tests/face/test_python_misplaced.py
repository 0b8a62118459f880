"""Every verb × every option that takes an artifact or a part × every kind of artifact: what is
refused names the option, what was given and what is taken; a call in another order is set right."""

from __future__ import annotations

import ast
import inspect
import shutil
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hostile_values import LIBRARY
from hostile_verbs import BASE

import rankmill as rm
from rankmill import api
from rankmill.mining.errors import BadInput, RankmillError, UsageError
from rankmill.mining.options import Field, options_of
from rankmill.mining.store import Workspace
from rankmill.objects.misplaced import LEADS, PARTS
from rankmill.objects.speech import commands_in
from rankmill.stages import REQUESTS

KINDS = {
    "collection": "pets",
    "run": "bm25",
    "pool": "pool",
    "scores": "scores",
    "groups": "groups",
    "statistics": "measured",
    "student": "student",
    "evaluation": "bm25-judged",
    "comparison": "odd-one",
    "design": "design",
}
ALSO = {"pets": "nf", "odd-one": "compared"}  # the first of two names
ANY: Any = rm  # a type checker refuses some of these calls as well
RULE = "keep_below(of=pair_entropy(T=1),q=0.75)"
GIVEN: dict[str, dict[str, Any]] = BASE | {
    "cut": BASE["cut"] | {"keep": RULE},
    "rerank": {"student": "student", "run": "bm25"},
    "retrieve": {"student": "student", "collection": "pets", "split": "test", "depth": 5},
    "diagnose": {"student": "student", "groups": "groups"},
}


@pytest.fixture(scope="module")
def place(every_kind: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Return a copy of the workspace of every kind, with the names of `hostile_verbs`."""
    home = tmp_path_factory.mktemp("misplaced")
    shutil.copytree(every_kind.root, home / "work")
    made = Workspace(home / "work")
    made.alias("pets", made.find("nf"))
    made.alias("odd-one", made.find("compared"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RANKMILL_WORKSPACE", str(made.root))
        patched.chdir(home)
        yield made


def options(verb: str) -> list[Field]:
    """Return the options of a verb that stand by place, or take artifacts."""
    return [o for o in options_of(REQUESTS[verb]) if o.positional or o.option.of is not None]


def refused(verb: str, given: dict[str, Any]) -> RankmillError:
    """Return the error of a call; any other exception, or none, fails."""
    with pytest.raises(RankmillError) as told:
        getattr(api, verb)(**given)
    return told.value


def within(option: Field, one: Any) -> Any:
    """Return a value as an option takes it: alone, in a list or under labels."""
    if option.form == "mapping" and option.option.of is not None:
        return {"a": one, "b": one}
    return [one] if option.form == "list" else one


CASES = [(verb, option.name) for verb in sorted(REQUESTS) for option in options(verb)]


@pytest.mark.models
@pytest.mark.parametrize(("verb", "name"), CASES)
def test_an_artifact_of_another_kind_is_told_with_its_name(
    verb: str, name: str, place: Workspace
) -> None:
    option = next(one for one in options(verb) if one.name == name)
    taken = (option.option.of or "").split(" or ")
    for kind, called in KINDS.items():
        if kind in taken:
            continue
        for value in (rm.open(called), called):
            if isinstance(value, str) and option.option.of is None:
                continue  # a text where a text is wanted: what it means is another question
            if verb == "collect" and name == "spec":
                continue  # takes either a text or tables, and says so of anything else
            error = refused(verb, GIVEN[verb] | {name: within(option, value)})
            said = f"{verb}({name}={value!r}): {error}"
            names = [
                n for n, alias in place.names().items() if n == called or n in ("nf", "compared")
            ]
            assert error.what.startswith(name), said
            assert any(one in error.what for one in names), said
            assert f"of kind {kind}" in error.what, said
            assert "was expected" in error.what, said
            assert error.do, said
            assert not [*commands_in(str(error))], said
            assert not LIBRARY.search(str(error)), said


TEXTS = (
    *("bm25", "stored(scores=given)", "cross_encoder(model=x)", "bi_encoder(model=x)", "top"),
    *(RULE, "logprob", "kl", "sentence-transformers", "ties", "margin(gap=0)", "q1", "*"),
)
"""One part of every family, and other texts that are right somewhere."""


@pytest.mark.models
@pytest.mark.parametrize("verb", sorted(REQUESTS))
def test_a_text_of_another_family_is_refused_in_words(verb: str, place: Workspace) -> None:
    told: list[tuple[str, RankmillError]] = []
    for option in options_of(REQUESTS[verb]):
        if option.type is not str or option.name in ("name", "device", "attention"):
            continue
        for text in TEXTS:
            value: Any = [text] if option.form == "list" else text
            try:
                getattr(api, verb)(**GIVEN[verb] | {option.name: value})
            except RankmillError as error:
                told.append((f"{verb}({option.name}={value!r}): {error}", error))
    for said, refusal in told:
        assert refusal.do, said
        assert not [*commands_in(str(refusal))], said
        assert not LIBRARY.search(str(refusal)), said
    assert told or verb in ("survey", "subsample"), verb


@pytest.mark.parametrize("text", ["stored(scores=given)", "cross_encoder(model=x)"])
@pytest.mark.models
def test_an_encoder_that_gives_no_vectors_is_refused(text: str, place: Workspace) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: rm.stats("groups", encoder=text),
        lambda: rm.cross("pool", "scores", encoder=text, size=3, steps=5),
        lambda: rm.advise("pool", encoder=text),
        lambda: rm.select("uniform(source=bm25)", "pool", "scores", size=3, encoder=text),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="gives no vectors\n  do: give a bi-encoder"):
            call()


ORDERED = {
    verb: [o.name for o in options(verb) if o.positional and o.name in GIVEN[verb]]
    for verb in REQUESTS
}
SWAPPED = sorted(verb for verb, names in ORDERED.items() if len(names) > 1)


@pytest.mark.models
@pytest.mark.parametrize("handles", [False, True], ids=["names", "handles"])
@pytest.mark.parametrize("verb", SWAPPED)
def test_a_call_in_another_order_is_set_right(verb: str, handles: bool, place: Workspace) -> None:
    names, base = ORDERED[verb], GIVEN[verb]
    right = [base[name] for name in names]
    kinds = {o.name: o.option.of for o in options(verb)}
    values = [
        rm.open(value) if handles and kinds[name] is not None else value
        for name, value in zip(names, right, strict=True)
    ]
    for order in permutations(range(len(names))):
        if [*order] == sorted(order):
            continue
        given = {name: values[at] for name, at in zip(names, order, strict=True)}
        error = refused(verb, base | given)
        assert error.do is not None
        assert error.do.startswith(f"did you mean rm.{verb}("), str(error)
        code = error.do.removeprefix("did you mean ").rstrip("?").replace("…", "...")
        call = ast.parse(code, mode="eval").body
        assert isinstance(call, ast.Call)
        said = [ast.literal_eval(one) for one in call.args if not _is_dots(one)]
        assert [one.replace("nf", "pets") for one in said] == right, str(error)


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


@pytest.mark.models
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rm.evaluate(rm.open("student")), 'mean rm.evaluate(student="student")'),
        (lambda: rm.stats(rm.open("scores")), 'did you mean rm.stats(scores="scores")?'),
        (lambda: rm.subsample("scores", size=2), "make one from it first: rm.select(STRATEGY, P"),
        (lambda: rm.score("stored(scores=given)", "groups"), 'rm.open("groups").input("pool")'),
        (lambda: rm.compare({"a": "bm25"}), 'first: rm.evaluate("bm25")'),
        (lambda: ANY.pool("bm25", "random"), "give several as one list: rm.pool([…, …])"),
        (lambda: rm.pool(rm.open("bm25")), 'write runs=["bm25"]'),
        (lambda: rm.open("bm25").pool("pool"), 'runs[1]: "pool" is of kind pool'),
        (lambda: rm.open("groups").cut(RULE, "measured"), f'mean groups.cut("measured", "{RULE}")'),
        (lambda: rm.score(rm.open("student"), "pool"), "(model={rm.open('student').model})"),
        (lambda: rm.mine(rm.open("student"), "pets", split="test"), 'rm.retrieve("student", COLL'),
        (lambda: rm.explain("q1", "groups"), 'did you mean rm.explain("groups", "q1")?'),
        (lambda: ANY.survey(["pets"]), "give one of them alone"),
        (lambda: ANY.survey(pl.DataFrame({"a": [1, 2]})), "collection is wanted, got a DataFrame"),
        (lambda: rm.open("measured").cut("groups", RULE), "see help(rm.Statistics.cut)"),
        (lambda: rm.select("top", "pol", "scores", size=4), "pool: no pool called 'pol'"),
    ],
)  # fmt: skip
def test_what_was_probably_meant_is_said(call: Any, message: str, place: Workspace) -> None:
    with pytest.raises((UsageError, BadInput)) as told:
        call()
    assert message in str(told.value)


def test_every_way_that_is_told_is_a_call_that_takes_the_kind() -> None:
    for (given, wanted), way in LEADS.items():
        call = ast.parse(way.format("GIVEN").replace("…", "..."), mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Attribute)
        request = REQUESTS[call.func.attr]
        by_name = {one.name: one for one in options_of(request)}
        placed = [one.name for one in options_of(request) if one.positional]
        words = [(n, ast.unparse(a)) for n, a in zip(placed, call.args, strict=False)]
        words += [(str(k.arg), ast.unparse(k.value)) for k in call.keywords]
        option = next(by_name[name] for name, word in words if "GIVEN" in word)
        assert given in str(option.option.of).split(" or "), way
        made = str(inspect.signature(getattr(rm, call.func.attr)).return_annotation)
        assert made.lower() == wanted, way


def test_every_option_that_takes_a_part_is_known() -> None:
    from rankmill.objects.own_parts import OPTIONS

    several = {("stats", "statistics"), ("diagnose", "statistics")}
    several |= {(verb, "filters") for verb in ("select", "cross")}
    assert OPTIONS.keys() - several <= PARTS.keys()


# ---- a teacher in the place of a student -------------------------------------------------------


def letters(pairs: Any) -> list[float]:
    """Score a pair by the length of its document."""
    return [float(len(text)) for query, text in pairs]


@pytest.mark.models
def test_a_teacher_reranks_as_a_student_does(place: Workspace) -> None:
    encoder = f"bi_encoder(model={_encoder(place)})"
    named = rm.rerank(encoder, "bm25", depth=5)
    assert named.kind == "run"
    scores = rm.score(encoder, rm.pool([named]), direction="trusted")
    best = {q: dict(zip(d, s, strict=True)) for q, d, s in _lists(scores, "similarity")}
    for query, docs, reranked in _lists(named, "score"):
        assert [*reranked] == sorted(reranked, reverse=True)
        assert [best[query][doc] for doc in docs] == reranked
    own = rm.open("bm25").rerank(letters, depth=5)
    assert own.source.startswith("rerank(teacher=letters(version=")
    means = rm.evaluate(student=letters, first_stage="bm25", depth=5).means
    assert means == own.evaluate().means


def _lists(of: Any, column: str) -> Iterator[tuple[str, list[str], list[float]]]:
    for row in of.records(texts=False):
        yield row["query_id"], row["doc_id"], row[column]


def _encoder(place: Workspace) -> Path:
    from tiny_models import tiny_encoder

    folder = place.root.parent / "an-encoder"
    if not folder.exists():
        tiny_encoder(folder, max_position_embeddings=256)
    return folder


@pytest.mark.models
def test_what_cannot_rerank_is_told(place: Workspace) -> None:
    calls: list[tuple[Any, str]] = [
        (lambda: rm.rerank("ensmble(members=a)", "bm25"), "unknown teacher 'ensmble'"),
        (lambda: rm.rerank("cross_encoder(model=nowhere)", "bm25", depth=5), "no model folder"),
        (
            lambda: rm.rerank(f"bi_encoder(model={_encoder(place)})", "bm25", encode="listed"),
            'encode="listed" beside the text of a teacher',
        ),
        (lambda: rm.retrieve("cross_encoder(model=x)", "pets", split="test"), "text of a teacher"),
        (lambda: rm.diagnose("cross_encoder(model=x)", "groups"), "is the text of a teacher"),
        (lambda: rm.rerank(lambda pairs: [1.0], "bm25"), "a teacher without a name"),
        (lambda: rm.rerank("studen", "bm25"), "no student called 'studen'[\\s\\S]*mean student"),
    ]
    for call, message in calls:
        with pytest.raises((UsageError, BadInput), match=message):
            call()


@pytest.mark.models
def test_a_default_depth_reranks_a_small_corpus_whole(place: Workspace) -> None:
    with pytest.warns(RuntimeWarning, match="depth is 60, in the place of the default 100"):
        run = rm.rerank("student", "bm25")
    assert run.fingerprint == rm.rerank("student", "bm25", depth=60).fingerprint
