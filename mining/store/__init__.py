"""The artifact store: plans in, checked and fingerprinted Arrow parts out."""

from .artifact import Artifact, Part
from .manifest import canonical_json, fingerprint_of
from .plan import Output, Shard, Stage, Worker, split_by_work
from .workspace import Workspace, open_artifact

__all__ = [
    "Artifact",
    "Output",
    "Part",
    "Shard",
    "Stage",
    "Worker",
    "Workspace",
    "canonical_json",
    "fingerprint_of",
    "open_artifact",
    "split_by_work",
]
