"""Requests to one server: repeated after faults, held back after 429, never longer than declared.

What a server says is shown in errors with its URL, status and first characters, without signs that
a terminal would act on. The key, should it be echoed, is taken out of an answer before anything
reads it; a short one, which other words may hold too, of what is shown or kept.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2

from ...draws import generator
from ...errors import BadInput, RankmillError
from ...parts.told import counted
from .address import Address, key_of

SHOWN = 200  # characters of an answer, in errors
MOST_BYTES = 1 << 26  # of an answer
_SECRET_FROM = 8  # characters; a shorter key (yes, EMPTY) may stand in answers that say it rightly
_ANYWHERE_FROM = 3  # characters; a shorter key is shown nowhere as a word of its own
_TORN_AGAIN = (
    2  # times: a connection that broke off is soon mended, a server that writes no JSON not
)
_MASK = "[the key]"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0  # doubled from try to try
_TELL_FROM_S, _TELL_EVERY_S = 2.0, 30.0
_NOT_THERE = (400, 404, 405, 501)  # how servers say that they have no such route
_NOT_TOLD = (401, 403)  # or that this key may not read it: it may be one for answers alone
_DO = {
    400: "check model, prompt and words; a text may be longer than the model reads",
    401: "name the environment variable that holds the key: key_env=NAME",
    403: "this key may not use this model: check key_env=NAME and model",
    404: "check the url (the base: …/v1 for OpenAI-compatible servers) and the model's name",
    405: "check the url and the api: this server has another route there",
    413: "send less at once: a smaller batch, or a server that cuts long texts",
    422: "check the api: the server wants another request than this one sends",
}

Tell = Callable[[str], None]


class Misread(ValueError):
    """An answer that is not what its API declares; says what is wrong with it."""


class Stopped(RuntimeError):
    """Another request has failed, or the run is interrupted: this one is not waited for."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a request got no answer: `limited` by 429; `wait`: seconds that the server asks for;
    `torn`: an answer that is no whole JSON."""

    what: str
    limited: bool = False
    wait: float | None = None
    torn: bool = False


class _Connections:
    """Connections that several threads use: who leaves last closes them. A request that is on its
    way when its block ends may only then open one."""

    def __init__(self, http: httpx2.Client):
        self._http, self._users, self._lock = http, 0, threading.Lock()

    @contextlib.contextmanager
    def used(self) -> Iterator[httpx2.Client]:
        """Hold them open for a block."""
        with self._lock:
            self._users += 1
        try:
            yield self._http
        finally:
            with self._lock:
                self._users -= 1
                last = not self._users
            if last:
                self._http.close()


class Client:
    """Asks one server from several threads, in a `connected` block.

    `tell` is told what it waits for. `taken` counts requests, repeated ones and seconds held back.
    """

    def __init__(self, address: Address, tell: Tell | None = None):
        self.address, self.tell = address, tell
        self.stop = threading.Event()
        self._key = key_of(address)
        self._hidden = _echo_of(self._key) if self._key else None
        self._open: _Connections | None = None
        self._lock = threading.Lock()
        self._counts: dict[str, float] = defaultdict(float)
        self._open_at, self._told_at = 0.0, float("-inf")  # on the monotonic clock

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        """Keep connections open for the requests of a block; after an error it does not wait for
        those that still run, and the last of them closes."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        most = self.address.concurrency + 1
        http = httpx2.Client(
            headers={"Accept": "application/json", **headers},
            timeout=self.address.timeout,
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            follow_redirects=False,  # the key would go wherever a server points
        )
        self._open = _Connections(http)
        with self._open.used():
            yield

    def post(self, route: str, body: Any, key: str, read: Callable[[Any], Any]) -> Any:
        """Return what `read` makes of the answer to a POST of JSON; `key` draws the jitter.

        Raises BadInput for an answer that no repetition would mend, RankmillError where patience
        or the tries are over.
        """
        url = self._url(route)
        status, data = self._answered("POST", url, body, key)
        return self._read(url, status, data, read)

    def get(self, route: str, *, hidden: bool = False) -> Any | None:
        """Return the JSON object at a route; None where the server has nothing of the kind, or,
        with `hidden`, does not show it to this key."""
        url, absent = self._url(route), (*_NOT_THERE, *(_NOT_TOLD if hidden else ()))
        status, data = self._answered("GET", url, None, route, absent)
        try:
            answer = _parsed(data) if status == 200 else None
        except (ValueError, RecursionError):  # a page for people
            return None
        return answer if isinstance(answer, dict) else None

    def taken(self) -> dict[str, float]:
        """Return the counts, and begin them anew."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(float)
        return {name: round(count, 3) for name, count in sorted(counts.items())}

    def refused(self, url: str, status: int, data: bytes, what: str, do: str) -> BadInput:
        """Return the error about an answer: URL, status, and its beginning made harmless."""
        said = self.shown(data.decode("utf-8", "replace"))
        return BadInput(self.hidden(what), where=f"{url}, status {status}: {said}", do=do)

    def _url(self, route: str) -> str:
        return self.address.url.rstrip("/") + route

    def _read(self, url: str, status: int, data: bytes, read: Callable[[Any], Any]) -> Any:
        try:
            return read(_parsed(data))
        except Misread as error:
            do = "check api and model; nothing of this answer was taken"
            raise self.refused(url, status, data, str(error), do) from error
        except (ValueError, RecursionError) as error:
            what = "the server answers with something else than JSON"
            raise self.refused(
                url, status, data, what, "check the url: a proxy or a web page answers there"
            ) from error

    def _answered(
        self, method: str, url: str, body: Any, key: str, absent: tuple[int, ...] = ()
    ) -> tuple[int, bytes]:
        """Send until an answer comes; one with a status of `absent` is for the caller to see."""
        since, faults, torn, tried = time.monotonic(), 0, 0, 0
        while True:
            self._held()
            status, outcome = self._once(method, url, body, absent)
            if not isinstance(outcome, _Fault):
                return status, outcome
            faults += not outcome.limited
            torn += outcome.torn
            if torn > _TORN_AGAIN:
                raise self._ended(url, f"after {tried + 1} tries", outcome)
            wait = self._wait(outcome, key, tried)
            self._give_up(url, outcome, faults, time.monotonic() - since + wait)
            self._hold(outcome, url, wait, faults)
            tried += 1

    def _once(
        self, method: str, url: str, body: Any, absent: tuple[int, ...]
    ) -> tuple[int, bytes | _Fault]:
        with self._lock:
            self._counts["requests"] += 1
        try:
            status, headers, data = self._exchange(method, url, body)
        except httpx2.TimeoutException:
            return 0, _Fault(f"no whole answer within {self.address.timeout:g} s")
        except httpx2.InvalidURL as error:
            do = "write http://HOST:PORT/… or https://HOST/…"
            raise BadInput(f"url is no address: {error}", where=url, do=do) from error
        except httpx2.RequestError as error:
            return 0, _Fault(f"{type(error).__name__}: {self.shown(str(error))}")
        if status == 429:
            return status, _Fault("429 (too many requests)", True, _asked_to_wait(headers))
        if status in absent:
            return status, data
        if status >= 500 or status == 408:
            said = self.shown(data.decode("utf-8", "replace"))
            return status, _Fault(f"status {status}: {said}", wait=_asked_to_wait(headers))
        if status != 200:
            raise self.refused(
                url, status, data, "the server refuses the request", _do_after(status)
            )
        if not absent and _torn(data):
            said = self.shown(data.decode("utf-8", "replace"))
            what = f"an answer of {len(data):,} bytes that is no whole JSON: {said}"
            return status, _Fault(what, torn=True)
        return status, data

    def _exchange(self, method: str, url: str, body: Any) -> tuple[int, Any, bytes]:
        """Send once and read the whole answer, in `timeout` seconds and MOST_BYTES at most."""
        until, data = time.monotonic() + self.address.timeout, bytearray()
        assert self._open is not None, "outside a connected block"
        with self._open.used() as http, http.stream(method, url, json=body) as response:
            for piece in response.iter_bytes():
                data += piece
                if time.monotonic() > until:
                    raise httpx2.ReadTimeout("the answer trickles")
                if len(data) > MOST_BYTES:
                    do = "check the url and the api: no answer of theirs is as long"
                    what = f"the answer is longer than {MOST_BYTES:,} bytes"
                    beginning = self._without_key(data)[:1000]
                    raise self.refused(url, response.status_code, beginning, what, do)
            return response.status_code, response.headers, self._without_key(data)

    def hidden(self, text: str) -> str:
        """Return a text without the key, however it is written there."""
        return text if self._hidden is None else self._hidden.sub(_MASK, text)

    def shown(self, text: str) -> str:
        """Return the beginning of a text from outside, without the key, for one line."""
        return neutral(self.hidden(text))

    def _without_key(self, data: bytes | bytearray) -> bytes:
        if self._hidden is None or len(self._key or "") < _SECRET_FROM:
            return bytes(data)
        return re.sub(self._hidden.pattern.encode(), _MASK.encode(), data)

    # ---- waiting -------------------------------------------------------------------------------

    def _wait(self, fault: _Fault, key: str, tried: int) -> float:
        """Return how long to wait: what the server asks for, or twice as long as before; with
        jitter, so that requests that failed together do not come back together."""
        own = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(tried, 30))
        jitter = float(generator(0, "endpoint", f"{key} {tried}").random())
        return max(own * (0.5 + 0.5 * jitter), (fault.wait or 0.0) * (1 + 0.1 * jitter))

    def _give_up(self, url: str, fault: _Fault, faults: int, waited: float) -> None:
        """Raise RankmillError when the declared number of tries or the patience is used up."""
        over = None
        if faults > self.address.retries:
            tries = counted(faults, "try", "tries")
            over = f"after {tries} (retries={self.address.retries})"
        elif waited > self.address.patience:
            over = f"it would take {waited:,.0f} s (patience={self.address.patience:g})"
        if over is not None:
            raise self._ended(url, over, fault)

    def _ended(self, url: str, over: str, fault: _Fault) -> RankmillError:
        how = (
            "check the url and what stands between here and the server"
            if fault.torn
            else "retries=, patience= and timeout= say how long to wait"
        )
        return RankmillError(
            f"no answer from the endpoint, {over}: {fault.what}",
            where=url,
            do="finished parts are kept: when the server answers again, run the same command; "
            + how,
        )

    def _hold(self, fault: _Fault, url: str, wait: float, faults: int) -> None:
        """Wait out a fault; 429 holds back the requests of all threads."""
        now = time.monotonic()
        with self._lock:
            self._counts["repeated"] += 1
            self._counts["held_s"] += wait
            if fault.limited:
                self._open_at = max(self._open_at, now + wait)
            telling = wait >= _TELL_FROM_S and now - self._told_at >= _TELL_EVERY_S
            if telling:
                self._told_at = now
        if telling and self.tell is not None:
            again = "" if fault.limited else f", try {faults} of {self.address.retries}"
            self.tell(f"waiting {wait:,.0f} s for {url}: {fault.what}{again}")
        if not fault.limited and self.stop.wait(wait):
            raise Stopped("stopped while waiting")

    def _held(self) -> None:
        """Wait until requests are let through again."""
        while True:
            with self._lock:
                left = self._open_at - time.monotonic()
            if self.stop.wait(left) if left > 0 else self.stop.is_set():
                raise Stopped("stopped while waiting")
            if left <= 0:
                return


def _echo_of(key: str) -> re.Pattern[str]:
    """Return what finds a key in any text: its signs as they are, escaped as in JSON, by their
    numbers or as in a URL; and all of it in base64, by itself or among other bytes."""
    escaped = {sign: r"\\?" for sign in '"\\/'}
    signs = (
        rf"(?:{escaped.get(c, '')}{re.escape(c)}|\\u(?i:{ord(c):04x})|%(?i:{ord(c):02x}))"
        for c in key
    )
    plain = "".join(signs)
    if len(key) < _ANYWHERE_FROM:  # as a word: a letter of another word tells nothing
        plain = rf"(?:(?<![0-9A-Za-z])|(?<=\\[bfnrt])){plain}(?![0-9A-Za-z])"
    return re.compile("|".join([plain, *_in_base64(key)]))


def _in_base64(key: str) -> list[str]:
    """Return patterns of a key in base64, one for each place in a group of three bytes that it may
    begin at, without the letters that its neighbours decide too; a short one by itself alone."""
    made = []
    for before in range(3 if len(key) >= _SECRET_FROM else 1):
        whole = base64.b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        own = whole[-(-before * 8 // 6) : (before + len(key)) * 8 // 6]
        made.append(re.escape(own).replace(r"\+", r"[+\-]").replace("/", r"(?:\\?/|_)"))
    return (
        made if len(key) >= _ANYWHERE_FROM else [rf"(?<![0-9A-Za-z]){made[0]}[A-Za-z0-9]?={{1,2}}"]
    )


def _do_after(status: int) -> str:
    """Return what to do about a status that no repetition would mend."""
    if 300 <= status < 400:
        return "check the url; redirections are not followed, give the address"
    said = f"the server answered with status {status}: its documentation or log says why"
    return _DO.get(status, said)


def neutral(text: str) -> str:
    """Return the beginning of a text from outside in one line that no terminal acts on."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    plain = re.sub(r" +", " ", plain).strip()
    return plain if len(plain) <= SHOWN else plain[:SHOWN] + "…"


def _parsed(data: bytes) -> Any:
    """Return what JSON says, which is UTF-8: in another coding the key would not be known."""
    return json.loads(data.decode("utf-8-sig"))


def _torn(data: bytes) -> bool:
    """Say whether an answer begins as JSON and is none: a connection that broke off."""
    if data.lstrip()[:1] not in (b"{", b"[", b""):
        return False
    try:
        _parsed(data)
    except (ValueError, RecursionError):
        return True
    return False


def _asked_to_wait(headers: Any) -> float | None:
    """Return the seconds of a Retry-After header, which may be a date; None without one."""
    said = str(headers.get("retry-after", "")).strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", said):
        return float(said)
    try:
        at = email.utils.parsedate_to_datetime(said)
    except (TypeError, ValueError, OverflowError):  # dates of any size may be written there
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
