"""Orders of lists from an endpoint: windows, repairs, the list that was shown, and ranks stored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoint_world import copy_of, pool_of, scored_pairs, small_collection
from fake_endpoint import FakeEndpoint, logit_of, right_order, serving

from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.runs.run import build_run, run_table
from rankmill.mining.store import Artifact, Output, Shard
from rankmill.mining.teachers import TEACHERS, score_pool
from rankmill.mining.teachers.endpoint.orders import Ambiguous, order_of
from rankmill.mining.teachers.endpoint.windows import PROMPT, listed, passage_of, windows

BM25, DENSE = "bm25(k1=1)", "dense(model=x)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_collection(tmp_path_factory.mktemp("made"))


@pytest.fixture
def collection(made: Path, tmp_path: Path) -> Collection:
    return copy_of(made, tmp_path / "work")


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with serving(FakeEndpoint()) as server:
        yield server


def order(fake: FakeEndpoint, pool: Artifact, more: str = "") -> Artifact:
    text = f"listwise(url={fake.url()}/v1,model=m{more})"
    return score_pool(pool.workspace, text, pool, direction="trusted")


def ranked(scores: Artifact) -> dict[int, list[int]]:
    """Return each query's documents by their stored ranks, which are 1, 2, 3, … without a gap."""
    by_query: dict[int, list[tuple[float, int]]] = {}
    for (query, doc), score in scored_pairs(scores).items():
        by_query.setdefault(query, []).append((-score, doc))
    for pairs in by_query.values():
        assert sorted(rank for rank, _ in pairs) == list(range(1, len(pairs) + 1))
    return {query: [doc for _, doc in sorted(pairs)] for query, pairs in by_query.items()}


def best(collection: Collection, query: int, docs: list[int]) -> list[int]:
    """Return documents in the order of the server's model, which sees passages in one line."""
    text = collection.queries.text(query)
    passages = {doc: passage_of(collection.corpus.text(doc), 300) for doc in docs}
    return sorted(docs, key=lambda doc: -logit_of(text, passages[doc]))


LISTS = {3: list(range(5, 12)), 4: [30], 5: list(range(54, 20, -1))}


@pytest.fixture
def pool(collection: Collection) -> Artifact:
    return pool_of(collection, [(query, {BM25: docs}) for query, docs in LISTS.items()], (BM25,))


def test_ranks_are_those_of_the_model(
    fake: FakeEndpoint, collection: Collection, pool: Artifact
) -> None:
    """Whole lists that fit a window; of longer ones the front, as far as windows overlap."""
    scores = order(fake, pool)
    ranks = ranked(scores)
    assert ranks[3] == best(collection, 3, LISTS[3])
    assert ranks[4] == [30]
    right = best(collection, 5, LISTS[5])
    assert ranks[5][:10] == right[:10]  # what overlaps carries the best to the front
    assert scores.metadata["kind"] == "rank"
    assert scores.metadata["shown"] == f"{BM25}, best_first"
    assert scores.counts["windows"] == 1 + 3  # 34 documents: from 14, from 4, from 0
    assert "windows_repaired" not in scores.counts
    often = ranked(order(fake, pool, ",passes=4"))  # a bubble sort, at last
    assert often[5] == right


@pytest.mark.parametrize(
    ("count", "window", "stride", "spans"),
    [
        (1, 20, 10, [(0, 1)]),
        (10, 20, 10, [(0, 10)]),
        (20, 20, 10, [(0, 20)]),
        (25, 20, 10, [(5, 25), (0, 15)]),
        (40, 20, 10, [(20, 40), (10, 30), (0, 20)]),
        (7, 3, 2, [(4, 7), (2, 5), (0, 3)]),
        (6, 3, 2, [(3, 6), (1, 4), (0, 2)]),
    ],
)
def test_windows_slide_from_the_end_to_the_front(
    count: int, window: int, stride: int, spans: list[tuple[int, int]]
) -> None:
    assert list(windows(count, window, stride)) == spans


def test_windows_reach_every_place_and_overlap() -> None:
    for count in range(1, 60):
        for window in range(2, 22):
            for stride in range(1, window):
                spans = list(windows(count, window, stride))
                assert spans[0][1] == count
                assert spans[-1][0] == 0
                pairs = list(zip(spans[:-1], spans[1:], strict=True))
                assert all(start < after_stop < stop for (start, stop), (_, after_stop) in pairs)


