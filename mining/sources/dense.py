"""The dense source: nearest documents by inner product, exactly or by a FAISS index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from ..actors import INLINE, Execution
from ..collection.handles import Collection
from ..errors import UsageError
from ..models.encoders import DTYPES, encode, settings_of
from ..models.folder import ModelFolder, resolve
from ..models.pooling import POOLINGS
from ..models.precision import CHOICES, on_gpu, settle_compute
from ..models.prompts import check_encoding, written_out
from ..models.specials import TOKENS, check_specials
from ..models.vectors import Vectors, same_width
from ..names import Identity, nearest, neutral
from ..options import Option
from ..parts.costs import ENCODER
from ..parts.parameters import (
    COMPUTE,
    DIM,
    DTYPE,
    MAX_LENGTH,
    MODEL,
    NORMALISE,
    POOLING,
    PRESET,
    PROMPT,
    QUERY_MODEL,
    QUERY_PROMPT,
    SPECIALS,
)
from ..runs.run import build_run
from ..search.dense import RECALL_SAMPLE, AnnWorker, DenseWorker, query_blocks
from ..search.document_ranges import MergeWorker, Search, document_ranges, search_ranges
from ..search.faiss_index import SEARCHED, check_factory, check_index, index_of, load_index
from ..store import Artifact, Workspace
from .base import SOURCES, mines

if TYPE_CHECKING:
    from ..store import Worker


@SOURCES.register("dense", ENCODER)
@dataclass(frozen=True, slots=True)
class Dense:
    """Nearest documents by inner product; parameters left out are read from the model's files.

    `dim` keeps the first components of every vector (Matryoshka). `index` searches approximately,
    by a FAISS index-factory string such as `IVF1024,Flat`, and `probe` says how far (nprobe of IVF,
    efSearch of HNSW); without `index` the search is exact. `query_model` encodes the queries
    (None: `model` does). `specials=text` reads special tokens that stand in a text, such as
    `[SEP]`, as words. `query_prompt` and `prompt` are put before queries and documents (None: what
    the files declare, "": nothing); `preset` is a published style of both, such as `e5`, with its
    pooling: see `rankmill.mining.models.prompts`.
    """

    model: Annotated[str, MODEL]
    max_length: Annotated[int | None, MAX_LENGTH] = None
    compute: Annotated[str, COMPUTE] = "float32"
    dtype: Annotated[str, DTYPE] = "float16"
    pooling: Annotated[str | None, POOLING] = None
    normalise: Annotated[bool | None, NORMALISE] = None
    dim: Annotated[int | None, DIM] = None
    index: Annotated[
        str | None,
        Option("FAISS factory string of an approximate index, IVF1024,Flat; default: exact."),
    ] = None
    probe: Annotated[
        int | None, Option("How far an approximate index looks: nprobe of IVF, efSearch of HNSW.")
    ] = None
    query_model: Annotated[str | None, QUERY_MODEL] = None
    specials: Annotated[str, SPECIALS] = neutral(TOKENS)
    query_prompt: Annotated[str | None, QUERY_PROMPT] = None
    prompt: Annotated[str | None, PROMPT] = None
    preset: Annotated[str | None, PRESET] = None

    def __post_init__(self) -> None:
        check_specials(self.specials)
        check_encoding(self)
        for name, known in (("compute", CHOICES), ("dtype", DTYPES), ("pooling", POOLINGS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise UsageError(f"{name}={value} is not known", do=nearest(str(value), known))
        if self.probe is not None and (self.index is None or self.probe < 1):
            raise UsageError(
                f"probe={self.probe} needs an index, and must be at least 1",
                do='write for example dense(model=M,index="IVF1024,Flat",probe=16)',
            )
        if self.index is not None and not isinstance(self.index, Identity):
            check_factory(self.index, self.probe)


@mines(Dense)
def mine_dense(
    workspace: Workspace,
    source: Dense,
    collection: Collection,
    split: str,
    depth: int,
    seed: int = 0,
    executor: Execution = INLINE,
) -> Artifact:
    """Mine the `depth` nearest documents of each query of a split; returns a run artifact.

    More vectors than one range holds are searched range by range, see `document_ranges`.
    """
    source = replace(source, compute=settle_compute(source.compute, executor.progress))
    model = resolve(source.model)
    asked = resolve(source.query_model) if source.query_model else model
    source = written_out(source, model, asked)
    _check_fits(source, model)
    vectors = {
        "queries": vectors_by(workspace, source, asked, collection.queries.artifact, executor),
        "corpus": vectors_by(workspace, source, model, collection.corpus.artifact, executor),
    }
    named = replace(source, query_model=asked.tag) if source.query_model else source
    options = {
        "queries": str(vectors["queries"].path),
        "docs": str(vectors["corpus"].path),
        "corpus": str(collection.corpus.artifact.path),
        "split_queries": collection.split_queries(split),
        "depth": depth,
    }
    inputs = {"query_vectors": vectors["queries"], "doc_vectors": vectors["corpus"]}
    worker: Callable[..., Worker] = DenseWorker
    parameters: dict[str, Any] = {}
    gpus = int(on_gpu())
    blocks = query_blocks(len(collection.split_queries(split)))
    if source.index is not None:
        inputs["index"] = _checked_index(workspace, source, vectors, executor)
        worker = AnnWorker
        parameters = {"recall_sample": RECALL_SAMPLE, "searched": SEARCHED}
        options |= {"index": str(inputs["index"].path), "probe": source.probe}
    elif len(document_ranges(vectors["corpus"])) > 1:
        search = Search(collection, split, blocks, options, inputs, gpus)
        inputs["lists"] = search_ranges(workspace, search, executor)
        worker, options, gpus = MergeWorker, search.merge(inputs["lists"]), 0
    return build_run(
        workspace,
        SOURCES.text(replace(named, model=model.tag)),
        collection,
        split,
        depth=depth,
        worker=worker,
        options=options,
        shards=lambda: blocks,
        parameters=parameters,
        inputs=inputs,
        metadata={"model": model.tag},
        unit="queries",
        gpus=gpus,
        executor=executor,
    )


def _check_fits(source: Dense, model: ModelFolder) -> None:
    """Refuse an index that fits no vectors of the model, before anything is encoded."""
    if source.index is not None:
        read = settings_of(
            model, max_length=source.max_length, pooling=source.pooling, normalise=source.normalise
        )
        check_index(source.index, source.dim or read.width)


def _checked_index(
    workspace: Workspace, source: Dense, vectors: dict[str, Artifact], executor: Execution
) -> Artifact:
    """Build or find the source's index; refuses before anything is searched."""
    assert source.index is not None
    docs = Vectors(vectors["corpus"])
    same_width(Vectors(vectors["queries"]), docs)
    index = index_of(workspace, vectors["corpus"], source.index, executor.progress)
    load_index(index, docs, source.probe)
    return index


def vectors_by(
    workspace: Workspace, source: Dense, model: ModelFolder, texts: Artifact, executor: Execution
) -> Artifact:
    """Encode texts, or find their vectors, in the way that a source without a preset declares."""
    return encode(
        workspace,
        model,
        texts,
        max_length=source.max_length,
        compute=source.compute,
        dtype=source.dtype,
        pooling=source.pooling,
        normalise=source.normalise,
        prompt=source.query_prompt if texts.kind == "queries" else source.prompt,
        dim=source.dim,
        specials=source.specials,
        executor=executor,
    )
