"""The token store: every text tokenised once per tokenizer, memory-mapped, ready to be packed.

An artifact of kind "tokens" holds one row of ids per document (or query), without special tokens,
cut at a declared cap. It is keyed by what the tokenizer does, so all checkpoints with the same
vocabulary share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...native.packing import gather_rows
from ..actors import INLINE, Execution
from ..errors import BadInput
from ..meter.underway import so_far
from ..names import unless_neutral
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import list_values, tokens_schema
from .folder import ModelFolder, load_tokenizer
from .specials import HOLDING, TOKENS, Specials, check_specials, tell_specials

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

DEFAULT_CAP = 512
_SHARD_BYTES = 16 << 20  # of text: some ten seconds of tokenising on one core
_BATCH_ROWS = 1024
_CHARACTERS_PER_ID = 16  # how much text is looked at first for each id wanted; see _ids_of
_SURE = 16  # ids at the end of a cut text that the rest of the text might have changed
_LAYOUT = 2  # of the artifact, in the fingerprint; 1 named the model that had asked first


def tokens_of(
    workspace: Workspace,
    texts: Artifact,
    model: ModelFolder,
    *,
    max_length: int = DEFAULT_CAP,
    prompt: str = "",
    suffix: str = "",
    specials: str = TOKENS,
    trim: str = "",
    executor: Execution = INLINE,
) -> Artifact:
    """Tokenise a corpus or queries artifact, or find its tokens.

    `max_length`: ids needed per text; the cap is the next power of two, at least 512, so that
    short and long requests share one artifact. `prompt` is put before each non-empty text, `suffix`
    behind it (a text of `cap` ids or more is cut before its end). `specials`: what becomes of
    `[SEP]` or `<|im_end|>` in a text where the tokenizer has such a special token: that token
    (`tokens`, as transformers has it), or words (`text`: see `Specials`; prompt and suffix may hold
    none then). `trim`: blanks and line ends are taken off that end of a text, "left", "right" or
    "both", before anything is put there. The ledger counts the texts in which they became tokens
    (`texts_with_specials`), and that is told.
    """
    check_specials(specials)
    cap = _cap(max_length)
    tokenizer = model.known_tokenizer()
    Specials(tokenizer, specials, (prompt, suffix))  # refuses before any work
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    stage = Stage(
        kind="tokens",
        parameters={
            "tokenizer": model.tokenizer_hash,
            "cap": cap,
            "prompt": prompt,
            "layout": _LAYOUT,
            **unless_neutral(suffix=(suffix, ""), specials=(specials, TOKENS), trim=(trim, "")),
        },
        inputs={"texts": texts},
        schema=tokens_schema(size),
        shards=lambda: split_by_work(_bytes_per_row(texts), _SHARD_BYTES),
        worker=TokenWorker,
        options={
            "texts": str(texts.path),
            "model": str(model.path),
            "cap": cap,
            "around": (prompt, suffix),
            "specials": specials,
            "trim": trim,
            "schema": tokens_schema(size),
        },
        unit="bytes",
        items=counted_as(texts.kind),
    )
    made = workspace.build(stage, executor)
    tell_specials(made, executor)
    return made


def counted_as(kind: str) -> str:
    """Return what texts of a kind of artifact are called when they are counted."""
    return "documents" if kind == "corpus" else kind


class TokenWorker:
    """Tokenises rows of a text artifact."""

    def __init__(
        self,
        texts: str,
        model: str,
        cap: int,
        around: tuple[str, str],
        specials: str,
        schema: pa.Schema,
        trim: str = "",
    ):
        self.texts, self.cap, self.around = open_artifact(texts), cap, around
        self.trim = trim
        self.tokenizer = load_tokenizer(Path(model))
        self.specials = Specials(self.tokenizer, specials, around).told(self.tokenizer)
        self.schema = schema

    def __call__(self, shard: Shard) -> Output:
        """Return the ids of texts start…stop−1."""
        dtype = np.dtype(self.schema.field("ids").type.value_type.to_pandas_dtype())
        lengths: list[np.ndarray] = []
        ids: list[np.ndarray] = []
        held = through = 0
        for texts in _text_batches(self.texts, shard.start, shard.stop):
            dressed = _dressed(texts, *self.around, self.trim)
            rows = _ids_of(self.tokenizer, dressed, self.cap)
            flat, length = _flat(rows, dtype)
            holding = self.specials.holding(flat, length)
            if self.specials.keep:
                held += len(holding)
            elif holding:
                _spell_out(self.specials, self.tokenizer, dressed, rows, holding, self.cap)
                flat, length = _flat(rows, dtype)
            ids.append(flat)
            lengths.append(length)
            through += len(texts)
            so_far(through, shard.stop - shard.start)
        each = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
        offsets = np.concatenate([[0], np.cumsum(each)])
        if offsets[-1] > np.iinfo(np.int32).max:  # cannot happen with shards of 16 MB of text
            raise BadInput(f"shard {shard.number} holds {offsets[-1]:,} ids, a list column 2^31")
        values = pa.array(np.concatenate(ids) if ids else np.zeros(0, dtype))
        column = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
        full = int((each == self.cap).sum())
        return Output(
            pa.Table.from_arrays([column], schema=self.schema),
            counts={"ids": int(offsets[-1]), "at_cap": full},
            usage={"tokens": int(offsets[-1])} | ({HOLDING: held} if held else {}),
        )


def _flat(rows: list[list[int]], dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all rows one after the other, and the length (int64) of each."""
    lengths = np.fromiter((len(r) for r in rows), np.int64, len(rows))
    return np.fromiter((i for r in rows for i in r), dtype, int(lengths.sum())), lengths


