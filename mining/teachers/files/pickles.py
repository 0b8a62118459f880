"""Score pickles of sentence-transformers, `{query id: {document id: score}}`, as Parquet or JSON
Lines.

Nothing is unpickled: the opcodes are listed by the standard library, which runs none of them, and
read by a small machine that knows dictionaries, numbers, texts and NumPy scalars. Whatever else a
pickle asks for, above all to call something, is refused. Rows are written as they are read, so
memory holds one block of queries at a time. Only `rankmill unsafe-convert-pickle` comes here.
"""

from __future__ import annotations

import gzip
import json
import pickletools
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from ....native.pickle_items import read_items
from ...errors import BadInput
from ...inputs.bounds.guards import LINE_BYTES, PICKLE_ITEMS, brief, reason, refuse_unless_file
from ...store.files import replacing

_VALUES = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINBYTES", "BINBYTES",
    "SHORT_BINSTRING", "BINSTRING",
}  # fmt: skip
_SHOWN = 200  # characters of a name
_SILENT = {"PROTO", "FRAME"}
_NAMES = {
    "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
    "_codecs.encode",
}  # fmt: skip
_SCALARS = {"f2": "e", "f4": "f", "f8": "d", "i4": "i", "i8": "q"}
_MARK = object()
_AHEAD = 1 << 20  # bytes
_LONGEST_ID = 1 << 12  # bits of a whole number
_LARGEST = float(np.finfo(np.float64).max)
_MOST_ITEMS = 1 << 14  # that are taken at a time; Python writes a thousand to a mark


_GROUP_PAIRS = 1 << 20
_IN_64_BITS = range(-(1 << 63), 1 << 63)
_COLUMNS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64())])


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that the pickle wants; it is never looked up."""

    text: str


def convert_score_pickle(path: Path, to: Path) -> int:
    """Write the scores of a pickle (plain or gzip) as Parquet where `to` ends in .parquet, else as
    JSON Lines; returns the number of pairs.

    Raises BadInput for anything but nested dictionaries of finite numbers.
    """
    refuse_unless_file(path)
    with open(path, "rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    columns = to.suffix == ".parquet"
    with (
        gzip.open(path) if zipped else open(path, "rb") as source,
        replacing(to, text=not columns) as out,
    ):
        pairs = (_write_columns if columns else _write_lines)(_queries(source, path), path, out)
        if not pairs:
            raise _strange(path, "it holds no score")
    return pairs


def _queries(source: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[tuple[Any, dict[Any, Any]]]:
    for query_id, scores in _Machine(path).rows(source):
        if not isinstance(scores, dict):
            raise _strange(path, f"the value of query {brief(query_id)} is no dictionary")
        yield query_id, scores


def _write_lines(queries: Iterable[tuple[Any, dict[Any, Any]]], path: Path, out: IO[str]) -> int:
    pairs = 0
    for query_id, scores in queries:
        out.write("".join(_lines(query_id, scores, path)))
        pairs += len(scores)
    return pairs


def _write_columns(
    queries: Iterable[tuple[Any, dict[Any, Any]]], path: Path, out: IO[bytes]
) -> int:
    """Write query_id, doc_id (text) and score (float64), about a million pairs to a row group."""
    import pyarrow.parquet as pq

    pairs, held, batches = 0, 0, []
    with pq.ParquetWriter(out, _COLUMNS) as writer:
        for query_id, scores in queries:
            batches.append(_batch(query_id, scores, path))
            pairs, held = pairs + len(scores), held + len(scores)
            if held >= _GROUP_PAIRS:
                writer.write_table(pa.Table.from_batches(batches))
                batches, held = [], 0
        if batches:
            writer.write_table(pa.Table.from_batches(batches))
    return pairs


def _batch(query_id: Any, scores: dict[Any, Any], path: Path) -> pa.RecordBatch:
    """Return the pairs of one query as columns."""
    real = np.array(list(scores.values())) if set(map(type, scores.values())) == {float} else None
    if real is None or not np.isfinite(real).all():
        real = np.array([_real(one, path) for one in scores.values()], np.float64)
    try:
        if set(map(type, scores)) == {int} and all(map(_IN_64_BITS.__contains__, scores)):
            docs = pa.array(list(scores), pa.int64()).cast(pa.string())
        else:
            docs = pa.array([_id(one, path) for one in scores], pa.string())
        query = pa.repeat(pa.scalar(_id(query_id, path), pa.string()), len(scores))
    except UnicodeEncodeError as error:
        raise _strange(
            path, f"the id {brief(error.object)} is no text that UTF-8 can hold"
        ) from error
    return pa.record_batch([query, docs, pa.array(real)], schema=_COLUMNS)


def _lines(query_id: Any, scores: dict[Any, Any], path: Path) -> Iterator[str]:
    """Yield the lines of one query, as `json.dumps` would write them."""
    start = f'{{"query_id": {json.dumps(_id(query_id, path))}, "doc_id": '
    for doc_id, score in scores.items():
        named = f'"{doc_id}"' if type(doc_id) is int else json.dumps(_id(doc_id, path))
        real = score if type(score) is float and score - score == 0 else _real(score, path)
        yield f'{start}{named}, "score": {real!r}}}\n'


def _id(value: Any, path: Path) -> str:
    """Return an id as text; nothing but texts and whole numbers are ids."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise _strange(path, f"the id {brief(value)} is neither text nor a whole number")
    if isinstance(value, int) and value.bit_length() > _LONGEST_ID:
        raise _strange(path, f"the id {brief(value)} is no id")
    return str(value)


