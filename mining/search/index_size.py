"""What building an index takes, said before the build, and refused where it cannot fit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..actors import Execution
from ..collection.rows import Corpus
from ..errors import RankmillError
from ..processors import threads

# Measured with bench/scale.py and bench/bm25.py, see bench/NOTES.md: rounded to the safe side.
_BYTES_PER_SECOND = 40e6  # of text, one block at a time
_DISK_PER_BYTE = 1.0  # of text; passages of natural language take a third of it
_MEMORY_PER_BYTE = 12  # of a block's text, while it is inverted
_PAIRS = 2  # times the memory and the seconds, and 3 times the disk: pairs of characters as terms
_MEMORY_OF_A_PROCESS = 300 << 20
BLOCK_BYTES = 64 << 20  # of text: what a thread or a worker holds at once
_SHARE = 4  # one part in four of free memory goes to blocks that are inverted abreast


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes of text that are read, bytes of memory and disk at most, seconds."""

    text: int
    memory: int
    disk: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"index of {self.text / 1e6:,.0f} MB of text: about {self.seconds:,.0f} s, at most"
            f" {self.memory / 1e9:.1f} GB of memory and {self.disk / 1e9:.1f} GB of disk"
        )


def blocks_abreast(corpus: Corpus, pairs: bool = False) -> int:
    """Return how many blocks this process may invert at once: one a thread, as many as a quarter of
    the free memory holds, at least one. It changes no byte. `pairs`: of characters, not words."""
    block = _MEMORY_PER_BYTE * (_PAIRS if pairs else 1) * max(1, min(_text_of(corpus), BLOCK_BYTES))
    return max(1, min(threads(), psutil.virtual_memory().available // _SHARE // block))


def estimate(corpus: Corpus, workers: int, abreast: int = 1, pairs: bool = False) -> Estimate:
    """Say what the index of a corpus will take with so many processes, and blocks in each."""
    text, more = _text_of(corpus), _PAIRS if pairs else 1
    block = more * min(text, BLOCK_BYTES)
    memory = workers * (_MEMORY_OF_A_PROCESS + abreast * _MEMORY_PER_BYTE * block)
    disk = int(_DISK_PER_BYTE * text * (3 if pairs else 1))
    return Estimate(text, memory, disk, more * text / (_BYTES_PER_SECOND * workers * abreast))


def _text_of(corpus: Corpus) -> int:
    return sum(part.bytes for part in corpus.artifact.parts)


def check_fit(
    root: Path, corpus: Corpus, executor: Execution, abreast: int, pairs: bool = False
) -> None:
    """Announce what the index will take; raises RankmillError where memory or disk are too small.

    `abreast`: blocks that are inverted at once where everything runs in this process.
    """
    inline = executor.workers == 0 and executor.ray_address is None
    needs = estimate(corpus, max(executor.workers, 1), abreast if inline else 1, pairs)
    executor.progress.announce(str(needs))
    memory, disk = psutil.virtual_memory().available, shutil.disk_usage(root).free
    if needs.memory > memory:
        raise RankmillError(
            f"the {needs}; {memory / 1e9:.1f} GB of memory are free",
            where=corpus.artifact.path,
            do="use fewer workers, or free memory",
        )
    if needs.disk > disk:
        raise RankmillError(
            f"the {needs}; {disk:,} bytes of disk are free",
            where=root,
            do="free disk space, or put the workspace elsewhere with --workspace",
        )
