"""Kernels choose for whole ranges of queries what the way query by query chooses, bit for bit.

That way is the oracle: it serves plug-ins and statistics, and `test_selection_inclusion.py` holds
its probabilities against simulated draws. The collection is as odd as they come: empty documents,
copies and near copies, several positives, positives that no run found, excluded and negative
grades, tied scores, missing scores, queries without a positive and with hardly a candidate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from rankmill.mining.collection import collect, survey
from rankmill.mining.errors import RankmillError
from rankmill.mining.runs import pool as pool_module
from rankmill.mining.runs.pool import Pool, pool_runs
from rankmill.mining.selection import FILTERS, STRATEGIES
from rankmill.mining.selection import selector as selector_module
from rankmill.mining.selection.reader import paths_of
from rankmill.mining.selection.selector import Selector
from rankmill.mining.sources import mine
from rankmill.mining.store import Output, Shard, Stage, Workspace, split_by_work
from rankmill.mining.store.tables import SCORES

QUERIES, DOCS = 30, 90
STRATEGY_TEXTS = [
    'uniform(first=2,last=25,source="{a}")',
    "uniform(source=random,last=12)",
    'top(source="{b}",first=3)',
    "top(source=random)",
    "top(first=2)",
    "random",
    "stratified(bins=4)",
    'stratified(bins=7,source="{a}",last=30)',
    'softmax(T=2,source="{a}")',
    'softmax(T=0.05,source="{b}")',
    'softmax(T=5,by=rank,source="{a}",last=25)',
    'softmax(T=0.3,by=rank,source="{b}")',
    "softmax(by=rank,source=random)",
    'quotas(sources=["{a}","{b}"])',
    'quotas(sources=[random,"{a}"],last=30)',
    'quotas(sources=["{b}",random,"{a}"],take=[2,3,2])',
    "anchors(top=2,count=9)",
    "anchors(top=3,count=5,by=width)",
    'anchors(top=0,count=20,by=width,source="{a}",last=30)',
    "bands([1-8],[15-30])",
    'bands([2-9],[10-20],[25-44],source="{a}",take=[1,4,2])',
    "bands([1-10],[14-20],source=random)",
    'mixture(last=25,source="{a}",number=2)',
]
FILTER_TEXTS = [
    (),
    ("margin(gap=0.5)",),
    ("margin(gap=0)", "near_copies"),
    ("margin(gap=1,score=raw)", "percentile(low=0.1,high=0.8)"),
    ("share(of=0.9)", "between(low=-9,high=-0.01)"),
    ("between(low=-3,high=4,score=raw)", "near_copies(of=0.5)"),
    ('rank_window(source="{a}",last=20)',),
    ("rank_window(source=random,last=15)", "margin(gap=-0.2)"),
]
POSITIVES, SHORT = ("first", "all", "together", "best"), ("drop_query", "fill", "error")
MISSING = ("drop_doc", "drop_query", "error")


def texts(random) -> list[str]:
    words = np.array(["ash", "birch", "cedar", "elm", "fir", "oak", "pine", "yew", "alder", "box"])
    made = [" ".join(random.choice(words, 14)) for _ in range(DOCS)]
    for doc in range(0, DOCS, 9):
        made[doc] = made[doc + 1]  # an exact copy
    for doc in range(4, DOCS, 11):
        made[doc] = made[doc - 1].upper() + "!"  # a near copy: the same shingles
    for doc in range(5, DOCS, 11):
        made[doc] = made[doc - 2] + " larch"
    made[7], made[40], made[41], made[42] = "", "  ", "ab", "?!"
    return made


def write(folder, random):
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(texts(random))]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    rows = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(QUERIES)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    lines = ["query-id\tcorpus-id\tscore\n"]
    for i in range(QUERIES):
        docs = random.permutation(DOCS)[: 1 + i % 7]
        grades = random.choice([-100, -2, 0, 1, 1, 2, 3], len(docs))
        lines += [f"q{i}\td{d}\t{g}\n" for d, g in zip(docs, grades, strict=True)]
    (folder / "qrels" / "train.tsv").write_text("".join(lines))
    return folder


def write_run(path, random, deepest):
    with path.open("w") as out:
        for i in range(QUERIES):
            depth = 2 if i % 10 == 9 else deepest
            for rank, doc in enumerate(random.permutation(DOCS)[:depth], 1):
                if doc not in (7, 40):
                    out.write(f"q{i} Q0 d{doc} {rank} {100.0 - rank} x\n")
    return path


@dataclass
class Scorer:
    """Scores in steps of ½, so that many are equal; `holes`: every 17th pair has none."""

    pool: Pool
    kind: str
    holes: bool

    def __call__(self, shard):
        queries, docs, scores = [], [], []
        for part in self.pool.parts():
            for row, query in enumerate(part.query.tolist()):
                if not shard.start <= query < shard.stop:
                    continue
                mine = part.doc[part.offsets[row] : part.offsets[row + 1]].tolist()
                mine = [d for d in mine if not self.holes or (3 * query + d) % 17]
                z = np.array([((7 * query + 13 * d) % 37) / 2.0 - 9.0 for d in mine])
                s = {"logit": z, "similarity": z, "log-prob": -np.logaddexp(0, -z)}
                s["probability"] = 1.0 / (1.0 + np.exp(-z))
                queries.append(query)
                docs.append(mine)
                scores.append(s[self.kind].tolist())
        columns = zip([queries, docs, scores], SCORES, strict=True)
        return Output(
            pa.Table.from_arrays([pa.array(c, f.type) for c, f in columns], schema=SCORES)
        )


class World:
    """Pools with and without a drawn list, scores of each kind."""

    def __init__(self, folder, rows=10**6):
        self.rows = rows  # of a part of scores
        random = np.random.Generator(np.random.Philox(5))
        self.workspace = Workspace(folder / "work")
        self.collection = collect(self.workspace, f"beir:{write(folder / 'beir', random)}")
        runs = [
            mine(
                self.workspace,
                f"imported(path={write_run(folder / name, random, deepest)},tag={name})",
                self.collection,
                "train",
                depth=deepest,
            )
            for name, deepest in (("one", 45), ("two", 20))
        ]
        drawn = mine(self.workspace, "random", self.collection, "train", depth=25, seed=1)
        self.pools = {
            found: pool_runs(
                self.workspace,
                [*runs, *([drawn] if found else [])],
                collection=self.collection,
                split="train",
                positives=found,
            )
            for found in (True, False)
        }
        self.a, self.b = Pool(self.pools[False]).labels

    def selector(self, strategy, filters, *, drawn=True, kind="logit", holes=False, **options):
        pool = self.pools[drawn]
        scores = self.workspace.build(
            Stage(
                kind="scores",
                parameters={"kind": kind, "holes": holes},
                inputs={"pool": pool},
                schema=SCORES,
                shards=lambda: split_by_work(np.ones(QUERIES), self.rows),
                worker=Scorer,
                options={"pool": Pool(pool), "kind": kind, "holes": holes},
                metadata={"kind": kind, "teacher": "formula"},
            )
        )
        inputs = {
            "pool": pool,
            "scores": scores,
            "corpus": self.collection.corpus.artifact,
            "queries": self.collection.queries.artifact,
            "qrels": self.collection.qrels_artifact("train"),
        }
        bound = STRATEGIES.parse(strategy.format(a=self.a, b=self.b)).bind(Pool(pool).labels)
        given = [FILTERS.text(FILTERS.parse(f.format(a=self.a, b=self.b))) for f in filters]
        asked = {"size": 8, "seed": 3, "min_grade": 1, "positives": "first"}
        asked |= {"when_short": "drop_query", "missing": "error"} | options
        return Selector(paths_of(inputs), str(bound), given, **asked)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("kernels"))


def outcome(selector):
    """What a selector makes: bytes of every column, books and counts, or the text of its error."""
    try:
        made = selector(Shard(0, 0, selector.reader.pool.pool.artifact.rows))
    except RankmillError as error:
        return type(error), str(error)
    columns = {
        name: np.asarray(
            column.combine_chunks().flatten()
            if pa.types.is_fixed_size_list(column.type)
            else column
        ).tobytes()
        for name, column in zip(made.table.column_names, made.table.columns, strict=True)
    }
    dropped = {reason: sorted(q) for reason, q in made.dropped.items() if len(q)}
    return columns, dropped, {name: n for name, n in made.counts.items() if n}


def both(selector):
    """Return what kernels make and what the way query by query makes."""
    assert selector.kernels is not None
    by_kernels = outcome(selector)
    selector.kernels = None
    return by_kernels, outcome(selector)


def cases():
    """Every strategy with every filter, the other options in turn."""
    options = [*product(POSITIVES, SHORT, MISSING)]
    for number, (strategy, filters) in enumerate(product(STRATEGY_TEXTS, FILTER_TEXTS)):
        positives, short, missing = options[(5 * number + number // 36) % len(options)]
        drawn = any("random" in text for text in (strategy, *filters)) or number % 2 == 0
        if not strategy.startswith("mixture"):
            yield strategy, filters, positives, short, missing, drawn


@pytest.mark.parametrize("strategy", STRATEGY_TEXTS[:-1])
def test_kernels_choose_what_the_way_query_by_query_chooses(world, strategy):
    for one, filters, positives, short, missing, drawn in cases():
        if one != strategy:
            continue
        options = {"positives": positives, "when_short": short, "missing": missing}
        holes = missing != "error"
        made = both(world.selector(one, filters, drawn=drawn, holes=holes, **options))
        assert made[0] == made[1], (one, filters, options, drawn)


@pytest.mark.parametrize("kind", ["log-prob", "probability", "similarity"])
def test_every_kind_of_score(world, kind):
    for number, filters in enumerate(FILTER_TEXTS):
        strategy = STRATEGY_TEXTS[(3 * number) % (len(STRATEGY_TEXTS) - 1)]
        selector = world.selector(strategy, filters, kind=kind, positives="all")
        if selector.kernels is None:  # no probability to compare: an error, from the other way
            assert kind == "similarity"
            assert "has no log-probability" in outcome(selector)[1]
            continue
        made = both(selector)
        assert made[0] == made[1], (strategy, filters)


def test_sizes_from_the_smallest_to_more_than_there_are(world):
    for size in (2, 3, 15, 40):
        for strategy in (STRATEGY_TEXTS[0], "stratified(bins=4)", 'softmax(T=1,source="{a}")'):
            for positives in ("together", "all"):
                asked = {"size": size, "positives": positives, "when_short": "fill"}
                made = both(world.selector(strategy, (), drawn=False, **asked))
                assert made[0] == made[1], (size, strategy, positives)


def test_kernels_do_the_work_and_decline_hardly_a_query(world):
    """Agreement would be easy for kernels that decline everything.

    At T = 0.05 all but a few documents have π = 0 or 1, and τ is hardly defined.
    """
    for strategy in STRATEGY_TEXTS[:-1]:
        if "T=0.05" in strategy:
            continue
        selector = world.selector(strategy, ("margin(gap=0.5)", "near_copies"))
        made = selector.kernels(0, QUERIES, 3)
        assert len(made.declined) <= 2, strategy
    for one in ("between(high=-0.01)", "between(low=-9)", "share", "margin(gap=0)"):
        made = world.selector("top", (one,)).kernels(0, QUERIES, 3)
        assert len(made.declined) <= 2, one


def test_what_kernels_do_not_know_goes_query_by_query(world):
    assert world.selector(STRATEGY_TEXTS[-1], ()).kernels is None
    assert world.selector("stratified(bins=5000)", ()).kernels is None
    assert world.selector("top", ("margin(gap=0.5)",), kind="similarity").kernels is None


def test_ranges_and_parts_do_not_matter(world, tmp_path, monkeypatch):
    """Pools and scores in parts of a few queries, ranges of a few hundred pairs."""
    monkeypatch.setattr(pool_module, "_SHARD_PAIRS", 300)
    monkeypatch.setattr(selector_module, "_BLOCK_PAIRS", 400)
    monkeypatch.setattr(survey, "PART_ROWS", 25)
    monkeypatch.setattr(survey, "_BLOCK", 10)
    cut = World(tmp_path, rows=4)
    assert len(cut.collection.corpus.artifact.parts) > 1
    assert len(cut.pools[True].parts) > 3
    for strategy in ("stratified(bins=4)", "random", 'quotas(sources=["{a}","{b}"])'):
        for filters in ((), ("margin(gap=0.5)", "near_copies")):
            asked = {"positives": "all", "holes": True, "missing": "drop_doc"}
            whole = world.selector(strategy, filters, **asked)
            pieces = cut.selector(strategy, filters, **asked)
            assert len(pieces._blocks(Shard(0, 0, QUERIES))) > 3
            assert outcome(pieces) == outcome(whole)
