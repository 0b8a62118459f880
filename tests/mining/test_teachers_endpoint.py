"""Teachers behind an endpoint: right numbers by key, faults outlasted, secrets kept, resumed."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np
import pytest
from endpoint_world import copy_of, even_pool, scored_pairs, small_collection, texts_of
from fake_endpoint import PROMPT, FakeEndpoint, Fault, logit_of, serving, sigmoid

from rankmill.mining.actors import Execution
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, Incomplete, RankmillError, UsageError
from rankmill.mining.store import Artifact
from rankmill.mining.store.execution import Silent
from rankmill.mining.teachers import TEACHERS, score_pool
from rankmill.mining.teachers import scores as score_module
from rankmill.mining.teachers.endpoint import client as client_module
from rankmill.mining.teachers.endpoint.completions import Words, filled
from rankmill.mining.teachers.endpoint.windows import first_words

SPECS = {
    "openai": f'endpoint(url={{url}}/v1,api=openai,model=m,prompt="{PROMPT}"{{more}})',
    "text": f'endpoint(url={{url}}/v1,api=openai,chat=false,model=m,prompt="{PROMPT}"{{more}})',
    "vllm-score": "endpoint(url={url},api=vllm-score,model=m,kind=logit,batch=4{more})",
    "tei": "endpoint(url={url},api=tei,model=m,batch=4{more})",
    "cohere": "endpoint(url={url}/v2,api=cohere,model=m,kind=probability,batch=4{more})",
}
FIRST = ("warm", "It is warm.")
"""What is asked before anything else, so that the answer tells who answers."""
ROUNDED = 2.0**-21
"""The log-odds come from two logs near −10 at most, each off by a rounding of float64 (2⁻⁵³) and
summed exactly; what is left is the rounding of a number below 8 to float32: 8·2⁻²⁴."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_collection(tmp_path_factory.mktemp("made"))


@pytest.fixture
def collection(made: Path, tmp_path: Path) -> Collection:
    return copy_of(made, tmp_path / "work")


@pytest.fixture
def pool(collection: Collection) -> Artifact:
    return even_pool(collection)


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with serving(FakeEndpoint()) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_WAIT_S", 0.01)


def spec(api: str, fake: FakeEndpoint, more: str = "") -> str:
    return SPECS[api].replace("{url}", fake.url()).replace("{more}", more)


def score(api: str, fake: FakeEndpoint, pool: Artifact, more: str = "", **options: Any) -> Artifact:
    return score_pool(pool.workspace, spec(api, fake, more), pool, **options)


def posts_of_pairs(fake: FakeEndpoint) -> list[Any]:
    """Return the bodies posted, without the first of all, which asks who answers."""
    return [body for _, _, body in fake.posts[1:]]


@pytest.mark.parametrize("api", SPECS)
def test_the_scores_are_the_servers_and_every_pair_is_asked_once(
    api: str, fake: FakeEndpoint, collection: Collection, pool: Artifact
) -> None:
    scores = score(api, fake, pool)
    found = scored_pairs(scores)
    assert len(found) == scores.counts["pairs"] == 60
    for (query, doc), number in found.items():
        right = logit_of(collection.queries.text(query), collection.corpus.text(doc))
        if api == "cohere":
            assert number == np.float32(sigmoid(right))
        else:
            assert abs(number - right) <= ROUNDED
    assert scores.metadata["kind"] == ("probability" if api == "cohere" else "logit")
    assert fake.pairs == Counter([FIRST, *texts_of(collection, pool)])
    again = len(fake.posts)
    assert score(api, fake, pool).root_hash == scores.root_hash
    assert len(fake.posts) == again


def test_logits_are_asked_for_where_they_are_declared(
    fake: FakeEndpoint, collection: Collection, pool: Artifact
) -> None:
    """Infinity speaks Cohere's API and applies a sigmoid unless it is told not to."""
    text = spec("cohere", fake).replace("kind=probability", "kind=logit")
    told = scored_pairs(score_pool(pool.workspace, text, pool))
    for (query, doc), number in told.items():
        right = logit_of(collection.queries.text(query), collection.corpus.text(doc))
        assert number == np.float32(right)
    assert all(body["raw_scores"] is True for body in posts_of_pairs(fake))
    with serving(FakeEndpoint()) as other:
        score("cohere", other, pool)
    assert not any("raw_scores" in body for body in posts_of_pairs(other))


