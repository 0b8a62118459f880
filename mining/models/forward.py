"""Sequences through a model: fixed shapes, no padding, and the same bits for a sequence every time.

Sequences of all lengths lie one behind the other in batches of a fixed number of tokens; attention
runs inside each sequence only. So the shapes of every matrix product are the same in each batch,
those of attention depend on the sequence alone, and what comes out for a sequence depends neither
on its neighbours nor on its place (tests hold this, with one thread and with two). Architectures
without position ids of their own take the padded way: rows of a length that is a multiple of 16,
in batches of a fixed shape.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ...native.packing import Side, Special, fill_batches, write_sequences
from ..devices import on_every_core, out_of_memory, to_device
from ..errors import RankmillError
from .classifiers import FILLER, check_padding
from .flops import shape_of
from .folder import ModelFolder, load_model, position_start
from .precision import device
from .sequences import Sequences

PACKED = frozenset({"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"})
_TOKENS = {"cpu": 2048, "cuda": 32768}  # per batch: larger brought nothing on a processor
_SHORTEST = 8  # a batch has a slot for every 8 tokens
_ATTENTION = "rankmill_packed"


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the model: which sequences, and the shape [height, length] of its tokens."""

    members: np.ndarray
    height: int
    length: int


@dataclass(slots=True)
class Work:
    """What a forward pass took: tokens computed, how many of them carried no text, and operations
    (0 where they are not known)."""

    tokens: int = 0
    padding: int = 0
    batches: int = 0
    flops: int = 0

    def add(self, batch: Batch, lengths: np.ndarray) -> None:
        """Count one batch."""
        tokens = batch.height * batch.length
        self.batches += 1
        self.tokens += tokens
        self.padding += tokens - int(lengths[batch.members].sum())

    def usage(self) -> dict[str, float]:
        """Return it for the ledger."""
        known: dict[str, float] = {"flops": self.flops} if self.flops else {}
        return {"tokens": self.tokens, "padding": self.padding, **known}


