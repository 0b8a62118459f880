"""A bucket: objects put, created, read and listed, errors of the store told in our words.

The library retries what passes (5xx, dropped connections) within bounds; what still fails is tried
again from the start here, and an answer that never came is looked up, not guessed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ...errors import need
from .. import files
from .address import Address
from .interruptible import interruptibly
from .refusals import Again, Torn, may_pass, raise_told, refuse_no_bucket

T = TypeVar("T")
PAUSES_S: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)  # between our own tries
RETRIES = 5  # of the library's, within each of them
READ_S = 60.0  # without a byte
_CHUNK = 16 << 20  # of an upload in several pieces
_MOST_CHUNKS = 9_000  # stores take 10,000
_ABREAST = 4
_ASKED_ABREAST, _WORTH_THREADS = 16, 4
_STREAM = 8 << 20

# Called with (what, key) before each request; tests count, fail or kill there.
fault: Callable[[str, str], None] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells it; `name` is relative to the workspace."""

    name: str
    size: int
    tag: str


class Bucket:
    """The objects of one workspace. Making it reaches nothing."""

    def __init__(self, address: Address):
        self.address = address

    @cached_property
    def _store(self) -> Any:
        need("obstore", where=str(self.address))
        from obstore import exceptions, store

        common: dict[str, Any] = {
            "client_options": {
                "allow_http": self.address.plain_http(),
                "timeout": timedelta(minutes=10),
                "read_timeout": timedelta(seconds=READ_S),
            },
            "retry_config": {
                "max_retries": RETRIES,
                "retry_timeout": timedelta(minutes=3),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=5),
                    "base": 2.0,
                },
            },
        }
        try:
            return self._made(store, common)
        except (exceptions.BaseError, ValueError) as error:
            self._raise(error, "open", "")

    def _made(self, store: Any, common: dict[str, Any]) -> Any:
        at, known = self.address, os.environ
        if at.scheme == "gs":
            return store.GCSStore(at.bucket, **common)
        if at.scheme == "az":
            return store.AzureStore(at.bucket, **common)
        more = {} if at.endpoint is None else {"endpoint": at.endpoint}
        if at.endpoint and not (known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION")):
            more["region"] = "us-east-1"  # what servers of their own are asked by
        return store.S3Store(at.bucket, **more, **common)

    # ---- single objects --------------------------------------------------------------------------

    def get(self, name: str) -> bytes | None:
        """Return the content of a small object, None where there is none."""

        def read() -> bytes | None:
            import obstore

            try:
                return bytes(obstore.get(self._store, self.address.key(name)).bytes())
            except FileNotFoundError as error:
                refuse_no_bucket(self.address, error)
                return None

        return self._patiently("get", name, read)

    def size_of(self, name: str) -> int | None:
        """Return the bytes of an object, None where there is none."""

        def look() -> int | None:
            import obstore

            try:
                return int(obstore.head(self._store, self.address.key(name))["size"])
            except FileNotFoundError:
                return None

        return self._patiently("head", name, look)

    def put(self, name: str, data: bytes) -> None:
        """Store or replace a small object."""
        import obstore

        self._patiently("put", name, lambda: obstore.put(self._store, self.address.key(name), data))

    def put_within(self, name: str, data: bytes, seconds: float) -> None:
        """Store a small object if the store takes it at once, as a run that was stopped asks."""
        import obstore
        from obstore.exceptions import BaseError

        with contextlib.suppress(BaseError, OSError, ValueError):  # what ended the run is told
            interruptibly(lambda: obstore.put(self._store, self.address.key(name), data), seconds)

    def create(self, name: str, data: bytes) -> bytes | None:
        """Store an object that must not exist yet; returns None, or the other bytes that are there.

        An answer that was lost, or that says that the object exists, is looked up: equal bytes are
        success, whoever has stored them.
        """
        return self._patiently("create", name, lambda: self._create(name, data))

    def _create(self, name: str, data: bytes) -> bytes | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            obstore.put(self._store, self.address.key(name), data, mode="create")
            return None
        except (AlreadyExistsError, PreconditionError) as error:
            there = self.get(name)
            if there is None:  # removed meanwhile: try once more
                raise Again(f"{name} was there, and is gone") from error
            return None if there == data else there

    def send(self, path: Path, name: str) -> None:
        """Store a file, large ones in several pieces."""
        import obstore

        size = path.stat().st_size
        chunk = max(_CHUNK, -(-size // _MOST_CHUNKS))
        self._patiently(
            "send",
            name,
            lambda: obstore.put(
                self._store,
                self.address.key(name),
                path,
                mode="overwrite",
                chunk_size=chunk,
                max_concurrency=_ABREAST,
            ),
        )

    def fetch(self, name: str, path: Path, size: int, sha256: str) -> None:
        """Write an object to `path`, compared with its size and SHA-256 on the way.

        Raises FileNotFoundError where there is none, Torn for other bytes.
        """

        def read() -> None:
            import obstore

            with files.writing(path) as sink:
                answer = obstore.get(self._store, self.address.key(name))
                for piece in answer.stream(min_chunk_size=_STREAM):
                    sink.write(memoryview(piece))
            came = sink.digest.hexdigest()
            if sink.count != size or came != sha256:
                raise Torn(
                    f"{sink.count:,} bytes with the SHA-256 {came[:12]} came, recorded {size:,} "
                    f"with {sha256[:12]}",
                    where=f"{self.address}/{name}",
                )

        self._patiently("fetch", name, read)

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects that nobody needs any more; missing is fine."""
        import obstore

        if names:
            keys = [self.address.key(name) for name in names]
            self._patiently("remove", names[0], lambda: obstore.delete(self._store, keys))

    # ---- many ------------------------------------------------------------------------------------

    def get_all(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Yield small objects with their names, in order; some requests are under way at once."""
        yield from self._abreast(self.get, names)

    def sizes_of(self, names: Sequence[str]) -> Iterator[tuple[str, int | None]]:
        """Yield the bytes of objects with their names, None where there is none: each asked for by
        itself, since a listing may show what is gone, and not what is there."""
        yield from self._abreast(self.size_of, names)

    def _abreast(self, ask: Callable[[str], T], names: Sequence[str]) -> Iterator[tuple[str, T]]:
        if len(names) < _WORTH_THREADS:
            yield from ((name, ask(name)) for name in names)
            return
        _ = self._store
        with ThreadPoolExecutor(_ASKED_ABREAST) as pool:
            try:
                yield from zip(names, pool.map(ask, names), strict=True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def below(self, folder: str) -> list[Listed]:
        """Return the objects below a folder of the workspace ("" for all), in order of name."""

        def look() -> list[Listed]:
            return sorted(self._pages(folder), key=lambda one: one.name)

        return self._patiently("list", folder, look)

    def holds_any(self) -> bool:
        """Say whether the workspace has an object; raises for a bucket that cannot be read."""

        def look() -> bool:
            return next(self._pages(""), None) is not None

        return self._patiently("list", "", look)

    def _pages(self, folder: str) -> Iterator[Listed]:
        import obstore

        key = self.address.key(folder)
        start = len(self.address.key(""))
        for page in obstore.list(self._store, prefix=key or None, chunk_size=1000):
            for one in page:
                yield Listed(one["path"][start:].lstrip("/"), one["size"], str(one["e_tag"] or ""))

    def _raise(self, error: Exception, what: str, name: str) -> NoReturn:
        raise_told(self.address, error, what, name, len(PAUSES_S) + 1)

    # ---- patience ------------------------------------------------------------------------------

    def _patiently(self, what: str, name: str, work: Callable[[], T]) -> T:
        """Return what `work` returns; where an error may pass, try again from the start."""
        _ = self._store  # a missing package, a wrong setting: before any request
        from obstore.exceptions import BaseError

        for pause in (*PAUSES_S, None):
            if fault is not None:
                fault(what, name)
            try:
                return interruptibly(work)
            except FileNotFoundError as error:
                refuse_no_bucket(self.address, error)
                raise
            except (BaseError, OSError, ValueError, Torn, Again) as error:
                if pause is None or not may_pass(error):
                    self._raise(error, what, name)
            time.sleep(pause)
        raise AssertionError("the last try has returned or raised")