@pytest.mark.parametrize("api", ["vllm-score", "tei", "cohere"])
def test_rows_in_any_order_are_joined_by_their_index(
    api: str, collection: Collection, pool: Artifact
) -> None:
    """The same numbers, whichever way the rows of an answer are shuffled."""

    def turned(answer: Any) -> Any:
        rows = rows_of(answer)
        rows.sort(key=lambda row: (row["index"] * 7 + 3) % 11)
        return answer

    made = []
    for change in (None, turned):
        plan = lambda number, path, body, change=change: Fault(change=change)  # noqa: E731
        with serving(FakeEndpoint(plan)) as fake:
            other = pool if change else even_pool(collection, queries=5)  # another artifact
            made.append(scored_pairs(score(api, fake, other)))
    assert made[0].items() <= made[1].items()
    assert len(made[1]) == 60


def rows_of(answer: Any) -> list[Any]:
    """Return the rows of an answer of any of the three APIs that have some."""
    if isinstance(answer, list):
        return answer
    return answer["data"] if "data" in answer else answer["results"]


def without_last(answer: Any) -> Any:
    rows_of(answer).pop()
    return answer


def with_one_twice(answer: Any) -> Any:
    rows_of(answer)[-1]["index"] = rows_of(answer)[0]["index"]
    return answer


def with_a_stranger(answer: Any) -> Any:
    rows_of(answer)[-1]["index"] = 4
    return answer


def with_a_word(answer: Any) -> Any:
    row = rows_of(answer)[0]
    row[next(name for name in row if "score" in name)] = "high"
    return answer


WRONG = [
    (Fault(change=without_last), r"lacks 1 of 4 documents, the first with index \d"),
    (Fault(change=with_one_twice), r"names index \d twice"),
    (Fault(change=with_a_stranger), "names index 4, of 4 documents"),
    (Fault(change=with_a_word), "is no number"),
    (Fault(change=lambda answer: {"detail": "no"}), "no list of scores"),
    (Fault(body=b"<html>\x1b[31mBad\r\n gateway</html>"), "something else than JSON"),
    (Fault(status=401, body=b'{"error":"who are you"}'), "key_env=NAME"),
    (Fault(status=404, body=b'{"error":"no model m"}'), "the model's name"),
    (Fault(status=413, body=b"too large"), "a smaller batch"),
    (Fault(status=307, headers={"Location": "http://127.0.0.1:1/"}), "redirections"),
]


@pytest.mark.parametrize("api", ["vllm-score", "tei", "cohere"])
@pytest.mark.parametrize(("fault", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_answer_is_refused_at_once_with_its_address(
    api: str, fault: Fault, said: str, pool: Artifact
) -> None:
    plan = lambda number, path, body: fault if number == 5 else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake, pytest.raises(BadInput, match=said) as refused:
        score(api, fake, pool, ",concurrency=1")
    assert len(fake.posts) == 6  # nothing of it is asked again
    assert fake.url() in str(refused.value)
    assert f"status {fault.status}: " in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert "\r" not in str(refused.value)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers={"Retry-After": "0.05"}),
        Fault(status=500),
        Fault(status=503, headers={"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}),
        Fault(status=529),
        Fault(torn=True),
        Fault(reset=True),
        Fault(body=b'{"data": [{"index"'),
        Fault(slow_s=0.6),
        Fault(trickle_s=0.1),
    ],
    ids=["429", "500", "503", "529", "torn", "reset", "half", "slow", "trickle"],
)
@pytest.mark.parametrize("api", ["openai", "tei"])
def test_what_passes_is_outlasted(
    api: str, fault: Fault, collection: Collection, pool: Artifact
) -> None:
    faults = {2, 3, 9, 12}
    plan = lambda number, path, body: fault if number in faults else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        scores = score(api, fake, pool, ",timeout=0.4" if fault.slow_s or fault.trickle_s else "")
    texts = {(q, d): (collection.queries.text(q), collection.corpus.text(d)) for q, d in
             scored_pairs(scores)}  # fmt: skip
    for pair, number in scored_pairs(scores).items():
        assert abs(number - logit_of(*texts[pair])) <= ROUNDED
    usage = scores.cost()["usage"]
    assert usage["repeated"] == len(faults)
    assert usage["requests"] == len(posts_of_pairs(fake)) + 1  # and what is served


def test_a_server_that_does_not_come_back_is_given_up(pool: Artifact) -> None:
    plan = lambda number, path, body: Fault(status=502) if number else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake, pytest.raises(RankmillError) as ended:
        score("tei", fake, pool, ",retries=3,concurrency=1")
    assert type(ended.value) is RankmillError  # exit status 1: nothing is wrong with the request
    assert "after 4 tries (retries=3): status 502" in str(ended.value)
    assert len(posts_of_pairs(fake)) == 4


def test_an_answer_without_an_end_is_not_read(pool: Artifact, monkeypatch: Any) -> None:
    monkeypatch.setattr(client_module, "MOST_BYTES", 1000)
    plan = lambda number, path, body: Fault(body=b"[" * 2000) if number == 2 else None  # noqa: E731
    with (
        serving(FakeEndpoint(plan)) as fake,
        pytest.raises(BadInput, match="the answer is longer than 1,000 bytes") as refused,
    ):
        score("tei", fake, pool)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "an answer of 0 bytes"),
        (b'{"a": "\xff\x1b[J"}', "\ufffd [J"),
        (b"[" * 100_000, "[" * client_module.SHOWN + "\u2026"),
        (b'{"index": ' + b"9" * 6000 + b"}", '{"index": 999'),
        (json.dumps([{"index": 0, "score": 1.0}]).encode("utf-16-le"), "that is no whole JSON"),
    ],
    ids=["empty", "no UTF-8", "deep", "digits", "UTF-16"],
)
def test_an_answer_that_stays_torn_is_shown_after_three_tries(
    body: bytes, shown: str, pool: Artifact
) -> None:
    plan = lambda number, path, sent: Fault(body=body) if number else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake, pytest.raises(RankmillError) as ended:
        score("tei", fake, pool, ",concurrency=1")
    assert "after 3 tries" in str(ended.value)
    assert shown in str(ended.value)
    assert "\x1b" not in str(ended.value)
    assert len(posts_of_pairs(fake)) == 3


