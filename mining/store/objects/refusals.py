"""What the errors of an object store mean: which may pass, and what to do about the others.

Nothing that a store echoes of a request comes through: no token, no signature.
"""

from __future__ import annotations

import os
import re
from typing import NoReturn
from urllib.parse import urlsplit

from ...errors import BadInput, RankmillError
from .address import Address

_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_LEAST_SECRET = 8  # characters; shorter ones stand in any text
_OF_SETTINGS = {"UnknownConfigurationKeyError", "NotSupportedError"}
_OF_CONFLICTS = {"AlreadyExistsError", "PreconditionError"}  # 409: two puts met; it passes
_OF_THE_LIBRARY = {"GenericError", "JoinError", "BaseError", "Again"} | _OF_CONFLICTS
_PASSES = re.compile(
    r"\b5\d\d\b|\b4(08|09|29) [A-Z]|timed? ?out|connect|reset|closed|broken pipe|incomplete|"
    r"error sending request|decoding response body|error reading|unexpected eof|slow ?down",
    re.IGNORECASE,
)
_STAYS = re.compile(
    r"\b4(0[0-7]|1\d) [A-Z]|\b501 [A-Z]|credential|missing region|invalid (uri|url)",
    re.IGNORECASE,
)
_URL = re.compile(r"\b\w+://[^\s\"'<>)]+")
_ECHOED = re.compile(
    r"<(AWSAccessKeyId|Token-\d+|StringToSign\w*|CanonicalRequest\w*)>.*?</\1>", re.S
)
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)
_NO_CREATE = re.compile(r"\b501\b|NotImplemented|not implemented|If-None-Match", re.IGNORECASE)
_EXPIRED = re.compile(r"ExpiredToken|TokenRefreshRequired|RequestExpired|token.{0,20}expired", re.I)
_SKEWED = re.compile(r"RequestTimeTooSkewed|RequestInTheFuture|clock.{0,20}skew", re.IGNORECASE)


class Torn(RankmillError):
    """What arrived is not what was stored under this name."""


class Unconditional(BadInput):
    """The store refuses a put that must not overwrite, whatever is there."""


class Again(Exception):
    """Not an error of anybody's: the same has to be tried once more."""


def refuse_no_bucket(address: Address, error: Exception) -> None:
    """Raise BadInput where an error says that the bucket itself is not there."""
    if _NO_BUCKET.search(str(error)):
        raise BadInput(
            f"there is no bucket {address.bucket!r}",
            where=str(address),
            do="make it first, or check its name, the region and the endpoint",
        ) from error


def raise_told(address: Address, error: Exception, what: str, name: str, tries: int) -> NoReturn:
    """Raise an error of the library in our words; `tries` have met it."""
    where = f"{address}/{name}" if name else str(address)
    if isinstance(error, RankmillError):
        raise error
    refuse_no_bucket(address, error)
    kind, said = type(error).__name__, harmless(error)
    if (passed := _of_the_time(error)) is not None:
        raise BadInput(
            f"the object store refuses to {what} this: {said}", where=where, do=passed
        ) from error
    if kind in ("PermissionDeniedError", "UnauthenticatedError"):
        raise BadInput(
            f"the object store refuses to {what} this: {said}",
            where=where,
            do="check the credentials of the environment or the machine, and what they allow: "
            "get, put, list, delete below this address",
        ) from error
    if isinstance(error, ValueError) or kind == "InvalidPathError":
        raise BadInput(
            f"what stands below this address, or would, has a key that cannot be used: {said}",
            where=where,
            do="it is none of the workspace's: move or remove that object, or choose a prefix "
            "of your own",
        ) from error
    if (kind == "GenericError" and not _passing(error)) or kind in _OF_SETTINGS:
        refused = Unconditional if what == "create" and _NO_CREATE.search(said) else BadInput
        raise refused(
            f"the object store cannot be used: {said}",
            where=where,
            do="check the bucket, the region, the endpoint and the credentials in the environment",
        ) from error
    if isinstance(error, OSError):
        raise error
    raise RankmillError(
        f"the object store does not answer as it should, after {tries} tries to {what}: {said}",
        where=where,
        do="look at the store and the way to it, then run the same command again: it resumes",
    ) from error


def _of_the_time(error: Exception) -> str | None:
    """Return what to do about a refusal that follows from the time, which the store says among
    others'; None for any other."""
    said = str(error)
    if _SKEWED.search(said):
        return (
            "the clock of this machine is wrong by minutes: set it (timedatectl, chronyc), then "
            "run the same command again: it resumes"
        )
    if _EXPIRED.search(said):
        return "the credentials have expired: renew them and run the same command again: it resumes"
    return None


def harmless(error: Exception) -> str:
    """Return the first line of what the library says, without what stores echo of requests: tokens,
    signatures, the values of secrets in the environment."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    said = _ECHOED.sub("", _URL.sub(_only_host, said))
    for name, value in os.environ.items():
        if len(value) >= _LEAST_SECRET and _SECRET.search(name):
            said = said.replace(value, f"(${name})")
    return said[:300]


def _only_host(url: re.Match[str]) -> str:
    """Return a URL without its path, which the error tells apart, nor what signs it."""
    split = urlsplit(url[0])
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}"


def may_pass(error: Exception) -> bool:
    """Say whether what met this error is worth another try."""
    kind = type(error).__name__
    return isinstance(error, Again | Torn) or (kind in _OF_THE_LIBRARY and _passing(error))


def _passing(error: Exception) -> bool:
    said = _URL.sub("", str(error))  # keys are no words of the store's
    return (
        isinstance(error, Again)
        or type(error).__name__ in _OF_CONFLICTS
        or (_PASSES.search(said) is not None and _STAYS.search(said) is None)
    )
