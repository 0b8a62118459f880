"""Text put together by kernels against Python's own: joins of columns, JSON in ASCII."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankmill.native.text_rows import escape, escaped_lengths, join_rows, needs_escape


def laid_out(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the UTF-8 bytes of texts and their offsets, both read-only as Arrow's are."""
    raw = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(raw), np.uint8)
    offsets = np.cumsum([0, *map(len, raw)])
    offsets.flags.writeable = False
    return data, offsets


def joined(columns: list[list[str]], constants: list[str]) -> bytes:
    parts = [laid_out(column) for column in columns]
    starts = np.cumsum([0, *(len(data) for data, _ in parts)])
    ends = np.array([o + s for (_, o), s in zip(parts, starts, strict=False)], np.int64)
    fixed, bounds = laid_out(constants)
    rows = len(columns[0])
    size = int(starts[-1]) + rows * len(fixed)
    out = np.zeros(size, np.uint8)
    join_rows(np.concatenate([data for data, _ in parts]), ends, fixed, bounds, out)
    return out.tobytes()


@settings(deadline=None)  # the first example compiles
@given(st.integers(1, 4), st.integers(0, 5), st.data())
def test_rows_are_joined_as_python_joins_them(columns, rows, data):
    texts = st.lists(st.text(max_size=4), min_size=rows, max_size=rows)
    given_columns = [data.draw(texts) for _ in range(columns)]
    constants = [data.draw(st.text(max_size=3)) for _ in range(columns + 1)]
    expected = ""
    for row in zip(*given_columns, strict=True):
        for constant, text in zip(constants, row, strict=False):
            expected += constant + text
        expected += constants[-1]
    assert joined(given_columns, constants) == expected.encode()


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8), max_size=4
    )
)
def test_text_becomes_ascii_as_json_prints_it(texts):
    # Python escapes DEL too, which is ASCII.
    printed = [json.dumps(text, ensure_ascii=False) for text in texts]
    data, offsets = laid_out(printed)
    lengths = np.zeros(len(texts), np.int64)
    escaped_lengths(data, offsets, lengths)
    out = np.zeros(lengths.sum(), np.uint8)
    escape(data, out)
    expected = [json.dumps(text).encode() for text in texts]
    assert out.tobytes() == b"".join(expected)
    assert lengths.tolist() == [len(one) for one in expected]


def test_what_json_escapes_is_found_anywhere():
    plain = bytes(b for b in range(32, 256) if b not in b'"\\')
    assert not needs_escape(np.frombuffer(plain, np.uint8))
    assert not needs_escape(np.frombuffer(b"", np.uint8))
    for byte in [*range(32), ord('"'), ord("\\")]:
        for at in (0, 100, len(plain)):
            data = plain[:at] + bytes([byte]) + plain[at:]
            assert needs_escape(np.frombuffer(data, np.uint8)), (byte, at)


@pytest.mark.parametrize("text", ["~", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "🦉"])
def test_every_length_of_utf8_is_escaped(text):
    data, offsets = laid_out([text])
    lengths = np.zeros(1, np.int64)
    escaped_lengths(data, offsets, lengths)
    out = np.zeros(lengths[0], np.uint8)
    escape(data, out)
    assert out.tobytes().decode("ascii") == json.dumps(text)[1:-1]
