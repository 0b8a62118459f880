"""Collections: any source of documents, queries and judgements as memory-mapped Arrow artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from ..actors import INLINE, Execution
from ..errors import BadInput, UsageError
from ..inputs.given_paths import path_given
from ..meter import postponing
from ..names import nearest
from ..store import Artifact, Workspace
from . import ingest
from .base import Reader, check_spec, open_reader, reader_kind
from .divisions import divide as divided
from .divisions import divisions_of
from .handles import EVERY_QUERY, Collection, shared_queries
from .policies import Policies, policies_of
from .readers.tables import TableReader, Tables
from .rows import EXCLUDED, Corpus, Qrels, Queries
from .survey import Survey, look_through

__all__ = [
    "EVERY_QUERY",
    "Collection",
    "Corpus",
    "Qrels",
    "Queries",
    "Tables",
    "check_reading",
    "chosen_splits",
    "collect",
    "shared_queries",
]


def collect(
    workspace: Workspace,
    spec: str | Tables,
    *,
    title: str = "title text",
    splits: Sequence[str] = (),
    on: Sequence[str] | Mapping[str, str] = (),
    fields: str | None = None,
    excluded_grade: int = EXCLUDED,
    divide: Sequence[str] = (),
    name: str | None = None,
    executor: Execution = INLINE,
) -> Collection:
    """Read a collection once into Arrow and return a handle; later calls find what is there.

    `spec`: `beir:PATH`, `ir:ID`, `tsv:PATH`, `jsonl:PATH`, `parquet:PATH` (a folder with documents,
    queries and qrels, or one file of documents), `hf:OWNER/NAME[:config][@revision]` (a data set of
    the Hugging Face Hub), `python-docs` or `python-docs:held-out`.
    `Tables` in its place are tables in memory, known by their content.
    `title`: what a document's text is made of: `title text` (joined with one space), `title+text`
    (the same, and the title can be weighed), `text` or `title`. `splits`: only these; none means
    all. `on`: what is done with odd rows, `kind=action` or a mapping (`policies.KINDS`). `fields`:
    of `ir:`, the fields that a text is made of, parted by commas. `excluded_grade`: the grade of
    documents that are neither positive nor negative for their query. `divide`: new splits drawn
    from the judged queries of one, `all=train:1000,test:300`. `name`: an alias for the collection.

    Everything is read and checked before the first byte is written. Raises BadInput with file and
    line for what cannot be used, UsageError for an unknown kind of source or title policy. One
    process streams; `executor` serves its progress only.
    """
    ingest.check_title_policy(title)
    if excluded_grade >= 1:
        raise UsageError(
            f"excluded_grade={excluded_grade} would be a positive", do="give a grade below 1"
        )
    divisions = divisions_of(divide)
    parts = tuple(part.strip() for part in (fields or "").split(",") if part.strip())
    if fields is not None and not parts:
        raise UsageError(
            f"fields={fields!r} names no field", do="write --fields title,body, or leave it out"
        )
    spec, reader = _opened(spec, policies_of(on), parts)
    with postponing() as charge:  # to the stage that looks, or to nobody's
        facts = reader.facts()
    try:
        request = ingest.Request(spec, title, facts, reader, parts, excluded_grade)
        artifact = _made(
            workspace, request, chosen_splits(splits, facts["qrels"]), charge, executor
        )
    finally:
        charge()
    made = Collection(artifact)
    if divisions:
        made = divided(workspace, made, divisions, executor=Execution(progress=executor.progress))
    if name is not None:
        workspace.alias(name, made.artifact)
    return made


def check_reading(spec: str, *, title: str = "title text", on: Sequence[str] = ()) -> None:
    """Raise UsageError for what `collect` refuses without looking for the collection: an unknown
    way to read it, title policy, or kind of odd row."""
    check_spec(spec)
    ingest.check_title_policy(title)
    policies_of(on)


def _made(
    workspace: Workspace,
    request: ingest.Request,
    splits: Sequence[str],
    charge: Callable[[], None],
    executor: Execution,
) -> Artifact:
    """Make what is not there yet; `charge` is called where the source is looked through."""
    has_queries = request.facts["queries"] is not None

    @cache
    def surveyed() -> Survey:
        charge()
        return look_through(request.reader, splits, has_queries)

    inline = Execution(progress=executor.progress)
    corpus = workspace.build(ingest.corpus_stage(request, surveyed), inline)
    queries, qrels = None, {}
    if has_queries:
        queries = workspace.build(ingest.queries_stage(request, surveyed), inline)
        for split in splits:
            stage = ingest.qrels_stage(request, split, corpus, queries, surveyed)
            qrels[split] = workspace.build(stage, inline)
    told = ingest.told_of(request)
    stage = ingest.collection_stage(corpus, queries, qrels, request.excluding, told)
    return workspace.build(stage, inline)


def _opened(spec: str | Tables, on: Policies, fields: Sequence[str]) -> tuple[str, Reader]:
    """Return the text that says which reader it is, and the reader."""
    if not isinstance(spec, Tables):
        spec = _absolute(spec)
        return spec, open_reader(spec, on, fields)
    if fields:
        raise UsageError(
            f"fields={','.join(fields)!r}: tables have no fields to choose from",
            do="call a column 'text'",
        )
    reader = TableReader(spec)
    reader.on = on
    return "tables", reader


def chosen_splits(wanted: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return the splits that are read, sorted; raises BadInput for one that is not there."""
    there = sorted(known)
    for split in {"", EVERY_QUERY} & set(there):
        raise BadInput(
            f"a split cannot be called {split!r}", do=f"{EVERY_QUERY} means all queries: rename it"
        )
    for split in wanted:
        if split not in there:
            raise BadInput(f"the collection has no split {split!r}", do=nearest(split, there))
    return sorted(set(wanted)) if wanted else there


def _absolute(spec: str) -> str:
    """Make the path of a file reader absolute, so that a worker elsewhere finds the same file."""
    kind = reader_kind(spec)
    if kind in ("beir", "tsv", "jsonl", "parquet") and ":" in spec:
        return f"{kind}:{path_given(spec[len(kind) + 1 :]).absolute()}"
    return spec
