"""Every public verb, method and function with values that nobody should give: what is raised is an
error of ours that says what was given and what to do, in Python's words."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_values import faults_of, values
from hostile_verbs import ALIKE, BASE, METHODS

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import Workspace
from rankmill.objects.speech import commands_in, in_python
from rankmill.stages import REQUESTS, Collect, ImportScores, Retarget

DOCS = [f"cats sleep {'all ' * n}day {n}" for n in range(12)]
ASKED = {f"q{n}": f"sleepy cats {n}" for n in range(6)}
JUDGED = {split: {f"q{n}": {str(n): 1} for n in range(6)} for split in ("train", "test")}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a workspace with everything that needs no model, and stand beside it."""
    home = tmp_path_factory.mktemp("hostile")
    before, told = Path.cwd(), os.environ.get("RANKMILL_WORKSPACE")
    os.environ["RANKMILL_WORKSPACE"] = str(home / "work")
    os.chdir(home)
    try:
        _make(home)
        yield home
    finally:
        os.chdir(before)
        os.environ.pop("RANKMILL_WORKSPACE")
        if told is not None:
            os.environ["RANKMILL_WORKSPACE"] = told


def _make(home: Path) -> None:
    (home / "a-file").write_text("hello\n")
    (home / "rewrites.tsv").write_text("q0\tcats and dogs\n")
    (home / "run.txt").write_text("q0 Q0 1 1 3.0 theirs\n")
    pets = rm.collect(documents=DOCS, queries=ASKED, qrels=JUDGED, name="pets")
    for source in ("bm25", "random"):
        rm.mine(source, pets, split="train", depth=8, name=source)
        rm.evaluate(rm.mine(source, pets, split="test", depth=8), name=f"{source}-judged")
    pool = rm.pool(["bm25", "random"], name="pool")
    with open(home / "scores.jsonl", "w") as out:
        for row in pool.records(texts=False):
            for rank, doc in enumerate(row["doc_id"]):
                told = {"query_id": row["query_id"], "doc_id": doc, "score": rank / 7 - 3}
                out.write(json.dumps(told) + "\n")
    rm.import_scores(home / "scores.jsonl", pets, kind="logit", name="given")
    scores = rm.score("stored(scores=given)", pool, direction="trusted", name="scores")
    groups = scores.select("top", size=4, name="groups")
    groups.stats(statistics=["pair_entropy(T=1)", "ties"], name="measured")
    rm.compare({"a": "bm25-judged", "b": "random-judged"}, draws=10, name="odd-one")


def test_every_public_function_is_here() -> None:
    public = {name for name in dir(rm) if callable(getattr(rm, name)) and name[0].islower()}
    assert public - ALIKE <= BASE.keys()
    assert REQUESTS.keys() <= BASE.keys()


@pytest.mark.parametrize("verb", sorted(BASE))
def test_a_verb_refuses_what_it_cannot_use(verb: str, place: Path) -> None:
    from rankmill import api

    hostile = values(rm.open("odd-one"), place)
    assert [*faults_of(verb, getattr(api, verb), BASE[verb], hostile)] == []


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name, own in METHODS.items() for method in own]
)
def test_a_method_refuses_what_it_cannot_use(name: str, method: str, place: Path) -> None:
    of, base = rm.open(name), METHODS[name][method]
    bound = getattr(of, method)
    known = inspect.signature(bound).parameters
    base = {option: value for option, value in base.items() if option in known}
    faults = faults_of(f"{name}.{method}", bound, base, values(rm.open("odd-one"), place))
    assert [*faults] == []


def test_a_call_that_does_not_fit_is_said_in_words(place: Path) -> None:
    of: Any = rm  # a type checker refuses these calls as well
    calls: list[tuple[Any, str]] = [
        (lambda: of.mine("bm25"), r"mine\(\) needs collection and split\n  do: add collection=…"),
        (lambda: of.mine("bm25", "pets", "train"), "takes 2 values without a name, 3 were given"),
        (lambda: of.mine("bm25", "pets", source="x", split="train"), "was given source twice"),
        (lambda: of.open("bm25").head(5, 6), r"run.head\(\) takes one value without a name, 2"),
        (lambda: of.near_copies(["a"], overlp=1), r"no option 'overlp'\n  do: did you mean over"),
        (lambda: of.open(), r"open\(\) needs name"),
    ]
    for call, message in calls:
        with pytest.raises(UsageError, match=message):
            call()


def test_what_a_workspace_cannot_be(place: Path) -> None:
    for where, message in (
        ("/etc/passwd", "a workspace cannot be made here: /etc/passwd is a file"),
        (place / "a-file" / "ws", "a-file is a file"),
        ("/proc/ws", "No such file or directory|no permission to write to /proc"),
        ("", "workspace='' is no path: it is empty"),
        ("a\ud800", "half a character"),
    ):
        with pytest.raises((BadInput, UsageError), match=message):
            rm.collect(documents=["a"], workspace=where)
    with pytest.raises(UsageError, match=r"workspace=5 is not a Workspace or the path of a folder"):
        rm.collect(documents=["a"], workspace=5)  # type: ignore[arg-type]


