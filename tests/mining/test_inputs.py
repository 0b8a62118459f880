"""Blocks of lines and their fields against Python's own reading, and ids against a dictionary."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import random
import string
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankmill.mining.collection.id_index import IdIndex
from rankmill.mining.collection.lines import read_lines
from rankmill.mining.errors import BadInput, of_the_system
from rankmill.mining.inputs.blocks import places_of, read_blocks
from rankmill.mining.inputs.fields import Fields
from rankmill.mining.store.files import sha256_of


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".tsv": bytes,
    ".tsv.gz": gzip.compress,
    ".tsv.bz2": bz2.compress,
    ".tsv.zst": zstd,
    ".tsv.xz": lzma.compress,
}


def every_field(path: Path, *, at_blanks: bool, size: int, limit: int = 4) -> list[tuple]:
    rows = []
    for block in read_blocks(path, size=size):
        fields = Fields(block, limit, at_blanks=at_blanks)
        columns = [
            fields.text(c, np.flatnonzero(fields.widths > c)).to_pylist() for c in range(limit)
        ]
        for row, (line, width) in enumerate(zip(fields.lines, fields.widths, strict=True)):
            cells = [columns[c].pop(0) for c in range(min(width, limit))]
            rows.append((int(line), int(width), cells))
            assert fields.where(row).endswith(f", line {line}")
    return rows


def read_by_python(text: bytes, *, at_blanks: bool, limit: int = 4) -> list[tuple]:
    """The definition: line feeds end lines, a return before one belongs to it, a BOM is dropped."""
    rows = []
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        cut = line.removesuffix(b"\r").decode()
        if not cut.strip(" \t" if at_blanks else " "):
            continue
        cells = cut.split("\t")
        if at_blanks:
            cells = [cell for part in cells for cell in part.split(" ") if cell]
        rows.append((number, len(cells), cells[:limit]))
    return rows


ODD = (
    b"",
    b"\n",
    b"\r\n\r\n",
    b"a\tb\n",
    b"a\tb",
    b"\xef\xbb\xbfa\tb\r\nc\td\r\n",
    b" \n \t \na b\n",
    b"a\t\tb\t\n\t\n",
    b"a b  c\td e f\n",
    "é\t\u2028x\x85y\x0cz\n".encode(),
    b"a\rb\tc\n",
    b"\n\n\nlast",
    b"a\tb\r",
)


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("at_blanks", [False, True])
def test_fields_are_those_that_python_reads(tmp_path: Path, ending: str, at_blanks: bool) -> None:
    path = tmp_path / f"file{ending}"
    for text in ODD:
        path.write_bytes(PACKERS[ending](text))
        for size in (1, 2, 7, 1 << 20):
            read = every_field(path, at_blanks=at_blanks, size=size)
            assert read == read_by_python(text, at_blanks=at_blanks), (text, size)


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet="ab \t\r\n\u00e9\u2028\x85", max_size=60),
    size=st.integers(1, 20),
    at_blanks=st.booleans(),
)
def test_random_text(tmp_path_factory, text: str, size: int, at_blanks: bool) -> None:
    path = tmp_path_factory.mktemp("random") / "file.tsv"
    path.write_bytes(text.encode())
    if "\n" not in text and "\r" in text[:-1]:  # old Macintosh's line ends, all rows in one line
        with pytest.raises(BadInput, match="carriage returns alone"):
            every_field(path, at_blanks=at_blanks, size=size)
        return
    expected = read_by_python(text.encode(), at_blanks=at_blanks)
    assert every_field(path, at_blanks=at_blanks, size=size) == expected


def test_the_threads_cut_a_large_block_as_one_does(tmp_path: Path) -> None:
    generator = random.Random(1)
    lines = [f"q{generator.randrange(50)}\td{i}\t{generator.random()}" for i in range(120_000)]
    path = tmp_path / "large.tsv"
    path.write_text("\n".join(lines))
    for size in (1 << 17, 1 << 25):
        columns = [
            [f.text(0).to_pylist(), f.text(1).to_pylist(), f.numbers(2).tolist()]
            for f in (Fields(b, 3) for b in read_blocks(path, size=size))
        ]
        ids, docs, scores = ([x for block in columns for x in block[c]] for c in range(3))
        assert [f"{q}\t{d}\t{s}" for q, d, s in zip(ids, docs, scores, strict=True)] == lines


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=70), st.integers(0, 9), st.sampled_from([0, 9, 10, 127]))
def test_places_of_a_byte(data: bytes, first: int, byte: int) -> None:
    """Also where words hold several, and where the memory does not begin at a whole word."""
    array = np.frombuffer(data * 3, np.uint8)[first:]
    assert places_of(array, byte).tolist() == np.flatnonzero(array == byte).tolist()


def test_a_line_longer_than_blocks_and_a_file_that_ends_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "long.tsv"
    for length in (1, 2, 3, 4, 31, 32, 33, 1000):
        for end in (b"", b"\n", b"\nx", b"\n\n"):
            text = b"a\n" + b"y" * length + end
            path.write_bytes(text)
            found = list(read_blocks(path, size=16))
            assert b"".join(block.data.tobytes() for block in found) == text
            assert all(block.data.tobytes().endswith(b"\n") for block in found[:-1])
            before = 0
            for block in found:
                assert block.first_line == 1 + text[:before].count(b"\n")
                before += len(block.data)
            assert not any(block.data.flags.writeable for block in found)


def test_the_digest_counts_what_stands_behind_the_packed_text(tmp_path: Path) -> None:
    path = tmp_path / "file.tsv.bz2"
    path.write_bytes(bz2.compress(b"a\tb\n" * 9) + bytes(3 << 20))
    digest = hashlib.sha256()
    (block,) = read_blocks(path, digest=digest)
    assert len(block.data) == 36
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", PACKERS)
def test_the_digest_is_of_the_file_as_it_lies(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"file{ending}"
    path.write_bytes(PACKERS[ending](b"a\tb\n" * 5000))
    digest = hashlib.sha256()
    for _ in read_blocks(path, digest=digest, size=100):
        pass
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_rest_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes(b"q1 Q0 d1 1 2.5 my own  tag \r\nq1 Q0 d2 2 1.5 t\n")
    (block,) = read_blocks(path)
    fields = Fields(block, 6, at_blanks=True)
    assert fields.rest(5).to_pylist() == ["my own  tag ", "t"]


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("1", 1.0),
        ("+1.5", 1.5),
        ("1e3", 1e3),
        (".5", 0.5),
        ("-0", -0.0),
        ("5.", 5.0),
    ],
)
def test_numbers_as_python_reads_them(tmp_path: Path, spelling: str, value: float) -> None:
    path = tmp_path / "n.tsv"
    path.write_text(f"0.25\n{spelling}\n")
    (block,) = read_blocks(path)
    assert Fields(block, 1).numbers(0).tolist() == [0.25, value]


@pytest.mark.parametrize("spelling", ["3,5", "0x1p3", "one", "1 2"])
def test_what_is_no_number_is_named(tmp_path: Path, spelling: str) -> None:
    path = tmp_path / "n.tsv"
    path.write_text(f"0.25\n\n{spelling}\n")
    (block,) = read_blocks(path)
    with pytest.raises(BadInput, match=f"score '{spelling}' is not a number") as refused:
        Fields(block, 1).numbers(0)
    assert "n.tsv, line 3" in str(refused.value)


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_a_wrong_byte_is_named_by_line_and_position(tmp_path: Path, size: int) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(b"fine\nab\xffc\nfine\n")
    with pytest.raises(BadInput, match="byte 0xff at position 3") as refused:
        list(read_blocks(path, size=size))
    assert "line 2" in str(refused.value)


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        (".tsv.gz", "cut"),
        (".tsv.bz2", "cut"),
        (".tsv.zst", "cut"),
        (".tsv.xz", "cut"),
        (".tsv.xz", "flipped"),
        (".tsv.gz", "flipped"),
        (".tsv.bz2", "flipped"),  # zstd knows a changed byte only where its writer asked for a sum
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, ending: str, damage: str) -> None:
    generator = random.Random(3)
    text = "".join(generator.choices(string.ascii_letters + "\n", k=200_000)).encode()
    packed = bytearray(PACKERS[ending](text))
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    else:
        packed[len(packed) // 2] ^= 0x55
        packed[len(packed) // 2 + 1] ^= 0x55
    path = tmp_path / f"file{ending}"
    path.write_bytes(packed)
    with pytest.raises(BadInput, match="damaged|truncated|invalid UTF-8"):
        list(read_blocks(path, size=1000))


def test_xz_in_several_streams_with_zeros_between(tmp_path: Path) -> None:
    path = tmp_path / "file.tsv.xz"
    for between in (b"", bytes(4), bytes(1 << 17)):
        path.write_bytes(lzma.compress(b"a\nb") + between + lzma.compress(b"c\n") + between)
        assert b"".join(block.data.tobytes() for block in read_blocks(path)) == b"a\nbc\n"
    path.write_bytes(b"")
    assert list(read_blocks(path)) == []
    path.write_bytes(lzma.compress(b"a\n") + b"no stream, but more than a header")
    with pytest.raises(BadInput, match="bad compressed data"):
        list(read_blocks(path))


def test_xz_that_asks_for_memory_is_refused(tmp_path: Path) -> None:
    """A file of a few bytes may say that unpacking it takes 1.5 GiB."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
    small = lzma.compress(b"a\n", filters=filters)
    head, body = bytearray(small), small.index(b"\x21\x01")
    head[body + 2] = 37  # the dictionary: 1.5 GiB
    start = 12
    length = (head[start] + 1) * 4
    head[start + length - 4 : start + length] = zlib.crc32(
        head[start : start + length - 4]
    ).to_bytes(4, "little")
    path = tmp_path / "file.tsv.xz"
    path.write_bytes(head)
    with pytest.raises(BadInput, match="unpacking this takes more than 256 MiB of memory"):
        list(read_blocks(path))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such file"):
        list(read_blocks(tmp_path / "gone.tsv"))


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs Linux's /proc")
def test_a_file_that_cannot_be_read_is_named() -> None:
    """As on a broken disk: page 0 of a process is never there. Python's error says no file."""
    path = Path("/proc/self/mem")
    for read in (sha256_of, lambda one: list(read_blocks(one)), lambda one: list(read_lines(one))):
        with pytest.raises(OSError, match="Input/output error") as caught:
            read(path)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))
        assert of_the_system(caught.value).where == str(path)


