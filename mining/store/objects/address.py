"""Where a workspace on an object store lies, as people write it, and where its mirror stands."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...errors import UsageError
from ...inputs.given_paths import path_given

CACHE, CACHE_SIZE = "RANKMILL_CACHE", "RANKMILL_CACHE_SIZE"
SCHEMES = ("s3", "gs", "az")
_WRITTEN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PIECE = re.compile(r"[A-Za-z0-9._=@+-]+")
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_ENDPOINT"}


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket, a prefix in it ("" for none), and the endpoint that is not the scheme's own."""

    scheme: str
    bucket: str
    prefix: str
    endpoint: str | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def key(self, name: str) -> str:
        """Return the key of a file of the workspace in its bucket."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def mirror_root(self) -> Path:
        """Return the folder of its mirror on this machine: below $RANKMILL_CACHE, or below
        ~/.cache/rankmill."""
        given = os.environ.get(CACHE)
        place = path_given(given) if given else _home() / ".cache" / "rankmill"
        named = hashlib.sha256(f"{self} {self.endpoint or ''}".encode()).hexdigest()[:24]
        return place.absolute() / named

    def plain_http(self) -> bool:
        """Whether the endpoint is spoken to without TLS: on loopback only, unless the environment
        allows it. Raises UsageError for any other."""
        if self.endpoint is None or urlsplit(self.endpoint).scheme != "http":
            return False
        host = urlsplit(self.endpoint).hostname or ""
        allowed = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}
        if not _is_loopback(host) and os.environ.get(allowed[self.scheme], "").lower() != "true":
            raise UsageError(
                f"the endpoint of {self} is plain HTTP on another machine: {host}",
                do=f"use https://, or set {allowed[self.scheme]}=true in a network that you trust",
            )
        return True


def is_address(text: str | Path) -> bool:
    """Say whether a workspace is given as a URL, not as a folder; a path whose first folder ends in
    a colon is none as long as it is no scheme."""
    written = _WRITTEN.fullmatch(str(text))
    return written is not None and (written[1].lower() in (*SCHEMES, "file") or "://" in str(text))


def parse(text: str | Path) -> Address | Path:
    """Return what a URL names: an address, or the folder of file://. Raises UsageError for what
    cannot be one; what may be a secret is not repeated."""
    written = _WRITTEN.fullmatch(str(text))
    scheme, rest = (written[1].lower(), written[2]) if written else ("", "")
    if scheme == "file":
        return _folder(str(text))
    if scheme not in SCHEMES:
        raise UsageError(
            f"workspace: {scheme}:// is no object store that is known",
            do="write s3://BUCKET/PREFIX, gs://…, az://CONTAINER/PREFIX, file:///PATH, or a folder",
        )
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or "?" in rest or "#" in rest:
        raise UsageError(
            f"workspace: a {scheme}:// address with something beside bucket and prefix (not shown: "
            "it may be a secret)",
            do="credentials come from the environment or the machine, as the command line tools of "
            "the store take them; write only "
            f"{scheme}://BUCKET/PREFIX",
        )
    pieces = [piece for piece in prefix.split("/") if piece]
    odd = [p for p in pieces if not _PIECE.fullmatch(p) or p in (".", "..")]
    if not _BUCKET.fullmatch(bucket) or odd:
        raise UsageError(
            f"workspace: {scheme}:// with the "
            + (f"prefix {'/'.join(pieces)!r}" if odd else f"bucket {bucket!r}"),
            do="use letters, digits, '.', '_', '-', '=', '+', '@' in each piece of the prefix",
        )
    return Address(scheme, bucket, "/".join(pieces), endpoint_of(scheme))


def endpoint_of(scheme: str) -> str | None:
    """Return the endpoint that the environment names, None for the scheme's own. Raises UsageError
    for one that holds more than a host and a path: it would be written into mirrors."""
    endpoint = os.environ.get(ENDPOINTS[scheme]) or None
    if endpoint is not None and any(sign in endpoint for sign in "@?#"):
        raise UsageError(
            f"{ENDPOINTS[scheme]} holds something beside host, port and path (not shown: it may "
            "be a secret)",
            do="write https://HOST:PORT; credentials have variables of their own, see "
            "docs/object-stores.md",
        )
    return endpoint


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # a container's user that nobody has named
        raise UsageError(
            "there is no home folder for the cache of an object store",
            do="name a folder: --cache-dir DIR or RANKMILL_CACHE",
        ) from error


def _folder(text: str) -> Path:
    """Return the folder of file:///PATH; a host other than this one is refused."""
    split = urlsplit(text)
    if split.netloc not in ("", "localhost"):
        raise UsageError(
            f"workspace: file:// of the host {split.netloc!r}", do="write file:///PATH, or a path"
        )
    return Path(unquote(split.path) or "/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d{1,15})\s*([kmgt]?)i?b?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that `50GB` says; raises UsageError."""
    written = _SIZE.fullmatch(text.strip())
    if written is None or not int(written[1]):
        raise UsageError(
            f"the size of the cache is {text!r}", do="write a number and a unit, such as 50GB"
        )
    return int(written[1]) * _UNITS[written[2].lower()]
