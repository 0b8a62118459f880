"""Text to vectors: any transformers checkpoint as an encoder, its vectors as an artifact.

Pooling, normalisation, length and prompts are read from the model's own files (the layout of
sentence-transformers); what is said explicitly wins. A text is encoded once per encoder: the same
request finds the same vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...native.vectors import normalise_rows
from ..actors import INLINE, Execution
from ..errors import BadInput
from ..names import unless_neutral
from ..pair_keys import distinct
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ..store.tables import list_values, vectors_schema
from .folder import ModelFolder, resolve
from .forward import Forward, Work
from .matryoshka import check_dim, cut_vectors
from .passes.families import declared_passes
from .pooling import POOLINGS, said_modules
from .precision import declared, on_gpu, settle_compute
from .prompts import check_room, declared_prompt, skipped_tokens, tell_borrowed, tell_unprompted
from .sequences import Template, single_sequences
from .specials import TOKENS
from .tokens import TokenStore, counted_as, tokens_of

DTYPES = ("float16", "float32")
_SHARD_TOKENS = 1 << 19  # about a minute on two cores in float32


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How a checkpoint turns a text into a vector."""

    pooling: str
    normalise: bool
    max_length: int
    width: int

    def parameters(self) -> dict[str, Any]:
        """Return what decides a vector besides the model, as JSON values."""
        return {
            "max_length": self.max_length,
            "pooling": self.pooling,
            "normalise": self.normalise,
            "width": self.width,
        }


def settings_of(
    model: ModelFolder,
    *,
    max_length: int | None = None,
    pooling: str | None = None,
    normalise: bool | None = None,
) -> EncoderSettings:
    """Read the settings from the model's files; arguments that are not None win.

    A checkpoint without modules.json is pooled by the mean and not normalised, as
    sentence-transformers does. Raises BadInput for modules that are not understood.
    """
    said_pooling, said_normalise = said_modules(model)
    chosen = pooling or said_pooling or "mean"
    if chosen not in POOLINGS:
        raise BadInput(
            f"pooling {chosen!r} is not known", where=model.path, do=f"one of {', '.join(POOLINGS)}"
        )
    limit = model.max_positions
    declared = int(model.settings("sentence_bert_config.json").get("max_seq_length") or limit)
    length = max_length or min(declared, limit)
    if not 3 <= length <= limit:
        raise BadInput(
            f"max_length={length} does not fit the model",
            where=model.path,
            do=f"give 3 to {limit}, special tokens included",
        )
    return EncoderSettings(
        pooling=chosen,
        normalise=bool(said_normalise if normalise is None else normalise),
        max_length=length,
        width=width_of(model),
    )


def width_of(model: ModelFolder) -> int:
    """Return how many components the last layer has; raises BadInput where nothing says it."""
    said = (model.text_config.get(key) for key in ("hidden_size", "dim", "d_model", "n_embd"))
    width = next((n for n in said if n), None)
    if width is None:
        raise BadInput(
            "the configuration does not say how wide the model is (hidden_size)",
            where=model.path / "config.json",
            do="copy the model again",
        )
    return int(width)


def encode(
    workspace: Workspace,
    model: str | Path | ModelFolder,
    texts: Artifact,
    *,
    max_length: int | None = None,
    compute: str = "float32",
    dtype: str = "float16",
    pooling: str | None = None,
    normalise: bool | None = None,
    prompt: str | None = None,
    dim: int | None = None,
    listed: Artifact | None = None,
    specials: str = TOKENS,
    executor: Execution = INLINE,
) -> Artifact:
    """Encode every text of a corpus or queries artifact, or find its vectors.

    `compute`: precision of the forward pass, one of `precision.CHOICES`. `dtype`: of the stored
    vectors, float16 or float32. `prompt` None takes what the model's files declare for queries or
    documents, "" takes none. `listed`: only the documents of this pool or run. `specials`: see
    `tokens_of`. Returns a "vectors" artifact, row = ordinal, or place among `docs_of(listed)`;
    empty texts have a row too.

    Raises BadInput for an unusable model or setting, and when a vector is not finite.
    """
    folder = resolve(model)
    settings = settings_of(folder, max_length=max_length, pooling=pooling, normalise=normalise)
    if dim is not None:
        check_dim(dim, settings.width, folder.path)
    compute = settle_compute(compute, executor.progress)
    _check_dtype(dtype)
    said = declared_prompt(folder, texts.kind) if prompt is None else prompt
    if prompt is None and not said:
        tell_unprompted(folder, executor)
    if prompt:
        tell_borrowed(folder, prompt, texts.kind, executor)
    check_room(folder, said, settings.max_length - _specials(folder))
    tokens = tokens_of(
        workspace,
        texts,
        folder,
        max_length=settings.max_length,
        prompt=said,
        specials=specials,
        executor=executor,
    )
    tokenised = {"texts": texts, "tokens": tokens} | ({} if listed is None else {"listed": listed})
    stage = _stage(folder, settings, tokenised, compute, dtype, said)
    full = workspace.build(stage, executor)
    return full if dim is None else cut_vectors(workspace, full, dim, executor=executor)