@pytest.mark.parametrize(
    ("answer", "places", "odd"),
    [
        ("[3] > [1] > [2]", [2, 0, 1], {}),
        ("[3]>[1]>[2].", [2, 0, 1], {}),
        ("3, 1, 2", [2, 0, 1], {}),
        ("[3] > [3] > [1] > [2]", [2, 0, 1], {"ids_repeated": 1}),
        ("[2]", [1, 0, 2], {"ids_missing": 2}),
        ("[9] > [2] > [0] > [1] > [3]", [1, 0, 2], {"ids_unknown": 2}),
        ("[2] > [1" + "0" * 5000 + "]", [1, 0, 2], {"ids_unknown": 1, "ids_missing": 2}),
        ("<think>[1] first, then 2</think>[3] > [2] > [1]", [2, 1, 0], {}),
        ("The best is [1] </think> [2] > [3] > [1]", [1, 2, 0], {}),
        ("<think>maybe [3] > [2]", [0, 1, 2], {"windows_unread": 1}),
        ("I cannot do that.", [0, 1, 2], {"windows_unread": 1}),
        ("", [0, 1, 2], {"windows_unread": 1}),
        ("[\u00b2] > [\u0663]", [0, 1, 2], {"windows_unread": 1}),
        ("Here is the ranking of the 3 passages: [2] > [1] > [3]", [1, 0, 2], {}),
        ("1. [3]\n2. [1]\n3. [2]", [2, 0, 1], {}),
        ("3 > 1 > 2.\n", [2, 0, 1], {}),
        ("I cannot rank these 3 passages.", [0, 1, 2], {"windows_unread": 1}),
        ("Passage 3 of 3", [0, 1, 2], {"windows_unread": 1}),
        # what RankVicuna, RankZephyr, GPT and reasoning models write besides
        ("Rank 1: 3\nRank 2: 1\nRank 3: 2", [2, 0, 1], {}),
        ("1. 2\n2. 5\n3. 1\n\n[3] > [1] > [2]", [2, 0, 1], {}),  # grades, then the order
        ("1) Passage 3\n2) Passage 1\n3) Passage 2", [2, 0, 1], {}),
        ("1. [3] It is warm, see [1].\n\n2. [1] Cold.\n3. [2] Colder.", [2, 0, 1], {}),
        ("Rank 1: [3]\nRank 2: [1]\nRank 3: [2]", [2, 0, 1], {}),
        ("**[3] > [1] > [2]**", [2, 0, 1], {}),
        ("```\n[3] > [1] > [2]\n```", [2, 0, 1], {}),
        ("[3] >\n[1] >\n[2]", [2, 0, 1], {}),
        ("[3]\n> [1]\n> [2]", [2, 0, 1], {}),
        ("[3]\n[1]\n[2]", [2, 0, 1], {}),
        ("- [3]\n- [1]\n- [2]", [2, 0, 1], {}),
        ("[3], [1], [2]", [2, 0, 1], {}),
        ("[3][1][2]", [2, 0, 1], {}),
        ("[3, 1, 2]", [2, 0, 1], {}),
        ("[3 > 1 > 2]", [2, 0, 1], {}),
        ("Passage [3] > Passage [1] > Passage [2]", [2, 0, 1], {}),
        ("Passage 3 > Passage 1 > Passage 2", [2, 0, 1], {}),
        ("The final order is [3] > [1] > [2] (3 says it outright).", [2, 0, 1], {}),
        ("[1] is about fish.\n[2] is about [3].\n\n[3] > [1] > [2]", [2, 0, 1], {}),
        ("First [1], as it fits.\n[1] > [2]\nRanking: [3] > [1] > [2]", [2, 0, 1], {}),
        ("[3] > [1] > [2]\n\nAnswer: [3] > [1] > [2]", [2, 0, 1], {}),
        ("[3] > [1] > [", [2, 0, 1], {"ids_missing": 1}),  # its room has ended
        ("[3] > [1] > [1", [2, 0, 1], {"ids_missing": 1}),  # it would have said 12
    ],
)
def test_an_order_is_read_and_what_is_repaired_is_counted(
    answer: str, places: list[int], odd: dict[str, int]
) -> None:
    assert order_of(answer, 3) == (places, odd)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("The best is [3], then [1], and [2].", "in sentences"),
        ("The top passage of the 3 is [2].", "in sentences"),
        ("[2] > [3], and [1] is irrelevant", "in sentences"),
        ("- [1] says it.\n- [2] does not.\n- [3] neither.", "in sentences"),
        ("[1] < [3] < [2]", "in sentences"),
        ("[3] = [1] > [2]", "in sentences"),
        ("[3] > [1] > [2]\n[1] > [2] > [3]", "several orders"),
        ("[3] > [1]\n[1] > [2]", "several orders"),
        ("2. [3]\n1. [1]", "place 1 is called 2"),
        ("1. 3, 1, 2", "numbers"),
        ("1. 3\n2. 1\n3. 2", "bare numbers"),  # the first is passage 3, or passage 1 is third
        ("Grades:\n1: 3\n2: 0\n3: 2.", "bare numbers"),
        ("1) 2", "bare numbers"),
    ],
)
def test_an_answer_that_is_no_order_is_read_as_none(answer: str, why: str) -> None:
    with pytest.raises(Ambiguous, match=why):
        order_of(answer, 3)


