"""Published encoders by style: the literal text before queries and documents is part of a model.

Each entry is what the model card named by `card` says for retrieval. docs/prompts.md says what of
it was not checked against published vectors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WEB = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)
_SENTENCE = "Represent this sentence for searching relevant passages: "
_HUB = "https://huggingface.co/"


@dataclass(frozen=True, slots=True)
class Style:
    """How a family of encoders reads texts. `named`: a pattern of its repositories' names."""

    query: str
    document: str
    pooling: str
    card: str
    named: str
    normalise: bool = True

    @property
    def prompts(self) -> dict[str, str]:
        """The prompt of each kind of text."""
        return {"queries": self.query, "corpus": self.document}

    def fits(self, name: str) -> bool:
        """Say whether a repository or folder is called as those of the family are."""
        return re.fullmatch(self.named, name.lower()) is not None


PRESETS: Mapping[str, Style] = {
    "arctic-embed": Style(
        _SENTENCE,
        "",
        "cls",
        _HUB + "Snowflake/snowflake-arctic-embed-m-v1.5",
        r"snowflake-arctic-embed-(xs|s|m|l|m-v1\.5)",
    ),
    "arctic-embed-v2": Style(
        "query: ",
        "",
        "cls",
        _HUB + "Snowflake/snowflake-arctic-embed-l-v2.0",
        r"snowflake-arctic-embed-[ml]-v2\.0",
    ),
    "bge": Style(
        _SENTENCE, "", "cls", _HUB + "BAAI/bge-base-en-v1.5", r"bge-(small|base|large)-en(-v1\.5)?"
    ),
    "bge-m3": Style("", "", "cls", _HUB + "BAAI/bge-m3", "bge-m3"),
    "bge-zh": Style(
        "为这个句子生成表示以用于检索相关文章：",
        "",
        "cls",
        _HUB + "BAAI/bge-base-zh-v1.5",
        r"bge-(small|base|large)-zh(-v1\.5)?",
    ),
    "e5": Style(
        "query: ",
        "passage: ",
        "mean",
        _HUB + "intfloat/e5-base-v2",
        r"(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?",
    ),
    "e5-instruct": Style(
        _WEB + " ",
        "",
        "mean",
        _HUB + "intfloat/multilingual-e5-large-instruct",
        "multilingual-e5-large-instruct",
    ),
    "e5-mistral": Style(
        _WEB + " ",
        "",
        "last",
        _HUB + "intfloat/e5-mistral-7b-instruct",
        "e5-mistral-7b-instruct",
    ),
    "gte": Style("", "", "mean", _HUB + "thenlper/gte-base", "gte-(small|base|large)"),
    "gte-modernbert": Style(
        "", "", "cls", _HUB + "Alibaba-NLP/gte-modernbert-base", "gte-modernbert-base"
    ),
    "jina-v5": Style(
        "Query: ",
        "Document: ",
        "last",
        _HUB + "jinaai/jina-embeddings-v5-text-small-retrieval",
        "jina-embeddings-v5-text-(small|nano)-retrieval",
    ),
    "mxbai-embed": Style(
        _SENTENCE,
        "",
        "cls",
        _HUB + "mixedbread-ai/mxbai-embed-large-v1",
        r"mxbai-embed-(large-v1|xsmall-v1|2d-large-v1)",
    ),
    "nomic": Style(
        "search_query: ",
        "search_document: ",
        "mean",
        _HUB + "nomic-ai/nomic-embed-text-v1.5",
        r"(nomic-embed-text-v\d.*|modernbert-embed-(base|large))",
    ),
    "qwen3-embedding": Style(
        _WEB,
        "",
        "last",
        _HUB + "Qwen/Qwen3-Embedding-0.6B",
        r"qwen3-embedding-(0\.6|4|8)b",
    ),
}