def test_what_the_system_refuses_is_told_with_the_place_that_was_given(place: Path) -> None:
    with pytest.raises(BadInput, match=r"where: /proc/x\n  do: check the path") as told:
        rm.export("sentence-transformers", "groups", to="/proc/x")
    assert ".tmp" not in str(told.value)


def test_empty_tables_are_refused_by_their_name() -> None:
    for given, message in (
        ({"documents": []}, r"there are no documents, \[\] is empty\n  where: documents="),
        ({"documents": {}}, "there are no documents"),
        ({"documents": ["a"], "queries": []}, "there are no queries"),
        ({"documents": ["a"], "queries": ["b"], "qrels": {}}, "there are no judgements"),
        ({"documents": ["a"], "queries": ["b"], "qrels": {"train": []}}, r"qrels\['train'\]"),
    ):
        with pytest.raises(BadInput, match=message):
            rm.collect(**given)
    with pytest.raises(BadInput, match="columns of several lengths: 'query_id' has 1, 'score' has"):
        rm.pair_entropy({"query_id": ["a"], "score": [1.0, 2.0]})
    with pytest.raises(
        BadInput, match=r"no list of numbers: \[1.0, 'x'\]\n  where: scores, list 2"
    ):
        rm.pair_entropy([[1.0], [1.0, "x"]])


# ---- names ---------------------------------------------------------------------------------------


def test_a_name_that_changes_its_kind_is_told(workspace: Workspace) -> None:
    pets = rm.collect(documents=DOCS, queries=ASKED, qrels=JUDGED, workspace=workspace, name="pets")
    with pytest.warns(RuntimeWarning, match="'pets' stood for collection .* stands for run"):
        pets.mine("bm25", split="train", depth=2, name="pets")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pets.mine("bm25", split="train", depth=3, name="pets")  # a run again: as ever


def test_a_name_that_cannot_be_is_refused_before_any_work(workspace: Workspace) -> None:
    pets = rm.collect(documents=DOCS, queries=ASKED, qrels=JUDGED, workspace=workspace)
    with pytest.raises(UsageError, match="'a b' cannot be a name"):
        pets.mine("bm25", split="train", depth=2, name="a b")
    assert rm.list("run", workspace=workspace).is_empty()


# ---- a default depth -----------------------------------------------------------------------------


def test_a_default_depth_is_at_most_the_corpus_and_a_said_one_is_refused(
    workspace: Workspace,
) -> None:
    pets = rm.collect(documents=DOCS, queries=ASKED, qrels=JUDGED, workspace=workspace)
    with pytest.warns(RuntimeWarning, match="the corpus has 12 documents: depth is 12, in the pl"):
        run = pets.mine("random", split="train")
    assert run.parameters["depth"] == 12
    assert run.fingerprint == pets.mine("random", split="train", depth=12).fingerprint
    with pytest.raises(BadInput, match="depth 100 is larger than the corpus of 12 documents"):
        pets.mine("random", split="train", depth=100)


# ---- the words of Python -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "python", "request_"),
    [
        ("add --allow-lossy to write it", "add allow_lossy=True to write it", None),
        ("score it: rankmill score TEACHER --pool POOL", "score it: rm.score(TEACHER, POOL)", None),
        ("rankmill import F --as scores --kind logit", 'rm.import_scores(F, kind="logit")', None),
        ("`rankmill list sources` shows them", '`rm.list("sources")` shows them', None),
        ("--filter 'margin(gap=0)' leaves", 'filters=["margin(gap=0)"] leaves', None),
        ("(rankmill retarget logprob --groups NAME)", '(rm.retarget(NAME, "logprob"))', Retarget),
        ("splits (--split), or --on a=keep", 'splits (splits=…), or on=["a=keep"]', Collect),
        ("ask for fewer --workers", "ask for fewer workers", None),
        ("use --workers 4 here", "use executor=rm.Execution(workers=4) here", None),
        ("--set train.documents=20000", 'overrides={"train.documents": 20000}', None),
        ("rankmill repair 0123abcd, or", "rankmill repair 0123abcd in a terminal, or", None),
        ("`rankmill doctor` shows", "`rankmill doctor` in a terminal shows", None),
        ("rankmill never runs it; hf download X --repo-type dataset", None, ImportScores),
        ("say a smaller --size", "say a smaller size=…", None),
        ("train pilots (--pilot 4k)", "train pilots (pilot=4_000)", None),
    ],
)  # fmt: skip
def test_what_the_command_line_says_is_said_in_python(
    said: str, python: str | None, request_: Any
) -> None:
    assert in_python(said, request_) == (said if python is None else python)
    assert [*commands_in(in_python(said, request_))] == []
    assert in_python(in_python(said)) == in_python(said)
