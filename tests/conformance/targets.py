"""The trainers whose own code must read our exports, and what each of them needs installed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One trainer: `requirements` from the package index, `alone` those installed without their
    dependencies, since these would pull another torch.

    `formats` are our formats to load; `order` is how far the loader keeps the order of documents:
    `kept`, `positive first`, or `none`; `step` says that an optimiser step is taken; `tabs`, that
    texts lie between tabs: breaks became blanks, and the loader strips the ends of a line.
    """

    name: str
    packages: tuple[str, ...]
    requirements: tuple[str, ...]
    loader: str
    formats: tuple[str, ...]
    order: str = "kept"
    alone: tuple[str, ...] = ()
    scores: bool = True
    step: bool = False
    tabs: bool = False


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
        ("FlagEmbedding>=1.3",),
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
        scores=False,
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
        tabs=True,
    ),
    Target(
        "nemo",
        ("nemo-automodel", "datasets"),
        ("datasets>=4", "pillow", "pyyaml", "transformers"),
        "read_nemo.py",
        ("nemo", "nemo(layout=inline)", "nemo(layout=arrow)"),
        alone=("nemo-automodel",),
        scores=False,
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
)

UNPROVED = {
    "tevatron (scores)": "the package on the index, 0.1.0, reads texts only",
    "tevatron-ids": "its reader is in the repository, not in the package of the index",
    "splade": "installed from its repository, which is no package of the index",
    "lsr": "installed from its repository, which is no package of the index",
    "matchmaker": "a repository to clone, no package",
    "arctic-embed, arctic-embed-batches": "the trainer is in the repository, not on the index",
    "contrastors": "a repository to clone; needs CUDA extensions",
    "beir, gpl, ms-swift, rank-llm, trec": "interchange layouts: no trainer's loader is run",
}
"""Formats without a loader here, and why; the tests check their files against the layout."""
