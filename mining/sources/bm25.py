"""The BM25 source: lexical candidates from an index of our own, exact, ties by document."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pyarrow as pa

from ..actors import Execution
from ..collection.handles import Collection
from ..collection.rows import Corpus
from ..errors import UsageError
from ..names import neutral, unless_neutral
from ..options import Option
from ..parts.costs import INDEX
from ..runs.run import build_run, run_table
from ..search.bm25 import Batch, Searcher
from ..search.postings import Postings, postings_of
from ..store import Artifact, Output, Shard, Workspace, open_artifact, split_by_work
from ..text.analysis import analyse
from ..text.languages import ENGLISH, language_of
from ..text.scripts import scripts_of, unfit
from .base import SOURCES, mines
from .restriction import Restriction, WrittenLimits, check_unchanged

_SAMPLED, _BEGINNING = 256, 2_000  # documents and characters of each, to see their script
_SHARD_POSTINGS = 4_000_000_000  # about ten seconds on one core


@SOURCES.register("bm25", INDEX)
@dataclass(frozen=True, slots=True)
class Bm25:
    """Lucene's BM25: k1 ≥ 0 saturates repeated terms, 0 ≤ b ≤ 1 corrects for document length.

    `title`: how often a word of the title counts, for a collection that keeps titles apart; this is
    BM25F with one b for both fields (Robertson, Zaragoza and Taylor 2004). `first_rank`, `exclude`
    (`positives`, `judged` or a file), `only` and `depths` (files) say what each query gets: see
    `rankmill.mining.sources.restriction`. `language`: how texts become terms, `english` as Lucene
    does it, a language of Snowball (`german`, `arabic`), `cjk` for Chinese, Japanese and Korean,
    `words` (no stems) or `whitespace`: see docs/bm25.md.

    Source: Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond"
    (Foundations and Trends in Information Retrieval, 2009), with Lucene's idf.
    """

    k1: Annotated[float, Option("How quickly repeated terms stop counting; 0: at once.")] = 0.9
    b: Annotated[
        float, Option("How much longer documents are discounted: 0 not at all, 1 fully.")
    ] = 0.4
    title: Annotated[
        int | None,
        Option("How often a word of the title counts (BM25F), where titles are kept apart."),
    ] = None
    first_rank: Annotated[
        int | None,
        Option("First rank that is kept, such as 11 to leave out the ten best.", unit="rank"),
    ] = None
    exclude: Annotated[str | None, Option("Left out: positives, judged, or a file of pairs.")] = (
        None
    )
    only: Annotated[str | None, Option("A file of the documents that may be found.")] = None
    depths: Annotated[str | None, Option("A file with a depth for each query.")] = None
    language: Annotated[
        str, Option("How texts become terms: english, german, …, cjk, words, whitespace.")
    ] = neutral(ENGLISH)

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and math.isfinite(self.k1)):
            raise UsageError(f"bm25: k1={self.k1} must be a number of at least 0")
        if not 0 <= self.b <= 1:
            raise UsageError(f"bm25: b={self.b} must lie between 0 and 1")
        if self.title is not None and not 0 <= self.title <= 64:
            raise UsageError(f"bm25: title={self.title} must lie between 0 and 64")
        language_of(self.language)

    @property
    def limits(self) -> WrittenLimits:
        """What each query gets."""
        return WrittenLimits(self.first_rank, self.exclude, self.only, self.depths)


@mines(Bm25)
def mine_bm25(
    workspace: Workspace,
    source: Bm25,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Mine the `depth` best documents by BM25 for each query of a split; `seed` does not matter.

    A query that shares no term with any document keeps its row, with an empty list.
    """
    limits, digests = source.limits, source.limits.digests()
    Restriction.of(limits, collection, split, depth)  # refuses bad files before an index is built
    spoken = language_of(source.language)
    _tell_unfit(source.language, collection.corpus, executor)
    index = postings_of(
        workspace, collection.corpus, executor, title=source.title, language=source.language
    )
    options: dict[str, Any] = {
        "collection": str(collection.artifact.path),
        "index": str(index.path),
        "split": split,
        "depth": depth,
        "k1": source.k1,
        "b": source.b,
        "language": source.language,
        "limits": limits,
        "digests": digests,
    }
    return build_run(
        workspace,
        str(replace(source, **limits.tags())),
        collection,
        split,
        depth=depth,
        parameters={"files": digests} if digests else {},
        inputs={"postings": index},
        worker=Miner,
        options=options,
        # English, which was all there was, is not named in runs.
        metadata=unless_neutral(analyser=(spoken.analyser, language_of(ENGLISH).analyser)),
        shards=lambda: Miner(**options).plan(),
        unit="postings",
        executor=executor,
    )


def _tell_unfit(language: str, corpus: Corpus, executor: Execution) -> None:
    """Warn of texts that the language cannot cut into words, by a sample of them."""
    asked = corpus.artifact.fingerprint, language
    if asked not in _looks:
        step = max(1, len(corpus) // _SAMPLED)
        rows = np.arange(0, len(corpus), step)[:_SAMPLED]
        texts = [text[:_BEGINNING] for text in corpus.texts(rows)]
        _looks[asked] = unfit(language, texts, scripts_of([text for text in texts if text]))
    if said := _looks[asked]:
        executor.progress.announce(f"warning: {said} (docs/bm25.md)")


_looks: dict[tuple[str, str], str | None] = {}  # what was seen of a corpus in a language


class Miner:
    """Searches a memory-mapped index for ranges of a split's queries."""

    def __init__(
        self,
        collection: str,
        index: str,
        split: str,
        depth: int,
        k1: float,
        b: float,
        language: str,
        limits: WrittenLimits,
        digests: dict[str, str],
    ):
        opened = Collection.at(collection)
        self.queries, self.asked = opened.queries, opened.split_queries(split)
        self.index = Postings(open_artifact(index))
        self.k1, self.b, self.language = k1, b, language
        check_unchanged(limits, digests)
        self.restriction = Restriction.of(limits, opened, split, depth)

    def plan(self) -> list[Shard]:
        """Cut the queries into ranges of about equal numbers of postings."""
        return split_by_work(
            self._searcher(0, len(self.asked)).postings_per_query(), _SHARD_POSTINGS
        )

    def __call__(self, shard: Shard) -> Output:
        """Return the run of queries `start…stop−1` of the split."""
        rows = shard.start, shard.stop
        lists = self._searcher(*rows).search(self.restriction.reach(*rows))
        if not self.restriction.plain:
            lists = self.restriction.cut(*rows, *lists)
        return Output(run_table(self.asked[slice(*rows)], *lists), usage={"postings": shard.work})

    def _searcher(self, start: int, stop: int) -> Searcher:
        texts = pa.array(self.queries.texts(self.asked[start:stop]), pa.large_string())
        batch, allowed = Batch.of(analyse(texts, self.language)), self.restriction.allowed
        return Searcher(self.index, batch, self.k1, self.b, allowed=allowed)
