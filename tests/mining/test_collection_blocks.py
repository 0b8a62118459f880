"""Whole blocks parsed into columns against one row at a time: the same rows, the same refusals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankmill.mining.collection.base import Texts
from rankmill.mining.collection.readers import json_rows, tsv_rows
from rankmill.mining.collection.readers.json_rows import exact_rows, jsonl_texts
from rankmill.mining.collection.readers.layouts import DOCUMENTS, QUERIES, Layout, Row
from rankmill.mining.collection.readers.tsv_rows import table_of, tsv_outlines, tsv_texts
from rankmill.mining.errors import BadInput
from rankmill.mining.inputs.blocks import read_blocks

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids = st.one_of(text, st.integers(-(2**70), 2**70))
row = st.fixed_dictionaries(
    {"_id": ids, "text": st.one_of(text, st.integers())},
    optional={"title": st.one_of(st.none(), text), "more": st.just({"_id": [1]}), "id": text},
)


def rows_of(blocks: Iterable[Texts]) -> Iterator[Row]:
    for block in blocks:
        titles = [None] * len(block) if block.titles is None else block.titles.to_pylist()
        columns = (block.numbers.tolist(), block.ids.to_pylist(), titles, block.texts.to_pylist())
        yield from zip(*columns, strict=True)


def by_line(path: Path, layout: Layout) -> list[Row]:
    return [one for block in read_blocks(path) for one in exact_rows(block, layout)]


@settings(max_examples=150, deadline=None)
@given(st.lists(row, min_size=1, max_size=12), st.integers(1, 200), st.booleans())
def test_parsed_objects_are_those_of_python(tmp_path_factory, rows, size, escaped) -> None:
    path = tmp_path_factory.mktemp("objects") / "documents.jsonl"
    said = [json.dumps(one, ensure_ascii=escaped) for one in rows]
    path.write_bytes(("\n".join(said) + "\n").encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "BLOCK_BYTES", size)
        for layout in (DOCUMENTS, QUERIES):
            assert list(rows_of(jsonl_texts(path, layout))) == by_line(path, layout)


@pytest.mark.parametrize(
    "line",
    [
        b'{"_id": "1", "text": "a"} {"_id": "2", "text": "b"}',
        b'{"_id": "1", "text": "a"}{"_id": "2", "text": "b"}',
        b'{"_id": "1",\n"text": "a"}',
        b'{"_id": "1", "_id": "2", "text": "a"}',
        b'{"_id": "1", "text": "a"},',
        b'{"_id": 1.0, "text": "a"}',
        b'{"_id": "1", "text": null}',
        b'{"_id": "1"}',
        b'{"_id": "1", "text": "\\ud83d"}',
        b'{"_id": "1", "text": "a\tb"}',
        b'["_id", "text"]',
    ],
)
def test_what_python_refuses_is_refused(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "documents.jsonl"
    good = b'{"_id": "x%d", "text": "y"}\n'
    path.write_bytes(good % 1 + good % 2 + line + b"\n" + good % 3)
    with pytest.raises(BadInput, match="line 3"):
        list(jsonl_texts(path, DOCUMENTS))
    with pytest.raises(BadInput, match="line 3"):
        by_line(path, DOCUMENTS)


@pytest.mark.parametrize(
    "line",
    [
        b'  {"_id": "5", "text": "a"}  ',
        b"",
        b"  ",
        b'{"ID": "5", "text": "a"}',
        b'{"_id": null, "id": "5", "text": "a"}',
        b'{"_id": "5", "text": "a", "more": NaN}',
        b'{"_id": -0, "text": 12345678901234567890123}',
        b'{"_id": "5", "text": "a", "more": 1, "more": 2}',
    ],
)
def test_odd_lines_are_read_as_python_reads_them(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_bytes(b'{"_id": "x", "text": "y"}\n' + line + b'\n{"_id": "z", "text": "y"}\n')
    assert list(rows_of(jsonl_texts(path, DOCUMENTS))) == by_line(path, DOCUMENTS)


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=12), st.integers(1, 60))
def test_fields_of_a_table_are_its_cells(tmp_path_factory, pairs, size) -> None:
    path = tmp_path_factory.mktemp("table") / "documents.tsv"
    cells = [(f"d{n}{one}", other) for n, (one, other) in enumerate(pairs)]
    path.write_bytes("".join(f"{a}\t{b}\r\n" for a, b in cells).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsv_rows, "BLOCK_BYTES", size)
        found = list(rows_of(tsv_texts(path, DOCUMENTS, unquote=False)))
        told = list(tsv_outlines(path, DOCUMENTS, empty=False))
    assert found == [(n, a, "", b) for n, (a, b) in enumerate(cells, 1)]
    sizes = np.concatenate([one.sizes for one in told]).tolist()
    assert sizes == [len(a.encode()) + len(b.encode()) for a, b in cells]
    assert table_of(path, DOCUMENTS).header == 0