class _Window:
    """A stream of bytes that is read ahead, so that a kernel can look at what follows."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, path: Path):
        self._path = path
        self._stream, self._data, self._at = stream, b"", 0
        self._keys, self._bits = np.empty(_MOST_ITEMS, np.int64), np.empty(_MOST_ITEMS, np.uint64)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        if size > LINE_BYTES.most:
            raise LINE_BYTES.refused(f"a value of {size:,} bytes", self._path)
        if self._at + size > len(self._data):
            self._fill(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def readline(self) -> bytes:
        """Return the rest of the line."""
        while (end := self._data.find(b"\n", self._at)) < 0 and self._fill(_AHEAD):
            if len(self._data) > LINE_BYTES.most + _AHEAD:
                raise LINE_BYTES.refused(
                    f"a line of more than {LINE_BYTES.most:,} bytes", self._path
                )
        stop = len(self._data) if end < 0 else end + 1
        line, self._at = self._data[self._at : stop], stop
        return line

    def items(self) -> list[Any]:
        """Take the items of whole numbers and floats that follow: key, value, key, value, …"""
        if len(self._data) - self._at < _AHEAD // 2:
            self._fill(_AHEAD)
        data = np.frombuffer(self._data, np.uint8)
        count, self._at = read_items(data, self._at, self._keys, self._bits)
        items: list[Any] = [None] * (2 * count)
        items[::2] = self._keys[:count].tolist()
        items[1::2] = self._bits[:count].view(np.float64).tolist()
        return items

    def _fill(self, least: int) -> bool:
        """Read on; says whether there was more."""
        more = self._stream.read(max(least, _AHEAD))
        self._data, self._at = self._data[self._at :] + more, 0
        return bool(more)


class _Machine:
    """Reads the opcodes of one pickle; yields the items of the outermost dictionary."""

    def __init__(self, path: Path):
        self.path = path
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.known: dict[str, Callable[[Any], None]] = {
            "MEMOIZE": lambda _: self._remember(len(self.memo)),
            "BINPUT": self._remember,
            "LONG_BINPUT": self._remember,
            "PUT": self._remember,
            "BINGET": self._recall,
            "LONG_BINGET": self._recall,
            "GET": self._recall,
            "NONE": lambda _: self.stack.append(None),
            "NEWFALSE": lambda _: self.stack.append(False),
            "NEWTRUE": lambda _: self.stack.append(True),
            "GLOBAL": lambda name: self._name(name.replace(" ", ".")),
            "STACK_GLOBAL": lambda _: self._stack_name(),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "TUPLE": lambda _: self._pushed(self._since_mark()),
            "REDUCE": lambda _: self._number(),
            "BUILD": lambda _: self.stack.pop(),  # the state of a NumPy dtype: its byte order
        }

    def rows(self, stream: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[Any, Any]]:
        """Yield (query id, {document id: score}) as the pickle goes on."""
        try:
            window, most = _Window(stream, self.path), PICKLE_ITEMS.most
            for opcode, argument, _ in pickletools.genops(window):  # type: ignore[arg-type]
                name = opcode.name
                if name in _VALUES:
                    self.stack.append(argument)
                elif name in ("EMPTY_DICT", "MARK"):
                    self.stack.append({} if name == "EMPTY_DICT" else _MARK)
                    if name == "MARK":
                        self.stack += window.items()
                elif name == "DICT":
                    self._since_mark()
                    self.stack.append({})
                elif name in ("SETITEMS", "SETITEM"):
                    yield from self._set(self._since_mark() if name == "SETITEMS" else self._two())
                elif name in self.known:
                    self.known[name](argument)
                elif name == "STOP":
                    if window.read(1):
                        raise _strange(self.path, "something follows its end, such as another one")
                    break
                elif name not in _SILENT:
                    raise _strange(self.path, f"it uses the instruction {name}")
                if len(self.stack) > most:
                    raise PICKLE_ITEMS.refused(f"more than {most:,} values wait", self.path)
        except KeyError as error:
            raise _strange(
                self.path, f"it refers to {brief(error.args[0])}, which it lacks"
            ) from error
        except (
            ValueError, IndexError, EOFError, OSError, struct.error, AttributeError, TypeError,
        ) as error:  # fmt: skip
            raise _strange(self.path, f"it cannot be read: {reason(error)[:300]}") from error
        if self.stack != [{}]:
            raise _strange(self.path, "it holds no dictionary of dictionaries")

    def _set(self, items: list[Any]) -> Iterator[tuple[Any, Any]]:
        pairs = list(zip(items[::2], items[1::2], strict=True))
        if not isinstance(self.stack[-1], dict):
            raise _strange(self.path, "it sets items of something else than a dictionary")
        if len(self.stack) == 1:
            yield from pairs
        else:
            self.stack[-1].update(pairs)

    def _since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _two(self) -> list[Any]:
        value, key = self.stack.pop(), self.stack.pop()
        return [key, value]

    def _tuple(self, size: int) -> None:
        items = self.stack[-size:]
        del self.stack[-size:]
        self._pushed(items)

    def _pushed(self, items: list[Any]) -> None:
        # Of tuples in tuples even the hash would go as deep as they do, without a bound.
        if any(isinstance(one, tuple) for one in items):
            raise _strange(self.path, "it holds tuples in tuples")
        self.stack.append(tuple(items))

    def _remember(self, at: int) -> None:
        # Dictionaries are not kept, or memory would hold them all; nothing refers to them again.
        value = self.stack[-1]
        self.memo[at] = None if isinstance(value, dict) else value

    def _recall(self, at: int) -> None:
        if self.memo[at] is None:
            raise _strange(self.path, "it refers twice to one dictionary")
        self.stack.append(self.memo[at])

    def _name(self, text: str) -> None:
        if text not in _NAMES:
            raise _strange(self.path, f"it wants to call {text[:_SHOWN]}")
        self.stack.append(_Name(text))

    def _stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._name(f"{module}.{name}")

    def _number(self) -> None:
        """Read what a pickle does to make a NumPy dtype or scalar; nothing is called."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if isinstance(name, _Name) and name.text == "numpy.dtype":
            self.stack.append(_Name(str(arguments[0]).lstrip("<=|")))
            return
        if isinstance(name, _Name) and name.text == "_codecs.encode":
            self.stack.append(str(arguments[0]).encode("latin-1"))  # bytes in old protocols
            return
        if not isinstance(name, _Name) or arguments[0].text not in _SCALARS:
            raise _strange(self.path, "it wants to call something")
        self.stack.append(struct.unpack("<" + _SCALARS[arguments[0].text], arguments[1])[0])


def _real(value: Any, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise _strange(path, f"the score {brief(value)} is not a finite number")
    return float(value)


def _strange(path: Path, what: str) -> BadInput:
    return BadInput(
        f"this pickle is not a plain table of scores: {what}",
        where=path,
        do="expected {query id: {document id: score}}; nothing of it was run",
    )