def _stage(
    folder: ModelFolder,
    settings: EncoderSettings,
    inputs: Mapping[str, Artifact],
    compute: str,
    dtype: str,
    said: str,
) -> Stage:
    tokens, listed = inputs["tokens"], inputs.get("listed")
    skipped = skipped_tokens(folder, said)
    rows = None if listed is None else docs_of(listed)
    return Stage(
        kind="vectors",
        parameters={
            "model": folder.fingerprint,
            **declared(compute),
            **declared_passes(folder.text_config),
            "dtype": dtype,
            "prompt": said,
            **settings.parameters(),
            **unless_neutral(skipped=(skipped, 0)),
        },
        inputs=inputs,
        schema=vectors_schema(settings.width, dtype),
        shards=lambda: split_by_work(
            np.minimum(_some(TokenStore(tokens).lengths, rows), settings.max_length) + 2,
            _SHARD_TOKENS,
        ),
        worker=EncodeWorker,
        options={
            "model": str(folder.path),
            "fingerprint": folder.fingerprint,
            "tokens": str(tokens.path),
            "settings": settings,
            "compute": compute,
            "dtype": dtype,
            "rows": rows,
            "skipped": skipped,
        },
        metadata={"model": folder.tag},
        gpus=int(on_gpu()),
        unit="tokens",
        items=counted_as(inputs["texts"].kind),
    )


def _specials(model: ModelFolder) -> int:
    """Return how many special tokens stand round a text."""
    return len(Template.of(model.known_tokenizer(), pair=False).special)


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise BadInput(f"dtype={dtype} is not known", do=f"one of {', '.join(DTYPES)}")


def docs_of(pool: Artifact) -> np.ndarray:
    """Return the documents of a pool or run, each once, uint32 ascending."""
    lists = [list_values(table["doc"])[1] for table in pool.tables()]
    return distinct(np.concatenate([np.empty(0, np.uint32), *lists]))


def _some(lengths: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    return lengths if rows is None else lengths[rows]


class EncodeWorker:
    """Encodes rows of a token store."""

    def __init__(
        self,
        model: str,
        fingerprint: str,
        tokens: str,
        settings: EncoderSettings,
        compute: str,
        dtype: str,
        rows: np.ndarray | None = None,
        skipped: int = 0,
    ):
        folder = unchanged(model, fingerprint)
        self.rows = rows
        self.store = TokenStore(open_artifact(tokens))
        self.template = Template.of(folder.known_tokenizer(), pair=False)
        self.settings, self.dtype = settings, dtype
        self.forward = Forward(
            folder,
            head=settings.pooling,
            compute=compute,
            max_length=settings.max_length,
            skipped=skipped,
        )

    def __call__(self, shard: Shard) -> Output:
        """Return the vectors of texts start…stop−1."""
        work = Work()
        rows = np.arange(shard.start, shard.stop)
        rows = rows if self.rows is None else self.rows[rows].astype(np.int64)
        texts = single_sequences(self.store.take(rows), self.template, self.settings.max_length)
        vectors = self.forward.run(texts, work).reshape(len(rows), -1)
        if not len(rows):
            vectors = np.empty((0, self.settings.width), dtype=np.float32)
        if self.settings.normalise:
            normalise_rows(vectors)
        with np.errstate(over="ignore"):  # refused below, with the text's number
            stored = vectors.astype(self.dtype)
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        if len(bad):
            raise BadInput(
                f"the encoder gives vectors that are not finite for {len(bad)} texts, "
                f"the first is text number {rows[bad[0]]}",
                where=self.store.artifact.path,
                do="use dtype=float32 (float16 ends at 65504), or another checkpoint",
            )
        column = pa.FixedSizeListArray.from_arrays(
            pa.array(stored.reshape(-1)), self.settings.width
        )
        schema = vectors_schema(self.settings.width, self.dtype)
        return Output(
            pa.Table.from_arrays([column], schema=schema),
            counts={"truncated": texts.cut},
            usage={"texts": len(rows), **work.usage()},
        )


def unchanged(model: str, fingerprint: str) -> ModelFolder:
    """Resolve a model in a worker; raises BadInput when its files are not those of the request."""
    folder = resolve(model)
    if folder.fingerprint != fingerprint:
        raise BadInput(
            f"the model is now {folder.tag}, asked for was {fingerprint[:8]}",
            where=folder.path,
            do="the checkpoint changed while it was used: run the same command again",
        )
    return folder
