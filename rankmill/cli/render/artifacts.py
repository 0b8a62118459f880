"""What is printed of an artifact that was made, of a collection, of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rankmill.cli import streams
from rankmill.cli.session import Session
from rankmill.mining.parts.told import counted
from rankmill.request import Request
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.mining.collection import Collection
    from rankmill.mining.collection.overview import Overview
    from rankmill.mining.exports import Exported
    from rankmill.mining.store import Artifact
    from rankmill.stages import Collect, Export, Rewrite, Select, SurveyCollection


def tell_artifact(here: Session, asked: Request[Any], made: Artifact) -> None:
    """Print kind, fingerprint, rows, drops, counts and the root hash."""
    here.tell(made, asked.name)


def tell_groups(here: Session, asked: Select, made: Artifact) -> None:
    """Print the groups, and what helps where they teach little."""
    from rankmill.mining.audit.poor_data import advice_of

    name = asked.name or made.fingerprint[:12]
    advice = [one.said().replace("NAME", name) for one in advice_of(made)]
    here.tell(made, asked.name, **({"advice": advice} if here.as_json else {}))
    for one in [] if here.as_json else advice:
        streams.tell(f"  note: {one}")


def tell_collection(here: Session, asked: Collect | Rewrite, made: Collection) -> None:
    """Print the artifact, how much the collection holds, and what was odd about it."""
    from rankmill.mining.collection.overview import oddities_of

    odd = oddities_of(made)
    if here.as_json:
        about = {"documents": len(made.corpus), "splits": list(made.splits), "odd": odd}
        about |= {"without_text": made.without_text}
        here.tell(made.artifact, asked.name, **about)
    else:
        here.tell(made.artifact, asked.name)
        queries = made.artifact.input("queries").rows if "queries" in made.artifact.inputs else 0
        streams.tell(
            f"  {counted(len(made.corpus), 'document')}, {counted(queries, 'query', 'queries')}, "
            f"splits: {', '.join(made.splits) or 'none'}"
        )
        for line in (*_without_text(made, asked.name), *odd_lines(odd)):
            streams.tell(line)


def _without_text(made: Collection, name: str | None) -> Iterator[str]:
    """Yield how many documents and queries hold no text, and what becomes of them."""
    bare = made.without_text
    if documents := bare.get("documents", 0):
        yield f"  {counted(documents, 'document')} without text: never mined"
    if queries := bare.get("queries", 0):
        named = name or made.artifact.fingerprint[:12]
        yield (
            f"  {counted(queries, 'query', 'queries')} without text: BM25 finds nothing for such; "
            "collect with --on empty_query=drop leaves them out, "
            f"`rankmill survey {named}` names them"
        )


def reading_lines(artifact: Artifact) -> Iterator[str]:
    """Yield how the texts behind an index, a run or vectors were read: as which terms, behind which
    prompts. Of an input that is no longer there nothing is said."""
    from rankmill.mining.errors import RankmillError

    def facts_of(role: str) -> Mapping[str, Any]:
        if role not in artifact.inputs:
            return {}
        try:
            made_from = artifact.input(role)
        except RankmillError:
            return {}
        return {**made_from.parameters, **made_from.metadata}

    own = artifact.metadata if artifact.kind in ("postings", "run") else {}
    if analyser := own.get("analyser") or facts_of("postings").get("analyser"):
        yield f"terms: {analyser}"
    sides = {"query": facts_of("query_vectors"), "document": facts_of("doc_vectors")}
    if artifact.kind == "vectors":
        sides = {"text": artifact.parameters}
    for side, facts in sides.items():
        if facts.get("prompt"):
            yield f"before each {side}: {streams.on_one_line(repr(facts['prompt']))}"


def odd_lines(odd: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each kind of odd row: how many, and the first of them."""
    for role, kinds in odd.items():
        for kind, rows in kinds.items():
            shown = "; ".join(map(streams.example, rows["first"][:3]))
            more = ", …" if rows["first"] and rows["count"] > 3 else ""
            told = f": {shown}{more}" if shown else ""
            yield f"  {role}: {rows['count']:,} {kind.replace('_', ' ')}{told}"


def tell_overview(here: Session, asked: SurveyCollection, made: Overview) -> None:
    """Print what a collection holds, and what is odd about it."""
    if here.as_json:
        here.emit(made.facts)
        return
    for line in made.lines():
        streams.tell(line)
    for line in odd_lines(made.facts["odd"]):
        streams.tell(line)


def tell_export(here: Session, asked: Export, made: Exported) -> None:
    """Print where the files are, what became of the scores, and what was dropped."""
    if here.as_json:
        here.emit({"path": str(made.path), **made.facts})
    else:
        _print_export(made)


def formats() -> list[str]:
    """Return a line for each export format: its name, what becomes of scores, what it is."""
    from rankmill.mining.exports import EXPORTS
    from rankmill.mining.parts.description import summary_of

    members: list[tuple[str, Any]] = EXPORTS.usable()
    return [f"{name:28} scores {m.scores:8} {summary_of(m)}" for name, m in members]


def _print_export(made: Exported) -> None:
    facts = made.facts
    streams.tell(
        f"{made.path}: {facts['format']}, {counted(facts['groups'], 'group')} of "
        f"{facts['group_size']}, {counted(len(facts['files']), 'file')}, {words.size(made.bytes)}"
    )
    if facts["scores"] != "raw":
        streams.tell(f"  teacher scores: {facts['scores']}")
    for reason, count in facts["dropped_groups"].items():
        streams.tell(f"  dropped {counted(count, 'group')}: {reason}")
    if "id_map" in facts:
        streams.tell(f"  ids renumbered: {facts['id_map']}")
