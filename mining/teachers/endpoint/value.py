"""A teacher that scores pairs behind an HTTP endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np

from ...actors import Execution
from ...ahead import awaited
from ...collection.rows import Corpus, Queries
from ...errors import BadInput, UsageError
from ...names import Call, nearest
from ...options import Option
from ...parts.costs import SERVER
from ...parts.parameters import FIRST_TURN, PROMPT_TEXT, SAYS_NO, SAYS_YES, UNSCORED
from ...store import Artifact, Workspace, open_artifact
from ..base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored, check_missing, prepares
from ..prompt import fields_of
from .address import Address, check_address
from .client import Client, Tell
from .completions import NO, PROMPT, YES, Words, check_words
from .protocols import Api, Cohere, Completions, Score, Tei, VllmScore, in_batches
from .served import Served, check_answers, check_same, read_served, served_by
from .windows import first_words

_KINDS = {  # what each API can give; the first where none needs to be declared
    "openai": ("logit", "log-prob"),
    "vllm-score": ("logit", "probability", "similarity"),
    "tei": ("logit", "probability"),
    "cohere": ("probability", "logit", "log-prob", "similarity"),
}
_UNDECLARED = {
    "vllm-score": "vLLM applies a sigmoid by default (kind=probability); flags and versions change "
    "that, and embedding models give kind=similarity",
    "cohere": "Cohere's own scores lie in 0 to 1 (kind=probability); servers that speak its API "
    "may give kind=logit",
}
_BATCH = 32  # documents of a query in a request
_PAIR_WORK = 1024  # a shard is some 500 pairs: no more is lost by a kill, and paid for again
_ENOUGH = 100  # scores, to tell probabilities from logits


@TEACHERS.register("endpoint", SERVER)
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Address):
    """A model behind an HTTP endpoint, `api` one of openai, vllm-score, tei and cohere.

    openai: a chat completion (`chat=false`: a text completion) of one token after `prompt`; the
    score is the log-odds of the spellings `yes` against `no` among the 20 likeliest tokens, or with
    `no=[]` the log-probability of `yes`. A pair where a word is not among them has no score:
    `missing` says what becomes of it. The other APIs get `batch` documents of a query at once and
    fill in the model's own template. `kind` says what their numbers are, and is required for
    vllm-score and cohere: vLLM's default is a sigmoid, a probability, and changes with flags and
    versions. `system` is the first turn of a chat; `document_words` cuts documents before they are
    sent, for servers that refuse what is longer than their model reads. A server's answers are not
    the same to the last bit each time: such scores are made once and kept.
    """

    api: Annotated[
        str, Option("How it is asked: openai, vllm-score, tei or cohere.", example="openai")
    ]
    kind: Annotated[
        str | None,
        Option("What the numbers are: logit, probability, …; required for vllm-score and cohere."),
    ] = None
    prompt: Annotated[str | None, PROMPT_TEXT] = None
    system: Annotated[str | None, FIRST_TURN] = None
    chat: Annotated[bool, Option("A chat completion; false: a text completion.")] = True
    yes: Annotated[str | tuple[str, ...] | None, SAYS_YES] = None
    no: Annotated[str | tuple[str, ...] | None, SAYS_NO] = None
    document_words: Annotated[
        int | None, Option("Most words of a document that are sent.", unit="words")
    ] = None
    batch: Annotated[int | None, Option("Documents of a query in a request.", unit="documents")] = (
        None
    )
    missing: Annotated[str, UNSCORED] = "error"

    def __post_init__(self) -> None:
        check_address(self)
        check_missing(self.missing)
        if self.api not in _KINDS:
            raise UsageError(f"api={self.api} is not known", do=nearest(self.api, _KINDS))
        if self.api == "openai":
            fields_of(self.prompt or PROMPT)
            words = self.words
            check_words(words.yes, words.no)
            self._refuse("batch", "a completion is of one pair; concurrency says how many at once")
            if not self.chat:
                self._refuse("system", "a text completion has no turns: write it into the prompt")
        else:
            for name in ("prompt", "system", "yes", "no"):
                self._refuse(name, "this API fills in the model's own template on the server")
            if not self.chat:
                raise UsageError(f"chat=false is not for api={self.api}", do="leave it out")
        self._check_kind()

    def _refuse(self, name: str, why: str) -> None:
        if getattr(self, name) is not None:
            raise UsageError(f"{name} is not for api={self.api}", do=f"leave it out: {why}")

    def _check_kind(self) -> None:
        if self.kind is None and self.api in _UNDECLARED:
            raise UsageError(
                f"api={self.api} needs kind=…: its answers do not say what their numbers are",
                do=f"one of {', '.join(_KINDS[self.api])}; {_UNDECLARED[self.api]}",
            )
        possible = (self.settled_kind,) if self.api == "openai" else _KINDS[self.api]
        if self.kind is not None and self.kind not in possible:
            raise UsageError(
                f"kind={self.kind} is nothing that api={self.api} gives here",
                do=f"write kind={' or kind='.join(possible)}",
            )

    @property
    def words(self) -> Words:
        """The spellings that count."""
        yes = YES if self.yes is None else self.yes
        no = NO if self.no is None else self.no
        return Words(*(((one,) if isinstance(one, str) else one) for one in (yes, no)))

    @property
    def settled_kind(self) -> str:
        """What the scores are."""
        if self.api == "openai":
            return "logit" if self.words.no else "log-prob"
        return self.kind or _KINDS[self.api][0]

    def protocol(self) -> Api:
        """Return how it is asked."""
        models = "/models" if self.url.rstrip("/").endswith("/v1") else "/v1/models"
        kind = self.settled_kind
        if self.api == "openai":
            prompt = self.prompt or PROMPT
            return Completions(self.model, prompt, self.words, self.chat, self.system)
        if self.api == "vllm-score":
            return VllmScore(self.model, kind, models)
        return Tei(kind) if self.api == "tei" else Cohere(self.model, kind)

    def identity(self) -> dict[str, Any]:
        """Return what can change a score: not where the model is served, nor how it is asked for
        more of them."""
        said: dict[str, Any] = {"api": self.api, "model": self.model}
        said |= {} if self.revision is None else {"revision": self.revision}
        said |= {"kind": self.settled_kind}
        said |= {} if self.document_words is None else {"document_words": self.document_words}
        if self.api == "openai":
            said |= {"prompt": self.prompt or PROMPT, "chat": self.chat}
            said |= {} if self.system is None else {"system": self.system}
            said |= {"yes": self.words.yes, "no": self.words.no}
        return said


def address_of(teacher: Address) -> Address:
    """Return the address alone."""
    return Address(**{f.name: getattr(teacher, f.name) for f in fields(Address)})


def tell_of(executor: Execution) -> Tell | None:
    """Return what says that a server is waited for; actors have no way to say it at once."""
    inline = executor.workers == 0 and executor.ray_address is None
    return executor.progress.announce if inline else None


def said_of(teacher: Address, served: Served) -> dict[str, str]:
    """Return what manifests say of every teacher behind an endpoint."""
    return {
        "model": teacher.model,
        "revision": teacher.revision or "not declared",
        "served": ", ".join(f"{name} {said}" for name, said in served.items()) or "nothing told",
        "repeatable": "no: answers of a server, made once",
    }


@prepares(Endpoint)
def prepare_endpoint(
    workspace: Workspace, teacher: Endpoint, pool: Artifact, executor: Execution
) -> Prepared:
    """Ask what is served, or find what was, and say how the scorer is built.

    Raises BadInput for an address that does not answer as its API does, UsageError without a key.
    """
    api, tell = teacher.protocol(), tell_of(executor)
    first = (api.route, api.body("warm", ["It is warm."]))
    server = served_by(workspace, address_of(teacher), teacher.api, api.info, first, tell)
    served, identity = read_served(server), teacher.identity()
    return Prepared(
        label=str(Call("endpoint", named=tuple(identity.items()))),
        kind=teacher.settled_kind,
        parameters={**_plain(identity), "missing": teacher.missing, **CUTS_UNKNOWN},
        make=EndpointScorer,
        options={
            "pool": str(pool.path),
            "address": address_of(teacher),
            "api": api,
            "batch": 1 if teacher.api == "openai" else teacher.batch or _BATCH,
            "words": teacher.document_words,
            "served": served,
            "bounded": teacher.settled_kind == "logit" and teacher.api in _UNDECLARED,
            "tell": tell,
        },
        pair_work=lambda query, doc: np.full(len(doc), _PAIR_WORK, np.int64),
        metadata={
            **said_of(teacher, served),
            "api": teacher.api,
            "prompt": identity.get("prompt", ""),
        },
        inputs={"endpoint": server},
        missing=teacher.missing,
        cuts=False,  # the server knows what it cuts, and does not say
        given=True,
        timed=False,
    )


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in identity.items() if k != "kind"}


class EndpointScorer:
    """Asks for scores, several requests at once."""

    def __init__(
        self,
        pool: str,
        address: Address,
        api: Api,
        batch: int,
        words: int | None,
        served: Served,
        bounded: bool,
        tell: Tell | None,
    ):
        lists = open_artifact(pool)
        self.queries, self.corpus = Queries(lists.input("queries")), Corpus(lists.input("corpus"))
        self.client, self.api, self.batch = Client(address, tell), api, batch
        self.words, self.served, self.bounded = words, served, bounded

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return a number for every pair, those that the server has none for marked as absent.

        Raises BadInput for a server that serves something else than at first, and for numbers that
        cannot be what they are declared to be.
        """
        with self.client.connected():
            check_same(self.client, self.api.info, self.served)
            scored = self._asked(query, doc)
        told = scored.scores[np.isfinite(scored.scores)]
        if self.bounded and len(told) >= _ENOUGH and 0 <= told.min() and told.max() <= 1:
            raise BadInput(
                f"all {len(told):,} scores of a shard lie between 0 and 1, as probabilities do, "
                "and are declared as logits",
                where=self.client.address.url,
                do="write kind=probability, or start the server so that it gives logits; numbers "
                "that are neither are kind=similarity",
            )
        return scored

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Ask once more for pairs that came back as no number."""
        with self.client.connected():
            return self._asked(query, doc)

    def _asked(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        asked, whole = self.queries.texts(query), self.corpus.texts(doc)
        documents = whole if self.words is None else [first_words(t, self.words) for t in whole]

        def answer(batch: tuple[int, int]) -> tuple[list[Score], float]:
            start, stop = batch
            body = self.api.body(asked[start], documents[start:stop])
            key = f"{query[start]} {doc[start]}"
            return self.client.post(self.api.route, body, key, lambda a: self._read(a, batch))

        batches = in_batches(query, doc, self.batch)
        answers = awaited(answer, batches, self.client.address.concurrency, self.client.stop)
        flat = [score for scores, _ in answers for score in scores]
        absent = np.array([score is None for score in flat], dtype=bool)
        with np.errstate(over="ignore"):  # beyond float32 is an infinity: no score
            scores = np.array([np.nan if s is None else s for s in flat]).astype(np.float32)
        usage = self.client.taken()
        if tokens := sum(each for _, each in answers):
            usage["tokens"] = tokens
        cut = sum(a != b for a, b in zip(documents, whole, strict=True))
        counts = {"documents_cut": cut} if cut else {}
        return Scored(scores, usage, absent if absent.any() else None, counts)

    def _read(self, answer: Any, batch: tuple[int, int]) -> tuple[list[Score], float]:
        check_answers(self.client, answer, self.served)
        return self.api.scores(answer, batch[1] - batch[0]), tokens_of(answer)


def tokens_of(answer: Any) -> float:
    """Return the tokens that a server says it has read and written for an answer; 0 if it does not
    say."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    if not isinstance(total, int | float) or isinstance(total, bool) or not 0 <= total < 1e12:
        return 0.0
    return float(total)