@pytest.mark.parametrize("status", [204, 418, 451])
def test_an_unusual_status_is_said_and_no_redirection(status: int, pool: Artifact) -> None:
    plan = lambda number, path, sent: Fault(status=status) if number else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake, pytest.raises(BadInput) as refused:
        score("tei", fake, pool, ",concurrency=1")
    assert f"the server answered with status {status}" in str(refused.value)
    assert "redirect" not in str(refused.value)


def test_nobody_listens(pool: Artifact) -> None:
    with serving(FakeEndpoint()) as fake:
        url = fake.url()
    for more, tries in (("", "3 tries"), (",retries=0", "1 try")):
        with pytest.raises(RankmillError, match=rf"after {tries} \(.*ConnectError") as ended:
            score_pool(pool.workspace, f"endpoint(url={url},api=tei,model=m{more})", pool)
        assert url in str(ended.value)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("in a minute", None),
        ("2027-01-01T00:00:00Z", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 2027 00:00:00 +99999999999999999999", None),
        ("Mon, 01 Jan 9999999999 00:00:00 GMT", None),
        ("", None),
    ],
)
def test_a_server_says_in_seconds_or_by_a_date_how_long_to_wait(
    said: str, seconds: float | None
) -> None:
    assert client_module._asked_to_wait({"retry-after": said}) == seconds


def test_a_date_to_come_is_waited_for_until_then() -> None:
    then = datetime.now(UTC) + timedelta(hours=2)
    told = client_module._asked_to_wait({"retry-after": format_datetime(then, usegmt=True)})
    assert told is not None
    assert 7100 < told <= 7200


def test_too_many_requests_hold_all_back_and_patience_ends(pool: Artifact) -> None:
    """An hour of 429 is waited for, and said; what is longer than the patience is not begun."""
    told_lines: list[str] = []

    class Told(Silent):
        def announce(self, text: str) -> None:
            told_lines.append(text)

    limit = Fault(status=429, headers={"Retry-After": "2.5"})
    plan = lambda number, path, body: limit if number in (4, 5) else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        score("tei", fake, pool, executor=Execution(progress=Told()))
        (line,) = told_lines
        assert "waiting" in line
        assert f"{fake.url()}/rerank: 429 (too many requests)" in line
        hour = Fault(status=429, headers={"Retry-After": "3601"})
        fake.plan = lambda number, path, body: hour
        with pytest.raises(RankmillError, match=r"it would take 3,\d+ s \(patience=3600\)"):
            score("tei", fake, pool, ",patience=3600,revision=abc")


def test_requests_fly_together_but_no_more_than_declared(pool: Artifact) -> None:
    plan = lambda number, path, body: Fault(slow_s=0.02)  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        score("openai", fake, pool, ",concurrency=5")
    assert 2 <= fake.most_in_flight <= 5


# ---- words, missing scores, kinds --------------------------------------------------------------


def test_log_odds_sum_over_spellings() -> None:
    words = Words(("yes", " Yes"), ("no",))
    tokens = {"yes": np.log(0.3), " Yes": np.log(0.1), "no": np.log(0.2), "yes!": np.log(0.4)}
    assert words.score(tokens) == pytest.approx(np.log(0.4 / 0.2), abs=1e-15)
    assert Words(("yes", " Yes"), ()).score(tokens) == pytest.approx(np.log(0.4), abs=1e-15)
    assert words.score({"yes": -1.0}) is None
    assert words.score({"no": -1.0}) is None