def test_long_answers_are_read_in_no_time() -> None:
    """Patterns over model text must not take quadratic time: 80,000 signs in a fraction of a
    second of processor time."""
    began = time.process_time()
    for piece in ("1 ", "[1] > ", "a:", "passage ", "1, ", ": ", "\n", "[1", "1.\n"):
        with contextlib.suppress(Ambiguous):
            order_of(piece * 20_000 + "x", 3)
    assert time.process_time() - began < 5


def test_an_ambiguous_answer_is_an_error_that_names_it(fake: FakeEndpoint, pool: Artifact) -> None:
    """Or, where that is declared, a window that stays as it was shown."""

    def now_and_then(query: str, passages: list[str]) -> str:
        long = len(passages) == 7
        return "First [2], then\x1b[J [1]." if long else right_order(query, passages)

    fake.order_of = now_and_then
    said = r"an answer is no order \(passages named in sentences.*'First \[2\], then \[J \[1\]\.'"
    with pytest.raises(BadInput, match=said) as refused:
        order(fake, pool)
    assert "ambiguous=as_shown" in str(refused.value)
    scores = order(fake, pool, ",ambiguous=as_shown")
    assert scores.counts["windows_ambiguous"] == scores.counts["windows_repaired"] == 1
    assert ranked(scores)[3] == LISTS[3]
    with pytest.raises(UsageError, match="ambiguous=guess is not known"):
        TEACHERS.parse("listwise(url=http://h,model=m,ambiguous=guess)")


def test_the_prompt_is_the_one_that_such_models_know() -> None:
    assert listed(PROMPT, "how [1] warm", ["it is {query}", "cold"]) == (
        "I will provide you with 2 passages, each indicated by a numerical identifier []. Rank the "
        "passages based on their relevance to the search query: how (1) warm.\n\n"
        "[1] it is {query}\n[2] cold\n\n"
        "Search Query: how (1) warm.\nRank the 2 passages above based on their relevance to the "
        "search query. All the passages should be included and listed using identifiers, in "
        "descending order of relevance. The output format should be [] > [], e.g., [2] > [1], "
        "Only respond with the ranking results, do not say any word or explain."
    )
    assert passage_of(" [12] a\n\nb\tc  d ", 4) == "(12) a b c"


def test_repairs_are_counted_in_the_manifest(fake: FakeEndpoint, pool: Artifact) -> None:
    """Every answer names its first passage twice and leaves out the last."""

    def sloppy(query: str, passages: list[str]) -> str:
        right = right_order(query, passages).split(" > ")
        return " > ".join([right[0], *right[:-1]])

    fake.order_of = sloppy
    scores = order(fake, pool)
    assert {n: c for n, c in scores.counts.items() if n.startswith(("windows", "ids"))} == {
        "windows": 4,
        "windows_repaired": 4,
        "ids_repeated": 4,
        "ids_missing": 4,
    }
    assert len(scored_pairs(scores)) == 7 + 1 + 34


def test_a_model_that_answers_with_no_order_is_refused(fake: FakeEndpoint, pool: Artifact) -> None:
    fake.order_of = lambda query, passages: "Sorry,\x1b[J no."
    with pytest.raises(
        BadInput, match=r"4 of 4 answers name no passage, or no order: 'Sorry, \[J no\.'"
    ):
        order(fake, pool)


# ---- the list that was shown -------------------------------------------------------------------


