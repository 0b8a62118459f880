"""Shorter vectors from long ones: the first components, as Matryoshka encoders are trained for.

The long vectors are made once; each cut is a copy of a part of them, so trying several widths
encodes nothing twice. Where the encoder normalises, the cut vectors are normalised again. Source:
Kusupati et al., Matryoshka Representation Learning, NeurIPS 2022.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ...native.vectors import normalise_rows
from ..actors import INLINE, Execution
from ..errors import BadInput
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact
from ..store.tables import vectors_schema
from .vectors import Vectors


def cut_vectors(
    workspace: Workspace, full: Artifact, dim: int, *, executor: Execution = INLINE
) -> Artifact:
    """Return the first `dim` components of every vector as an artifact of its own.

    Raises BadInput unless 1 ≤ dim ≤ the width of the vectors; the whole width is `full` itself.
    """
    width = int(full.parameters["width"])
    check_dim(dim, width, full.path)
    if dim == width:
        return full
    stage = Stage(
        kind="vectors",
        parameters={**full.parameters, "width": dim, "cut_from": width},
        inputs={"texts": full.input("texts"), "vectors": full},
        schema=vectors_schema(dim, full.parameters["dtype"]),
        shards=lambda: [Shard(p.number, p.start, p.start + p.rows, p.rows) for p in full.parts],
        worker=CutWorker,
        options={"vectors": str(full.path), "dim": dim},
        metadata=full.metadata,
        unit="vectors",
    )
    return workspace.build(stage, executor)


def check_dim(dim: int, width: int, where: Path) -> None:
    """Refuse a width that vectors of `width` components cannot be cut to."""
    if not 1 <= dim <= width:
        raise BadInput(
            f"dim={dim}, the vectors have {width} components",
            where=where,
            do=f"give dim={width} or less",
        )


class CutWorker:
    """Copies the first components of one part."""

    def __init__(self, vectors: str, dim: int):
        self.full, self.dim = Vectors(open_artifact(vectors)), dim

    def __call__(self, shard: Shard) -> Output:
        """Return the cut vectors of one part."""
        said = self.full.artifact.parameters
        rows = self.full.part(shard.number)[:, : self.dim].astype(np.float32)
        if said["normalise"]:
            normalise_rows(rows)
        flat = pa.array(rows.astype(said["dtype"]).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, self.dim)
        schema = vectors_schema(self.dim, said["dtype"])
        return Output(pa.Table.from_arrays([column], schema=schema), usage={"texts": len(rows)})