@pytest.mark.parametrize("api", ["openai", "text"])
@pytest.mark.parametrize("untold", [{}, {"No": -9999.0}, {"No": None}])
def test_a_word_that_is_not_told_gives_no_score(api: str, untold: Any, pool: Artifact) -> None:
    """Missing, counted, dropped as declared; never a number that was made up."""

    def silent(answer: Any) -> Any:
        tops = {"yes": -0.1, "Sure": -3.0} | untold
        logprobs = answer["choices"][0]["logprobs"]
        if api == "text":
            logprobs["top_logprobs"][0] = tops
        else:
            rows = [{"token": t, "logprob": p} for t, p in tops.items()]
            logprobs["content"][0]["top_logprobs"] = rows
        return answer

    plan = lambda number, path, body: Fault(change=silent) if number in (3, 7) else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        scores = score(api, fake, pool, ",missing=drop_doc,concurrency=1")
    assert scores.counts["missing"] == 2
    assert scores.counts["pairs"] == 58
    with (
        serving(FakeEndpoint(plan)) as fake,
        pytest.raises(BadInput, match="2 of 60 pairs have no score") as refused,
    ):
        score(api, fake, pool, ",concurrency=1")
    assert "missing=drop_doc" in str(refused.value)


def test_a_number_that_is_none_is_asked_for_again_and_then_quarantined(pool: Artifact) -> None:
    def sick(answer: Any) -> Any:
        answer["data"][0]["score"] = float("nan")
        return answer

    plan = lambda number, path, body: Fault(change=sick) if number == 3 else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        scores = score("vllm-score", fake, pool, ",concurrency=1")
    assert scores.counts["pairs"] == 60
    assert scores.cost()["usage"]["pairs_again"] == 1

    def always(answer: Any) -> Any:
        for row in answer["data"]:
            row["score"] = None
        return answer

    plan = lambda number, path, body: Fault(change=always) if number else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake, pytest.raises(Incomplete, match="not_finite"):
        score("vllm-score", fake, pool, ",revision=2")


def test_a_sigmoid_that_was_declared_as_logits_is_refused(collection: Collection) -> None:
    """A vLLM that knows no field for it applies its sigmoid whatever is asked."""
    wide = even_pool(collection, queries=12, depth=20)

    def squashed(answer: Any) -> Any:
        for row in answer["data"]:
            row["score"] = sigmoid(row["score"])
        return answer

    plan = lambda number, path, body: Fault(change=squashed)  # noqa: E731
    with (
        serving(FakeEndpoint(plan)) as fake,
        pytest.raises(BadInput, match=r"all 240 scores of a shard lie between 0 and 1") as refused,
    ):
        score("vllm-score", fake, wide)
    assert "kind=probability" in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "asked"), [("logit", False), ("probability", True), ("similarity", None)]
)
def test_vllm_is_asked_for_the_kind_that_is_declared(kind: str, asked: bool | None) -> None:
    text = f"endpoint(url=http://h:1,api=vllm-score,model=m,kind={kind})"
    body = TEACHERS.parse(text).protocol().body("q", ["a", "b"])
    right = {"model": "m", "text_1": "q", "text_2": ["a", "b"]}
    fields = {} if asked is None else {"activation": asked, "use_activation": asked}
    assert body == right | fields


