"""Read a run with the data set class of lightning-ir."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lightning_ir.data.dataset import RunDataset


def main(export: Path, out: Path) -> None:
    facts = json.loads((export / "export.json").read_text())
    size = facts["group_size"]
    data = RunDataset(export / facts["run"], depth=size, sample_size=size, targets="score")
    with out.open("w", encoding="utf-8") as stream:
        for number in range(len(data)):
            sample = data[number]
            line = {
                "query": sample.query,
                "docs": list(sample.docs),
                "scores": sample.targets.reshape(-1).tolist(),
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