def shown_to(fake: FakeEndpoint, collection: Collection, lists: dict[int, list[int]]) -> Any:
    """Return for each prompt of the server the passages that it shows, as documents."""
    known = {passage_of(collection.corpus.text(d), 300): d for docs in lists.values() for d in docs}
    shown = []
    for _, _, body in fake.posts[1:]:
        lines = body["messages"][-1]["content"].splitlines()
        shown.append([known[line.partition("] ")[2]] for line in lines if line.startswith("[")])
    return shown


@pytest.mark.parametrize("reverse", [False, True])
def test_the_list_is_shown_as_the_source_ranked_it_or_reversed(
    fake: FakeEndpoint, collection: Collection, reverse: bool
) -> None:
    lists = {2: [9, 4, 17, 3, 40]}
    pool = pool_of(collection, [(2, {BM25: [9, 4, 17], DENSE: [3, 40]})], (BM25, DENSE))
    scores = order(fake, pool, f",source=bm25{',order=reversed' if reverse else ''}")
    (shown,) = shown_to(fake, collection, lists)
    assert shown == (lists[2][::-1] if reverse else lists[2])
    assert scores.metadata["shown"] == f"{BM25}, {'reversed' if reverse else 'best_first'}"


def test_the_order_of_presentation_is_part_of_what_is_scored(
    fake: FakeEndpoint, collection: Collection, pool: Artifact
) -> None:
    """A model that likes what it reads first gives two orders, from which its τ is −1."""
    fake.order_of = lambda query, passages: " > ".join(f"[{at + 1}]" for at in range(len(passages)))
    one, two = order(fake, pool), order(fake, pool, ",order=reversed")
    assert one.fingerprint != two.fingerprint
    assert ranked(one)[3] == LISTS[3] == ranked(two)[3][::-1]


def test_a_source_must_be_one_of_the_pool(fake: FakeEndpoint, collection: Collection) -> None:
    pool = pool_of(collection, [(2, {BM25: [9], DENSE: [3]})], (BM25, DENSE))
    with pytest.raises(UsageError, match="listwise must name its source: the pool has 2"):
        order(fake, pool)
    with pytest.raises(BadInput, match="the pool has no source 'splade'"):
        order(fake, pool, ",source=splade")
    assert fake.posts == []


class _RunOf:
    def __init__(self, docs: list[int]):
        self.docs = docs

    def __call__(self, shard: Shard) -> Output:
        scores = -np.arange(len(self.docs), dtype=np.float32)
        query = np.array([0], np.uint32)
        return Output(
            run_table(query, np.array([0, len(self.docs)]), np.array(self.docs, np.uint32), scores)
        )


def test_a_run_is_shown_in_its_own_order(fake: FakeEndpoint, collection: Collection) -> None:
    docs = [9, 2, 33, 8]
    run = build_run(
        collection.artifact.workspace,
        "given",
        collection,
        "train",
        depth=None,
        worker=_RunOf,
        options={"docs": docs},
        shards=lambda: [Shard(0, 0, 1)],
    )
    scores = order(fake, run)
    assert shown_to(fake, collection, {0: docs}) == [docs]
    assert ranked(scores)[0] == best(collection, 0, docs)


def test_ranks_of_one_pool_are_not_taken_for_those_of_another(
    fake: FakeEndpoint, collection: Collection, pool: Artifact
) -> None:
    order(fake, pool)
    larger = pool_of(collection, [(3, {BM25: [*LISTS[3], 2]}), (4, {BM25: [30]})], (BM25,))
    scores = order(fake, larger)
    assert scores.cost()["usage"]["pairs_reused"] == 0
    assert ranked(scores)[3] == best(collection, 3, [*LISTS[3], 2])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("order=random", "order=random is not known"),
        ("stride=20", "stride=20 is not less than window=20"),
        ("window=1,stride=0", "out of range"),
        ("prompt={query}", "write {passages} once"),
        ("prompt={passages}", "write {passages} once"),
        ("passes=0", "passes=0 is out of range"),
    ],
)
def test_a_teacher_of_lists_is_refused_by_parsing(said: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        TEACHERS.parse(f"listwise(url=http://h,model=m,{said})")
    assert message in str(refused.value)


def test_the_text_of_a_teacher_of_lists_is_read_back() -> None:
    value = TEACHERS.parse("listwise(url=http://h/v1,model=m,source=bm25,order=reversed,passes=2)")
    assert TEACHERS.stored(str(value)) == value
