"""Files of training groups that others wrote, or that we exported: one reader per layout.

triple          Parquet (query_id, document_ids, scores), one file or shards; positive_ids, where
                they stand there, say which documents are positives, else the first is
datasets        the same with grades, in the folder of our export for load_dataset
rows            Parquet or JSON Lines of texts: query, positive, negative_1 …, scores; or query,
                documents, scores; or a pair a row, the rows of a query one after the other
colbert         JSON lines [qid,[pid,score],…]; the document before its score
tevatron        JSON lines with positive_passages and negative_passages, each {docid, score, …}
tevatron-megatron  Arrow or Parquet of texts: query, passages of {title, text}, scores
flag-embedding  JSON lines with query, pos, neg, pos_scores, neg_scores: texts, not ids
trove           JSON lines {"qid", "docid": […], "score": […]}
rankers         folder with train.jsonl (query_id, doc_id_a, doc_id_b) and teacher.json
flat            JSON lines or Parquet with qid, pos, neg, pos.score, neg.score: ids and scores
contrastors     shards of JSON lines of texts: query, document, negatives, pos_score, scores
lsr             lines of texts: query, positive, negative and their two scores
matchmaker      lines of texts: two scores, query, positive, negative

Where lines of JSON are read, so are the rows of a Parquet file with the same fields.
An `id_map.parquet` beside numbered ids leads back to the ids they stand for. ColBERT's own scorer
prints the reverse order, `[qid, [[score, pid], …]]`; that is another nesting, and is refused.
Every field is checked for its shape (`row_shapes`), every refusal names the file and the line;
columns may have any of the names of `column_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..collection.lines import existing, missing, read_lines, read_rows, whole_text
from ..errors import BadInput, UsageError
from ..inputs.bounds.guards import refuse_unless_file
from ..inputs.column_names import (
    DOC_ID,
    GRADES,
    POSITIVE_IDS,
    QUERY_ID,
    first_named,
)
from ..inputs.id_map import ID_MAP, read_id_map
from ..inputs.row_shapes import (
    Place,
    field,
    ids,
    list_of,
    numbers,
    one_id,
    one_number,
    one_text,
    texts,
)
from ..inputs.shards import in_order, shards_in, table_folder, tables_in, unpacked_name
from ..inputs.strict_json import parse_json
from .rows import (
    GroupRow,
    called,
    contrastors,
    lsr,
    matchmaker,
    rows_of_texts,
    scores_called,
    table_rows,
)

_DO = "every document of a group needs its id and its score"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a layout is read; `by_text`: queries and documents are texts, not ids; `by_kind`: the
    column of scores may go by the name of their kind, which `read` is given. `file`: what the files
    are called in a folder, a pattern where there may be several."""

    file: str
    read: Callable[..., Iterator[GroupRow]]
    by_text: bool = False
    by_kind: bool = False

    def files(self, path: Path) -> list[Path]:
        """Return the file, or those of a folder: by name, else all shards of its ending.

        Raises BadInput where there is none, and for tables beside shards that would not be read.
        """
        paths = [path]
        if path.is_dir():
            paths = sorted(path.glob(self.file)) or self._shards(table_folder(path))
        if not path.exists() and not path.is_symlink():
            raise missing(path)
        refuse_unless_file(paths[0] if paths else path / self.file, "give the file, or its folder")
        return in_order(paths)

    def _shards(self, folder: Path) -> list[Path]:
        """Return the files of the first ending of this layout that there is; Hub shards."""
        own = Path(unpacked_name(self.file)).suffix
        lines = (".jsonl", ".ndjson", ".parquet")
        endings = {".jsonl": lines, ".*": (".parquet", *lines[:2])}.get(own, (own,))
        there = {_ending(path) for path in folder.iterdir() if path.name[0] not in "._"}
        ending = next((one for one in endings if one in there), endings[0])
        if ending not in there and all(path.parent == folder for path in tables_in(folder)):
            return []
        return shards_in(folder, ending, lambda path: _ending(path) == ending, "name the file")


def _ending(path: Path) -> str:
    return Path(unpacked_name(path.name)).suffix.lower() if path.is_file() else ""


