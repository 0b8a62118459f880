"""Whether a folder is the same one for another machine: each reads what the other has written."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadInput
from .. import files

PATIENCE_S = 60.0  # network file systems remember for so long that a file was not there
_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Proof:
    """A file that holds a token which nobody else can know, beside the answers to it."""

    path: Path
    token: str

    def answer_of(self, node: str) -> Path:
        """The file by which a node answers."""
        return self.path.with_name(f"{self.path.name}-{node}")

    def answer(self, node: str) -> None:
        """On the other machine: see `answer` below."""
        answer(self, node)

    def check_answer(self, node: str) -> None:
        """On the machine that asked: see `check_answer` below."""
        check_answer(self, node)


def leave(folder: Path) -> Proof:
    """Write a token into a folder; returns what another machine needs to answer."""
    token = os.urandom(16).hex()
    proof = Proof(folder / f"seen-{token[:8]}", token)
    files.write_bytes(proof.path, token.encode())
    return proof


def answer(proof: Proof, node: str, patience: float = PATIENCE_S) -> None:
    """On the other machine: read the token, write it into a file of the node's.

    Raises BadInput where the folder is another one there, or cannot be written to.
    """
    if not _holds(proof.path, proof.token, patience):
        raise refused(proof, node, "does not see what the driver wrote there")
    try:
        files.write_bytes(proof.answer_of(node), proof.token.encode())
    except OSError as error:
        raise refused(proof, node, f"cannot write there: {error}") from error


def check_answer(proof: Proof, node: str, patience: float = PATIENCE_S) -> None:
    """On the machine that asked: raise BadInput where the node's answer is not to be seen."""
    if not _holds(proof.answer_of(node), proof.token, patience):
        raise refused(proof, node, "wrote there, and it is not to be seen here")


def refused(proof: Proof, node: str, why: str) -> BadInput:
    """Return the error for a folder that is not shared."""
    return BadInput(
        f"the workspace is not one folder for the whole cluster: node {node} {why}",
        where=proof.path.parent,
        do="mount one shared folder at this same path on every node and give it by --workspace, "
        "or leave --ray-address out: --workers N uses this machine alone",
    )


def _holds(path: Path, token: str, patience: float) -> bool:
    until = time.monotonic() + patience
    while not files.holds(path, token.encode()):
        if time.monotonic() >= until:
            return False
        time.sleep(min(_AGAIN_S, patience))
    return True
