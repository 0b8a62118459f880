"""Golden files: an artifact of every kind as this format version writes it, kept for ever.

    python tests/golden_files.py FOLDER

makes the workspace of `every_kind` below FOLDER and writes `tests/golden/format-2.zip`, the bytes,
and `format-2.json`, the root hashes. That is done when a stage is added, or when one is raised to
another `algorithm`; never because a test says that bytes have changed: that is what it is for.
"""

from __future__ import annotations

import json
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import FORMAT_VERSION

GOLDEN = Path(__file__).parent / "golden"
BYTES, ROOTS = (GOLDEN / f"format-{FORMAT_VERSION}.{ending}" for ending in ("zip", "json"))
GOLDEN_ROOTS: dict[str, Any] = json.loads(ROOTS.read_text())["artifacts"] if ROOTS.exists() else {}
OF_MODELS = {"tokens", "vectors", "index", "student"}  # their bytes follow from the processor too
OF_LOGARITHMS = {"statistics", "evaluation", "comparison"}  # float64: so do their last bits
_WHEN = (2026, 1, 1, 0, 0, 0)


def rest_on_models(artifact: Artifact) -> bool:
    """Say whether an artifact, or one that it was made from, is made by a model."""
    if artifact.kind in OF_MODELS:
        return True
    return any(rest_on_models(artifact.input(role)) for role in artifact.inputs)


def machine() -> dict[str, Any]:
    """Return what of a machine decides bytes beside the code."""
    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    wide = bool(features.get("AVX512F"))
    return {"unicode": unicodedata.unidata_version, "avx512": wide}


def write(workspace: Workspace) -> None:
    """Write the bytes and the root hashes of a workspace."""
    GOLDEN.mkdir(exist_ok=True)
    roots = {}
    with zipfile.ZipFile(BYTES, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for artifact in workspace.artifacts():
            place = f"{artifact.kind}/{artifact.fingerprint}"
            roots[place] = {"root": artifact.root_hash, "models": rest_on_models(artifact)}
            for name in ("manifest.json", *(part.file for part in artifact.parts)):
                entry = zipfile.ZipInfo(f"{place}/{name}", _WHEN)
                packed.writestr(entry, (artifact.path / name).read_bytes())
    said = {"machine": machine(), "artifacts": roots}
    ROOTS.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


def unpacked(place: Path) -> Workspace:
    """Return the golden workspace, as it was written, below a folder."""
    with zipfile.ZipFile(BYTES) as packed:
        packed.extractall(place)
    return Workspace(place)


def faults_of_golden(workspace: Workspace, place: str) -> list[str]:
    """Read one golden artifact, `kind/fingerprint`, at every level; returns what is wrong."""
    artifact = workspace.open(*place.split("/"))
    wrong = []
    if artifact.root_hash != GOLDEN_ROOTS[place]["root"]:
        wrong.append(f"has the root hash {artifact.root_hash}")
    for part in artifact.parts:
        artifact.check(part, 2)
        if part.file.endswith(".arrow"):
            rows = artifact.table(part.number, level=3).num_rows
            wrong += [] if rows == part.rows else [f"part {part.number} has {rows} rows"]
    for role in artifact.inputs:
        if artifact.input(role).root_hash != artifact.manifest["inputs"][role]["root"]:
            wrong.append(f"its input {role!r} is another than recorded")
    if artifact.manifest["schema"] and artifact.to_arrow().num_rows != artifact.rows:
        wrong.append("its rows are not as many as its manifest says")
    return wrong


def main() -> None:
    """Make the workspace anew and write its files."""
    from every_kind import every_kind

    place = Path(sys.argv[1])
    there = (place / "work").is_dir()
    write(Workspace(place / "work") if there else every_kind(place))


if __name__ == "__main__":
    main()
