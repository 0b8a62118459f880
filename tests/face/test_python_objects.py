"""What verbs return in Python: objects that are the artifacts, with rows and the next verbs."""

from __future__ import annotations

import ast
import inspect
import re
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rankmill as rm
from rankmill import api, stages
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.options import options_of
from rankmill.mining.store import Artifact, Workspace
from rankmill.objects import as_object
from rankmill.objects.examples import EXAMPLES
from rankmill.stages import REQUESTS

CLASSES = {
    "collection": rm.Collection,
    "run": rm.Run,
    "pool": rm.Pool,
    "scores": rm.Scores,
    "groups": rm.Groups,
    "statistics": rm.Statistics,
    "student": rm.Student,
    "evaluation": rm.Evaluation,
    "comparison": rm.Comparison,
}
DOCS = {
    "d1": "cats sleep all day",
    "d2": "dogs bark at <b>cats</b>",
    "d3": "birds sing",
    "d4": "fish swim",
    "d5": "cats sing",
}
ASKED = {"q1": "sleepy cats sleep", "q2": "who sings: birds", "q3": "dogs bark"}
EVERY = """where('"ties" >= 0')"""
JUDGED = {"train": {"q1": {"d1": 1}, "q2": {"d3": 1}, "q3": {"d2": 1}}}


@pytest.fixture
def pets(workspace: Workspace) -> rm.Collection:
    return rm.collect(documents=DOCS, queries=ASKED, qrels=JUDGED, workspace=workspace, name="pets")


def scored(pool: rm.Pool, tmp_path: Path) -> rm.Scores:
    """Return scores of a pool: the number of letters of a document."""
    path = tmp_path / "scores.jsonl"
    with path.open("w") as out:
        for row in pool:
            for doc, text in zip(row["doc_id"], row["doc_text"], strict=True):
                line = f'"query_id": "{row["query_id"]}", "doc_id": "{doc}", "score": {len(text)}'
                out.write("{" + line + "}\n")
    given = pool.collection.import_scores(path, kind="similarity")
    return pool.score(f"stored(scores={given.fingerprint})", direction="trusted")


def test_every_kind_comes_back_as_its_class(every_kind: Workspace) -> None:
    for artifact in every_kind.artifacts():
        held = as_object(artifact)
        assert type(held) is CLASSES.get(artifact.kind, rm.Object)
        if artifact.kind != "collection":
            assert isinstance(held, Artifact)
            assert (held.root_hash, held.rows) == (artifact.root_hash, artifact.rows)
        assert as_object(held) is not None
        assert bool(held)
        shown = held._repr_html_()
        assert shown.startswith("<")
        assert len(repr(held)) < 200


def test_rows_come_as_frames_and_as_dictionaries_with_texts(pets: rm.Collection) -> None:
    assert (len(pets), pets.head(1)["doc_id"].to_list()) == (5, ["d1"])
    assert list(pets)[1] == {"doc_id": "d2", "text": "dogs bark at <b>cats</b>"}
    assert pets.queries.to_polars()["query_id"].to_list() == ["q1", "q2", "q3"]
    assert list(pets.qrels("train"))[0]["doc_id"] == "d1"
    run = pets.mine("bm25", split="train", depth=2)
    (first, *_), frame = list(run), run.to_polars()
    assert first["query_text"] == ASKED["q1"]
    assert first["doc_text"] == [DOCS[doc] for doc in first["doc_id"]]
    assert frame["doc_id"].to_list() == [row["doc_id"] for row in run]
    assert "doc_text" not in frame.columns
    assert next(run.records(texts=False)).keys() == first.keys() - {"doc_text"}
    assert run.head(2).equals(frame.head(2))
    assert run.to_arrow().num_rows == len(run) == 3
    pandas = pytest.importorskip("pandas", reason="to_pandas needs pandas")
    assert isinstance(run.to_pandas(), pandas.DataFrame)


