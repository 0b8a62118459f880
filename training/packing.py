"""From text ordinals to a model's input: rows gathered from the token store, padded, ready to run.

`Towers` packs queries and documents apart (bi-encoders), `Pairs` packs them joined (cross-
encoders). Rows are sorted by length and cut into `pieces`, each padded only to its own longest row;
that changes no score, because a row's score never depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..mining.errors import BadInput, UsageError
from ..mining.models.folder import ModelFolder
from ..mining.models.sequences import Template
from ..mining.store import Artifact
from ..native.gather import copy_rows, frame_rows, kept_lengths

Allocate = Callable[[int], np.ndarray]  # number of int64 → a flat buffer


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows for one forward pass: `ids`, `mask` (1 = token), `types`: int64 [rows, width]."""

    ids: np.ndarray
    mask: np.ndarray
    types: np.ndarray


@dataclass(frozen=True, slots=True)
class Packed:
    """All rows of one side of a batch, as pieces; row i is row `place[i]` of them put together."""

    pieces: tuple[Piece, ...]
    place: np.ndarray

    @property
    def tokens(self) -> int:
        """Tokens that carry text or are special; padding does not count."""
        return sum(int(piece.mask.sum()) for piece in self.pieces)

    @property
    def squares(self) -> int:
        """The sum of the squares of the rows' tokens: what attention takes."""
        return sum(int((piece.mask.sum(axis=1) ** 2).sum()) for piece in self.pieces)

    @property
    def cells(self) -> int:
        """Tokens computed, padding included."""
        return sum(piece.ids.size for piece in self.pieces)