def _spell_out(
    specials: Specials,
    tokenizer: Tokenizer,
    texts: list[str],
    rows: list[list[int]],
    holding: list[int],
    cap: int,
) -> None:
    """Replace the rows whose texts hold special tokens by the ids of the texts spelled out."""
    enough = partial(_enough, tokenizer, cap=cap, span=cap * _CHARACTERS_PER_ID)
    for row in holding:
        rows[row] = specials.spelled_out(texts[row], enough)[:cap]


def tokens_at_hand(
    texts: list[str],
    model: ModelFolder,
    *,
    max_length: int = DEFAULT_CAP,
    prompt: str = "",
    suffix: str = "",
    specials: str = TOKENS,
    trim: str = "",
) -> Ragged:
    """Tokenise a few texts exactly as `tokens_of` does, without a store."""
    tokenizer, cap = model.tokenizer(), _cap(max_length)
    marks = Specials(tokenizer, specials, (prompt, suffix)).told(tokenizer)
    dressed = _dressed(texts, prompt, suffix, trim)
    rows = _ids_of(tokenizer, dressed, cap)
    values, lengths = _flat(rows, np.dtype(np.int32))
    if not marks.keep and (holding := marks.holding(values, lengths)):
        _spell_out(marks, tokenizer, dressed, rows, holding, cap)
        values, lengths = _flat(rows, np.dtype(np.int32))
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))


def _cap(max_length: int) -> int:
    return max(DEFAULT_CAP, 1 << (max_length - 1).bit_length())


_TRIMS: Mapping[str, Callable[[str], str]] = {
    "left": str.lstrip,
    "right": str.rstrip,
    "both": str.strip,
}


def _dressed(texts: list[str], before: str, behind: str, trim: str) -> list[str]:
    texts = [_TRIMS[trim](text) for text in texts] if trim else texts
    return [before + text + behind if text else text for text in texts]


