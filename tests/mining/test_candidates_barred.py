"""Who is no candidate: the query itself, copies of a positive, documents judged as excluded.

Right values follow from the definitions in docs/evaluation.md, on a hand-made collection.
"""

from __future__ import annotations

import json
import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from rankmill.mining.audit.checks import audit_groups
from rankmill.mining.audit.explain import explain_query
from rankmill.mining.collection import collect
from rankmill.mining.errors import UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.pair_keys import pair_keys
from rankmill.mining.runs import itself
from rankmill.mining.runs.files import import_run
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.runs.run import Run
from rankmill.mining.selection import select_groups
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.teachers import score_pool
from rankmill.mining.text.copies import keys_of
from rankmill.training.evaluation import Evaluation, evaluate_run

TAX = "the tax on sugar helps public health"
DOCS = {
    "a0": ("", TAX),  # query a0 itself
    "a1": ("politics", "free trade helps growth and trade"),  # a1: same id, its text below a title
    "a2": ("", "sugar tax and health of the public"),
    "a3": ("", TAX),  # another id, exactly the text of a0
    "a4": ("", "The tax, on sugar, helps public health!"),  # alike, but not exactly
    "a5": ("", "tax on trade helps nobody, sugar or not"),
    "1": ("", "sugar trade and tax: document number one"),  # the id of query 1, and nothing else
    "a7": ("", "Sugar Tax and health of the Public."),  # a copy of a2
    "a8": ("", "health of the public and a sugar tax"),  # the words of a2 in another order
    "a9": ("", "public tax health"),
}
QUERIES = {
    "a0": TAX,
    "a1": "free trade helps growth and trade",
    "1": "sugar trade",
    "q": TAX,  # the text of a0 and a3, judged relevant there
}
QRELS = [("a0", "a2", 1), ("a1", "a5", 1), ("1", "a5", 1), ("q", "a0", 1), ("a0", "a9", -100)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("barred")
    (folder / "qrels").mkdir()
    rows = [{"_id": i, "title": title, "text": text} for i, (title, text) in DOCS.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    rows = [{"_id": i, "text": text} for i, text in QUERIES.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    lines = "".join(f"{q}\t{d}\t{g}\n" for q, d, g in QRELS)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    workspace = Workspace(folder / "work")
    return workspace, collect(workspace, f"beir:{folder}")


RULES = {
    "exclude": {("a0", "a0"), ("a0", "a3"), ("a1", "a1"), ("q", "a3")},
    "same_id": {("a0", "a0"), ("a1", "a1"), ("1", "1")},
    "keep": set(),
}


def named(collection, keys):
    query, doc = (keys >> np.uint64(32)).astype(int), (keys & np.uint64(0xFFFFFFFF)).astype(int)
    ids = collection.queries.query_ids(query), collection.corpus.doc_ids(doc)
    return set(zip(*ids, strict=True))


def lists(collection, artifact):
    run = Run(artifact)
    rows = (run.row(row) for row in range(len(run)))
    return {
        collection.queries.query_id(query): collection.corpus.doc_ids(docs)
        for query, docs, _ in rows
    }


@pytest.mark.parametrize("rule", RULES)
def test_the_query_itself_by_definition(made, rule):
    _, collection = made
    assert named(collection, itself.pairs_of_split(collection, "test", rule)) == RULES[rule]
    every = itself.pairs_of_split(collection, "*", rule)
    assert named(collection, every) == RULES[rule]


def test_a_rule_that_is_not_known_is_refused(made):
    workspace, collection = made
    with pytest.raises(UsageError, match="self=same-id is not known(.|\n)*same_id"):
        mine(workspace, "bm25", collection, "test", depth=3, self_rule="same-id")


@pytest.mark.parametrize(
    "source", ["bm25", "random", "rrf(of=[bm25,random])", "combsum(of=[bm25,random])"]
)
@pytest.mark.parametrize("rule", RULES)
def test_no_source_gives_the_query_itself(made, source, rule):
    workspace, collection = made
    found = lists(collection, mine(workspace, source, collection, "test", depth=9, self_rule=rule))
    assert {(q, d) for q, docs in found.items() for d in docs} & RULES[rule] == set()
    if source == "bm25" and rule == "keep":
        assert found["a0"][0] == "a0"
    if source == "random":
        assert [len(docs) for docs in found.values()] == [
            min(9, 10 - sum(q == one for one, _ in RULES[rule])) for q in found
        ]
    shallow = lists(
        collection, mine(workspace, source, collection, "test", depth=2, self_rule=rule)
    )
    assert all(len(docs) == 2 for docs in shallow.values())  # searched deeper, so that 2 stay


def test_a_bm25_list_is_the_whole_one_less_the_query(made):
    workspace, collection = made
    whole = lists(
        collection, mine(workspace, "bm25", collection, "test", depth=10, self_rule="keep")
    )
    for depth in (1, 3, 9):
        run = mine(workspace, "bm25", collection, "test", depth=depth)
        for query, docs in lists(collection, run).items():
            kept = [doc for doc in whole[query] if (query, doc) not in RULES["exclude"]]
            assert docs == kept[:depth]
    assert Run(run).label == Run(mine(workspace, "bm25", collection, "test", depth=9)).label
    assert run.counts[itself.COUNT] == 4
    assert run.verify() == 1


def test_a_drawn_list_says_how_probable_it_was(made):
    workspace, collection = made
    run = Run(mine(workspace, "random", collection, "test", depth=3))
    own = {"a0": 2, "a1": 1, "1": 0, "q": 1}
    for row, part in enumerate(run.parts()[0].inclusion.reshape(-1, 3)):
        query = collection.queries.query_id(run.row(row)[0])
        assert part.tolist() == [np.float32(3 / (10 - own[query]))] * 3
        assert run.row(row)[2].tolist() == [0, -1, -2]


def test_a_collection_without_such_documents_keeps_its_fingerprints(made, tmp_path):
    workspace, collection = made
    alone = tmp_path / "alone"
    (alone / "qrels").mkdir(parents=True)
    (alone / "corpus.jsonl").write_text('{"_id": "1", "title": "", "text": "one"}\n')
    (alone / "queries.jsonl").write_text('{"_id": "1", "text": "another one"}\n')
    (alone / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    held = collect(workspace, f"beir:{alone}")
    runs = [mine(workspace, "bm25", held, "test", depth=1, self_rule=rule) for rule in itself.RULES]
    assert len({run.fingerprint for run in runs}) == 1  # 1 is judged relevant for 1
    evaluations = {
        evaluate_run(workspace, runs[0], collection=held, split="test", self_rule=r).fingerprint
        for r in itself.RULES
    }
    assert len(evaluations) == 1


LINES = "".join(
    f"{query} Q0 {doc} {rank} {10 - rank} t\n"
    for query, docs in {
        "a0": "a0 a3 a9 a5 a2",
        "a1": "a1 a2 a5",
        "1": "1 a5",
        "q": "a3 a4 a0",
    }.items()
    for rank, doc in enumerate(docs.split(), 1)
)
RECIPROCAL = {  # in the order a0, a1, 1, q: what is left out does not count as a rank
    "exclude": [1 / 2, 1 / 2, 1 / 2, 1 / 2],
    "same_id": [1 / 3, 1 / 2, 1, 1 / 3],
    "keep": [1 / 4, 1 / 3, 1 / 2, 1 / 3],
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ties", ["list", "trec"])
def test_rankings_are_measured_without_what_is_left_out(made, tmp_path, rule, ties):
    workspace, collection = made
    path = tmp_path / "run.txt"
    path.write_text(LINES)
    run = import_run(workspace, path, collection, "test")
    found = evaluate_run(
        workspace, run, collection=collection, split="test", measures="RR", self_rule=rule,
        ties=ties,
    )  # fmt: skip
    assert Evaluation(found).values("RR").tolist() == pytest.approx(RECIPROCAL[rule])
    assert found.counts.get(itself.COUNT, 0) == len(RULES[rule])
    assert found.counts["excluded:by_judgement"] == 1


def test_a_pool_leaves_out_the_query_itself(made, tmp_path):
    workspace, collection = made
    path = tmp_path / "run.txt"
    path.write_text(LINES)
    run = import_run(workspace, path, collection, "test")
    for rule, pairs in RULES.items():
        pool = pool_runs(
            workspace, [run], collection=collection, split="test", self_rule=rule, depth=2
        )
        part = Pool(pool).parts()[0]
        row = np.repeat(part.query, np.diff(part.offsets))
        rank = next(iter(part.rank.values()))
        assert named(collection, pair_keys(row, part.doc)[rank > 0]) & pairs == set()
        assert pool.counts.get(itself.COUNT, 0) == len(pairs)
        kept = [doc for doc in ["a0", "a3", "a9", "a5", "a2"] if ("a0", doc) not in pairs][:2]
        first = slice(int(part.offsets[0]), int(part.offsets[1]))
        assert collection.corpus.doc_ids(part.doc[first][rank[first] > 0]) == sorted(kept)


@pytest.fixture(scope="module")
def scored(made, tmp_path_factory):
    workspace, collection = made
    run = mine(workspace, "random", collection, "test", depth=10, self_rule="keep")
    pool = pool_runs(workspace, [run], collection=collection, split="test", self_rule="keep")
    path = tmp_path_factory.mktemp("scores") / "scores.tsv"
    path.write_text("".join(f"{q}\t{d}\t{n}\n" for q in QUERIES for n, d in enumerate(DOCS)))
    scores = score_pool(workspace, f"imported(path={path},kind=logit)", pool, collection=collection)
    return pool, scores


def negatives(made, groups):
    _, collection = made
    found = {}
    for part in Groups(groups).parts():
        for query, docs in zip(part.query, part.doc, strict=True):
            found[collection.queries.query_id(query)] = set(collection.corpus.doc_ids(docs[1:]))
    return found


@pytest.mark.parametrize(
    ("how", "never"),
    [
        ({}, {"a0", "a3", "a2", "a7", "a9"}),
        ({"copies": "exact"}, {"a0", "a3", "a2", "a9"}),
        ({"copies": "allowed"}, {"a0", "a3", "a2", "a9"}),
        ({"self_rule": "keep"}, {"a2", "a7", "a9"}),
        ({"self_rule": "same_id"}, {"a0", "a2", "a7", "a9"}),
    ],
)
def test_groups_hold_none_of_them(made, scored, how, never):
    workspace, collection = made
    pool, scores = scored
    size = 1 + len(DOCS) - len(never)
    groups = select_groups(
        workspace, "top", pool, scores, collection=collection, split="test", size=size,
        min_grade=1, **how,
    )  # fmt: skip
    assert negatives(made, groups)["a0"] == set(DOCS) - never
    audited = audit_groups(workspace, groups, collection=collection)["must_be_zero"]
    own = {"a0", "a3"} - never
    copy = {"a7"} - never
    assert audited["negatives_that_are_the_query_itself"] >= len(own)
    assert bool(audited["copies_of_a_positive_among_negatives"]) == bool(copy)
    if not how:
        assert set(audited.values()) == {0}
        why = {f.doc_id: f.why for f in explain_query(workspace, groups, "a0").groups[0].candidates}
        assert why["a7"] == "a copy of a positive"
        assert why["a0"] == why["a3"] == "the query itself"
        assert why["a9"] == "excluded by its judgement"


ALIKE = [
    ("Hello, World!", "hello world"),
    ("hello world", "  hello\t\n world  "),
    ("e\u0301tude", "\u00e9tude"),
    ("STRASSE", "Straße"),
    ("ＦＵＬＬ width", "full width"),
    ("ﬁne", "fine"),
    ("no\u00a0break", "no break"),
    ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
    ("“quoted” — and…", '"quoted" - and...'),
    ("don’t", "don't"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("日本 語。", "日本語"),
    ("\ufeffmark", "mark"),
]
DIFFERENT = [
    ("hello world", "hello worlds"), ("a b c", "a c b"), ("3 + 4", "3 4"), ("über", "uber"),
    ("", "   "), ("...", "!!"), ("日本", "日木"), ("x", "xx"), ("2019", "2018"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_copies_have_one_key(one, other):
    keys = keys_of(pa.array([one, other, unicodedata.normalize("NFD", one), one.upper()]))
    assert keys[0] != 0
    assert len(set(keys[:3].tolist())) == 1
    assert keys[3] == keys[0]
    assert (
        keys_of(pa.chunked_array([[one], [other]], pa.large_string())).tolist() == keys[:2].tolist()
    )


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_texts_have_other_keys(one, other):
    keys = keys_of(pa.array([one, other]))
    assert keys[0] != keys[1] or keys[0] == 0


def test_a_text_is_normalised_where_it_must_be() -> None:
    """The key of a text is that of its form NFKC, whatever code points stand beside each other."""
    rng = random.Random(5)
    assigned = [chr(p) for p in range(0x30000) if unicodedata.category(chr(p)) not in ("Cn", "Cs")]
    odd = [c for c in assigned if unicodedata.normalize("NFKC", c) != c]
    marks = [c for c in assigned if unicodedata.category(c)[0] == "M"]
    second = [chr(p) for p in (*range(0x1100, 0x1200), *range(0xAC00, 0xAC40))]
    plain = list("aeionAEÅßéñ’“ıİΩ中한")
    texts = [f"x{c}y" for c in assigned]
    for kinds in ([plain, marks], [plain, odd], [second], [plain, marks, odd, second, assigned]):
        for _ in range(4000):
            texts.append("".join(rng.choice(rng.choice(kinds)) for _ in range(rng.randint(1, 6))))
    forms = [unicodedata.normalize("NFKC", text) for text in texts]
    changed = sum(text != form for text, form in zip(texts, forms, strict=True))
    assert changed > 9000
    assert np.array_equal(keys_of(pa.array(texts)), keys_of(pa.array(forms)))
