"""A tiny study for tests: the recipe, and the place that it is carried out in."""

from __future__ import annotations

from pathlib import Path

from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

RECIPE = """
name = "t"
title = "A tiny study"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
split = "train"
depth = 20
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 4
[groups.samplers]
random = "uniform(source=random,last=20)"
bm25 = "uniform(source=bm25,last=20)"
[statistics]
statistics = ["hygiene"]
[train]
loss = "kl"
documents = 64
batch = 4
lr = 2e-3
seeds = [1, 2]
[train.settings]
doc_length = 40
query_length = 20
threads = 1
[evaluate]
depth = 10
[evaluate.domains.dev]
split = "dev"
[evaluate.domains.test]
[study.axes."train.student"]
small = "bi_encoder(model=encoder,layers=1)"
large = "bi_encoder(model=encoder,layers=2)"
[study.budget]
documents = 64
[study.factors]
"train.student" = ["small", "large"]
sampler = ["random", "bm25"]
"""


def study_place(root: Path) -> Path:
    """Make a folder with a tiny collection, half of its test queries a `dev` split, two tiny models
    and the recipe `s.toml`; returns it."""
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    judged = root / "tiny" / "qrels"
    head, *lines = (judged / "test.tsv").read_text().splitlines(keepends=True)
    queries = sorted({line.split("\t")[0] for line in lines})
    dev = set(queries[::2])
    for split, keep in (("dev", True), ("test", False)):
        mine = [line for line in lines if (line.split("\t")[0] in dev) == keep]
        (judged / f"{split}.tsv").write_text(head + "".join(mine))
    (root / "s.toml").write_text(RECIPE)
    return root
