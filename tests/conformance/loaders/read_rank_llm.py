"""Read requests with rank_llm's own reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rank_llm.data import read_requests_from_file


def main(export: Path, out: Path) -> None:
    with out.open("w", encoding="utf-8") as stream:
        for request in read_requests_from_file(str(export / "requests.jsonl")):
            found = request.candidates
            assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
            line = {
                "query": request.query.text,
                "docs": [candidate.doc["contents"] for candidate in found],
                "scores": [candidate.score for candidate in found],
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
