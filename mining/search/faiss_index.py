"""Approximate search: FAISS indexes by index-factory string, over the vectors of an encoder.

`IVF1024,Flat`, `IVF4096,PQ48`, `HNSW32` and whatever else FAISS builds. An index is an artifact of
its own, keyed by its vectors, so it can never answer for another encoder's. It is built by one
thread: what several give depends on who comes first.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..devices import on_every_core
from ..draws import generator
from ..errors import BadInput, MissingDependency, UsageError
from ..meter.underway import Underway
from ..models.precision import device
from ..models.vectors import Vectors
from ..names import nearest
from ..store import Artifact, Workspace, files, fingerprint_of
from ..store.execution import Progress, shown

_FILE = "index.faiss"
_BLOCK = 1 << 16
_TRAINING = 1 << 18  # vectors that clusters and codes are learnt from, at most
SEARCHED = 64  # queries that an index is searched for together
GPU_DEPTH = 2048  # FAISS on a GPU returns no longer lists


_PARTS = (
    *("Flat", "FlatDedup", "HNSW", "IVF", "IMI", "LSH", "LSQ", "NNDescent", "NSG", "PLSQ", "PQ"),
    *("PRQ", "RCQ", "RQ", "RaBitQ", "Residual", "SQ", "ZnLattice", "ITQ", "L2norm", "L2Norm"),
    *("OPQ", "PCA", "PCAR", "PCAW", "PCAWR", "Pad", "RR", "IDMap", "IDMap2", "RFlat", "Refine"),
)
"""How the parts of an index-factory string begin, those that are misspelt most."""
_PROBED = ("IVF", "IMI", "HNSW")


def check_factory(factory: str, probe: int | None = None) -> None:
    """Refuse a string with a part that is nearly one of FAISS, and a probe where nothing is probed.

    Whether FAISS builds it for vectors of a width, `check_index` says.
    """
    for part in re.split(r",(?![^()]*\))", factory):
        if not part.strip().startswith(_PARTS):
            named = re.match(r"\s*([A-Za-z]*)", part)
            word, folded = named[1] if named else "", {one.lower(): one for one in _PARTS}
            close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.5)
            if word and not close:  # newer than this list, perhaps
                continue
            known = nearest(folded[close[0]] if close else word, _PARTS)
            raise UsageError(
                f"index={factory!r} is no FAISS index: {part.strip()!r} is none of its parts",
                do=f"{known}; write for example IVF1024,Flat or IVF1024,PQ48 or HNSW32",
            )
    if probe is not None and not any(part in factory for part in _PROBED):
        raise UsageError(
            f"probe={probe}: {factory} has nothing to probe",
            do="leave probe out; it is for IVF and HNSW",
        )


def check_index(factory: str, width: int) -> None:
    """Refuse a string that gives no index for vectors of this width, before any vector is there."""
    _empty(width, factory)


def index_of(
    workspace: Workspace,
    vectors: Artifact,
    factory: str,
    progress: Progress | None = None,
) -> Artifact:
    """Build a FAISS index over document vectors by inner product, or find it.

    Raises UsageError for a string that FAISS does not understand, BadInput for too few vectors to
    learn the index from.
    """
    rows = Vectors(vectors)

    fingerprint = fingerprint_of("index", {"factory": factory}, {"vectors": vectors})

    def write(folder: Path, scratch: Path) -> dict[str, float]:
        title, count = f"index {factory} of {len(rows):,} vectors", len(rows)
        told = Underway("index", title, "vectors", count, count, fingerprint=fingerprint)
        with shown(progress, told) as underway:
            with one_thread():
                index = _empty(rows.width, factory)
                _fill(index, rows, factory, underway)
        data = _faiss().serialize_index(index).tobytes()
        files.write_bytes(folder / _FILE, data)
        return {"vectors": len(rows)}

    _empty(rows.width, factory)  # refuses the string before anything is locked
    return workspace.build_folder("index", {"factory": factory}, {"vectors": vectors}, write)


def load_index(artifact: Artifact, docs: Vectors, probe: int | None) -> Any:
    """Load an index to search `docs`; `probe` is nprobe of IVF, efSearch of HNSW.

    Raises BadInput for an index over other vectors, UsageError where there is nothing to set.
    """
    faiss = _faiss()
    index = faiss.read_index(str(artifact.file(_FILE, level=2)))
    if index.d != docs.width or index.ntotal != len(docs):
        raise BadInput(
            f"the index holds {index.ntotal:,} vectors of {index.d} components, "
            f"the encoder gives {len(docs):,} of {docs.width}",
            where=artifact.path,
            do="build the index from the vectors of this encoder",
        )
    built = artifact.inputs["vectors"]
    if built != docs.artifact.fingerprint:
        raise BadInput(
            f"the index was built over the vectors {built[:12]}, "
            f"the encoder's are {docs.artifact.fingerprint[:12]}",
            where=artifact.path,
            do="build the index from the vectors of this encoder",
        )
    if probe is not None:
        name = "efSearch" if "HNSW" in artifact.parameters["factory"] else "nprobe"
        try:
            faiss.ParameterSpace().set_index_parameter(index, name, probe)
        except RuntimeError as error:
            raise UsageError(
                f"probe={probe}: {artifact.parameters['factory']} has no {name}",
                do="leave probe out; it is for IVF and HNSW",
            ) from error
    return index


def search_index(index: Any, vectors: np.ndarray, width: int) -> np.ndarray:
    """Return the proposed documents: int64 [n, width], −1 ends a list.

    Where models run on a GPU and FAISS sees some, the index is copied to them (to the one that is
    named), unless the lists are longer than FAISS makes them on a GPU. Otherwise blocks of SEARCHED
    queries are shared out over the cores, each searched by one thread: which clusters a query
    probes hangs on a product of the block's shape.
    """
    faiss = _faiss()
    vectors = np.ascontiguousarray(vectors)
    here = device()
    seen = getattr(faiss, "get_num_gpus", lambda: 0)() if here.type == "cuda" else 0
    if width <= GPU_DEPTH and seen:
        gpus = range(seen) if here.index is None else [here.index]
        return faiss.index_cpu_to_gpus_list(index, gpus=list(gpus)).search(vectors, width)[1]
    blocks = [vectors[at : at + SEARCHED] for at in range(0, len(vectors), SEARCHED)]

    def search(block: np.ndarray) -> np.ndarray:
        with one_thread():
            return index.search(block, width)[1]

    lists = list(on_every_core(search, blocks, device="cpu"))
    return np.concatenate([np.empty((0, width), np.int64), *lists])


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS, and the BLAS inside it, use one thread for what this thread calls in the block."""
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _empty(width: int, factory: str) -> Any:
    faiss = _faiss()
    try:
        return faiss.index_factory(width, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise UsageError(
            f"index={factory!r} is no FAISS index for vectors of {width} components: "
            f"{_reason(error)}",
            do="write for example IVF1024,Flat or IVF1024,PQ48 or HNSW32",
        ) from error


def _fill(index: Any, rows: Vectors, factory: str, underway: Underway) -> None:
    count = len(rows)
    if not index.is_trained:
        wanted = min(count, _TRAINING)
        draws = generator(0, "index.training", rows.artifact.fingerprint)
        sample = np.sort(draws.permutation(count)[:wanted])
        try:
            index.train(rows.rows(sample))
        except RuntimeError as error:
            raise BadInput(
                f"{count:,} vectors are too few to learn {factory} from: {_reason(error)}",
                where=rows.artifact.path,
                do="choose fewer clusters or codes, or search exactly (without index)",
            ) from error
    for part, low, high in rows.blocks(_BLOCK):
        index.add(rows.part(part)[low:high].astype(np.float32))
        underway.partly(0, index.ntotal)


def _reason(error: RuntimeError) -> str:
    last = str(error).strip().splitlines()[-1]
    place = re.search(r"\.(?:cpp|h):\d+: ", last)  # where in the library's source it happened
    return (last[place.end() :] if place else last).rpartition("failed: ")[2].strip()


def has_faiss() -> bool:
    """Say whether FAISS is installed, from whichever of its packages."""
    return importlib.util.find_spec("faiss") is not None


def _faiss() -> Any:
    if not has_faiss():
        raise MissingDependency("faiss")
    import faiss

    return faiss
