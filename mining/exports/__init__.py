"""Groups for other trainers: one file per layout, each written whole or not at all.

`export_groups` writes; `EXPORTS` are the formats by canonical text.
"""

from . import (  # noqa: F401  (each registers its format)
    arctic,
    arctic_batches,
    beir,
    colbert,
    contrastors,
    flag_embedding,
    gpl,
    hf_datasets,
    lightning_ir,
    lsr,
    matchmaker,
    ms_swift,
    nemo,
    rank_llm,
    rankers,
    sentence_transformers,
    sentence_transformers_rows,
    splade,
    tevatron,
    trec,
    trove,
)
from .base import EXPORTS, Format
from .export import SIDECAR, Exported, export_groups, format_of

__all__ = ["EXPORTS", "SIDECAR", "Exported", "Format", "export_groups", "format_of"]