BODIES = [
    (
        "api=openai,prompt='{query}: {document}',system=Judge.",
        ["d"],
        "/chat/completions",
        {
            "messages": [
                {"role": "system", "content": "Judge."},
                {"role": "user", "content": "q: d"},
            ],
            **{"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20},
        },
    ),
    (
        "api=openai,chat=false,prompt='{query}: {document}'",
        ["d"],
        "/completions",
        {"prompt": "q: d", "max_tokens": 1, "temperature": 0, "logprobs": 20},
    ),
    (
        "api=cohere,kind=probability",
        ["a", "b"],
        "/rerank",
        {"query": "q", "documents": ["a", "b"], "top_n": 2},
    ),
]


@pytest.mark.parametrize(("said", "docs", "route", "right"), BODIES)
def test_what_is_posted_is_what_the_apis_document(
    said: str, docs: list[str], route: str, right: dict[str, Any]
) -> None:
    api = TEACHERS.parse(f"endpoint(url=http://h:1/v1,model=m,{said})").protocol()
    assert api.route == route
    assert api.body("q", docs) == {"model": "m"} | right


@pytest.mark.parametrize(("kind", "raw"), [("", True), (",kind=probability", False)])
def test_text_embeddings_inference_gives_raw_scores_for_logits(kind: str, raw: bool) -> None:
    api = TEACHERS.parse(f"endpoint(url=http://h:1,api=tei,model=m{kind})").protocol()
    asked = {"query": "q", "texts": ["a", "b"], "raw_scores": raw}
    assert api.body("q", ["a", "b"]) == asked | {"return_text": False, "truncate": True}


def test_documents_are_cut_where_it_is_said(fake: FakeEndpoint, pool: Artifact) -> None:
    scores = score("tei", fake, pool, ",document_words=3")
    sent = [text for body in posts_of_pairs(fake) for text in body["texts"]]
    assert max(len(text.split()) for text in sent) == 3
    assert scores.counts["documents_cut"] == 60
    assert first_words(" a  b\tc d", 3) == " a  b\tc"
    assert first_words(" a  b\n", 2) == " a  b\n"
    assert first_words("a", 2) == "a"


def test_texts_go_into_a_prompt_as_they_are() -> None:
    assert filled("{document}|{query}", "{document} \\1", "{query}") == "{query}|{document} \\1"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("url=ftp://h,api=tei,model=m", "is no address of a server"),
        ("url=http://h:99999,api=tei,model=m", "is no address of a server"),
        ("url='http://[h',api=tei,model=m", "is no address of a server"),
        ("url='http://h /v1',api=tei,model=m", "is no address of a server"),
        ("url=http:///v1,api=tei,model=m", "is no address of a server"),
        ("url=http://h,api=tie,model=m", "did you mean tei"),
        ("url=http://h,api=vllm-score,model=m", "sigmoid by default"),
        ("url=http://h,api=cohere,model=m", "needs kind=…"),
        ("url=http://h,api=tei,model=m,kind=similarity", "kind=similarity is nothing that"),
        ("url=http://h,api=openai,model=m,kind=probability", "write kind=logit"),
        ("url=http://h,api=openai,model=m,no=[],kind=logit", "write kind=log-prob"),
        ("url=http://h,api=openai,model=m,prompt=hello", "write {query} and {document}"),
        ("url=http://h,api=openai,model=m,yes=yes,no=[no,yes]", "share the spelling 'yes'"),
        ("url=http://h,api=openai,model=m,yes=[]", "a word is empty"),
        ("url=http://h,api=openai,model=m,batch=4", "batch is not for api=openai"),
        ("url=http://h,api=openai,model=m,chat=false,system=Hi", "system is not for"),
        ("url=http://h,api=tei,model=m,yes=yes", "the model's own template"),
        ("url=http://h,api=tei,model=m,chat=false", "chat=false is not for api=tei"),
        ("url=http://h,api=tei,model=' '", "model is empty"),
        ("url=http://h,api=tei,model=m,missing=zero", "missing=zero is not known"),
        ("url=http://h,api=tei,model=m,concurrency=0", "concurrency=0 is out of range"),
        ("url=http://h,api=tei,model=m,timeout=0", "timeout=0.0 is out of range"),
    ],
)
def test_a_teacher_that_cannot_be_asked_is_refused_by_parsing(said: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        TEACHERS.parse(f"endpoint({said})")
    assert message in str(refused.value)


# ---- what is served, and who may know what ------------------------------------------------------


def test_another_model_behind_the_same_name_is_refused(
    collection: Collection, pool: Artifact
) -> None:
    with serving(FakeEndpoint()) as fake:
        first = score("vllm-score", fake, pool)
        assert "root org/m@1" in first.metadata["served"]
        larger = even_pool(collection, queries=8)
        fake.models["data"][0]["root"] = "org/m@2"
        with pytest.raises(BadInput, match=r"now serves root org/m@2; .* with root org/m@1") as no:
            score("vllm-score", fake, larger)
        assert "revision=…" in str(no.value)
        other = score("vllm-score", fake, larger, ",revision=2")  # declared: kept apart
        assert "root org/m@2" in other.metadata["served"]
        assert other.cost()["usage"]["pairs_reused"] == 0
        fake.answers_as = "another"
        with pytest.raises(BadInput, match="now serves model another"):
            score("vllm-score", fake, even_pool(collection, queries=9), ",revision=2")


def test_the_address_is_no_part_of_what_is_scored(collection: Collection, pool: Artifact) -> None:
    with serving(FakeEndpoint()) as one:
        first = score("tei", one, pool)
    with serving(FakeEndpoint()) as two:
        more = ",concurrency=2,timeout=9,retries=1,patience=7"
        assert score("tei", two, pool, more).fingerprint == first.fingerprint
        assert two.posts == []
        larger = score("tei", two, even_pool(collection, queries=8))
        assert larger.cost()["usage"]["pairs_reused"] == 60
        assert sum(two.pairs.values()) == 20


def test_text_embeddings_inference_says_which_model_it_is(pool: Artifact) -> None:
    with serving(FakeEndpoint(info={"model_id": "org/other", "model_sha": "abc"})) as fake:
        with pytest.raises(BadInput, match="serves the model 'org/other', .* declares model=m"):
            score("tei", fake, pool)
        fake.info = {"model_id": "m", "model_sha": "abc123"}
        with pytest.raises(BadInput, match="the revision abc123, the teacher declares revision=ff"):
            score("tei", fake, pool, ",revision=ff")
        assert fake.posts == []
        assert "model_sha abc123" in score("tei", fake, pool, ",revision=abc").metadata["served"]


def test_a_server_that_introduces_nothing_is_taken_as_it_is(pool: Artifact) -> None:
    with serving(FakeEndpoint(models={"object": "list", "data": []})) as fake:
        fake.answers_as = None  # type: ignore[assignment]
        assert score("openai", fake, pool).metadata["served"] == "nothing told"


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("api", ["openai", "tei"])
def test_a_key_that_may_not_ask_what_is_served_may_ask_for_scores(
    api: str, status: int, pool: Artifact
) -> None:
    """Restricted keys are for answers alone; one that is wrong is told by the answer itself."""
    fake = FakeEndpoint()
    fake.shows = status
    with serving(fake):
        scores = score(api, fake, pool)
        assert scores.counts["pairs"] == 60
        served = "answers_as m" if api == "openai" else "nothing told"
        assert scores.metadata["served"] == served
        fake.plan = lambda number, path, body: Fault(status=401)
        with pytest.raises(BadInput, match=r"status 401: .*(?s:.*)key_env=NAME"):
            score(api, fake, pool, ",revision=other")


def test_a_key_that_may_no_longer_ask_is_no_other_model(
    collection: Collection, pool: Artifact
) -> None:
    with serving(FakeEndpoint()) as fake:
        score("openai", fake, even_pool(collection, queries=2))
        fake.shows = 401
        with pytest.raises(BadInput, match=r"(?s)refuses.*/models, status 401.*key_env"):
            score("openai", fake, pool)


SECRET = "sk-none-of-your-business"


def test_the_key_is_sent_and_kept_nowhere(
    pool: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEACHER_KEY", SECRET)
    echo = Fault(status=403, body=f'{{"error":"{SECRET} may not"}}'.encode())
    plan = lambda number, path, body: echo if number == 3 else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        with pytest.raises(BadInput, match=r"\[the key\] may not") as refused:
            score("tei", fake, pool, ",key_env=TEACHER_KEY,concurrency=1")
        scores = score("tei", fake, pool, ",key_env=TEACHER_KEY")
    assert SECRET not in str(refused.value)
    sent = {headers.get("Authorization") for _, headers, _ in fake.posts}
    assert sent == {f"Bearer {SECRET}"}
    files = [path for path in pool.workspace.root.rglob("*") if path.is_file()]
    assert scores.path / "manifest.json" in files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def _escaped(text: str) -> bytes:
    """Return an answer as JSON may write it too: slashes escaped, letters by their number."""
    plain = text.replace("sk/-none", "\\u0073k\\/-\\u006E\\u006fne")
    assert plain != text
    return plain.encode()


@pytest.mark.parametrize("key", ['a"b\\c/d.e', "sk-short", "EMPTY", "abc", "sk+4/7=="])
def test_a_key_is_known_in_every_way_that_texts_write_it(key: str) -> None:
    """JSON with escapes, a URL, base64: alone or in an Authorization header of another kind."""
    hidden = client_module._echo_of(key)
    numbers = "".join(f"\\u{ord(c):04x}" for c in key)
    percent = "".join(f"%{ord(c):02X}" for c in key)
    for said in (
        json.dumps(key),
        json.dumps(key).replace("/", "\\/"),
        f'"{numbers}"',
        f'"{numbers.upper()}"'.replace("\\U", "\\u"),
        f'"{quote(key, safe="")}"',
        f'"{quote_plus(key)}"',
        f'"{percent}"',
        f'"{percent.lower()}"',
    ):
        assert hidden.sub("", said) == '""', said
    plain = base64.b64encode(key.encode()).decode()
    for said in (plain, base64.urlsafe_b64encode(key.encode()).decode(), plain.rstrip("=")):
        left = hidden.sub("", said)
        assert len(left.rstrip("=")) <= 1, said
    if len(key) >= 8:
        for user in ("", "u:", "us:", "use:"):
            whole = base64.b64encode(f"{user}{key}:".encode()).decode()
            left = hidden.sub("|", whole)
            assert "|" in left
            assert len(left) < len(whole) - len(key)
    assert hidden.search(json.dumps(key[:-1] + "~")) is None


def test_a_key_of_one_or_two_letters_is_hidden_where_it_is_a_word() -> None:
    hidden = client_module._echo_of("x")
    assert hidden.sub("|", 'key x is wrong, "x", (x), %78 but example, x1 and ax stay') == (
        'key | is wrong, "|", (|), | but example, x1 and ax stay'
    )
    assert hidden.sub("|", '{"error": "no\\nx"}') == '{"error": "no\\n|"}'


@pytest.mark.parametrize("key", ["EMPTY", "tok5", "x"])
def test_a_short_key_is_shown_and_kept_nowhere(
    key: str, pool: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In what a server serves, in answers that are refused, in faults; where words of the same
    letters are read, they are read."""
    monkeypatch.setenv("TEACHER_KEY", key)
    row = {"id": "m", "root": f"org/{key}"}
    token = {"choices": [{"logprobs": {"top_logprobs": [{key: 5.0}]}}]}
    answer = {"model": f"m {key}", "choices": [{"logprobs": {"top_logprobs": [{"yes": -1.0}]}}]}

    def plan(number: int, path: str, sent: Any) -> Fault | None:
        if number == 2:
            return Fault(status=403, body=json.dumps({"error": f"bad key {key}"}).encode())
        return Fault(body=json.dumps(answer if number == 0 else token).encode())

    with serving(FakeEndpoint(plan, models={"data": [row]})) as fake:
        said = []
        for _ in range(2):
            with pytest.raises(BadInput) as refused:
                score("text", fake, pool, ",key_env=TEACHER_KEY,concurrency=1")
            said.append(str(refused.value))
    assert "the token '[the key]' is 5.0" in said[0]
    assert "bad key [the key]" in said[1]
    shown = re.compile(rf"(?<![A-Za-z0-9]){key}(?![A-Za-z0-9])")
    assert not [text for text in said if shown.search(text)]
    files = [path for path in pool.workspace.root.rglob("served.json") if path.is_file()]
    told = [path.read_text() for path in files]
    assert [text for text in told if "org/[the key]" in text and "m [the key]" in text]
    assert not [text for text in told if shown.search(text)]


@pytest.mark.parametrize("escaped", [False, True])
def test_a_key_that_a_server_repeats_is_stored_and_shown_nowhere(
    escaped: bool, pool: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In what it serves, as the model that answers, as a token, in an answer that is refused."""
    key = SECRET.replace("-", "/-", 1)
    monkeypatch.setenv("TEACHER_KEY", key)
    row = {"id": "m", "root": f"org/{key}", "parent": key}
    answer = {"model": f"m {key}", "choices": [{"text": key}]}
    token = {"choices": [{"logprobs": {"top_logprobs": [{key: 5.0}]}}]}
    more = ",key_env=TEACHER_KEY,concurrency=1"

    def body(said: Any) -> bytes:
        text = json.dumps(said)
        return _escaped(text) if escaped else text.encode()

    def plan(number: int, path: str, sent: Any) -> Fault | None:
        if number == 0:
            logprobs = {"top_logprobs": [{"yes": -1.0, "no": -1.0}]}
            return Fault(body=body(answer | {"choices": [{"logprobs": logprobs}]}))
        return Fault(body=body(token if number == 1 else answer))

    with serving(FakeEndpoint(plan, models={"data": [row]})) as fake:
        refusals = []
        for _ in range(2):
            with pytest.raises(BadInput) as refused:
                score("text", fake, pool, more)
            refusals.append(str(refused.value))
    assert "the token '[the key]' is 5.0" in refusals[0]
    for said in refusals:
        assert key not in said
        assert "none-of-your-business" not in said
        assert "[the key]" in said
    files = [path for path in pool.workspace.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"org/[the key]" in path.read_bytes()]
    assert [path for path in files if b"none-of-your-business" in path.read_bytes()] == []


def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(
    pool: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said in (
        f"url='http://me:{SECRET}@h/v1'",
        f"url='http://h/v1?key={SECRET}'",
        f"url=http://h,key_env={SECRET}",
    ):
        with pytest.raises(UsageError) as refused:
            TEACHERS.parse(f"endpoint({said},api=tei,model=m)")
        assert SECRET not in str(refused.value)
        assert "key_env=" in str(refused.value)
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    with serving(FakeEndpoint()) as fake:
        with pytest.raises(UsageError, match="the environment variable TEACHER_KEY holds nothing"):
            score("tei", fake, pool, ",key_env=TEACHER_KEY")
        monkeypatch.setenv("TEACHER_KEY", "schl\u00fcssel")
        with pytest.raises(UsageError, match="what no HTTP header can carry") as refused:
            score("tei", fake, pool, ",key_env=TEACHER_KEY")
        assert "schl" not in str(refused.value)
        assert fake.posts == []


def test_the_manifest_says_that_a_second_run_may_differ(fake: FakeEndpoint, pool: Artifact) -> None:
    metadata = score("openai", fake, pool).metadata
    assert metadata["repeatable"].startswith("no")
    assert metadata["prompt"] == PROMPT
    plain = TEACHERS.parse(f"endpoint(url={fake.url()}/v1,api=openai,model=m)")
    assert "{document}" in plain.identity()["prompt"]  # also where it is the default
    assert "127.0.0.1" not in json.dumps(metadata)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_give_the_bytes_of_one(
    fake: FakeEndpoint,
    made: Path,
    pool: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(score_module, "_SHARD_WORK", 1024 * 20)
    other = even_pool(copy_of(made, tmp_path / "other"))
    two = score("vllm-score", fake, other, executor=Execution(workers=2))
    assert score("vllm-score", fake, pool).root_hash == two.root_hash


# ---- stopped and resumed ------------------------------------------------------------------------


def test_it_goes_on_behind_the_last_part(
    made: Path,
    collection: Collection,
    pool: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Refused at every request in turn, and run again: the root hash of an undisturbed run, and
    nothing of a finished part is asked twice."""
    monkeypatch.setattr(score_module, "_SHARD_WORK", 1024 * 20)
    with serving(FakeEndpoint()) as fake:
        whole = copy_of(made, tmp_path / "other")
        right = score("tei", fake, even_pool(whole)).root_hash
    with serving(FakeEndpoint()) as fake:
        fake.plan = lambda number, path, body: Fault(status=418) if number == 9 else None
        with pytest.raises(BadInput):
            score("tei", fake, pool, ",concurrency=1")
        done = Counter(fake.pairs)
        fake.plan = lambda number, path, body: None
        scores = score("tei", fake, pool, ",concurrency=3")
    assert scores.root_hash == right
    texts = texts_of(collection, pool)
    assert len(scores.parts) == 3
    assert set(done) == {FIRST, *texts[:28]}
    assert fake.pairs == Counter([FIRST, *texts, *texts[20:28]])  # of the part that was broken off


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_and_run_again(
    number: signal.Signals,
    made: Path,
    collection: Collection,
    pool: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a signal from outside, while requests are in flight: a process that is interrupted ends
    without waiting for them."""
    program = (
        "from rankmill.mining.teachers import scores\n"
        "scores._SHARD_WORK = 1024 * 20\n"
        "from rankmill.cli import main\n"
        "main()"
    )
    monkeypatch.setattr(score_module, "_SHARD_WORK", 1024 * 20)
    stuck = threading.Event()

    def plan(number: int, path: str, body: Any) -> Fault | None:
        if number <= 30:
            return None
        stuck.set()
        return Fault(slow_s=30.0)

    with serving(FakeEndpoint(plan)) as fake:
        text = spec("openai", fake, ",concurrency=4")
        command = [sys.executable, "-c", program, "score", text, "--pool", pool.fingerprint]
        command += ["-w", str(pool.workspace.root)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as child:
            while not stuck.wait(0.1):
                assert child.poll() is None, child.communicate()[1]
            child.send_signal(number)
            _, said = child.communicate(timeout=20)  # not the 30 s that the server takes
        if number == signal.SIGINT:
            assert child.returncode == 75
            assert b"run the same command to resume" in said
    texts = texts_of(collection, pool)
    assert set(fake.pairs) >= set(texts[:20])
    with serving(FakeEndpoint()) as again:
        scores = score("openai", again, pool)
    assert set(again.pairs) == set(texts[20:])  # the first part was stored
    with serving(FakeEndpoint()) as fresh:
        whole = copy_of(made, tmp_path / "other")
        assert score("openai", fresh, even_pool(whole)).root_hash == scores.root_hash


@pytest.mark.parametrize("first", [0, 1])
def test_interrupted_while_too_many_requests_hold_all_back(first: int, pool: Artifact) -> None:
    """In a session of its own and with its own handling of the signal, as from a terminal."""
    program = "from rankmill.cli import main\nmain()"
    limit = Fault(status=429, headers={"Retry-After": "600"})
    plan = lambda number, path, body: limit if number >= first else None  # noqa: E731
    with serving(FakeEndpoint(plan)) as fake:
        command = [sys.executable, "-c", program, "score", spec("openai", fake)]
        command += ["--pool", pool.fingerprint, "-w", str(pool.workspace.root)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as child:
            assert child.stderr is not None
            line = child.stderr.readline()
            while b"waiting" not in line:
                assert line, "ended without waiting"
                line = child.stderr.readline()
            child.send_signal(signal.SIGINT)
            try:
                _, said = child.communicate(timeout=10)
            finally:
                child.kill()
    assert child.returncode == 75, said
    assert b"run the same command to resume" in said


def test_every_teacher_of_the_document_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "endpoint.md").read_text(encoding="utf-8")
    shown = re.findall(r'^rankmill score "([^"]*)"', text, re.MULTILINE)
    assert len(shown) == 8
    assert {TEACHERS.parse(one).canonical_name for one in shown} == {"endpoint", "listwise"}