def _ids_of(tokenizer: Tokenizer, texts: list[str], cap: int) -> list[list[int]]:
    """Tokenise, keeping at most `cap` ids of each text.

    A very long text is looked at from its beginning only: up to the first white space after
    `cap · 16` characters, twice as far when that gives fewer than `cap + 16` ids. Tokenizers work
    word by word, so the ids before the cut are those of the whole text; memory stays bounded.
    """
    span = cap * _CHARACTERS_PER_ID
    heads = [_head(t, span) for t in texts]
    encodings = tokenizer.encode_batch_fast(heads, add_special_tokens=False)
    rows: list[list[int]] = [e.ids for e in encodings]
    for i, text in enumerate(texts):
        if len(heads[i]) < len(text) and len(rows[i]) < cap + _SURE:
            rows[i] = _enough(tokenizer, text, cap=cap, span=2 * span).ids
    return [row[:cap] for row in rows]


def _enough(tokenizer: Tokenizer, text: str, *, cap: int, span: int) -> Encoding:
    """Tokenise as much of a text as the first `cap` ids need: `span` characters, or twice as far,
    and so on."""
    while True:
        head = _head(text, span)
        made = tokenizer.encode(head, add_special_tokens=False)
        if len(head) == len(text) or len(made.ids) >= cap + _SURE:
            return made
        span *= 2


def _head(text: str, span: int) -> str:
    if len(text) <= span:
        return text
    for at in range(span, min(len(text), 2 * span)):
        if text[at].isspace():
            return text[:at]
    return text  # one word longer than a million letters, or nearly: take it whole


def _text_batches(texts: Artifact, start: int, stop: int) -> Iterator[list[str]]:
    """Yield lists of texts, rows start…stop−1 in order."""
    for part in texts.parts:
        low, high = max(start, part.start), min(stop, part.start + part.rows)
        if low >= high:
            continue
        column = texts.table(part.number)["text"]
        for at in range(low, high, _BATCH_ROWS):
            rows = min(_BATCH_ROWS, high - at)
            yield column.slice(at - part.start, rows).to_pylist()


def _bytes_per_row(texts: Artifact) -> np.ndarray:
    """Return the UTF-8 bytes of every text (int64); reads offsets only, not the text."""
    lengths = [pc.binary_length(t["text"]).to_numpy() for t in texts.tables()]
    return np.concatenate(lengths).astype(np.int64) + 1 if lengths else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of ids of different lengths: `values[offsets[i]:offsets[i+1]]` is row i."""

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Ids per row, int32."""
        return np.diff(self.offsets).astype(np.int32)

    def row(self, at: int) -> np.ndarray:
        """Return the ids of one row, as a view."""
        return self.values[self.offsets[at] : self.offsets[at + 1]]


NO_ROWS = Ragged(np.zeros(0, np.uint16), np.zeros(2, np.int64))
"""One empty row: the second side of a single text."""


class TokenStore:
    """A tokens artifact, read: lengths of all rows, and copies of the rows that a shard needs."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self._starts = np.asarray([p.start for p in artifact.parts], dtype=np.int64)
        self._parts: dict[int, Ragged] = {}

    def __len__(self) -> int:
        return self.artifact.rows

    def part(self, number: int) -> Ragged:
        """Return one part as views of the mapped file."""
        if number not in self._parts:
            offsets, values = list_values(self.artifact.table(number)["ids"])
            self._parts[number] = Ragged(values, offsets)
        return self._parts[number]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Ids of every row: int32 [rows], four bytes of memory per row."""
        return np.concatenate([self.part(p.number).lengths for p in self.artifact.parts])

    def take(self, rows: np.ndarray) -> Ragged:
        """Copy the given rows (int [n], any order) into one ragged array."""
        rows = np.asarray(rows, dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(self.lengths[rows], dtype=np.int64)])
        out = np.empty(int(offsets[-1]), dtype=self.part(0).values.dtype)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(owner):
            mine = np.flatnonzero(owner == number)
            part = self.part(int(number))
            local = rows[mine] - self._starts[number]
            gather_rows(part.values, part.offsets, local, offsets[mine], out)
        return Ragged(out, offsets)
