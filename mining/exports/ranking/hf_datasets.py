"""A Hugging Face `datasets` folder: Parquet, and a data-set card that says what the data are.

    README.md                    the card; its YAML names the configurations
    groups/train.parquet         query_id, doc_ids, scores, grades
    queries/train.parquet        query_id, text
    documents/train.parquet      doc_id, text

`datasets.load_dataset(folder, "groups")` reads it, locally and after an upload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from ...errors import UsageError
from ...options import Option
from ..base import EXPORTS, Format
from ..columns import lists
from ..folder import ExportFolder
from ..source import GroupSource

_GROUPS = pa.schema(
    [
        ("query_id", pa.string()),
        ("doc_ids", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("grades", pa.list_(pa.int8())),
    ]
)
_CONFIGS = ("groups", "queries", "documents")


@EXPORTS.register("datasets")
@dataclass(frozen=True, slots=True)
class HfDatasets(Format):
    """Hugging Face datasets: a folder of Parquet with a card.

    `title` heads the card; `license` is the one of the texts, which cannot be guessed.
    """

    title: Annotated[str, Option("Heads the card.")] = "Ranking distillation groups"
    license: Annotated[str | None, Option("Of the texts, which cannot be guessed.")] = None

    def __post_init__(self) -> None:
        for name in ("title", "license"):
            value = getattr(self, name)
            marked = value is not None and any(mark in value for mark in '"\\')
            if value is not None and (marked or not value.isprintable()):
                raise UsageError(
                    f"{name}={value!r} holds a quotation mark, a backslash, or what cannot be "
                    "printed, which the card's YAML would take for something else",
                    where="datasets",
                    do="write plain text on one line",
                )

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the three tables and the card."""
        with out.parquet("groups/train.parquet", _GROUPS) as writer:
            for batch in source.batches():
                columns = [
                    source.query_ids(batch.query),
                    lists(source.doc_ids(batch.doc), batch.offsets),
                    lists(batch.score, batch.offsets),
                    lists(batch.grade, batch.offsets),
                ]
                table = pa.Table.from_arrays(columns, names=_GROUPS.names)
                writer.write_table(table.cast(_GROUPS))
        for of, name, column in (
            ("queries", "queries", "query_id"),
            ("docs", "documents", "doc_id"),
        ):
            schema = pa.schema([(column, pa.string()), ("text", pa.string())])
            with out.parquet(f"{name}/train.parquet", schema) as writer:
                for _, table in source.texts_of(of):
                    writer.write_table(table.cast(schema))
        with out.stream("README.md") as stream:
            stream.write(self._card(source).encode())
        return {}

    def _card(self, source: GroupSource) -> str:
        configs = "".join(map(_config, _CONFIGS))
        licensed = f'license: "{self.license}"\n' if self.license else ""
        groups = source.groups.artifact
        teacher = groups.input("scores").metadata if "scores" in groups.inputs else groups.metadata
        grade = source.groups.min_grade
        least = f" (positive from {grade} on)" if grade != 1 else ""
        queries, docs = int(source.used_queries.sum()), int(source.used_docs.sum())
        return (
            f'---\npretty_name: "{self.title}"\n{licensed}tags:\n- information-retrieval\n'
            f"- ranking-distillation\nconfigs:\n{configs}---\n\n# {self.title}\n\n"
            f"{source.rows:,} groups of {source.size} documents over {queries:,} "
            f"queries and {docs:,} documents, with the scores of a teacher.\n\n"
            f"- teacher: `{teacher.get('teacher', 'unknown')}`\n"
            f"- score kind: {source.groups.kind}, raw\n"
            f"- groups: `{groups.parameters.get('strategy', 'unknown')}`, root hash "
            f"`{groups.root_hash}`\n\n"
            "`groups` holds `query_id`, `doc_ids` (the positive first), `scores` and `grades` "
            f"parallel to it{least}; `queries` and `documents` hold the texts. `export.json` says "
            "the rest.\n"
        )


def _config(name: str) -> str:
    """Return the lines of the card that name one table; `groups` opens when none is named."""
    default = "  default: true\n" if name == "groups" else ""
    files = f"  data_files:\n  - split: train\n    path: {name}/train.parquet\n"
    return f"- config_name: {name}\n{default}{files}"
