"""Log-odds of two words at the next place: language models as teachers.

The score is z = logit(yes) − logit(no), so σ(z) is the probability of `yes` among the two (what
monoT5 ranks by: Nogueira et al., Findings of EMNLP 2020). The decoders of
`models.passes.families` run in packed batches. In other models each pair goes through the model
alone and on its own length: no padding, no mask, and a score that depends on nothing but its pair.
The output layer is kept for the words only, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..actors import Execution
from ..devices import on_every_core, out_of_memory
from ..errors import BadInput, RankmillError, UsageError
from ..models.encoders import unchanged
from ..models.flops import shape_of
from ..models.folder import load_model, resolve
from ..models.passes.families import PACKED, declared_passes
from ..models.precision import CHOICES, declared, device, settle_compute
from ..models.tokens import TokenStore
from ..store import Artifact, Workspace, open_artifact
from .base import Prepared, Scored, label_of
from .reading import ROOM, PairScorer, Reading


def check_options(teacher: Any) -> None:
    """Refuse a precision or length that no model can use; raises UsageError."""
    if teacher.compute not in CHOICES:
        raise UsageError(
            f"compute={teacher.compute} is not known", do=f"one of {', '.join(CHOICES)}"
        )
    if teacher.max_length is not None and teacher.max_length < 2 * ROOM:
        raise UsageError(f"max_length={teacher.max_length} is less than {2 * ROOM} tokens")


def prepare_token_odds(
    workspace: Workspace,
    teacher: Any,
    pool: Artifact,
    executor: Execution,
    *,
    head: str,
) -> Prepared:
    """Tokenise prompt and texts and say how the scorer is built.

    Raises BadInput for an unusable model or length, UsageError for words of several tokens.
    """
    model = resolve(teacher.model)
    teacher = replace(teacher, compute=settle_compute(teacher.compute, executor.progress))
    asked = teacher.asked(model)
    reading = Reading.of(asked, model)
    stores = reading.tokens(workspace, pool, model, executor)
    said = {
        "max_length": reading.max_length,
        "truncation": "document",
        "prompt": asked.text,
    }
    packed = head == "causal_lm" and model.text_config.get("model_type") in PACKED
    return Prepared(
        label=label_of(teacher, model),
        kind="logit",
        parameters={
            "model": model.fingerprint,
            "words": reading.words.tolist(),
            **declared(teacher.compute),
            **declared_passes(model.text_config),
            **said,
        },
        make=PairScorer if packed else TokenOddsScorer,
        options={
            "model": str(model.path),
            "fingerprint": model.fingerprint,
            "queries": str(stores["queries"].path),
            "corpus": str(stores["corpus"].path),
            "reading": reading,
            "compute": teacher.compute,
            **({"max_length": reading.max_length} if packed else {"head": head}),
        },
        pair_work=reading.work(TokenStore(stores["queries"]), TokenStore(stores["corpus"])),
        metadata={
            "model": model.tag,
            "revision": model.fingerprint,
            "dtype": teacher.compute,
            **{key: str(value) for key, value in said.items()},
        },
        inputs={"query_tokens": stores["queries"], "doc_tokens": stores["corpus"]},
        gpus=int(device().type == "cuda"),
    )


class TokenOddsScorer:
    """A loaded language model over two token stores, one pair at a time."""

    def __init__(
        self,
        model: str,
        fingerprint: str,
        queries: str,
        corpus: str,
        reading: Reading,
        compute: str,
        head: str,
    ):
        self.model = unchanged(model, fingerprint)
        self.queries = TokenStore(open_artifact(queries))
        self.docs = TokenStore(open_artifact(corpus))
        self.reading, self.compute, self.head = reading, compute, head
        self._networks: dict[str, Any] = {}

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the log-odds of each pair."""
        return self._run(query, doc, self.compute)

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same in float32, for pairs that came out as NaN or infinity."""
        return self._run(query, doc, "float32")

    def truncated(self, query: np.ndarray, doc: np.ndarray) -> int:
        """Count the pairs whose texts do not fit beside the prompt."""
        return self.reading.truncated(self.queries, self.docs, query, doc)

    @cached_property
    def _start(self) -> int:
        """The id that a decoder begins with."""
        config = self.model.config
        token = config.get("decoder_start_token_id", config.get("pad_token_id"))
        if token is None:
            raise BadInput(
                "the config names no decoder_start_token_id",
                where=self.model.path / "config.json",
                do="use an encoder-decoder checkpoint such as monoT5",
            )
        return int(token)

    def _network(self, compute: str) -> Any:
        if compute not in self._networks:
            network = load_model(self.model, head=self.head, compute=compute)
            network.set_output_embeddings(
                _two_words(network.get_output_embeddings(), self.reading.words)
            )
            self._networks[compute] = network
        return self._networks[compute]

    def _run(self, query: np.ndarray, doc: np.ndarray, compute: str) -> Scored:
        if not len(query):
            return Scored(np.empty(0, dtype=np.float32))
        network = self._network(compute)
        q, q_row = np.unique(query, return_inverse=True)
        d, d_row = np.unique(doc, return_inverse=True)
        queries, docs = self.queries.take(q), self.docs.take(d)

        joined = self.reading.sequences(queries, docs, q_row, d_row)
        sequences = [joined.ids(at) for at in range(len(joined))]
        compute_odds = partial(self._odds, network)
        logits = list(on_every_core(compute_odds, sequences, device=network.device.type))
        lengths, shape = joined.lengths, shape_of(network)
        usage: dict[str, float] = {"tokens": int(lengths.sum())}
        if shape is not None:
            usage["flops"] = shape.forward(lengths)
        return Scored(self.reading.margin(np.asarray(logits, dtype=np.float32)), usage)

    def _odds(self, network: Any, ids: np.ndarray) -> list[float]:
        import torch

        inputs: Mapping[str, Any] = {"input_ids": torch.from_numpy(ids)[None].to(network.device)}
        if self.head == "seq2seq":
            start = torch.tensor([[self._start]], device=network.device)
            inputs = {**inputs, "decoder_input_ids": start}
        else:
            inputs = {**inputs, "logits_to_keep": 1}
        try:
            with torch.inference_mode():
                logits = network(**inputs, use_cache=False).logits[0, -1].float().tolist()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise RankmillError(
                f"the device has no memory for one pair of {len(ids)} tokens",
                where=self.model.path,
                do="use compute=bfloat16, a smaller max_length, or a larger device",
            ) from error
        return list(logits)


def _two_words(layer: Any, words: np.ndarray) -> Any:
    """Return the output layer for two words alone, in float32 whatever comes in."""
    import torch

    chosen = torch.from_numpy(words.astype(np.int64))

    class TwoWords(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            bias = getattr(layer, "bias", None)
            self.weight = torch.nn.Parameter(layer.weight[chosen].float(), requires_grad=False)
            self.bias = None if bias is None else torch.nn.Parameter(bias[chosen].float())

        def forward(self, hidden: Any) -> Any:
            return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)

    return TwoWords()