# ---- ids --------------------------------------------------------------------------------------


def check_index(ids: Sequence[str], wanted: Sequence[str | None]) -> None:
    index = IdIndex([pa.chunked_array([ids[: len(ids) // 2], ids[len(ids) // 2 :]], pa.string())])
    first: dict[str, int] = {}
    for row, one in enumerate(ids):
        first.setdefault(one, row)
    assert index.first.tolist() == [first[one] for one in ids]
    assert index.repeated.tolist() == [row for row, one in enumerate(ids) if first[one] != row]
    expected = [-1 if one is None else first.get(one, -1) for one in wanted]
    for column in (pa.array(wanted, pa.string()), pa.array(wanted, pa.large_string())):
        assert index.rows(column).tolist() == expected
        assert index.rows(column.slice(1)).tolist() == expected[1:]


@settings(max_examples=100, deadline=None)
@given(
    ids=st.lists(st.text(max_size=6), max_size=40),
    others=st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=40),
)
def test_ids_are_found_as_a_dictionary_finds_them(ids: list[str], others: list) -> None:
    check_index(ids, [*ids, *others])


@pytest.mark.parametrize("power", [1, 2])  # plain numbers, and numbers too far apart for an array
def test_many_ids(power: int) -> None:
    ids = [str(i**power) for i in range(120_000)]
    generator = random.Random(5)
    check_index(ids, [str(generator.randrange(10**9)) for _ in range(150_000)] + ids)


def test_ids_whose_hashes_begin_alike() -> None:
    """In a table that is nearly one run of full slots, probing must not end early."""
    generator = random.Random(7)
    ids = ["".join(generator.choices("ab", k=12)) for _ in range(3000)]
    check_index(ids, ["".join(generator.choices("ab", k=12)) for _ in range(3000)])


@settings(max_examples=100, deadline=None)
@given(
    ids=st.lists(st.integers(0, 30).map(str), max_size=40),
    others=st.lists(
        st.one_of(
            st.none(),
            st.integers(-5, 60).map(str),
            st.sampled_from(
                ["", "00", "007", "+1", " 1", "1 ", "\u0661", "9" * 18, "9" * 19, "1e1"]
            ),
        ),
        max_size=40,
    ),
)
def test_ids_that_are_numbers(ids: list[str], others: list) -> None:
    check_index(ids, [*ids, *others])
    check_index([*ids, "007"], [*ids, *others])


def test_no_ids_at_all() -> None:
    assert IdIndex([]).rows(pa.array(["a", None])).tolist() == [-1, -1]
    assert len(IdIndex([pa.array([], pa.string())])) == 0