class TokenColumns:
    """A tokens artifact as raw views of the mapped files: nothing is copied, not even offsets.

    Files and offsets are checked when the first text is asked for, before a kernel sees them: that
    raises Corrupt naming the file.
    """

    def __init__(self, artifact: Artifact):
        if artifact.kind != "tokens":
            raise BadInput(f"a {artifact.kind} is not tokens", where=artifact.path)
        self.artifact, self.rows = artifact, artifact.rows

    @cached_property
    def parts(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """The mapped parts: (first row, offsets int32 [rows+1], ids)."""
        mapped = []
        for part in self.artifact.parts:
            for chunk in self.artifact.table(part.number)["ids"].chunks:
                if chunk.offset or len(chunk) != part.rows:
                    raise BadInput("a part of tokens is not one batch", where=self.artifact.path)
                offsets = chunk.offsets.to_numpy(zero_copy_only=True)
                values = chunk.values.to_numpy(zero_copy_only=True)
                if not _rising(offsets, values.size):
                    raise self.artifact.corrupt(part, "has offsets that point outside of its ids")
                mapped.append((part.start, offsets, values))
        return mapped

    def keep(self, texts: np.ndarray, cap: int) -> np.ndarray:
        """Return how many ids each text gives, at most `cap`: int64 [n].

        Raises BadInput for a text that the store does not hold.
        """
        if texts.size and not (0 <= texts.min() and texts.max() < self.rows):
            raise BadInput(
                f"texts {texts.min()} to {texts.max()} of {self.rows} are asked for",
                where=self.artifact.path,
                do="tokenise the collection that the groups were mined from",
            )
        kept = np.zeros(texts.size, np.int64)
        for first, offsets, _ in self.parts:
            kept_lengths(texts, first, offsets, cap, kept)
        return kept

    def copy(self, texts: np.ndarray, keep: np.ndarray, at: np.ndarray, ids: np.ndarray) -> None:
        """Copy the kept ids of each text into its row of `ids`, from column `at[i]` on."""
        for first, offsets, values in self.parts:
            copy_rows(texts, first, offsets, values, keep, at, ids)


class JoinedColumns(TokenColumns):
    """Tokens of several collections as those of one, rows one behind the other."""

    def __init__(self, artifacts: Sequence[Artifact]):
        super().__init__(artifacts[0])
        self.stores = [TokenColumns(artifact) for artifact in artifacts]
        self.rows = sum(store.rows for store in self.stores)

    @cached_property
    def parts(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """The mapped parts: (first row, offsets int32 [rows+1], ids)."""
        mapped, before = [], 0
        for store in self.stores:
            mapped += [(before + first, offsets, ids) for first, offsets, ids in store.parts]
            before += store.rows
        return mapped


@dataclass(frozen=True, slots=True)
class Limits:
    """How much text a model sees: ids of a query and of a document, special tokens not counted."""

    query_length: int = 32
    doc_length: int = 180

    def __post_init__(self) -> None:
        if self.query_length < 1 or self.doc_length < 1:
            raise UsageError(
                f"query_length={self.query_length}, doc_length={self.doc_length}",
                do="give at least one token to each",
            )


class Towers:
    """Packs queries and documents of groups as texts of their own."""

    def __init__(
        self,
        model: ModelFolder,
        queries: TokenColumns,
        docs: TokenColumns,
        limits: Limits,
        pieces: int = 2,
    ):
        self.queries, self.docs, self.limits, self.pieces = queries, docs, limits, pieces
        _check_tokenizer(model, queries, docs)
        self.template = Template.of(model.known_tokenizer(), pair=False)
        self.pad = filler_of(model)
        room_for(model, max(limits.query_length, limits.doc_length), self.template)

    def __call__(self, query: np.ndarray, doc: np.ndarray, allocate: Allocate) -> dict[str, Packed]:
        """Pack queries uint32 [n] and documents uint32 [n, k]; returns sides "queries", "docs"."""
        cap, few = self.limits, -(-self.pieces // doc.shape[1])  # k times fewer rows
        return {
            "queries": self._side(self.queries, query, cap.query_length, few, allocate),
            "docs": self._side(self.docs, doc.reshape(-1), cap.doc_length, self.pieces, allocate),
        }

    def _side(
        self, columns: TokenColumns, texts: np.ndarray, cap: int, pieces: int, allocate: Allocate
    ) -> Packed:
        texts = texts.astype(np.int64)
        kept = columns.keep(texts, cap)
        order, cuts, place = _by_length(kept, pieces)
        made = []
        for low, high in cuts:
            rows = order[low:high]
            keep = kept[rows]
            piece = _frame(self.template, keep, np.zeros_like(keep), self.pad, allocate)
            columns.copy(texts[rows], keep, np.full_like(keep, self.template.prefix), piece.ids)
            made.append(piece)
        return Packed(tuple(made), place)


class Pairs:
    """Packs each document of a group together with its query."""

    def __init__(
        self,
        model: ModelFolder,
        queries: TokenColumns,
        docs: TokenColumns,
        limits: Limits,
        pieces: int = 2,
    ):
        self.queries, self.docs, self.limits, self.pieces = queries, docs, limits, pieces
        _check_tokenizer(model, queries, docs)
        self.template = Template.of(model.known_tokenizer(), pair=True)
        self.pad = filler_of(model)
        room_for(model, limits.query_length + limits.doc_length, self.template)

    def __call__(self, query: np.ndarray, doc: np.ndarray, allocate: Allocate) -> dict[str, Packed]:
        """Pack queries uint32 [n] with their documents uint32 [n, k]; returns the side "pairs"."""
        first_texts = np.repeat(query.astype(np.int64), doc.shape[1])
        second_texts = doc.reshape(-1).astype(np.int64)
        first = self.queries.keep(first_texts, self.limits.query_length)
        second = self.docs.keep(second_texts, self.limits.doc_length)
        order, cuts, place = _by_length(first + second, self.pieces)
        made, t = [], self.template
        for low, high in cuts:
            rows = order[low:high]
            keep_first, keep_second = first[rows], second[rows]
            piece = _frame(t, keep_first, keep_second, self.pad, allocate)
            start = np.full_like(keep_first, t.prefix)
            self.queries.copy(first_texts[rows], keep_first, start, piece.ids)
            after = t.prefix + keep_first + t.middle
            self.docs.copy(second_texts[rows], keep_second, after, piece.ids)
            made.append(piece)
        return {"pairs": Packed(tuple(made), place)}


def _rising(offsets: np.ndarray, values: int) -> bool:
    """Say whether int32 offsets [n+1] never fall and lie within 0 … `values`."""
    inside = offsets.size == 0 or bool(offsets[0] >= 0 and offsets[-1] <= values)
    return inside and bool((offsets[1:] >= offsets[:-1]).all())


def _by_length(
    lengths: np.ndarray, pieces: int
) -> tuple[np.ndarray, list[tuple[int, int]], np.ndarray]:
    """Return (order shortest first, cuts of it into equal pieces, place of each row in it)."""
    n = lengths.size
    order = np.argsort(lengths, kind="stable") if pieces > 1 else np.arange(n)
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    bounds = [n * p // pieces for p in range(pieces + 1)]
    cuts = [(a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b]
    return order, cuts, place


def _frame(
    t: Template, first: np.ndarray, second: np.ndarray, pad: int, allocate: Allocate
) -> Piece:
    """Allocate one piece as wide as its longest row and write all of it but the texts."""
    width = int((first + second).max()) + t.special.size
    n = first.size
    ids, mask, types = allocate(3 * n * width).reshape(3, n, width)
    frame_rows(
        first,
        second,
        t.special,
        t.special_type,
        t.prefix,
        t.middle,
        t.first_type,
        t.second_type,
        pad,
        ids,
        mask,
        types,
    )
    return Piece(ids, mask, types)


def filler_of(model: ModelFolder) -> int:
    """Return the token that rows are filled up with: any that the model embeds will do, as nothing
    is read there. Some configs say −1."""
    said = model.text_config.get("pad_token_id") or 0
    return int(said) if 0 <= int(said) < int(model.text_config.get("vocab_size") or 1) else 0


def room_for(model: ModelFolder, text: int, template: Template) -> int:
    """Return the length of a row of `text` tokens with its special ones; refuse what has no room.

    Raises UsageError where the model has fewer positions.
    """
    needed = text + int(template.special.size)
    if needed > model.max_positions:
        raise UsageError(
            f"a row of {needed} tokens, {needed - text} of them special, does not fit "
            f"{model.max_positions} positions",
            where=model.path,
            do="lower query_length or doc_length, or take a model with longer texts",
        )
    return needed


def _check_tokenizer(model: ModelFolder, *stores: TokenColumns) -> None:
    apart = [s for store in stores for s in getattr(store, "stores", [store])]
    for store in apart:
        made_by = store.artifact.parameters["tokenizer"]
        if made_by != model.tokenizer_hash:
            raise BadInput(
                f"the token store is of tokenizer {made_by[:12]}, the model has another "
                f"({model.tokenizer_hash[:12]})",
                where=store.artifact.path,
                do="tokenise the collection with the tokenizer of this model",
            )
