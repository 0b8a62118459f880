"""Score pickles become JSON Lines without being unpickled; anything that would run is refused."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rankmill.mining.errors import BadInput
from rankmill.mining.teachers.files.pickles import convert_score_pickle

SCORES: dict[Any, dict[Any, float]] = {
    10: {0: 9.25, 300: -3.5, 70_000: 1e-3},
    2_000_000: {1: 2.0},
    "q": {"d": 0.5},
}


def rows(path: Path) -> list[tuple[str, str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["query_id"], line["doc_id"], line["score"]) for line in lines]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number", [float, np.float32, np.float64])
def test_pickles_of_every_protocol_are_read(tmp_path: Path, protocol: int, number: Any) -> None:
    scores = {q: {d: number(s) for d, s in docs.items()} for q, docs in SCORES.items()}
    path = tmp_path / "scores.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(scores, protocol)))
    assert convert_score_pickle(path, tmp_path / "out.jsonl") == 5
    expected = [
        (str(q), str(d), float(number(s))) for q, docs in SCORES.items() for d, s in docs.items()
    ]
    assert rows(tmp_path / "out.jsonl") == expected


def test_many_queries_are_read(tmp_path: Path) -> None:
    scores = {q: {d: q + d / 7 for d in range(1500)} for q in range(20)}
    path = tmp_path / "scores.pkl"
    path.write_bytes(pickle.dumps(scores))
    assert convert_score_pickle(path, tmp_path / "out.jsonl") == 30_000
    assert rows(tmp_path / "out.jsonl")[-1] == ("19", "1499", 19 + 1499 / 7)


class Harmful:
    """Would create a file when unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def test_what_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    for number, value in enumerate(
        (Harmful(target), {1: Harmful(target)}, {1: {2: Harmful(target)}}, {Harmful(target): 1})
    ):
        for protocol in (0, 2, 4):
            path = tmp_path / f"{number}-{protocol}.pkl"
            path.write_bytes(pickle.dumps(value, protocol))
            with pytest.raises(BadInput, match=r"it wants to call (posix|os).mkdir[\s\S]*was run"):
                convert_score_pickle(path, tmp_path / "out.jsonl")
    assert not target.exists()
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "it uses the instruction EMPTY_LIST"),
        (3, "it holds no dictionary of dictionaries"),
        ({1: 2.0}, "the value of query 1 is no dictionary"),
        ({1: {2: float("nan")}}, "the score nan is not a finite number"),
        ({1: {2: True}}, "the score True is not a finite number"),
        ({1: {2: "x"}}, "the score 'x' is not a finite number"),
        ({1: {2: {}}}, r"the score \{\} is not a finite number"),
        ({1.0: {2: 1.0}}, "the id 1.0 is neither text nor a whole number"),
        ({1: {True: 1.0}}, "the id True is neither text nor a whole number"),
        ({1: {b"2": 1.0}}, "the id b'2' is neither text nor a whole number"),
        ({"": {2: 1.0}}, "the id '' is neither text nor a whole number"),
        ({}, "it holds no score"),
        ({1: {}}, "it holds no score"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, value: Any, said: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(BadInput, match=said):
        convert_score_pickle(path, tmp_path / "out.jsonl")


def test_torn_files_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(SCORES)
    path = tmp_path / "a.pkl"
    for length in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match="not a plain table of scores"):
            convert_score_pickle(path, tmp_path / "out.jsonl")
    for data, said in (
        (whole + whole, "something follows its end"),
        (b"hello world\n", "it refers to 101, which it lacks"),
        (gzip.compress(whole)[:-4], "it cannot be read"),
    ):
        path.write_bytes(data)
        with pytest.raises(BadInput, match=said):
            convert_score_pickle(path, tmp_path / "out.jsonl")
        assert not (tmp_path / "out.jsonl").exists()
    shared = {1: {2: 3.0}}
    shared[2] = shared[1]
    path.write_bytes(pickle.dumps(shared))
    with pytest.raises(BadInput, match="it refers twice to one dictionary"):
        convert_score_pickle(path, tmp_path / "out.jsonl")


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_whatever_the_bytes_are_they_are_read_or_refused(tmp_path: Path) -> None:
    draws = np.random.Generator(np.random.Philox(5))
    path = tmp_path / "a.pkl"
    for protocol in (0, 2, 5):
        made = pickle.dumps({1: {2: np.float32(3)}, "a": {"b": 1.5}}, protocol)
        whole = np.frombuffer(made, np.uint8)
        for _ in range(150):
            data = whole.copy()
            data[draws.integers(len(data), size=3)] = draws.integers(256, size=3)
            path.write_bytes(data.tobytes())
            with contextlib.suppress(BadInput):
                convert_score_pickle(path, tmp_path / "out.jsonl")


def test_items_by_kernel_are_those_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integers of every width and sign, floats of every bit, in windows that cut items in two."""
    from rankmill.mining.teachers.files import pickles

    rng = np.random.Generator(np.random.Philox(2))
    edges = [
        0,
        1,
        255,
        256,
        65_535,
        65_536,
        2**31 - 1,
        2**31,
        -1,
        -128,
        -(2**31),
        2**63 - 1,
        -(2**63),
    ]
    edges += [2**63, 2**70, -(2**40)]
    floats = [0.0, -0.0, 5e-324, 1.7976931348623157e308, -1.5, *rng.normal(size=4000).tolist()]
    drawn = rng.integers(0, 2**40, 4000).tolist()
    docs = dict(zip(edges + drawn, floats + floats[:11], strict=False))
    scores = {1: docs, 2: {3: 1.0}, 4: {"a": 2.0, 5: 3.0, 6: 7}, -8: dict(docs)}
    for protocol in range(1, pickle.HIGHEST_PROTOCOL + 1):
        for ahead in (64, 4096, 1 << 20):
            monkeypatch.setattr(pickles, "_AHEAD", ahead)
            path = tmp_path / "scores.pkl"
            path.write_bytes(pickle.dumps(scores, protocol))
            pairs = convert_score_pickle(path, tmp_path / "out.jsonl")
            expected = [
                json.dumps({"query_id": str(q), "doc_id": str(d), "score": float(s)})
                for q, of in scores.items()
                for d, s in of.items()
            ]
            assert (tmp_path / "out.jsonl").read_text().splitlines() == expected
            assert pairs == len(expected)
            for rows_of_a_group in (1 << 20, 100):
                monkeypatch.setattr(pickles, "_GROUP_PAIRS", rows_of_a_group)
                assert convert_score_pickle(path, tmp_path / "out.parquet") == pairs
                table = pq.read_table(tmp_path / "out.parquet").to_pylist()
                assert table == [json.loads(line) for line in expected]


def test_columns_refuse_what_lines_refuse(tmp_path: Path) -> None:
    path, to = tmp_path / "scores.pkl", tmp_path / "out.parquet"
    for scores, said in (
        ({1: {2: float("nan")}}, "the score nan"),
        ({1: {2: float("inf"), 3: 1.0}}, "the score inf"),
        ({1: {2: True}}, "the score True"),
        ({1: {True: 1.0}}, "the id True"),
        ({1: {"": 1.0}}, "the id ''"),
        ({1: {"\ud800": 1.0}}, "UTF-8"),
        ({"\ud800": {2: 1.0}}, "UTF-8"),
        ({1: {}}, "it holds no score"),
        ({1: 2.0}, "no dictionary"),
    ):
        path.write_bytes(pickle.dumps(scores))
        with pytest.raises(BadInput, match=said):
            convert_score_pickle(path, to)
        assert not to.exists()
