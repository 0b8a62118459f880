"""A recipe of all stages over the tiny collection and the tiny models beside it."""

RECIPE = """
name = "t"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
split = "train"
depth = 20
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
dense = "dense(model=encoder)"
fusion = "rrf(of=[bm25,dense])"
[groups]
size = 4
[groups.samplers]
random = "uniform(source=random,last=20)"
bm25 = "uniform(source=bm25,last=20)"
[statistics]
encoder = "encoder"
[train]
student = "bi_encoder(model=encoder,layers=1)"
loss = "kl"
documents = 64
batch = 4
[train.settings]
doc_length = 40
query_length = 20
[evaluate]
depth = 10
"""
