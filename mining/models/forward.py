"""Sequences through a model: fixed shapes, no padding, and the same bits for a sequence every time.

Sequences of all lengths lie one behind the other in batches of a fixed number of tokens; attention
runs inside each sequence only. So the shapes of every matrix product are the same in each batch,
those of attention depend on the sequence alone, and what comes out for a sequence depends neither
on its neighbours nor on its place (tests hold this, with one thread and with two). A decoder's
pairs of one query begin alike: that beginning is computed once in a batch, and the documents behind
it attend to it, alone or in company. Architectures without position ids of their own take the
padded way: rows of a length that is a multiple of 16, in batches of a fixed shape.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..devices import from_device, later, on_every_core, out_of_memory, to_device
from ..errors import Corrupt, RankmillError
from ..meter.underway import so_far
from .classifiers import FILLER, check_padding
from .flops import shape_of
from .folder import ModelFolder, embedded_by, position_start
from .passes.attention import register
from .passes.batches import Batch, Work, layout_of, operations, pack, pack_shared, pad, write
from .passes.families import DECODERS, ENCODERS, PACKED, check_positions, is_causal
from .passes.heads import read_with
from .precision import batch_tokens, device
from .sequences import Sequences
from .tokens import NO_ROWS

__all__ = ["PACKED", "Forward", "Work"]

_AHEAD = {"cuda": 2}  # batches that a GPU is given before what came out of one is read
_SHORTEST = 8  # a batch has a slot for every 8 tokens
_TRIED = (("the first text", "another one"), ("a", ""), ("", "b"), ("what is 1?", "d " * 20))
_TRUNK = ("embeddings", "embeddings_project", "encoder", "transformer")


class Forward:
    """A loaded model and its way of running sequences.

    `head` is "logits" for a classification head, "words" for a language model's logits of `words`
    (int32 ids) behind the last token, or the pooling of an encoder: "mean", "cls", "last".
    `max_length` fixes the shapes of the batches together with the kind of device. `skipped`: how
    many tokens at the beginning of a text the pooling leaves out, but for the last one.
    """

    def __init__(
        self,
        model: ModelFolder,
        *,
        head: str,
        compute: str,
        max_length: int,
        words: np.ndarray | None = None,
        skipped: int = 0,
    ):
        self.model, self.max_length, self.skipped = model, max_length, skipped
        kind = model.text_config.get("model_type")
        self.packed = kind in PACKED
        check_positions(model, max_length)
        attention = register() if self.packed else None
        self.reader = read_with(model, head, compute, attention, words)
        self.causal = self.packed and is_causal(model.text_config)
        self.shape = shape_of(self.reader.trunk)
        self.device = device()
        self.halved = False
        self._size(max(batch_tokens(), _whole(max_length)))
        self.start = position_start(model.config)
        self.inputs = {"use_cache": False} if kind in DECODERS else {}
        if not self.packed:  # else decoders keep keys and values that nobody asks for
            self.reader.trunk.config.get_text_config().use_cache = False
        self.typed = int(model.config.get("type_vocab_size") or 0) > 1
        self.embedded = embedded_by(self.reader.trunk, model)
        self._of_thread = threading.local()  # the rows that the hooks choose, batch by batch
        self.first_only = self.packed and kind in ENCODERS and self.reader.pooling in {"own", "cls"}
        if self.first_only:
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
            if work is not None:
                work.halved += 1
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
        self._refuse_unknown(sequences)
        batches = self._plan(sequences)
        result: np.ndarray | None = None
        compute = partial(self._rows_of, sequences)
        computed = on_every_core(compute, batches, device=self.device.type)
        behind = later(computed, _AHEAD.get(self.device.type, 0))
        whole, through = sum(batch.text for batch in batches), 0
        for batch, read in zip(batches, behind, strict=True):
            rows = read()
            through += batch.text
            so_far(through, whole)
            if result is None:
                result = np.empty((len(sequences), rows.shape[1]), dtype=np.float32)
            result[batch.members] = rows
            if work is not None:
                work.add(batch)
                work.flops += 0 if self.shape is None else operations(self.shape, sequences, batch)
        return np.empty((0, 1), np.float32) if result is None else result

    def _refuse_unknown(self, sequences: Sequences) -> None:
        """Refuse ids beyond the embedding table, which on a GPU would damage the whole context."""
        for side in (sequences.first, sequences.second):
            largest = int(side.values.max(initial=0))
            if largest >= self.embedded:
                raise Corrupt(
                    f"a text holds the token id {largest}, the model embeds {self.embedded} ids",
                    where=self.model.path,
                    do="the tokens are damaged, or another model's: rankmill verify names them",
                )

    def _plan(self, sequences: Sequences) -> list[Batch]:
        lengths = sequences.lengths
        if not self.packed:
            return pad(lengths, self.tokens, self.max_length)
        pairs = sequences.second is not NO_ROWS
        if pairs and self.causal and self.reader.pooling == "last":
            return pack_shared(sequences, self.tokens, self.slots)
        return pack(lengths, self.tokens, self.slots)

    def _rows_of(self, sequences: Sequences, batch: Batch) -> Callable[[], np.ndarray]:
        """Write one batch and run it; returns what waits for float32 [members, width]."""
        import torch

        buffers = write(sequences, batch, self.start)
        with torch.inference_mode():
            if self.packed:
                rows = self._packed_rows(sequences, batch, buffers)
            else:
                rows = self._padded_rows(buffers, sequences.lengths[batch.members], batch.height)
            if self.reader.head is not None:
                rows = self.reader.head(rows)
            return from_device(rows[: len(batch.members)].float())

    # ---- packed --------------------------------------------------------------------------------

    def _packed_rows(self, sequences: Sequences, batch: Batch, buffers: np.ndarray) -> Any:
        """Run one batch; returns [slots or more, width], its first rows those of the members."""
        import torch

        ids, types, positions = to_device(buffers, self.device)[:, None, :]
        inputs = {"input_ids": ids, "position_ids": positions, **self.inputs}
        if self.typed:
            inputs["token_type_ids"] = types
        layout, last = layout_of(sequences, batch, causal=self.causal)
        chosen = np.zeros(self.slots, dtype=np.int64)  # always as many rows, so one shape
        skipped = self._left_out(layout.length)
        chosen[: len(last)] = last if self.reader.pooling == "last" else layout.start + skipped
        self._of_thread.rows = to_device(chosen, self.device)
        output = self.reader.trunk(**inputs, layout=layout)
        if self.reader.pooling == "own":
            return output.logits
        if self.first_only:
            return output.last_hidden_state[:, 0]
        hidden = output.last_hidden_state[0]
        if self.reader.pooling == "mean":
            pieces, rest = layout.length, self.tokens - last[-1] - 1
            if self.skipped:
                pieces = np.stack([skipped, layout.length - skipped], axis=1).ravel()
            sizes = to_device(np.append(pieces, rest), self.device)
            means = torch.segment_reduce(hidden.float(), "mean", lengths=sizes, unsafe=True)
            means = means[1:-1:2] if self.skipped else means[:-1]
            return torch.nn.functional.pad(means, (0, 0, 0, self.slots - len(last)))
        return hidden.index_select(0, self._of_thread.rows).float()

    def _left_out(self, lengths: np.ndarray) -> np.ndarray:
        """Return how many tokens of sequences of these lengths are not pooled: int64."""
        return np.minimum(self.skipped, np.maximum(lengths.astype(np.int64) - 1, 0))

    def _keep_first_tokens(self) -> None:
        """Let the last layer and the head see the first pooled token of every sequence only.

        Nothing else is read from the last layer, so all of it behind the attention runs on
        `slots` rows in place of `tokens`. The head gets them as [slots, 1, width] in float32:
        logits in bfloat16 would have only eight bits.
        """
        network = self.reader.trunk
        base = network.base_model
        trunk = base.transformer if hasattr(base, "transformer") else base.encoder
        for module in (network, base):
            for name, child in module.named_children():
                if child is not base and name not in _TRUNK:
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

    def _try_padding(self, compute: str) -> None:
        """Run some pairs alone and in padded rows; raises BadInput where one of them differs. One
        is not enough: what stands behind a text may move one score and not another."""
        for pair in _TRIED:
            joined = self.model.tokenizer().encode(*pair)
            n = min(len(joined.ids), self.max_length)
            alone, padded = (self._score_of(joined, n, width) for width in (n, n + 16))
            check_padding(alone, padded, self.model, compute)

    def _score_of(self, joined: Any, n: int, width: int) -> np.ndarray:
        """Return what the model says of the first `n` tokens in a row of `width`: float32."""
        import torch

        buffers = np.full((3, width), FILLER, dtype=np.int32)
        buffers[0, :n], buffers[1, :n] = joined.ids[:n], joined.type_ids[:n]
        with torch.inference_mode():
            read = self._padded_rows(buffers, np.array([n]), 1)
            said = read if self.reader.head is None else self.reader.head(read)
            return np.asarray(said[0].float().cpu().numpy())

    def _padded_rows(self, buffers: np.ndarray, lengths: np.ndarray, height: int) -> Any:
        """Run rows of one length; returns [height, width]."""
        import torch

        ids, types, _ = to_device(buffers.astype(np.int64), self.device).view(3, height, -1)
        sizes = np.full(height, 1, dtype=np.int64)  # rows without a sequence see one token
        sizes[: len(lengths)] = lengths
        mask = to_device(np.arange(ids.shape[1]) < sizes[:, None], self.device)
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        if self.typed:
            inputs["token_type_ids"] = types
        output = self.reader.trunk(**inputs)
        if self.reader.pooling == "own":
            return output.logits
        hidden = output.last_hidden_state.float()
        skipped = self._left_out(sizes)
        if self.reader.pooling == "mean":
            pooled = np.arange(ids.shape[1]) >= skipped[:, None]
            weights = (mask & to_device(pooled, self.device))[:, :, None].float()
            return (hidden * weights).sum(1) / weights.sum(1)
        last = self.reader.pooling == "last"
        at = to_device(sizes - 1 if last else skipped, self.device)
        return hidden[torch.arange(height, device=self.device), at]


def _whole(max_length: int) -> int:
    """Return the tokens of the smallest batch that takes the longest sequence."""
    return -(-max_length // 64) * 64
