"""The trainers whose own code must read our exports, and what each of them needs installed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One trainer: `requirements` from the package index, `alone` those installed without their
    dependencies, since these would pull another torch. One that is no package is read from a clone
    of `repository`, whose folder `source` holds its modules.

    `formats` are our formats to load; in them MODEL is the path of the model, FOLDER that of the
    export and TOKENS the length to cut texts at. How far the loader keeps what it reads:
    `order`   `kept`; `positive first`, the others in any order; `shuffled`, the same and the groups
              in any order; `none`
    `scores`  `raw`; `margins` to the first; `grades`, of judged documents only; `none`
    `texts`   `kept`; `between tabs`: breaks became blanks, and the ends of a line are stripped;
              `tokens`: the numbers of the first `tokens` of a text; `ids` in place of texts
    `step` says that an optimiser step is taken, `torch` that the reading code needs it.
    """

    name: str
    packages: tuple[str, ...]
    requirements: tuple[str, ...]
    loader: str
    formats: tuple[str, ...]
    order: str = "kept"
    alone: tuple[str, ...] = ()
    scores: str = "raw"
    texts: str = "kept"
    tokens: int = 64
    step: bool = False
    torch: bool = True
    repository: str = ""
    source: str = ""


TARGETS = (
    Target(
        "sentence-transformers",
        ("sentence-transformers", "datasets"),
        ("sentence-transformers>=6", "datasets>=4", "accelerate"),
        "read_sentence_transformers.py",
        (
            "sentence-transformers",
            "sentence-transformers-rows",
            "sentence-transformers-rows(layout=triplets)",
            "sentence-transformers-rows(layout=pairs)",
            "sentence-transformers-rows(layout=lists)",
        ),
        step=True,
    ),
    Target(
        "datasets",
        ("datasets",),
        ("datasets>=4",),
        "read_datasets.py",
        ("datasets", "tevatron-megatron"),
    ),
    Target(
        "pylate",
        ("pylate", "sentence-transformers", "transformers"),
        (
            "sentence-transformers==5.3.0",
            "transformers==5.3.0",
            "datasets>=2.20",
            "accelerate>=0.31",
            "pandas>=2.2.1",
            "ujson==5.12.0",
        ),
        "read_pylate.py",
        ("pylate",),
        alone=("pylate==1.6.0", "fastkmeans==0.5.0", "ninja==1.11.1.4"),
        step=True,
    ),
    Target(
        "flag-embedding",
        ("FlagEmbedding", "transformers"),
        (
            "FlagEmbedding>=1.3",
            "transformers<5.20",
        ),  # FlagEmbedding 1.4.2 imports what later ones dropped
        "read_flag_embedding.py",
        ("flag-embedding",),
        order="positive first",
        step=True,
    ),
    Target(
        "tevatron",
        ("tevatron", "datasets"),
        ("tevatron",),
        "read_tevatron.py",
        ("tevatron",),
        scores="none",
    ),
    Target(
        "rankers",
        ("rankers",),
        ("rankers", "ir_datasets"),  # which its metadata does not name
        "read_rankers.py",
        ("rankers",),
    ),
    Target(
        "lightning-ir",
        ("lightning-ir", "lightning"),
        ("lightning-ir",),
        "read_lightning_ir.py",
        ("lightning-ir",),
        order="none",
    ),
    Target(
        "colbert",
        ("colbert-ai",),
        ("datasets", "gitpython", "ninja", "numpy", "tqdm", "transformers", "ujson"),
        "read_colbert.py",
        ("colbert",),
        alone=("colbert-ai",),
        texts="between tabs",
    ),
    Target(
        "nemo",
        ("nemo-automodel", "datasets"),
        ("datasets>=4", "pillow", "pyyaml", "transformers"),
        "read_nemo.py",
        ("nemo", "nemo(layout=inline)", "nemo(layout=arrow)"),
        alone=("nemo-automodel",),
        scores="none",
    ),
    Target(
        "trove",
        ("ir-trove", "datasets"),
        (  # pytrec_eval itself is built from sources that are not on the index
            "accelerate",
            "datasets>=4",
            "peft",
            "polars>=1.13,<1.40",  # it fails under polars 2
            "pytrec_eval-terrier",
            "rich",
            "transformers",
            "wandb",
            "xxhash",
        ),
        "read_trove.py",
        ("trove",),
        order="none",
        alone=("ir-trove",),
    ),
    Target(
        "tevatron-next",
        ("datasets", "transformers"),
        ("datasets>=4", "pillow", "transformers"),
        "read_tevatron_next.py",
        ("tevatron", "tevatron-megatron"),
        order="positive first",
        repository="texttron/tevatron",
        source="src",
    ),
    Target(
        "tevatron-next",
        ("datasets", "transformers"),
        ("datasets>=4", "pillow", "transformers"),
        "read_tevatron_next.py",
        ("tevatron-ids",),
        order="positive first",
        scores="none",
        repository="texttron/tevatron",
        source="src",
    ),
    Target(
        "splade",
        ("torch",),
        ("numpy", "tqdm"),
        "read_splade.py",
        ("splade", "splade(kind=trec)", "splade(kind=raw)"),
        order="positive first",
        texts="between tabs",
        repository="naver/splade",
    ),
    Target(
        "lsr",
        ("datasets",),
        ("datasets", "ir_datasets", "requests", "tqdm"),
        "read_lsr.py",
        ("lsr",),
        texts="between tabs",
        repository="thongnt99/learned-sparse-retrieval",
    ),
    Target(
        "matchmaker",
        ("torch",),
        ("numpy",),
        "read_matchmaker.py",
        ("matchmaker", "matchmaker(kind=ids)"),
        texts="between tabs",
        repository="sebastian-hofstaetter/matchmaker",
    ),
    Target(
        "arctic-embed",
        ("pyarrow", "tokenizers"),
        ("fsspec", "pandas", "pyarrow", "pydantic", "tokenizers", "tqdm"),
        "read_arctic.py",
        ("arctic-embed", "arctic-embed-batches(model=MODEL,length=TOKENS,queries=100)"),
        order="shuffled",
        scores="none",
        texts="tokens",
        repository="snowflakedb/ArcticTraining",
        source="projects/arctic_embed/src",
    ),
    Target(
        "contrastors",
        ("webdataset", "fsspec"),
        ("numpy", "pyarrow", "pyyaml", "s3fs", "tqdm", "webdataset"),
        "read_contrastors.py",
        ("contrastors(bucket=FOLDER)",),
        repository="nomic-ai/contrastors",
        source="src",
    ),
    Target(
        "beir",
        ("beir",),
        ("tqdm",),
        "read_beir.py",
        ("beir",),
        order="none",
        alone=("beir",),
        torch=False,
        scores="grades",
    ),
    Target(
        "gpl",
        ("gpl", "beir", "sentence-transformers"),
        ("sentence-transformers<6", "tqdm"),
        "read_gpl.py",
        ("gpl",),
        alone=("beir", "gpl"),  # gpl asks for Elasticsearch
        scores="margins",
    ),
    Target(
        "rank-llm",
        ("rank-llm",),
        ("dacite",),
        "read_rank_llm.py",
        ("rank-llm",),
        order="none",
        alone=("rank-llm",),  # it asks for vLLM
        torch=False,
    ),
    Target(
        "ir-measures",
        ("ir-measures",),
        ("ir-measures",),
        "read_trec.py",
        ("trec",),
        order="none",
        texts="ids",
        torch=False,
    ),
    Target(
        "ms-swift",
        ("ms-swift", "datasets", "transformers"),
        ("ms-swift",),
        "read_ms_swift.py",
        ("ms-swift",),
        scores="none",
    ),
)
