"""Where a teacher is served, how long it is waited for, and the key that it may want."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from ...errors import UsageError
from ...options import Option

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What every teacher behind an endpoint declares; of these only `model` and `revision` are
    part of what identifies its scores.

    `url`: the base that routes are put behind, http or https. `key_env` names the environment
    variable that holds the key; nothing else of the key is kept anywhere. `concurrency` requests
    are in flight at once. `timeout`: seconds for one whole answer. A request is repeated `retries`
    times after a fault (5xx, a broken or missing answer), and as often as it takes after 429 (too
    many requests), but for no longer than `patience` seconds in all.
    """

    url: Annotated[
        str,
        Option("Base of the server's routes, http or https.", example="http://localhost:8000/v1"),
    ]
    model: Annotated[str, Option("The name that the server knows the model by.", example="NAME")]
    revision: Annotated[
        str | None, Option("Of the model, for the record: the server is not asked.")
    ] = None
    key_env: Annotated[str | None, Option("The environment variable that holds the key.")] = None
    concurrency: Annotated[int, Option("Requests in flight at once.", unit="requests")] = 8
    timeout: Annotated[float, Option("For one whole answer.", unit="seconds")] = 60.0
    retries: Annotated[
        int, Option("How often a request is repeated after a fault.", unit="times")
    ] = 8
    patience: Annotated[
        float, Option("For one request with all its repetitions.", unit="seconds")
    ] = 7200.0


def check_address(teacher: Address) -> None:
    """Refuse an address that cannot be asked, or that would store a secret; raises UsageError."""
    parts = _split(teacher.url)
    if "@" in parts.netloc or parts.query or parts.fragment:  # not shown: it may be a secret
        raise UsageError(
            "the url holds a user name, a query or a fragment",
            where=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            do="write the bare address, which is stored; a key goes into an environment variable "
            "that key_env=NAME names",
        )
    plain = teacher.url.isascii() and teacher.url.isprintable() and " " not in teacher.url
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise _no_address()
    for name in ("model", "revision"):
        if getattr(teacher, name) is not None and not getattr(teacher, name).strip():
            raise UsageError(f"{name} is empty", do="write the name that the server knows it by")
    if teacher.key_env is not None and not _NAME.fullmatch(teacher.key_env):
        raise UsageError(  # not shown: it may be the key itself
            "key_env is no name of an environment variable",
            do="put the key into one, export TEACHER_KEY=…, and write key_env=TEACHER_KEY",
        )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise _no_address()
    except ValueError:  # of brackets, or of a port
        raise _no_address() from None
    return parts


def _no_address() -> UsageError:
    return UsageError(
        "url is no address of a server", do="write http://HOST:PORT/… or https://HOST/…"
    )


def key_of(address: Address) -> str | None:
    """Read the key from the environment of this process; raises UsageError where there is none."""
    if address.key_env is None:
        return None
    key = os.environ.get(address.key_env, "").strip()
    if not key or not (key.isascii() and key.isprintable()):
        raise UsageError(
            f"the environment variable {address.key_env} holds "
            + ("nothing" if not key else "what no HTTP header can carry"),
            where=address.url,
            do=f"export {address.key_env}=… where the command, or its workers, run",
        )
    return key
