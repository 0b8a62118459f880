"""A teacher that orders lists: a language model behind an endpoint, over sliding windows.

A rank depends on the other documents and on the order in which they were shown, so scores of this
teacher are of one pool, and never taken for the same pairs of another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...actors import Execution
from ...ahead import awaited
from ...collection.rows import Corpus, Queries
from ...errors import BadInput, UsageError
from ...names import Call
from ...options import Option
from ...parts.costs import WINDOWS
from ...parts.parameters import FIRST_TURN
from ...runs.labels import label_of
from ...score_kinds import RANK
from ...store import Artifact, Workspace, open_artifact
from ...store.tables import list_values
from ..base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored, prepares
from .address import Address, check_address
from .client import Client, Tell
from .completions import chat_body, choice_of
from .orders import Ambiguous, order_of
from .served import Served, check_answers, check_same, read_served, served_by
from .value import address_of, said_of, tell_of, tokens_of
from .windows import PROMPT, check_prompt, listed, passage_of, windows

ORDERS = ("best_first", "reversed")
ERROR, AS_SHOWN = "error", "as_shown"  # what becomes of a window whose answer is ambiguous
_ROUTE, _INFO = "/chat/completions", "/models"
_PAIR_WORK = 160  # a shard is some 3,000 pairs: 32 lists of 100
_TOKENS_EACH = 8  # of an answer, for a passage: "[20] > " is five
_FEW = 4  # windows prove nothing about a model


@TEACHERS.register("listwise", WINDOWS)
@dataclass(frozen=True, slots=True, kw_only=True)
class Listwise(Address):
    """A language model that orders the documents of a query: sliding windows over a chat endpoint.

    The list is shown as `source` ranked it (the pool's only source unless named), best first, or
    with `order=reversed` last first: scores of both tell how much the order decides. Documents that
    the source has not found come last. `window` passages are shown at a time, `stride` further to
    the front each time, `passes` times over the list. `prompt` has {passages}, {query} and {num};
    a passage is cut to `passage_words` words. `answer_tokens`: room for an answer, 8 a passage
    unless said; models that think first need more. Ranks are stored, kind=rank. What an answer
    leaves out, repeats or makes up is repaired and counted. `ambiguous`: an answer that names
    passages in no order, or in two, is an error, or leaves its window `as_shown` and is counted.

    Source: Sun et al., "Is ChatGPT good at search?" (EMNLP 2023), §3.2.
    """

    source: Annotated[
        str | None, Option("Whose order the list is shown in; default: the pool's only source.")
    ] = None
    order: Annotated[str, Option("How the list is shown: best_first or reversed.")] = "best_first"
    window: Annotated[int, Option("Passages shown at a time.", unit="passages")] = 20
    stride: Annotated[
        int, Option("How far the window moves towards the front.", unit="passages")
    ] = 10
    passes: Annotated[int, Option("How often the list is gone through.", unit="times")] = 1
    prompt: Annotated[str, Option("What is asked, with {passages}, {query} and {num}.")] = PROMPT
    system: Annotated[str | None, FIRST_TURN] = None
    passage_words: Annotated[int, Option("Most words of a passage.", unit="words")] = 300
    answer_tokens: Annotated[
        int | None, Option("Room for an answer; default: 8 for each passage.", unit="tokens")
    ] = None
    ambiguous: Annotated[
        str, Option("An answer that can be read in two ways: error, or as_shown.")
    ] = ERROR

    def __post_init__(self) -> None:
        check_address(self)
        check_prompt(self.prompt)
        if self.order not in ORDERS:
            raise UsageError(f"order={self.order} is not known", do=f"one of {', '.join(ORDERS)}")
        if self.ambiguous not in (ERROR, AS_SHOWN):
            raise UsageError(
                f"ambiguous={self.ambiguous} is not known", do=f"one of {ERROR}, {AS_SHOWN}"
            )
        if self.stride >= self.window:
            raise UsageError(
                f"stride={self.stride} is not less than window={self.window}",
                do="let windows overlap, or no document moves past the end of its window",
            )

    def identity(self, label: str) -> dict[str, Any]:
        """Return what can change an order, the source by its `label`."""
        said: dict[str, Any] = {"model": self.model}
        said |= {} if self.revision is None else {"revision": self.revision}
        said |= {"source": label, "order": self.order}
        said |= {"window": self.window, "stride": self.stride, "passes": self.passes}
        said |= {"prompt": self.prompt, "passage_words": self.passage_words}
        said |= {} if self.system is None else {"system": self.system}
        said |= {} if self.answer_tokens is None else {"answer_tokens": self.answer_tokens}
        said |= {} if self.ambiguous == ERROR else {"ambiguous": self.ambiguous}
        return said


@prepares(Listwise)
def prepare_listwise(
    workspace: Workspace, teacher: Listwise, pool: Artifact, executor: Execution
) -> Prepared:
    """Ask what is served, or find what was, and say how the scorer is built.

    Raises UsageError or BadInput for a source that the pool does not have, and see `served_by`.
    """
    label, tell = _label(teacher.source, pool), tell_of(executor)
    first = (_ROUTE, chat_body(teacher.model, None, "Answer with one word: yes.", 1))
    server = served_by(workspace, address_of(teacher), "openai", _INFO, first, tell)
    served, identity = read_served(server), teacher.identity(label)
    return Prepared(
        label=str(Call("listwise", named=tuple(identity.items()))),
        kind=RANK,
        parameters={**identity, "pool": pool.fingerprint, **CUTS_UNKNOWN},
        make=ListwiseScorer,
        options={
            "pool": str(pool.path),
            "teacher": teacher,
            "label": label,
            "served": served,
            "tell": tell,
        },
        pair_work=lambda query, doc: np.full(len(doc), _PAIR_WORK, np.int64),
        metadata={
            **said_of(teacher, served),
            "prompt": teacher.prompt,
            "shown": f"{label}, {teacher.order}",
        },
        inputs={"endpoint": server},
        cuts=False,
        timed=False,
    )


def _label(source: str | None, pool: Artifact) -> str:
    """Return the label of the source in whose order the lists are shown."""
    names = pool.manifest["schema"][""]
    labels = [n.removeprefix("rank[").rpartition("]: ")[0] for n in names if n.startswith("rank[")]
    own = pool.metadata.get("source", "the run")
    return label_of(source, labels if pool.kind == "pool" else [own], "listwise")


def shown_lists(
    pool: Artifact, label: str, first: int, last: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (query, documents uint32) of the queries first…last, each list best first.

    A run's lists are as they are; of a pool, what `label` has not found is last, by ordinal.
    """
    for part in pool.parts:
        table = pool.table(part.number)
        queries = table["query"].to_numpy()
        low, high = np.searchsorted(queries, [first, last + 1])
        offsets, docs = list_values(table["doc"])
        ranks = list_values(table[f"rank[{label}]"])[1] if pool.kind == "pool" else None
        for row in range(low, high):
            piece = slice(offsets[row], offsets[row + 1])
            shown = docs[piece]
            if ranks is not None:
                place = ranks[piece].astype(np.int64)
                place[place == 0] = np.iinfo(np.int64).max
                shown = shown[np.argsort(place, kind="stable")]
            yield int(queries[row]), shown


class ListwiseScorer:
    """Asks for orders, several lists at once, the windows of a list one after the other."""

    def __init__(self, pool: str, teacher: Listwise, label: str, served: Served, tell: Tell | None):
        self.pool = open_artifact(pool)
        self.queries = Queries(self.pool.input("queries"))
        self.corpus = Corpus(self.pool.input("corpus"))
        self.teacher, self.label, self.served = teacher, label, served
        self.client = Client(address_of(teacher), tell)
        self.unread = ""  # the last answer that names no passage

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return minus the rank of every document in its whole list.

        Raises BadInput for a server that serves something else than at first, and for a model that
        answers with something else than orders.
        """
        lists = list(shown_lists(self.pool, self.label, int(query[0]), int(query[-1])))
        with self.client.connected():
            check_same(self.client, _INFO, self.served)
            orders = awaited(self._ordered, lists, self.teacher.concurrency, self.client.stop)
        odd: Counter[str] = Counter()
        ranks: dict[tuple[int, int], int] = {}
        for (asked, _), (order, counts) in zip(lists, orders, strict=True):
            odd.update(counts)
            ranks |= {(asked, at): rank for rank, at in enumerate(order, 1)}
        self._check_read(odd)
        pairs = zip(query.tolist(), doc.tolist(), strict=True)
        scores = np.array([-ranks[pair] for pair in pairs], dtype=np.float32)
        usage = self.client.taken() | {"tokens": float(odd.pop("tokens", 0))}
        return Scored(scores, usage, counts=dict(odd))

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same: every rank is a number."""
        return self.score(query, doc)

    def _ordered(self, shown: tuple[int, np.ndarray]) -> tuple[list[int], Counter[str]]:
        """Return the documents of a list, best first, and what was counted on the way."""
        query, docs = shown
        teacher, odd = self.teacher, Counter[str]()
        order = docs.tolist()
        if teacher.order == "reversed":
            order.reverse()
        text = self.queries.text(query)
        passages = {d: passage_of(self.corpus.text(d), teacher.passage_words) for d in order}
        spans = [*windows(len(order), teacher.window, teacher.stride)] * teacher.passes
        for number, (start, stop) in enumerate(spans if len(order) > 1 else ()):
            seen = order[start:stop]
            asked = listed(teacher.prompt, text, [passages[d] for d in seen])
            places = self._answered(asked, len(seen), f"{query} {number}", odd)
            order[start:stop] = [seen[place] for place in places]
        return order, odd

    def _answered(self, asked: str, count: int, key: str, odd: Counter[str]) -> list[int]:
        """Return the order of a window's places; counts it, and what was repaired."""
        room = self.teacher.answer_tokens or _TOKENS_EACH * (count + 1)
        body = chat_body(self.teacher.model, self.teacher.system, asked, room)

        def read(answer: Any) -> tuple[str, float]:
            check_answers(self.client, answer, self.served)
            message = choice_of(answer).get("message")
            content = message.get("content") if isinstance(message, dict) else None
            return content if isinstance(content, str) else "", tokens_of(answer)

        said, tokens = self.client.post(_ROUTE, body, key, read)
        try:
            places, repaired = order_of(said, count)
        except Ambiguous as error:
            if self.teacher.ambiguous == ERROR:
                raise self._refused(said, error) from error
            places, repaired = list(range(count)), {"windows_ambiguous": 1}
        odd.update({"windows": 1, "windows_repaired": int(bool(repaired)), **repaired})
        odd["tokens"] += int(tokens)
        if repaired.keys() & {"windows_unread", "windows_ambiguous"}:
            self.unread = self.client.shown(said)
        return places

    def _refused(self, said: str, why: Ambiguous) -> BadInput:
        return BadInput(
            f"an answer is no order ({why}): {self.client.shown(said)!r}",
            where=self.teacher.url,
            do="let the prompt ask for the order alone, [2] > [1]; with ambiguous=as_shown such "
            "windows keep the order in which they were shown, and are counted",
        )

    def _check_read(self, odd: Counter[str]) -> None:
        unread = odd["windows_unread"] + odd["windows_ambiguous"]
        if odd["windows"] >= _FEW and 2 * unread > odd["windows"]:
            raise BadInput(
                f"{unread:,} of {odd['windows']:,} answers name no passage, or no order: "
                f"{self.unread!r}",
                where=self.teacher.url,
                do="this model does not answer with an order: check prompt and model; one that "
                "thinks first needs answer_tokens=4000, say",
            )
