"""Performing a request again, as the ledger of an artifact keeps it (`rankmill.asked`): with this
`verify --deep` and `repair` compute parts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.mining.errors import Corrupt

if TYPE_CHECKING:
    from rankmill.mining.store import Workspace


def replay(told: Mapping[str, Any], workspace: Workspace) -> object:
    """Perform a request that was kept, in a workspace, from the folder that it was asked in.

    Raises Corrupt for what is no request, and whatever the request raises.
    """
    from rankmill.mining.options import options_of
    from rankmill.stages import REQUESTS

    try:
        request = REQUESTS[told["verb"]]
        writes = [f.name for f in options_of(request) if f.option.output is not None]
        if beside := [name for name in writes if name in told["options"]]:
            raise ValueError(f"{told['verb']} with {beside[0]} would write outside the workspace")
        options = {name: _read(value, workspace) for name, value in told["options"].items()}
        folder = str(told["folder"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Corrupt(
            f"the ledger names no request of ours: {error}", do="run the command that made it again"
        ) from error
    if "workspace" in request.__dataclass_fields__:
        options["workspace"] = workspace
    with contextlib.ExitStack() as stack:
        if os.path.isdir(folder):
            stack.enter_context(contextlib.chdir(folder))
        asked = request(**options)
        with asked.running():
            return asked.perform()


def _read(value: Any, workspace: Workspace) -> Any:
    if isinstance(value, list):
        return [_read(one, workspace) for one in value]
    if not isinstance(value, dict):
        return value
    ((form, one),) = value.items()
    if form == "path":
        return Path(one)
    if form == "mapping":
        return {key: _read(inner, workspace) for key, inner in one.items()}
    kind, fingerprint = one
    artifact = workspace.open(kind, fingerprint)
    if kind != "collection":
        return artifact
    from rankmill.mining.collection import Collection

    return Collection(artifact)