class Forward:
    """A loaded model and its way of running sequences.

    `head` is "logits" for a classification head, or the pooling of an encoder: "mean", "cls",
    "last". `max_length` fixes the shapes of the batches together with the kind of device.
    """

    def __init__(self, model: ModelFolder, *, head: str, compute: str, max_length: int):
        self.model, self.head, self.max_length = model, head, max_length
        self.packed = model.config.get("model_type") in PACKED
        if self.packed:
            _register_attention()
        self.network = load_model(
            model,
            head="classifier" if head == "logits" else "",
            compute=compute,
            attention=_ATTENTION if self.packed else None,
        )
        self.shape = shape_of(self.network)
        self.device = device()
        self.halved = False
        self._size(max(_TOKENS[self.device.type], _whole(max_length)))
        self.start = position_start(model.config)
        self.typed = int(model.config.get("type_vocab_size") or 0) > 1
        self._of_thread = threading.local()  # the rows that the hooks choose, batch by batch
        if self.packed and head in {"logits", "cls"}:
            self._keep_first_tokens()
        if head == "logits" and not self.packed:
            self._try_padding(compute)

    def run(self, sequences: Sequences, work: Work | None = None) -> np.ndarray:
        """Return one float32 row per sequence: logits, or the pooled vector.

        A device without memory for a batch gets batches of half the size from then on, once; that
        may change the last bits. Raises RankmillError where half is still too much.
        """
        try:
            return self._run(sequences, work)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            self._halve(error)
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
        try:
            return self._run(sequences, work)
        except RuntimeError as error:
            raise self._too_large(error) if out_of_memory(error) else error from error

    def _halve(self, error: RuntimeError) -> None:
        smaller = max(self.tokens // 2, _whole(self.max_length))
        if self.halved or smaller == self.tokens:
            raise self._too_large(error) from error
        self.halved = True
        self._size(smaller)

    def _too_large(self, error: RuntimeError) -> RankmillError:
        return RankmillError(
            f"the device has no memory for a batch of {self.tokens:,} tokens: "
            f"{str(error).splitlines()[0]}",
            where=self.model.path,
            do="use compute=bfloat16, a smaller max_length, or a device that no other process uses",
        )

    def _size(self, tokens: int) -> None:
        self.tokens, self.slots = tokens, max(1, tokens // _SHORTEST)

    def _run(self, sequences: Sequences, work: Work | None) -> np.ndarray:
        offset = np.empty(len(sequences), dtype=np.int32)
        plan = self._packed_plan if self.packed else self._padded_plan
        batches = plan(sequences.lengths, offset)
        result: np.ndarray | None = None
        compute = partial(self._rows_of, sequences, offset)
        computed = on_every_core(compute, batches, device=self.device.type)
        for batch, rows in zip(batches, computed, strict=True):
            if result is None:
                result = np.empty((len(sequences), rows.shape[1]), dtype=np.float32)
            result[batch.members] = rows
            if work is not None:
                work.add(batch, sequences.lengths)
        if work is not None and self.shape is not None:
            work.flops += self.shape.forward(sequences.lengths)
        return np.empty((0, 1), np.float32) if result is None else result

    def _rows_of(self, sequences: Sequences, offset: np.ndarray, batch: Batch) -> np.ndarray:
        """Write one batch and run it; returns float32 [members, width]."""
        import torch

        buffers = np.zeros((3, batch.height * batch.length), dtype=np.int32)
        buffers[2] = self.start  # any valid id will do where nothing is written
        self._write(sequences, batch.members, offset, buffers)
        starts = offset[batch.members].astype(np.int64)
        lengths = sequences.lengths[batch.members]
        with torch.inference_mode():
            if self.packed:
                rows = self._packed_rows(buffers, starts, starts + lengths)
            else:
                rows = self._padded_rows(buffers, lengths, batch.height)
        return rows[: len(lengths)]

    # ---- packed --------------------------------------------------------------------------------

    def _packed_plan(self, lengths: np.ndarray, offset: np.ndarray) -> list[Batch]:
        number = np.empty(len(lengths), dtype=np.int32)
        count = fill_batches(lengths, self.tokens, self.slots, number, offset)
        order = np.lexsort((offset, number))
        edges = np.searchsorted(number[order], np.arange(count + 1))
        return [Batch(order[a:b], 1, self.tokens) for a, b in pairwise(edges.tolist())]

    def _packed_rows(self, buffers: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Run one batch; returns float32 [slots or more, width], its first rows in order."""
        import torch

        ids, types, positions = to_device(buffers, self.device)[:, None, :]
        inputs = {"input_ids": ids, "position_ids": positions}
        if self.typed:
            inputs["token_type_ids"] = types
        chosen = np.zeros(self.slots, dtype=np.int64)  # always as many rows, so one shape
        chosen[: len(starts)] = ends - 1 if self.head == "last" else starts
        self._of_thread.rows = to_device(chosen, self.device)
        output = self.network(**inputs, sequence_runs=_runs_of_equal_length(ends - starts))
        if self.head == "logits":
            return output.logits.float().cpu().numpy()
        if self.head == "cls":
            return output.last_hidden_state[:, 0].cpu().numpy()
        hidden = output.last_hidden_state[0]
        if self.head == "mean":
            cuts = np.append(ends - starts, self.tokens - ends[-1])
            sizes = to_device(cuts, self.device)
            means = torch.segment_reduce(hidden.float(), "mean", lengths=sizes, unsafe=True)
            return means.cpu().numpy()
        return hidden.index_select(0, self._of_thread.rows).float().cpu().numpy()

    def _keep_first_tokens(self) -> None:
        """Let the last layer and the head see the first token of every sequence only.

        Nothing else is read from the last layer, so all of it behind the attention runs on
        `slots` rows in place of `tokens`. The head gets them as [slots, 1, width] in float32:
        logits in bfloat16 would have only eight bits.
        """
        base = self.network.base_model
        trunk = base.transformer if hasattr(base, "transformer") else base.encoder
        for module in (self.network, base):
            for name, child in module.named_children():
                if child is not base and name not in {"embeddings", "encoder", "transformer"}:
                    child.float()
        last = trunk.layer[-1].attention
        early = self.model.config["model_type"] != "distilbert"  # its layers are built otherwise

        def choose(module: Any, arguments: Any) -> Any:
            return tuple(x.index_select(1, self._of_thread.rows) for x in arguments)

        def first_rows(module: Any, arguments: Any, output: Any) -> Any:
            rows = output.last_hidden_state[0]
            rows = rows if early else rows.index_select(0, self._of_thread.rows)
            output.last_hidden_state = rows[:, None, :].float()
            return output

        if early:  # attention.output(what attention gives, what went in)
            last.output.register_forward_pre_hook(choose)
        trunk.register_forward_hook(first_rows)

    # ---- padded --------------------------------------------------------------------------------

    def _padded_plan(self, lengths: np.ndarray, offset: np.ndarray) -> list[Batch]:
        padded = np.minimum(-(-lengths // 16) * 16, max(self.max_length, 16))
        batches = []
        for length in np.unique(padded)[::-1].tolist():
            height = max(2, self.tokens // length)
            rows = np.flatnonzero(padded == length)
            for at in range(0, len(rows), height):
                members = rows[at : at + height]
                offset[members] = np.arange(len(members)) * length
                batches.append(Batch(members, height, length))
        return batches

    def _try_padding(self, compute: str) -> None:
        """Run one pair of words alone and in a padded row; raises BadInput where they differ."""
        import torch

        joined = self.model.tokenizer().encode("the first text", "another one")
        n = min(len(joined.ids), self.max_length)
        rows: list[np.ndarray] = []
        for width in (n, n + 16):
            buffers = np.full((3, width), FILLER, dtype=np.int32)
            buffers[0, :n], buffers[1, :n] = joined.ids[:n], joined.type_ids[:n]
            with torch.inference_mode():
                rows.append(self._padded_rows(buffers, np.array([n]), 1)[0])
        check_padding(rows[0], rows[1], self.model, compute)

    def _padded_rows(self, buffers: np.ndarray, lengths: np.ndarray, height: int) -> np.ndarray:
        import torch

        ids, types, _ = (
            torch.from_numpy(buffers.astype(np.int64)).to(self.device).view(3, height, -1)
        )
        sizes = np.full(height, 1, dtype=np.int64)  # rows without a sequence see one token
        sizes[: len(lengths)] = lengths
        mask = torch.from_numpy(np.arange(ids.shape[1]) < sizes[:, None]).to(self.device)
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        if self.typed:
            inputs["token_type_ids"] = types
        output = self.network(**inputs)
        if self.head == "logits":
            return output.logits.float().cpu().numpy()
        hidden = output.last_hidden_state.float()
        if self.head == "mean":
            weights = mask[:, :, None].float()
            return ((hidden * weights).sum(1) / weights.sum(1)).cpu().numpy()
        at = torch.from_numpy(sizes - 1 if self.head == "last" else sizes * 0).to(self.device)
        return hidden[torch.arange(height, device=self.device), at].cpu().numpy()

    def _write(
        self, s: Sequences, members: np.ndarray, offset: np.ndarray, buffers: np.ndarray
    ) -> None:
        t = s.template
        first = Side(s.first.values, s.first.offsets, s.first_row, s.keep_first, t.first_type)
        second = Side(s.second.values, s.second.offsets, s.second_row, s.keep_second, t.second_type)
        special = Special(t.special, t.special_type, t.prefix, t.middle)
        write_sequences(members, offset, first, second, special, self.start, *buffers)


def _whole(max_length: int) -> int:
    """Return the tokens of the smallest batch that takes the longest sequence."""
    return -(-max_length // 64) * 64


def _register_attention() -> None:
    """Make attention inside packed sequences known to transformers under our own name."""
    from transformers import AttentionInterface

    AttentionInterface.register(_ATTENTION, _packed_attention)


def _runs_of_equal_length(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Return (how many, length) of neighbours of equal length, in order."""
    edges = np.flatnonzero(np.diff(lengths, prepend=-1, append=-1))
    return [(int(b - a), int(lengths[a])) for a, b in pairwise(edges.tolist())]


def _packed_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    sequence_runs: list[tuple[int, int]],
    scaling: float | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """Attend within each sequence: `query`, `key`, `value` [1, heads, tokens, size].

    Neighbours of equal length share a call; how many they are does not change their bits (tested).
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention as attend

    _, heads, tokens, size = query.shape
    out = torch.empty(tokens, heads, size, dtype=query.dtype, device=query.device)
    low = 0
    for count, length in sequence_runs:
        high = low + count * length
        shape = (count, length, heads, size)
        q, k, v = (
            x[0].transpose(0, 1)[low:high].reshape(shape).transpose(1, 2)
            for x in (query, key, value)
        )
        attended = attend(q, k, v, scale=scaling)
        out[low:high] = attended.transpose(1, 2).reshape(high - low, heads, size)
        low = high
    out[low:] = 0
    return out[None], None
