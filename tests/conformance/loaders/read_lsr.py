"""Read triples with LSR's class for distillation; the triples of a group stand together."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lsr.datasets.triplet_distil_dataset import TripletDistilDataset
from triples import write_groups


def main(export: Path, out: Path) -> None:
    write_groups(export, TripletDistilDataset(str(export / "triplets.tsv")), out)
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
