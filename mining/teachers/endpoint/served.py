"""What a server says that it serves: kept once in a workspace, and compared ever after.

An endpoint has no files to hash. So what it says of itself when a model is first asked becomes a
small artifact, an input of all scores of that model and declared revision; a server that says
something else later is refused, in the middle of an artifact and between two. What servers do not
tell, a quantisation or other weights behind the same name, nobody can see: declare `revision`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ...names import unless_neutral
from ...store import Artifact, Workspace, files
from .address import Address
from .client import Client, Tell

_FILE = "served.json"
_ANSWERS_AS = "answers_as"
_TOLD = (  # of vLLM's and others' models; of Text Embeddings Inference, which cuts long texts
    *("id", "root", "parent"),
    *("model_id", "model_sha", "model_dtype", "max_input_length"),
)
_TRIES = 2  # after faults, before anything is begun: a wrong address should be told soon

Served = Mapping[str, str]


def served_by(
    workspace: Workspace,
    address: Address,
    api: str,
    info: str,
    first: tuple[str, Mapping[str, Any]],
    tell: Tell | None,
) -> Artifact:
    """Find what the server said when this model was first asked, or ask it now.

    `first`: route and body of a request whose answer may name the model. Raises BadInput for a
    server that serves another model or revision than the address declares.
    """

    def write(folder: Path, scratch: Path) -> None:
        client = Client(replace(address, retries=min(address.retries, _TRIES)), tell)
        route, body = first
        with client.connected():
            served = introduced(client, info, hidden=True)
            said = client.post(route, body, "first", lambda answer: answers_as(client, answer))
        served |= {_ANSWERS_AS: said} if said else {}
        data = json.dumps(served, sort_keys=True, ensure_ascii=False).encode()
        files.write_bytes(folder / _FILE, data)

    identity = {"api": api, "model": address.model}
    identity |= unless_neutral(revision=(address.revision, None))
    return workspace.build_folder("endpoint", identity, {}, write)


def read_served(artifact: Artifact) -> Served:
    """Return what was said when the model was first asked."""
    served: dict[str, str] = json.loads(artifact.file(_FILE).read_bytes())
    return served


def introduced(client: Client, info: str, *, hidden: bool) -> dict[str, str]:
    """Return what the server says of the model now, without what differs from call to call; nothing
    where it has no such route, or, with `hidden`, does not show it to this key. Raises BadInput for
    another model or revision than declared."""
    told = client.get(info, hidden=hidden) or {}
    address, named = client.address, told.get("model_id")
    rows = next((told[name] for name in ("data", "models") if _is_list(told.get(name))), [told])
    mine = [
        row
        for row in rows
        if isinstance(row, dict) and address.model in (row.get("id"), row.get("name"))
    ]
    if named is not None and named != address.model:
        raise _another(
            client, info, f"the model {client.hidden(str(named))!r}", f"model={address.model}"
        )
    about = told if named is not None else mine[0] if mine else {}
    told_of = {name: str(about[name]) for name in _TOLD if about.get(name) is not None}
    served = {name: client.hidden(said) for name, said in told_of.items()}
    sha, declared = served.get("model_sha"), address.revision
    if sha is not None and declared is not None and not sha.startswith(declared):
        raise _another(client, info, f"the revision {sha}", f"revision={declared}")
    return served


def check_same(client: Client, info: str, before: Served) -> None:
    """Raise BadInput where the server says something else than when the model was first asked."""
    then = {name: said for name, said in before.items() if name != _ANSWERS_AS}
    now = introduced(client, info, hidden=not then)
    if now != then:
        differs = sorted(n for n in then.keys() | now.keys() if then.get(n) != now.get(n))
        raise changed(
            client.address,
            ", ".join(f"{name} {now.get(name)}" for name in differs),
            ", ".join(f"{name} {then.get(name)}" for name in differs),
        )


def check_answers(client: Client, answer: Any, before: Served) -> None:
    """Raise BadInput for an answer that names another model than the first answer did."""
    now, then = answers_as(client, answer), before.get(_ANSWERS_AS)
    if now is not None and then is not None and now != then:
        raise changed(client.address, f"model {now}", f"model {then}")


def answers_as(client: Client, answer: Any) -> str | None:
    """Return the model that an answer names, without the key."""
    said = answer.get("model") if isinstance(answer, dict) else None
    return client.hidden(said) if isinstance(said, str) else None


def changed(address: Address, now: str, then: str) -> BadInput:
    """Return the error for a server that has another model behind the same name."""
    return BadInput(
        f"the endpoint now serves {now}; scores of model={address.model} in this workspace were "
        f"begun with {then}",
        where=address.url,
        do="serve that one again to go on; for the other declare what it is, revision=…, and its "
        "scores are kept apart",
    )


def _another(client: Client, info: str, serves: str, declared: str) -> BadInput:
    return BadInput(
        f"the endpoint serves {serves}, the teacher declares {declared}",
        where=client.address.url + info,
        do="declare what is served, or ask where the other is served",
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list)
