"""Functions and values of one's own given to a verb: the version of their code is in what is made,
and what has none is refused."""

from __future__ import annotations

import functools
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from plugin_makers import on_path

import rankmill as rm
from rankmill.mining.errors import PluginError, UsageError
from rankmill.mining.store import Workspace
from rankmill.objects.own_parts import part_of


def shared_words(pairs: list[tuple[str, str]]) -> list[float]:
    return [float(len(set(query.split()) & set(text.split()))) for query, text in pairs]


def spread(rows: Any) -> Any:
    high = np.maximum.reduceat(rows.scores, rows.offsets[:-1])
    return high - np.minimum.reduceat(rows.scores, rows.offsets[:-1])


def shortest(collection: Any) -> Any:
    texts = collection.corpus.texts(range(len(collection.corpus)))
    order = sorted(range(len(texts)), key=lambda doc: len(texts[doc]))

    def search(text: str, depth: int) -> tuple[list[int], list[int]]:
        return order[:depth], [-len(texts[doc]) for doc in order[:depth]]

    return search


def squared_gap(f: Any, g: Any) -> Any:
    return (((f[:, :1] - f[:, 1:]) - (g[:, :1] - g[:, 1:])) ** 2).mean(dim=1)


@dataclass(frozen=True)
class Longest:
    per: float = 1.0

    def score(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [len(text) / self.per for _, text in pairs]


class Model:
    """What a notebook holds in a variable."""

    def predict(self, pairs: Any) -> list[float]:
        return [1.0 for _ in pairs]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Forget after the test what it registers."""
    with on_path():
        yield


@pytest.fixture
def pool(workspace: Workspace) -> rm.Pool:
    held = rm.collect(
        documents=["cats sleep all day", "dogs bark", "birds sing a song", "fish swim"],
        queries={"q1": "cats sleep", "q2": "who sings a song"},
        qrels={"train": {"q1": {"0": 1}, "q2": {"2": 1}}},
        workspace=workspace,
        name="pets",
    )
    return held.mine("random", split="train", depth=4).pool()


def test_a_function_is_a_source_a_teacher_and_a_statistic(pool: rm.Pool) -> None:
    run = pool.collection.mine(shortest, split="train", depth=2)
    assert run.to_polars()["doc_id"].to_list() == [["1", "3"], ["1", "3"]]
    assert run.source.startswith("shortest(version=src-")
    scores = rm.score(shared_words, pool)
    assert scores.score_kind == "logit"
    for row in scores:
        pairs = [(row["query_text"], text) for text in row["doc_text"]]
        assert row["logit"] == shared_words(pairs)
    groups = scores.select("top", size=3)
    measured = groups.stats(statistics=[spread, "ties"])
    (name, _) = measured.columns
    assert name.startswith("spread(version=src-")
    expected = [max(row["score"]) - min(row["score"]) for row in groups]
    assert measured.to_polars()[name].to_list() == expected


def test_a_value_of_a_frozen_class_is_a_teacher_with_its_parameters(pool: rm.Pool) -> None:
    scores = pool.score(Longest(per=2.0), direction="trusted")
    assert scores.teacher.startswith("Longest(per=2,version=src-")
    assert next(iter(scores))["logit"][1] == len("dogs bark") / 2
    assert rm.score(Longest(per=2.0), pool, direction="trusted").fingerprint == scores.fingerprint
    assert pool.score(Longest(), direction="trusted").fingerprint != scores.fingerprint


def test_a_function_says_of_what_kind_its_scores_are(pool: rm.Pool) -> None:
    def cosine(pairs: Any) -> list[float]:
        return [0.5 for _ in pairs]

    cosine.kind = "similarity"  # type: ignore[attr-defined]
    assert pool.score(cosine).score_kind == "similarity"


def test_a_function_is_a_loss(tmp_path: Any, pool: rm.Pool) -> None:
    from tiny_models import tiny_encoder

    tiny_encoder(tmp_path / "encoder")
    groups = pool.score(shared_words).select("top", size=3)
    student = f"bi_encoder(model={tmp_path / 'encoder'},layers=1)"
    short: dict[str, Any] = {"query_length": 8, "doc_length": 16}
    made = groups.train(student, loss=squared_gap, documents=6, batch=2, threads=1, **short)
    assert made.card["loss"].startswith("squared_gap(version=src-")


# ---- versions ------------------------------------------------------------------------------------


def notebook(code: str, name: str, **held: Any) -> FunctionType:
    """Return a function of a cell of a notebook: its source is known, its module has no file."""
    place = f"<ipython-input-{abs(hash(code))}>"
    linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
    cell = {"__name__": "a_notebook", **held}
    exec(compile(code, place, "exec"), cell)  # what a notebook does with a cell
    made: FunctionType = cell[name]
    return made


TEACHER = "def mine(pairs):\n    return [len(text) * {} for _, text in pairs]\n"


def version(given: Any, kind: str = "teacher") -> str:
    return str(part_of(kind, given))


def test_other_code_is_another_version_in_a_notebook() -> None:
    one, other = (notebook(TEACHER.format(n), "mine") for n in (1, 2))
    assert version(one) == version(one)
    assert version(one) != version(other)
    assert version(one).startswith("mine(version=src-")


def test_what_a_function_uses_of_its_notebook_counts() -> None:
    code = "def mine(pairs):\n    return [weight(text) for _, text in pairs]\n"
    helper = "def weight(text):\n    return {}\n"
    one, other = (notebook(helper.format(n) + code, "mine") for n in (1, 2))
    assert version(one) != version(other)
    scale = "def mine(pairs):\n    return [scale for _ in pairs]\n"
    assert version(notebook(scale, "mine", scale=1)) != version(notebook(scale, "mine", scale=2))
    uses = "def mine(pairs):\n    return [np.ones(1)[0] for _ in pairs]\n"
    assert version(notebook(uses, "mine", np=np)) == version(notebook(uses, "mine", np=np))
    inside = "def mine(pairs):\n    return [one() for one in [lambda: scale] * len(pairs)]\n"
    assert version(notebook(inside, "mine", scale=1)) != version(notebook(inside, "mine", scale=2))


def test_functions_that_use_each_other_end() -> None:
    code = "def mine(pairs):\n    return other(pairs)\ndef other(pairs):\n    return mine(pairs)\n"
    assert version(notebook(code, "mine")).startswith("mine(version=src-")


def test_a_declared_version_stands_for_the_code() -> None:
    made = notebook("def mine(pairs):\n    return model.predict(pairs)\n", "mine", model=Model())
    made.version = "minilm-3"  # type: ignore[attr-defined]
    assert version(made) == "mine(version=minilm-3)"


def test_the_version_of_a_file_is_that_of_the_file() -> None:
    assert (
        version(shared_words).split("version=")[1]
        == (version(spread, "statistic").split("version=")[1])
    )


def closure(weight: float) -> Any:
    def weighted(pairs: Any) -> list[float]:
        return [weight for _ in pairs]

    return weighted


@dataclass
class Loose:
    def score(self, pairs: Any) -> list[float]:
        return [0.0 for _ in pairs]


def unnumbered(pairs: Any) -> list[float]:
    return [0.0 for _ in pairs]


unnumbered.version = 1.5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("teacher", lambda pairs: pairs, r"a teacher without a name: <lambda>[\s\S]*with def"),
        ("teacher", closure(2.0), r"a closure over weight[\s\S]*weighted.version = \"1\""),
        ("teacher", Longest, r"Longest is a class, not a teacher[\s\S]*Longest\(\)"),
        ("teacher", Loose(), r"Loose is no frozen dataclass[\s\S]*@dataclass\(frozen=True\)"),
        ("teacher", functools.partial(shared_words), r"is no teacher[\s\S]*my_teacher\(pairs\)"),
        ("teacher", 5, r"5 is no teacher"),
        ("teacher", unnumbered, r"version=1.5 is no text[\s\S]*unnumbered.version"),
        ("source", 5, r"5 is no source[\s\S]*my_source\(collection\)"),
        ("statistic", 5, r"5 is no statistic[\s\S]*my_statistic\(rows\)"),
        ("loss", 5, r"5 is no loss[\s\S]*my_loss\(f, g\)"),
        ("filter", shared_words, r"the function shared_words cannot be a filter[\s\S]*a class"),
        ("strategy", 5, r"5 is no strategy"),
    ],
)  # fmt: skip
def test_what_has_no_version_is_refused_with_what_to_do(
    kind: str, given: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        part_of(kind, given)


@pytest.mark.parametrize(
    ("code", "held", "message"),
    [
        ("model.predict(pairs)", {"model": Model()}, "uses model, a Model"),
        ("[limits[0] for _ in pairs]", {"limits": [1]}, "uses limits, a list"),
        ("[Unread() for _ in pairs]", {"Unread": type("Unread", (), {"__module__": "a_notebook"})},
         "uses Unread, a class"),
    ],
)  # fmt: skip
def test_a_notebook_that_holds_a_model_is_refused(code: str, held: Any, message: str) -> None:
    made = notebook(f"def mine(pairs):\n    return {code}\n", "mine", **held)
    with pytest.raises(UsageError, match=message + r"[\s\S]*mine.version = \"1\""):
        part_of("teacher", made)


def test_code_of_a_prompt_is_refused() -> None:
    cell: dict[str, Any] = {"__name__": "a_prompt"}
    exec("def typed(pairs):\n    return [0.0 for _ in pairs]", cell)
    with pytest.raises(UsageError, match="typed stands in no file that could be read"):
        part_of("teacher", cell["typed"])


def test_a_name_of_rankmills_own_is_refused() -> None:
    def bm25(collection: Any) -> Any:
        return collection

    with pytest.raises(UsageError, match="the name of source 'bm25' is taken"):
        part_of("source", bm25)


def test_an_error_of_the_function_names_it(pool: rm.Pool) -> None:
    def broken(pairs: Any) -> Any:
        raise KeyError("no such word")

    with pytest.raises(PluginError, match=r"teacher broken: KeyError[\s\S]*test_python_parts"):
        pool.score(broken)


def test_texts_and_parts_stay_what_they_are() -> None:
    from rankmill.mining.sources import SOURCES

    value = SOURCES.parse("bm25(k1=1)")
    assert part_of("source", value) is value
    assert part_of("source", "bm25") == "bm25"


@pytest.mark.ray
def test_functions_travel_to_workers(pool: rm.Pool, ray_cluster: None, tmp_path: Any) -> None:
    here = pool.score(shared_words)
    held = rm.collect(
        documents=[text for text in pool.collection.to_polars()["text"]],
        queries=dict(pool.collection.queries.to_polars().rows()),
        qrels={"train": {"q1": {"0": 1}, "q2": {"2": 1}}},
        workspace=tmp_path / "there",
    )
    workers = rm.Execution(workers=2)
    there = held.mine("random", split="train", depth=4).pool().score(shared_words, executor=workers)
    assert there.root_hash == here.root_hash
    by_source = pool.collection.mine(shortest, split="train", depth=2)
    assert held.mine(shortest, split="train", depth=2, executor=workers).root_hash == (
        by_source.root_hash
    )


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("teacher", "def mine(query, text): return 1", r"mine\(query, text\) cannot be a teacher: "
         r"it is called with \(pairs\)[\s\S]*do: write def my_teacher\(pairs\)"),
        ("source", "def mine(): return 1", r"called with \(collection\)[\s\S]*def my_source"),
        ("statistic", "def mine(rows, T): return 1", r"called with \(rows\)"),
        ("loss", "def mine(f): return f", r"called with \(f, g\)"),
    ],
)  # fmt: skip
def test_a_function_of_other_arguments_is_told_the_right_ones(
    kind: str, code: str, message: str
) -> None:
    made: dict[str, Any] = {}
    exec(code, made)
    with pytest.raises(UsageError, match=message):
        part_of(kind, made["mine"])


def test_an_error_of_ones_own_function_is_to_be_mended_there(pool: rm.Pool) -> None:
    def torn(pairs: Any) -> Any:
        return [1 / 0 for _ in pairs]

    with pytest.raises(PluginError, match="this is code of your own, not of rankmill: mend it th"):
        pool.score(torn)