def test_texts_are_read_some_documents_at_a_time(
    pets: rm.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rankmill.mining.collection.rows import Corpus
    from rankmill.mining.exports import rows

    run = pets.mine("bm25", split="train", depth=3)
    asked: list[int] = []
    read = Corpus.texts

    def texts(self: Corpus, docs: Any) -> list[str]:
        asked.append(len(docs))
        return read(self, docs)

    monkeypatch.setattr(Corpus, "texts", texts)
    monkeypatch.setattr(rows, "_rows_at_a_time", lambda table: 1)
    lengths = [len(row["doc_id"]) for row in run]
    assert asked == lengths
    asked.clear()
    next(iter(run))
    assert len(asked) == 1  # not the rows that nobody asked for


def test_the_way_from_a_collection_to_groups_by_methods(
    pets: rm.Collection, tmp_path: Path
) -> None:
    bm25 = pets.mine("bm25", split="train", depth=3, name="bm25")
    pool = bm25.pool(pets.mine("random", split="train", depth=4, seed=1), min_grade=1)
    assert pool.sources == ("bm25(k1=0.9,b=0.4)", "random")
    assert (pool.split, pool.collection.fingerprint) == ("train", pets.fingerprint)
    scores = scored(pool, tmp_path)
    assert scores.score_kind == "similarity"
    assert scores.split == "train"
    groups = scores.select("top", size=2)
    by_verb = rm.select("top", pool, scores, size=2)
    assert (
        groups.fingerprint == by_verb.fingerprint == pool.select("top", scores, size=2).fingerprint
    )
    assert (groups.size, groups.strategy) == (2, "top(first=1)")
    assert isinstance(groups.input("scores"), rm.Scores)
    measured = groups.stats(statistics=["pair_entropy(T=1)", "ties"])
    assert measured.columns == ("pair_entropy(T=1)", "ties")
    assert measured.to_polars()["query_text"].to_list() == [row["query_text"] for row in groups]
    assert measured.summary() == rm.summarise(measured)
    assert measured.summary()["columns"]["ties"]["n"] == len(groups)
    kept = measured.cut(EVERY)
    assert kept.fingerprint == groups.cut(measured, EVERY).fingerprint
    assert groups.audit()["must_be_zero"]["documents_twice_in_a_group"] == 0
    assert isinstance(groups.retarget("rank_labels"), rm.Groups)
    told = groups.export("sentence-transformers-rows", to=tmp_path / "out")
    assert (told.path / "train.parquet").is_file()
    assert scores.evaluate().means.keys() == bm25.evaluate().means.keys()


def test_an_evaluation_says_its_means_and_its_queries(pets: rm.Collection) -> None:
    judged = pets.mine("bm25", split="train", depth=3).evaluate(measures="nDCG@10 R@100")
    assert judged.measures == ("nDCG@10", "R@100")
    frame = judged.per_query
    assert isinstance(frame, pl.DataFrame)
    assert frame["query_id"].to_list() == ["q1", "q2", "q3"]
    for measure in judged.measures:
        assert judged.means[measure] == pytest.approx(frame[measure].mean())
    assert "nDCG@10 R@100 of bm25(k1=0.9,b=0.4), split train, 3 queries" in repr(judged)


def test_a_student_says_what_was_trained_and_goes_on(every_kind: Workspace) -> None:
    student = rm.open("student", workspace=every_kind)
    assert student.card["loss"] == "kl(T=1)"
    assert student.telemetry.height == len(student) == len(list(student))
    assert (student.model / "config.json").is_file()
    run = student.rerank("bm25", depth=5)
    assert run.fingerprint == rm.rerank(student, "bm25", depth=5).fingerprint
    with pytest.warns(RuntimeWarning, match="queries that the student was trained on"):
        judged, again = student.evaluate(first_stage="bm25", depth=5), run.evaluate()
    assert set(judged.means) == set(again.means)
    assert isinstance(student.diagnose("groups"), rm.Statistics)


def test_in_a_notebook_texts_are_text_and_no_markup(pets: rm.Collection) -> None:
    shown = pets._repr_html_()
    assert "dogs bark at &lt;b&gt;cats&lt;/b&gt;" in shown
    assert "<caption>Collection 5 documents" in shown
    nasty = rm.collect(
        documents={"<script>alert(1)</script>": "x"},
        queries={"q": "<img onerror=x>"},
        qrels={"q": {"<script>alert(1)</script>": 1}},
        workspace=pets.workspace,
    )
    run = nasty.mine("random", split="all", depth=1)
    assert "<script" not in nasty._repr_html_() + run._repr_html_()
    assert "<img" not in run._repr_html_()


def test_every_object_has_what_the_page_says_that_all_have(pets: rm.Collection) -> None:
    page = Path(__file__).parents[2] / "docs" / "python.md"
    said = page.read_text(encoding="utf-8").partition("All have ")[2].partition("\n\n")[0]
    names = set(re.findall(r"`(\w+)", said)) - {"texts"}
    assert {"to_polars", "head", "collection", "split", "input", "cost", "records"} <= names
    lacking = {
        f"{kind.__name__}.{name}"
        for kind in CLASSES.values()
        for name in names - {"len"}
        if not hasattr(kind, name)
    }
    assert lacking == set()
    assert (pets.collection is pets, pets.split) == (True, "")
    assert pets.cost()["attempts"] == 1
    assert pets.input("corpus").fingerprint == pets.corpus.artifact.fingerprint
    assert next(pets.records(texts=False)) == {"doc_id": "d1"}
    assert pets.verify() == 4  # the splits, the documents, the queries, the judgements
    for rows in (pets.corpus, pets.queries, pets.qrels("train")):
        assert f"<caption>{escape(repr(rows)[1:-1])}</caption>" in rows._repr_html_()


def test_documents_alone_show_themselves(workspace: Workspace) -> None:
    alone = rm.collect(documents=["cats sleep", "dogs bark"], workspace=workspace)
    assert repr(alone) == "<Collection 2 documents, no queries, no judgements>"
    assert "<caption>Collection 2 documents, no queries" in alone._repr_html_()
    with pytest.raises(BadInput, match=r"documents only, no queries(.|\n)*queries=…"):
        alone.mine("bm25", split="*", depth=1)


def test_no_artifact_is_false_because_it_is_empty(pets: rm.Collection) -> None:
    empty = rm.Object.of(pets.artifact)
    empty.__dict__["parts"] = ()
    assert (len(empty), bool(empty)) == (0, True)


# ---- methods are made from requests --------------------------------------------------------------

METHODS = [
    (kind, name, getattr(kind, name))
    for kind in CLASSES.values()
    for name, made in vars(kind).items()
    if f"{kind.__name__.lower()}.{name}" in EXAMPLES and callable(made)
]


def test_every_kind_has_methods_and_every_method_an_example() -> None:
    found = {f"{kind.__name__.lower()}.{name}" for kind, name, _ in METHODS}
    assert found == {key for key in EXAMPLES if "." in key}
    assert {key for key in EXAMPLES if "." not in key} == set(REQUESTS)


@pytest.mark.parametrize(
    ("kind", "name", "made"), METHODS, ids=[f"{kind.__name__}.{name}" for kind, name, _ in METHODS]
)
def test_a_method_has_the_options_defaults_and_help_of_its_request(
    kind: type, name: str, made: Any
) -> None:
    request = REQUESTS[{"rewrite": "rewrite"}.get(name, name)]
    fields = {field.name: field for field in options_of(request)}
    signature = inspect.signature(made)
    own, *options = signature.parameters.values()
    assert own.kind is own.POSITIONAL_ONLY
    assert own.name == kind.__name__.lower()
    shown = {p.name: p for p in options if p.kind is not p.VAR_POSITIONAL}
    assert shown.keys() <= fields.keys() | {"executor", "workspace", "progress"}
    assert len(fields.keys() - shown.keys()) >= 1  # what the object itself fills
    for option, parameter in shown.items():
        if option in fields:
            assert f"{option}: {fields[option].option.help}" in made.__doc__
            if not fields[option].required:
                assert parameter.default == fields[option].default
    for option in fields.keys() - shown.keys():
        assert f"\n    {option}: " not in made.__doc__
    assert made.__qualname__ == f"{kind.__name__}.{name}"


def call_of(node: Any, called: str) -> ast.Call:
    """Return the call of a function or method within an expression: `rm.mine(…).head(3)`."""
    while not (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == called):
        inner: Any = node.func if isinstance(node, ast.Call) else node
        node = inner.value
    return node


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_example_is_a_call_that_its_signature_takes(key: str) -> None:
    called = key.rpartition(".")[2]
    call = call_of(ast.parse(EXAMPLES[key], mode="eval").body, called)
    if "." in key:
        kind = next(kind for kind in CLASSES.values() if kind.__name__.lower() == key.split(".")[0])
        signature, given = inspect.signature(getattr(kind, called)), [None]
    else:
        signature, given = inspect.signature(getattr(rm, called)), []
    assert EXAMPLES[key] in (getattr(kind if "." in key else rm, called).__doc__ or "")
    signature.bind(*given, *call.args, **{str(k.arg): k.value for k in call.keywords})


def test_a_call_of_a_method_that_does_not_fit_is_said_in_its_words(pets: rm.Collection) -> None:
    with pytest.raises(UsageError, match=r"collection.mine\(\) has no option 'splt'[\s\S]*split"):
        pets.mine("bm25", splt="train")  # type: ignore[call-arg]
    needs = r"collection.mine\(\) needs split[\s\S]*rm.Collection.mine"
    with pytest.raises(UsageError, match=needs):
        pets.mine("bm25")  # type: ignore[call-arg]
    run = pets.mine("bm25", split="train", depth=2)
    with pytest.raises(UsageError, match=r"run.evaluate\(\) has no option 'student'"):
        run.evaluate(student="x")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="depth=0 must be at least 1"):
        pets.mine("bm25", split="train", depth=0)
    with pytest.raises(BadInput, match="no split 'trian'"):
        pets.mine("bm25", split="trian", depth=2)


