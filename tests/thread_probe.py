"""Everything whose sums could hang on threads, computed once in a process of its own.

    python tests/thread_probe.py FOLDER NEW_WORKSPACE

FOLDER holds a BEIR folder `beir` and the models `encoder` and `cross`. Prints one JSON object, name
→ hash. `test_threads` runs it under other numbers of threads; on a processor at hand it shows which
names differ: `OMP_NUM_THREADS=3 NUMBA_NUM_THREADS=3 OPENBLAS_NUM_THREADS=3 python …`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


def main(folder: Path, place: Path) -> None:
    found = dict(artifacts(folder, place)) | dict(numbers())
    print(json.dumps(found, sort_keys=True))


def artifacts(folder: Path, place: Path) -> Iterator[tuple[str, str]]:
    """Root hashes of what two awkward models make: vectors, runs, indexes, scores, columns."""
    from rankmill.mining.collection import collect
    from rankmill.mining.models.encoders import encode
    from rankmill.mining.sources import mine
    from rankmill.mining.statistics import default_statistics, measure_pool
    from rankmill.mining.store import Workspace
    from rankmill.mining.teachers import score_pool

    workspace = Workspace(place)
    collection = collect(workspace, f"beir:{folder / 'beir'}")
    vectors = encode(workspace, folder / "encoder", collection.corpus.artifact, dtype="float32")
    yield "vectors", vectors.root_hash
    dense = f"dense(model={folder / 'encoder'},dtype=float32"
    sources = {
        "exact": f"{dense})",
        "inverted lists": f'{dense},index="IVF16,Flat",probe=2)',
        "graph": f'{dense},index="HNSW8")',
        "bm25": "bm25",
        "random": "random",
    }
    runs = {}
    for name, source in sources.items():
        depth = 250 if name == "random" else 20
        runs[name] = mine(workspace, source, collection, "train", depth=depth)
        yield name, runs[name].root_hash
        if "index" in runs[name].inputs:
            yield f"index: {name}", runs[name].input("index").root_hash
    scores = score_pool(
        workspace, f"cross_encoder(model={folder / 'cross'})", runs["inverted lists"]
    )
    yield "scores", scores.root_hash
    cosines = score_pool(workspace, f"bi_encoder(model={folder / 'encoder'})", runs["random"])
    assert cosines.rows * 250 > 50_000  # pairs: enough for threads to share them out
    long, short = ["diameter"], ["diameter", "intrinsic_dim", "log_density"]
    for name, found, more in (("columns", cosines, long), ("columns of logits", scores, short)):
        wanted = [*default_statistics(found.metadata["kind"], labels=False), *more]
        measured = measure_pool(workspace, found, wanted, vectors=vectors)
        yield name, measured.root_hash


def numbers() -> Iterator[tuple[str, str]]:
    """Hashes of the statistics of whole data sets, of a size at which BLAS shares the work out."""
    from rankmill.mining.ordered import product
    from rankmill.mining.statistics.neighbours import intrinsic_dimension
    from rankmill.mining.statistics.summaries.power_law import fit_decay
    from rankmill.mining.statistics.summaries.summary import _pearson
    from rankmill.mining.statistics.summaries.terms import Sums
    from rankmill.training.ordering import _agreements

    rng = np.random.Generator(np.random.Philox(11))
    yield "correlations", _hash(_pearson(rng.normal(size=(30_011, 7)), rng.random(30_011)))
    curves = rng.uniform(0.1, 1.0, (301, 5_003))
    yield "decay", _hash(repr(fit_decay(curves, 1, 5_003, resamples=5)))
    yield "dimension", _hash(repr(intrinsic_dimension(rng.normal(size=(1_501, 37)))))
    yield "product", _hash(product(rng.random((503, 323)), rng.random((323, 100))))
    queries, ones = np.arange(20_011), np.ones(20_011)
    sums = [Sums(queries, rng.random(20_011), ones, rng.random(20_011), ones, 1.0) for _ in "abc"]
    yield "terms", _hash(repr([one.terms(rng.random(20_011)) for one in sums]))
    risks = rng.random((3, 20_011))
    yield "order of designs", _hash(repr(_agreements(sums, risks, (1.0, 1.0), 5, 1)))


def _hash(value: Any) -> str:
    data = value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
