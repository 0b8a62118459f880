"""Log-odds of two words at the next place: language models as teachers.

The score is z = logit(yes) − logit(no), so σ(z) is the probability of `yes` among the two (what
monoT5 ranks by: Nogueira et al., Findings of EMNLP 2020). Each pair goes through the model alone
and on its own length: no padding, no mask, and a score that depends on nothing but its pair. The
output layer is kept for the two words only, in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..actors import Execution
from ..devices import on_every_core, out_of_memory
from ..errors import BadInput, RankmillError, UsageError
from ..models.encoders import unchanged
from ..models.flops import shape_of
from ..models.folder import ModelFolder, load_model, resolve
from ..models.precision import CHOICES, declared, device, settle_compute
from ..models.tokens import Ragged, TokenStore, tokens_of
from ..store import Artifact, Workspace, open_artifact
from .base import Prepared, Scored, label_of
from .prompt import Prompt, fields_of, one_token

_LENGTH = 512  # tokens of a pair unless said otherwise
_ROOM = 8  # the least number of tokens left to the texts


def check_options(teacher: Any) -> None:
    """Refuse a prompt, precision or length that no model can use; raises UsageError."""
    fields_of(teacher.prompt)
    if teacher.compute not in CHOICES:
        raise UsageError(
            f"compute={teacher.compute} is not known", do=f"one of {', '.join(CHOICES)}"
        )
    if teacher.max_length is not None and teacher.max_length < 2 * _ROOM:
        raise UsageError(f"max_length={teacher.max_length} is less than {2 * _ROOM} tokens")
    if teacher.yes == teacher.no:
        raise UsageError(f"yes and no are the same word: {teacher.yes!r}")


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a model reads pairs: the prompt and the two words as ids, and the room for texts."""

    prompt: Prompt
    words: list[int]
    max_length: int
    room: int

    @classmethod
    def of(cls, teacher: Any, model: ModelFolder, head: str) -> _Reading:
        """Tokenise prompt and words; raises BadInput or UsageError for what does not fit."""
        max_length = teacher.max_length or min(_LENGTH, model.max_positions)
        if max_length > model.max_positions:
            raise BadInput(
                f"max_length={max_length}, the model reads {model.max_positions} tokens",
                where=model.path,
                do=f"give max_length={model.max_positions} or less",
            )
        tokenizer = model.tokenizer()
        prompt = Prompt.of(teacher.prompt, tokenizer, end=head == "seq2seq")
        room = max_length - prompt.fixed
        if room < _ROOM:
            raise UsageError(
                f"the prompt takes {prompt.fixed} of max_length={max_length} tokens",
                do="give a larger max_length or a shorter prompt",
            )
        words = [one_token(tokenizer, word) for word in (teacher.yes, teacher.no)]
        return cls(prompt, words, max_length, room)

    def work(self, queries: TokenStore, docs: TokenStore) -> Callable[..., np.ndarray]:
        """Return the function that says how many tokens each pair has."""

        def pair_work(query: np.ndarray, doc: np.ndarray) -> np.ndarray:
            total = queries.lengths[query] + docs.lengths[doc]
            return np.minimum(total, self.room) + self.prompt.fixed

        return pair_work


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
    reading = _Reading.of(teacher, model, head)
    stores = {
        role: tokens_of(
            workspace,
            pool.input(role),
            model,
            max_length=reading.max_length,
            prompt=reading.prompt.blank,
            executor=executor,
        )
        for role in ("queries", "corpus")
    }
    said = {
        "max_length": reading.max_length,
        "truncation": "document",
        "prompt": teacher.prompt,
    }
    return Prepared(
        label=label_of(teacher, model),
        kind="logit",
        parameters={
            "model": model.fingerprint,
            "words": reading.words,
            **declared(teacher.compute),
            **said,
        },
        make=TokenOddsScorer,
        options={
            "model": str(model.path),
            "fingerprint": model.fingerprint,
            "queries": str(stores["queries"].path),
            "corpus": str(stores["corpus"].path),
            "reading": reading,
            "compute": teacher.compute,
            "head": head,
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
    """A loaded language model over two token stores."""

    def __init__(
        self,
        model: str,
        fingerprint: str,
        queries: str,
        corpus: str,
        reading: _Reading,
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
        return int((self.queries.lengths[query] + self.docs.lengths[doc] > self.reading.room).sum())

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

        prompt, room = self.reading.prompt, self.reading.room

        def ids_of(at: int) -> np.ndarray:
            asked = _row(queries, q_row[at])[:room]
            return prompt.join(asked, _row(docs, d_row[at])[: room - len(asked)])

        sequences = [ids_of(at) for at in range(len(query))]
        odds = list(
            on_every_core(partial(self._odds, network), sequences, device=network.device.type)
        )
        lengths, shape = np.array([len(ids) for ids in sequences]), shape_of(network)
        usage: dict[str, float] = {"tokens": int(lengths.sum())}
        if shape is not None:
            usage["flops"] = shape.forward(lengths)
        return Scored(np.asarray(odds, dtype=np.float32), usage)

    def _odds(self, network: Any, ids: np.ndarray) -> float:
        import torch

        inputs: Mapping[str, Any] = {"input_ids": torch.from_numpy(ids)[None].to(network.device)}
        if self.head == "seq2seq":
            start = torch.tensor([[self._start]], device=network.device)
            inputs = {**inputs, "decoder_input_ids": start}
        else:
            inputs = {**inputs, "logits_to_keep": 1}
        try:
            with torch.inference_mode():
                yes, no = network(**inputs, use_cache=False).logits[0, -1].float().tolist()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise RankmillError(
                f"the device has no memory for one pair of {len(ids)} tokens",
                where=self.model.path,
                do="use compute=bfloat16, a smaller max_length, or a larger device",
            ) from error
        return yes - no


def _row(rows: Ragged, at: int) -> np.ndarray:
    return rows.values[rows.offsets[at] : rows.offsets[at + 1]]


def _two_words(layer: Any, words: list[int]) -> Any:
    """Return the output layer for two words alone, in float32 whatever comes in."""
    import torch

    class TwoWords(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            bias = getattr(layer, "bias", None)
            self.weight = torch.nn.Parameter(layer.weight[words].float(), requires_grad=False)
            self.bias = None if bias is None else torch.nn.Parameter(bias[words].float())

        def forward(self, hidden: Any) -> Any:
            return torch.nn.functional.linear(hidden.float(), self.weight, self.bias)

    return TwoWords()
