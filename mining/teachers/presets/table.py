"""What each published teacher reads and answers: literal text is part of a model's interface.

Sources: the model cards and code that the authors published (QwenLM/Qwen3-Embedding,
mixedbread-ai/mxbai-rerank, FlagOpen/FlagEmbedding, castorini's monoT5). docs/teachers.md says what
of it was not checked against published scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_CHATML_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"

_QWEN3 = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
    + _CHATML_ANSWER
    + "<think>\n\n</think>\n\n"
)
_QWEN3_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

_MXBAI_SYSTEM = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n<|im_start|>user\n"
)
_MXBAI = (
    "query: {query}\ndocument: {document}\nYou are a search relevance expert who evaluates how "
    "well documents match search queries. For each query-document pair, carefully analyze the "
    "semantic relationship between them, then provide your binary relevance judgment (0 for not "
    "relevant, 1 for relevant).\nRelevance:" + _CHATML_ANSWER
)

_BGE_GEMMA = (
    "A: {query}\nB: {document}\nGiven a query A and a passage B, determine whether the passage "
    "contains an answer to the query by providing a prediction of either 'Yes' or 'No'."
)

_ZERANK_USER = "<|im_end|>\n<|im_start|>user\n{document}" + _CHATML_ANSWER
_ZERANK = "<|im_start|>system\n{query}" + _ZERANK_USER
_ZERANK_INSTRUCTED = (
    "<|im_start|>system\n<query>{query}</query>\n<instruction>{instruction}</instruction>"
    + _ZERANK_USER
)

_MONOT5 = "Query: {query} Document: {document} Relevant:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One published teacher: the member of the family that runs it, and what that is given.

    `heads`: the architectures that its checkpoints name. `instructed`: the prompt where an
    instruction is given, for those that can do without; `instruction`: the one that is used unless
    another is given. `shared`: a query takes ¾ of `max_length` at most, texts are tokenised apart.
    """

    kind: str
    heads: tuple[str, ...]
    prompt: str = ""
    instructed: str = ""
    instruction: str | None = None
    yes: str = ""
    no: str | None = None
    max_length: int | None = None
    shared: bool = False

    @property
    def takes_instruction(self) -> bool:
        """Say whether the teacher can be told what is looked for."""
        return bool(self.instructed) or self.instruction is not None


def _qwen3(kind: str, head: str) -> Entry:
    return Entry(
        kind,
        (f"Qwen3{head}",),
        prompt=_QWEN3,
        instruction=_QWEN3_INSTRUCTION,
        yes="yes",
        no="no",
        max_length=8192,
    )


def _mxbai(kind: str, head: str) -> Entry:
    return Entry(
        kind,
        (f"Qwen2{head}",),
        prompt=_MXBAI_SYSTEM + _MXBAI,
        instructed=_MXBAI_SYSTEM + "instruction: {instruction}\n" + _MXBAI,
        yes="1",
        no="0",
        max_length=8192,
        shared=True,
    )


def _bge_gemma(kind: str, head: str) -> Entry:
    return Entry(
        kind, (f"Gemma{head}",), prompt=_BGE_GEMMA, yes="Yes", max_length=1024, shared=True
    )


def _encoder(*heads: str, max_length: int | None = None) -> Entry:
    return Entry("cross_encoder", heads, max_length=max_length)


_LM, _CLASSIFIER = "ForCausalLM", "ForSequenceClassification"
PRESETS: Mapping[str, Entry] = {
    "bge-reranker-v2-gemma": _bge_gemma("causal_lm", _LM),
    "bge-reranker-v2-gemma-seq-cls": _bge_gemma("cross_encoder", _CLASSIFIER),
    "bge-reranker-v2-m3": _encoder("XLMRobertaForSequenceClassification", max_length=512),
    "ettin": _encoder("ModernBertModel", "ModernBertForSequenceClassification"),
    "granite-reranker-r2": _encoder("ModernBertForSequenceClassification"),
    "gte-reranker-modernbert": _encoder("ModernBertForSequenceClassification"),
    "minilm": _encoder("BertForSequenceClassification", max_length=512),
    "monot5": Entry(
        "seq2seq",
        ("T5ForConditionalGeneration",),
        prompt=_MONOT5,
        yes="true",
        no="false",
        max_length=512,
    ),
    "mxbai-rerank-v1": _encoder("DebertaV2ForSequenceClassification", max_length=512),
    "mxbai-rerank-v2": _mxbai("causal_lm", _LM),
    "mxbai-rerank-v2-seq-cls": _mxbai("cross_encoder", _CLASSIFIER),
    "qwen3-reranker": _qwen3("causal_lm", _LM),
    "qwen3-reranker-seq-cls": _qwen3("cross_encoder", _CLASSIFIER),
    "zerank": Entry(
        "causal_lm",
        (f"Qwen3{_LM}",),
        prompt=_ZERANK,
        instructed=_ZERANK_INSTRUCTED,
        yes="Yes",
        max_length=8192,
    ),
}
