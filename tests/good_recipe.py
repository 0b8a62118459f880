"""A recipe in which nothing is wrong, but for folders that are not there."""

from __future__ import annotations

GOOD = """
name = "t"
collection = "beir:nowhere"
teacher = "cross_encoder(model=nowhere)"
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
near = "dense(model=nowhere)"
fusion = "rrf(of=[bm25,near])"
[groups]
size = 4
filters = ["rank_window(source=bm25,last=50)"]
[groups.samplers]
hard = "uniform(source=bm25,last=20)"
far = "shell(near=0.5,far=1,source=near)"
both = "quotas(sources=[bm25,near])"
mixed = "mixture(source=bm25,target=random)"
cell = "blocked_cell(near=0,sure=1)"
[statistics]
encoder = "bi_encoder(model=nowhere)"
statistics = ["pair_entropy", "found_by(bm25)", "radius"]
[train]
student = "bi_encoder(model=nowhere)"
documents = "1k"
[train.settings]
micro = 4
"""
