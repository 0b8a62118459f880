"""Read a run and its qrels with ir_measures: ids and scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ir_measures


def main(export: Path, out: Path) -> None:
    groups: dict[str, dict[str, float]] = {}
    for found in ir_measures.read_trec_run(str(export / "run.trec")):
        groups.setdefault(found.query_id, {})[found.doc_id] = found.score
    for judged in ir_measures.read_trec_qrels(str(export / "qrels.txt")):
        assert judged.doc_id in groups[judged.query_id]
    with out.open("w", encoding="utf-8") as stream:
        for query, scores in groups.items():
            line = {"query": query, "docs": list(scores), "scores": list(scores.values())}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
