"""A wrong value of a parameter is refused where the value is made, before any work."""

from __future__ import annotations

import pytest

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.names import Family
from rankmill.mining.selection import FILTERS, STRATEGIES
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.teachers import TEACHERS

SOURCE = [  # text, what is said
    ("dense(model=m,index=hnws)", "did you mean HNSW"),
    ('dense(model=m,index="IVF16,Flta")', "'Flta' is none of its parts"),
    ('dense(model=m,index="")', "is no FAISS index"),
    ("dense(model=m,index=PQ8,probe=4)", "PQ8 has nothing to probe"),
    ("dense(model=m,probe=4)", "needs an index"),
    ("dense(model=m,compute=flaot32)", "did you mean float32"),
    ("dense(model=m,dtype=float61)", "did you mean float16"),
    ("dense(model=m,pooling=maen)", "did you mean mean"),
    ("dense(model=m,max_length=0)", "max_length=0"),
    ("dense(model=m,dim=0)", "dim=0"),
    ("dense(model=m,normalise=maybe)", "normalise"),
    ("neighbours(model=m,pooling=maen)", "did you mean mean"),
    ("neighbours(model=m,min_grade=0)", "min_grade"),
    ("neighbours(model=m,index=Flat)", "searched exactly"),
    ("bm25(k1=-1)", "k1=-1"),
    ("bm25(b=2)", "b=2"),
    ("bm25(title=65)", "title=65"),
    ("bm25(first_rank=0)", "first_rank=0"),
    ("rrf(of=[a])", "at least two runs"),
    ("rrf(of=[a,b],k=-1)", "k=-1"),
    ("rrf(of=[a,dnse(model=m)])", "did you mean dense"),
    ("rrf(of=[a,dense(modle=m)])", "did you mean model"),
    ("rrf(of=[a,dense(model=m,index=hnws)])", "did you mean HNSW"),
    ("combsum(of=[a,b],normalise=minmax)", "did you mean min_max"),
    ("combmnz(of=[a,b],normalise=minmax)", "did you mean min_max"),
    ("linear(of=[a,b],weights=[1])", "1 weights for 2 runs"),
    ("rerank(teacher=cros_encoder(model=m),of=a)", "did you mean cross_encoder"),
    ("rerank(teacher=m,of=bm52(k1=1))", "did you mean bm25"),
    ("rerank(teacher=m,of=a,direction=no)", "direction=no"),
    ("ensemble(of=[bm52(k1=1)],teacher=m)", "did you mean bm25"),
    ("ensemble(of=[a],teacher=cross_encoder(modle=m))", "did you mean model"),
    ("ensemble(of=[a],teacher=m,unit=rwa)", "unit=rwa"),
    ("ensemble(of=[a],teacher=m,take=frist)", "take=frist"),
    ("ensemble(of=[a],teacher=m,per_source=0)", "per_source=0"),
    ("imported(path=p,order=rnak)", "order=rnak"),
    ("imported(path=p,sign=2)", "sign=2"),
    ("imported(path=p,unknown=skp)", "unknown=skp"),
]
TEACHER = [
    ("bi_encoder(model=m,compute=flaot32)", "did you mean float32"),
    ("bi_encoder(model=m,dtype=float61)", "did you mean float16"),
    ("bi_encoder(model=m,pooling=maen)", "did you mean mean"),
    ("bi_encoder(model=m,encode=lsited)", "did you mean listed"),
    ("cross_encoder(model=m,compute=flaot32)", "compute=flaot32"),
    ("cross_encoder(model=m,max_length=7)", "max_length=7"),
    ("causal_lm(model=m,yes=a,no=a)", "the same word"),
    ("causal_lm(model=m,max_length=3)", "max_length=3"),
    ("seq2seq(model=m,compute=flaot32)", "compute=flaot32"),
    ("ensemble(of=[stored(a),cros_encoder(model=m)])", "did you mean cross_encoder"),
    ("ensemble(of=[stored(a),cross_encoder(model=m,max_length=7)])", "max_length=7"),
    ("ensemble(of=[a,b],weights=[1])", "weights has 1 numbers"),
    ("ensemble(of=[a,b],kind=logti)", "kind=logti"),
    ("ensemble(of=[a,b],missing=no)", "missing=no"),
]
STRATEGY = [
    ("uniform(first=3,last=2)", "first=3"),
    ("top(first=0)", "first=0"),
    ("stratified(bins=0)", "bins=0"),
    ("softmax(T=0)", "T=0"),
    ("softmax(by=scroe)", "by=scroe"),
    ("anchors(by=quantlie)", "by=quantlie"),
    ("bands([5-1])", "not bands"),
    ("quotas(sources=[a])", "two or more"),
    ("shell(near=1,far=0)", "is not a shell"),
    ("entropy_target(H=2)", "H=2"),
    ("mixture(target=a,number=0)", "number=0"),
]
FILTER = [
    ("margin(gap=1,score=lgoit)", "lgoit"),
    ("share(of=2)", "of=2"),
    ("percentile(low=1,high=0)", "low=1"),
    ("rank_window(source=a,first=0)", "first=0"),
]
ALL = [
    (family, *one)
    for family, table in (
        (SOURCES, SOURCE),
        (TEACHERS, TEACHER),
        (STRATEGIES, STRATEGY),
        (FILTERS, FILTER),
    )
    for one in table
]


@pytest.mark.parametrize(("family", "text", "said"), ALL, ids=[text for _, text, _ in ALL])
def test_a_wrong_value_is_refused_by_parsing_alone(family: Family, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        family.parse(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("Flat", "HNSW32", "HNSW32,Flat", "IVF1024,Flat", "IVF4096,PQ48", "IVF64(HNSW8),SQ8"),
        *(
            "OPQ16_64,IVF256,PQ16x4fs",
            "PCAR64,IVF16,SQfp16",
            "IVF16,PQ8,Refine(Flat)",
            "L2norm,LSH",
        ),
    ],
)
def test_what_faiss_builds_is_let_through(text: str) -> None:
    assert SOURCES.parse(f'dense(model=m,index="{text}")').index == text


def test_what_was_stored_is_read_back() -> None:
    """A label is identity: a later list of known parts does not make it unreadable."""
    assert SOURCES.stored("dense(model=m,index=Later8)").index == "Later8"
    assert SOURCES.stored("rrf(of=[a,theirs(version=1)])").k == 60
    assert SOURCES.stored("rerank(teacher='theirs(n=1)',of=a)").of == "a"


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ('index="IVF4,PQ7"', UsageError, "is no FAISS index"),
        ("dim=4000", BadInput, "the vectors have"),
    ],
)
def test_what_only_the_model_can_say_is_refused_before_anything_is_encoded(
    tmp_path, monkeypatch, said, error, message
) -> None:
    from selection_world import write_collection
    from tiny_models import tiny_encoder

    from rankmill.mining.collection import collect
    from rankmill.mining.models import encoders
    from rankmill.mining.store import Workspace

    def tokens(*_: object, **__: object) -> None:
        raise AssertionError("texts were read")

    monkeypatch.setattr(encoders, "tokens_of", tokens)
    workspace = Workspace(tmp_path / "work")
    collection = collect(workspace, f"beir:{write_collection(tmp_path / 'beir')}")
    encoder = tiny_encoder(tmp_path / "encoder")
    with pytest.raises(error, match=message):
        mine(workspace, f"dense(model={encoder},{said})", collection, "train", depth=5)