def test_an_option_called_self_is_an_option(pets: rm.Collection) -> None:
    kept = pets.mine("bm25", split="train", depth=2, self="keep")
    assert (
        kept.fingerprint == rm.mine("bm25", pets, split="train", depth=2, self="keep").fingerprint
    )


def test_a_method_must_say_what_it_returns() -> None:
    from rankmill.objects.verbs import method

    with pytest.raises(RuntimeError) as told:

        class Bad(rm.Object):
            mine: int = method(stages.Mine, "collection")

    assert "Bad.mine is not declared as Callable" in str(told.value.__cause__)


# ---- help ----------------------------------------------------------------------------------------


def test_help_lists_every_verb_once() -> None:
    lines = (rm.__doc__ or "").split("\n\n")
    table = next(part for part in lines if part.startswith("Collection      collect"))
    listed = [word for line in table.splitlines() for word in line[16:].split()]
    assert sorted(listed) == sorted(api.__all__)


@pytest.mark.parametrize("name", [n for n in api.__all__ if n[0].islower()])
def test_every_verb_has_help_with_an_example(name: str) -> None:
    said = inspect.getdoc(getattr(api, name)) or ""
    alone = {"measure_scores", "orthogonality"}
    alone |= {"pair_entropy", "list_entropy", "effective_size", "misorder", "score_variance"}
    assert len(said) > 40
    assert "Example" in said or name in alone
