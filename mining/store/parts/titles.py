"""What a stage is called while it is made: `scores of pool nf-pool by MiniLM-L6`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import RankmillError
from ..aliases import Alias, read_aliases

if TYPE_CHECKING:
    from ..artifact import Artifact
    from ..plan import Stage
    from ..workspace import Workspace

# What a stage is made from, the first one that it has; texts go by the name of their collection.
_FROM = ("groups", "pool", "scores", "vectors", "texts", "corpus", "collection")
_OF_TEXTS = {"corpus": "documents", "queries": "queries"}
_BY = ("teacher", "source", "strategy", "target", "condition")  # parameters that say how
_CHECKPOINT = re.compile(r"(?:model|student)='?(?:[^,')]*/)?([^,')@]+)(?:@[0-9a-f]+)?")
_LONGEST = 48  # of how it is made


def title_of(stage: Stage, workspace: Workspace) -> str:
    """Return the kind of a stage's artifact, what it is made from and by what, for people."""
    names = names_in(workspace)
    said = [stage.kind, _split_of(stage), _made_from(stage.kind, stage.inputs, names)]
    said.append(_made_by(stage))
    return " ".join(filter(None, said))


def names_in(workspace: Workspace) -> dict[str, str]:
    """Return the alias of each fingerprint; texts have that of a collection which they are of."""
    aliases, _ = read_aliases(workspace.root)
    names = {alias.fingerprint: name for name, alias in aliases.items()}
    for name, alias in aliases.items():
        if alias.kind == "collection" and workspace.has(alias.kind, alias.fingerprint):
            for role, fingerprint in _made_of(workspace, alias).items():
                if role in _OF_TEXTS:
                    names.setdefault(fingerprint, name)
    return names


def _made_of(workspace: Workspace, alias: Alias) -> Mapping[str, str]:
    """Return the inputs of what has a name; of what is damaged none, whoever reads it is told."""
    try:
        return workspace.open(alias.kind, alias.fingerprint).inputs
    except (RankmillError, OSError):
        return {}


def _split_of(stage: Stage) -> str:
    split = stage.parameters.get("split")
    return f"({split})" if stage.kind == "qrels" and split else ""


def _made_from(kind: str, inputs: Mapping[str, Artifact], names: Mapping[str, str]) -> str:
    """Say what a stage is made from: its main input, or how many runs."""
    if kind == "pool":
        runs = [one for one in inputs.values() if one.kind == "run"]
        called = [names.get(one.fingerprint, one.fingerprint[:12]) for one in runs]
        return f"of {', '.join(called)}" if len(called) <= 2 else f"of {len(called)} runs"
    role = next((role for role in _FROM if role in inputs), None)
    if kind == "evaluation":
        role = next((role for role, one in inputs.items() if one.kind == "run"), role)
    if role is None:
        return ""
    one = inputs[role]
    name = names.get(one.fingerprint, one.fingerprint[:12])
    if one.kind in _OF_TEXTS:
        return f"of {name} {_OF_TEXTS[one.kind]}" if role == "texts" else f"of {name}"
    return f"of {one.kind} {name}"


def _made_by(stage: Stage) -> str:
    """Say by what a stage is made: the checkpoint that a value names, or the value."""
    said = next((stage.parameters[key] for key in _BY if key in stage.parameters), None)
    if said is None:
        model = stage.metadata.get("model")
        return f"by {model.partition('@')[0]}" if model else ""
    text = str(said)
    checkpoint = _CHECKPOINT.search(text)
    if stage.kind == "scores" and checkpoint:
        return f"by {checkpoint[1]}"
    return f"by {text}" if len(text) <= _LONGEST else f"by {text[: _LONGEST - 1]}…"