def layout_of(name: str) -> Layout:
    """Return the layout called `name`; raises UsageError with those that are there."""
    if name not in LAYOUTS:
        raise UsageError(f"format={name} holds no groups", do=f"one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def group_rows(path: Path, name: str, kind: str = "logit") -> Iterator[GroupRow]:
    """Yield the groups of a file, or of an export's folder; numbers resolved through the id map.
    `kind`: what the scores are."""
    layout = layout_of(name)
    for file in layout.files(path):
        ours = read_id_map(file.parent / ID_MAP)
        for row in layout.read(file, kind) if layout.by_kind else layout.read(file):
            if len(row.docs) != len(row.scores):
                raise BadInput(
                    f"{len(row.docs)} documents with {len(row.scores)} scores",
                    where=str(row.place),
                    do="every document of a group needs its score",
                )
            yield _led_back(row, ours) if ours else row


def _led_back(row: GroupRow, ours: dict[str, dict[str, str]]) -> GroupRow:
    try:
        query, docs = ours["query"][row.query], [ours["document"][doc] for doc in row.docs]
    except KeyError as error:
        raise BadInput(
            f"the number {error.args[0]} is not in {ID_MAP}",
            where=str(row.place),
            do="is the map the one that was written with this file?",
        ) from error
    return replace(row, query=query, docs=docs)


def _triple(path: Path, kind: str) -> Iterator[GroupRow]:
    for place, row in table_rows(path):
        query_name, docs_name = (called(row, names, place) for names in (QUERY_ID, DOC_ID))
        score_name, own = scores_called(row, kind, place)
        query = one_id(row[query_name], query_name, place)
        docs = ids(row[docs_name], docs_name, place)
        scores = numbers(row[score_name], score_name, place, docs)
        read = GroupRow(place, query, docs, scores, column=own)
        grades_name = first_named(row, GRADES)
        positives_name = first_named(row, POSITIVE_IDS)
        if grades_name is not None:
            yield _graded(read, numbers(row[grades_name], grades_name, place, docs))
        elif positives_name is not None:
            good = set(ids(row[positives_name], positives_name, place))
            yield _graded(read, [float(doc in good) for doc in docs])
        else:
            yield read


def _graded(row: GroupRow, grades: list[float]) -> GroupRow:
    """Return the group with its positives first, in the order that they have."""
    if not len(row.docs) == len(grades) == len(row.scores):
        raise BadInput(
            f"{len(row.docs)} documents with {len(grades)} grades and {len(row.scores)} scores",
            where=str(row.place),
            do="every document of a group needs its score",
        )
    for doc, grade in zip(row.docs, grades, strict=True):
        if not (-128 <= grade <= 127 and grade == int(grade)):
            raise BadInput(
                f"the grade {grade:g} of document {doc!r} is not a whole number from -128 to 127",
                where=str(row.place),
                do="write grades such as 0, 1, 2",
            )
    order = sorted(range(len(grades)), key=lambda at: grades[at] < 1)
    return replace(
        row,
        docs=[row.docs[at] for at in order],
        scores=[row.scores[at] for at in order],
        positives=sum(grade >= 1 for grade in grades),
        grades=[int(grades[at]) for at in order],
    )


def _colbert(path: Path) -> Iterator[GroupRow]:
    do = "for plain triples of ids there are no scores to import"
    for number, text in read_lines(path):
        place = Place(path, number)
        line = parse_json(text, place, "write lines of [qid,[pid,score],…]")
        pairs = line[1:] if isinstance(line, list) else []
        if not pairs or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise BadInput("the line is not [qid,[pid,score],…]", where=str(place), do=do)
        for doc, _ in pairs:
            if not isinstance(doc, int) or isinstance(doc, bool):
                raise BadInput(
                    f"the first of a pair is {doc!r}, not a document's number",
                    where=str(place),
                    do="ColBERT's own scorer writes the score first: turn the pairs round",
                )
        scores = [one_number(score, "score", place, str(doc)) for doc, score in pairs]
        query = one_id(line[0], "qid", place)
        yield GroupRow(place, query, [str(doc) for doc, _ in pairs], scores)


def _tevatron(path: Path) -> Iterator[GroupRow]:
    for place, row in read_rows(path):
        docs, scores = [], []
        for name in ("positive_passages", "negative_passages"):
            for passage in list_of(field(row, name, place, _DO), name, place, "passages"):
                docs.append(one_id(field(passage, "docid", place, _DO), "docid", place))
                scores.append(_scored(passage, docs[-1], place))
        query = one_id(field(row, "query_id", place, _DO), "query_id", place)
        yield GroupRow(place, query, docs, scores, len(row["positive_passages"]))


def _scored(passage: Any, doc: str, place: Place) -> float:
    return one_number(field(passage, "score", place, _DO), "score", place, doc)


def _megatron(path: Path) -> Iterator[GroupRow]:
    for place, row in read_rows(path):
        passages = list_of(field(row, "passages", place, _DO), "passages", place, "passages")
        docs = [_title_and_text(passage, place) for passage in passages]
        scores = numbers(field(row, "scores", place, _DO), "scores", place, docs)
        query = one_text(field(row, "query", place, _DO), "query", place)
        yield GroupRow(place, query, docs, scores)


def _title_and_text(passage: Any, place: Place) -> str:
    """Return a passage as documents have it: title and text joined by a blank."""
    parts = (
        one_text(field(passage, name, place, _DO), name, place)
        for name in ("title", "text")
        if name == "text" or (isinstance(passage, dict) and name in passage)
    )
    return " ".join(part for part in parts if part)


def _flag_embedding(path: Path) -> Iterator[GroupRow]:
    for place, row in read_rows(path):
        sides = [texts(field(row, name, place, _DO), name, place) for name in ("pos", "neg")]
        scores: list[float] = []
        for name, docs in zip(("pos_scores", "neg_scores"), sides, strict=True):
            given = numbers(field(row, name, place, _DO), name, place, docs)
            _as_many(docs, given, name, place)
            scores += given
        query = one_text(field(row, "query", place, _DO), "query", place)
        yield GroupRow(place, query, [*sides[0], *sides[1]], scores, len(sides[0]))


def _trove(path: Path, kind: str) -> Iterator[GroupRow]:
    for place, row in read_rows(path):
        query, docs = (field(row, name, place, _DO) for name in ("qid", "docid"))
        score_name, own = scores_called(row, kind, place)
        docs = ids(docs, "docid", place)
        scores = numbers(row[score_name], score_name, place, docs)
        yield GroupRow(place, one_id(query, "qid", place), docs, scores, column=own)


def _rankers(path: Path) -> Iterator[GroupRow]:
    teacher = existing(path.parent, "teacher.json") or path.parent / "teacher.json"
    do = 'write {"query id": {"document id": 1.5}}'
    whole = whole_text(teacher)
    scores = parse_json(whole, teacher, "the file may be truncated", whole=True)
    for place, row in read_rows(path):
        query = one_id(field(row, "query_id", place, _DO), "query_id", place)
        first, others = (field(row, name, place, _DO) for name in ("doc_id_a", "doc_id_b"))
        docs = [one_id(first, "doc_id_a", place), *_several(others, "doc_id_b", place)]
        at = f"{teacher}, query {query} of {place}"
        given = field(scores, query, at, do)
        teacher_scores = [one_number(field(given, doc, at, do), doc, at) for doc in docs]
        yield GroupRow(place, query, docs, teacher_scores)


def _flat(path: Path) -> Iterator[GroupRow]:
    for place, row in read_rows(path):
        sides = [_several(field(row, name, place, _DO), name, place) for name in ("pos", "neg")]
        scores = []
        for name, docs in zip(("pos.score", "neg.score"), sides, strict=True):
            value = field(row, name, place, _DO)
            given = numbers(value if isinstance(value, list) else [value], name, place, docs)
            _as_many(docs, given, name, place)
            scores += given
        query = one_id(field(row, "qid", place, _DO), "qid", place)
        yield GroupRow(place, query, [*sides[0], *sides[1]], scores, len(sides[0]))


def _several(value: Any, name: str, place: Place) -> list[str]:
    """Return one id, or a list of them, as a list."""
    return ids(value if isinstance(value, list) else [value], name, place)


def _as_many(docs: list[str], scores: list[float], name: str, place: Place) -> None:
    """Refuse scores of the one side that would slip to documents of the other."""
    if len(docs) != len(scores):
        raise BadInput(
            f"{len(docs)} documents with {len(scores)} numbers in {name!r}",
            where=str(place),
            do="every document of a group needs its score",
        )


LAYOUTS = {
    "triple": Layout("train*.parquet", _triple, by_kind=True),
    "colbert": Layout("train.json", _colbert),
    "tevatron": Layout("train.jsonl", _tevatron),
    "tevatron-megatron": Layout("data-*.arrow", _megatron, by_text=True),
    "flag-embedding": Layout("train/train.jsonl", _flag_embedding, by_text=True),
    "trove": Layout("train.jsonl", _trove, by_kind=True),
    "rankers": Layout("train.jsonl", _rankers),
    "flat": Layout("train.jsonl", _flat),
    "datasets": Layout("groups/train*.parquet", _triple, by_kind=True),
    "rows": Layout("train.*", rows_of_texts, by_text=True, by_kind=True),
    "contrastors": Layout("shard-*.jsonl.gz", contrastors, by_text=True),
    "lsr": Layout("*.tsv", lsr, by_text=True),
    "matchmaker": Layout("train.tsv", matchmaker, by_text=True),
}
