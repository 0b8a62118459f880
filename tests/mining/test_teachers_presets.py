"""Presets, byte for byte against the published text; the plain value each stands for; refusals.

The literals below were written from the authors' model cards and code, with ⏎ for a line end, and
not from the table of presets.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_models import chat_lm
from rounding import network_bound
from tiny_collection import tiny_beir
from tiny_language_models import tiny_seq2seq
from tiny_models import tiny_cross_encoder

from rankmill.mining.collection import collect
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.folder import resolve
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import TEACHERS, score_pool, teacher_of
from rankmill.mining.teachers.presets import PRESETS, Preset

QUERY, DOC = "what is {it}?", "It is\n<Query>: 30 °C."

QWEN3 = (
    "<|im_start|>system⏎Judge whether the Document meets the requirements based on the Query and the Instruct provided. "  # noqa: E501
    'Note that the answer can only be "yes" or "no".<|im_end|>⏎<|im_start|>user⏎<Instruct>: INSTRUCTION⏎'  # noqa: E501
    "<Query>: QUERY⏎<Document>: DOC<|im_end|>⏎<|im_start|>assistant⏎<think>⏎⏎</think>⏎⏎"
)
WEB = "Given a web search query, retrieve relevant passages that answer the query"
MXBAI_SYSTEM = "<|im_start|>system⏎You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>⏎<|im_start|>user⏎"  # noqa: E501
MXBAI = (
    "query: QUERY⏎document: DOC⏎You are a search relevance expert who evaluates how well documents match search queries. "  # noqa: E501
    "For each query-document pair, carefully analyze the semantic relationship between them, then provide your binary "  # noqa: E501
    "relevance judgment (0 for not relevant, 1 for relevant).⏎Relevance:<|im_end|>⏎<|im_start|>assistant⏎"  # noqa: E501
)
BGE_GEMMA = (
    "A: QUERY⏎B: DOC⏎Given a query A and a passage B, determine whether the passage contains an answer to the query "  # noqa: E501
    "by providing a prediction of either 'Yes' or 'No'."
)
ZERANK = "<|im_start|>system⏎QUERY<|im_end|>⏎<|im_start|>user⏎DOC<|im_end|>⏎<|im_start|>assistant⏎"
ZERANK_TOLD = (
    "<|im_start|>system⏎<query>QUERY</query>⏎<instruction>INSTRUCTION</instruction><|im_end|>⏎"
    "<|im_start|>user⏎DOC<|im_end|>⏎<|im_start|>assistant⏎"
)
MONOT5 = "Query: QUERY Document: DOC Relevant:"
NO_TEXT = ""  # the tokenizer puts its own marks round a pair

# name, instruction given, text, yes, no, max_length, query_length, apart, architecture
GOLDEN: list[tuple[Any, ...]] = [
    ("qwen3-reranker", None, QWEN3.replace("INSTRUCTION", WEB), "yes", "no", 8192, None, False,
     "Qwen3ForCausalLM"),
    ("qwen3-reranker", "Find code.", QWEN3.replace("INSTRUCTION", "Find code."), "yes", "no", 8192,
     None, False, "Qwen3ForCausalLM"),
    ("mxbai-rerank-v2", None, MXBAI_SYSTEM + MXBAI, "1", "0", 8192, 6144, True,
     "Qwen2ForCausalLM"),
    ("mxbai-rerank-v2", "Find code.", MXBAI_SYSTEM + "instruction: Find code.⏎" + MXBAI, "1", "0",
     8192, 6144, True, "Qwen2ForCausalLM"),
    ("bge-reranker-v2-gemma", None, BGE_GEMMA, "Yes", None, 1024, 768, True, "GemmaForCausalLM"),
    ("zerank", None, ZERANK, "Yes", None, 8192, None, False, "Qwen3ForCausalLM"),
    ("zerank", "Find code.", ZERANK_TOLD.replace("INSTRUCTION", "Find code."), "Yes", None, 8192,
     None, False, "Qwen3ForCausalLM"),
    ("monot5", None, MONOT5, "true", "false", 512, None, False, "T5ForConditionalGeneration"),
]  # fmt: skip
CLASSIFIERS: list[tuple[Any, ...]] = [
    ("qwen3-reranker-seq-cls", None, QWEN3.replace("INSTRUCTION", WEB), 8192,
     "Qwen3ForSequenceClassification"),
    ("qwen3-reranker-seq-cls", "Find code.", QWEN3.replace("INSTRUCTION", "Find code."), 8192,
     "Qwen3ForSequenceClassification"),
    ("mxbai-rerank-v2-seq-cls", None, MXBAI_SYSTEM + MXBAI, 8192,
     "Qwen2ForSequenceClassification"),
    ("bge-reranker-v2-gemma-seq-cls", None, BGE_GEMMA, 1024, "GemmaForSequenceClassification"),
    ("bge-reranker-v2-m3", None, NO_TEXT, 512, "XLMRobertaForSequenceClassification"),
    ("ettin", None, NO_TEXT, None, "ModernBertModel"),
    ("granite-reranker-r2", None, NO_TEXT, None, "ModernBertForSequenceClassification"),
    ("gte-reranker-modernbert", None, NO_TEXT, None, "ModernBertForSequenceClassification"),
    ("minilm", None, NO_TEXT, 512, "BertForSequenceClassification"),
    ("mxbai-rerank-v1", None, NO_TEXT, 512, "DebertaV2ForSequenceClassification"),
]  # fmt: skip


def spec(name: str, model: Path | str, instruction: str | None, **more: Any) -> str:
    said = {"instruction": instruction} if instruction else {}
    fields = "".join(f",{k}={json.dumps(v)}" for k, v in (said | more).items())
    return f"teacher({name},model={model}{fields})"


def claiming(folder: Path, head: str) -> Path:
    """Let a checkpoint name an architecture; nothing of it is run."""
    path = folder / "config.json"
    said = json.loads(path.read_text()) | {"architectures": [head] if head else []}
    path.write_text(json.dumps(said))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_cross_encoder(tmp_path / "m")


def filled(prompt: str) -> str:
    """Return a prompt with both texts; what stands in a text is no field."""
    before, after = prompt.split("{query}")
    return before.replace("{document}", DOC) + QUERY + after.replace("{document}", DOC)


def published(text: str) -> str:
    return text.replace("⏎", "\n").replace("QUERY", QUERY).replace("DOC", DOC)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: f"{g[0]} {bool(g[1])}")
def test_the_text_of_a_language_model_is_the_published_one(folder: Path, golden: Any) -> None:
    name, instruction, text, yes, no, max_length, query_length, apart, head = golden
    plain = teacher_of(spec(name, claiming(folder, head), instruction))
    asked = plain.asked(resolve(folder))
    assert filled(asked.text).encode() == published(text).encode()
    assert asked.yes == (yes,)
    assert asked.no == (() if no is None else (no,))
    assert (asked.max_length, asked.query_length, asked.apart) == (max_length, query_length, apart)
    assert asked.begin
    assert asked.end == (name == "monot5")


@pytest.mark.parametrize("golden", CLASSIFIERS, ids=lambda g: f"{g[0]} {bool(g[1])}")
def test_the_text_of_a_classifier_is_the_published_one(folder: Path, golden: Any) -> None:
    name, instruction, text, max_length, head = golden
    plain = teacher_of(spec(name, claiming(folder, head), instruction))
    assert plain.canonical_name == "cross_encoder"
    assert (filled(plain.prompt) if plain.prompt else "").encode() == published(text).encode()
    assert plain.max_length == max_length


def test_every_preset_is_among_the_golden_ones() -> None:
    assert {row[0] for row in (*GOLDEN, *CLASSIFIERS)} == set(PRESETS)
    assert {row[0]: row[-1] for row in (*GOLDEN, *CLASSIFIERS)} == {
        name: entry.heads[0] for name, entry in PRESETS.items()
    }


def test_a_length_of_ones_own_keeps_the_share_of_the_query(folder: Path) -> None:
    claiming(folder, "Qwen2ForCausalLM")
    plain = teacher_of(spec("mxbai-rerank-v2", folder, None, max_length=1000))
    assert (plain.max_length, plain.query_length) == (1000, 750)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_another_architecture_is_refused_with_both_named(folder: Path, name: str) -> None:
    wrong = "T5ForConditionalGeneration" if name != "monot5" else "Qwen3ForCausalLM"
    with pytest.raises(BadInput) as told:
        teacher_of(spec(name, claiming(folder, wrong), None))
    assert f"{name} is {' or '.join(PRESETS[name].heads)}" in str(told.value)
    assert f"this checkpoint {wrong}" in str(told.value)
    assert "use the preset" in str(told.value)
    with pytest.raises(BadInput, match="this checkpoint names no architecture"):
        teacher_of(spec(name, claiming(folder, ""), None))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("teacher(qwen3-rerank,model=m)", "unknown preset 'qwen3-rerank'.*\n?.*qwen3-reranker"),
        ("teacher(monot5,model=m,instruction=x)", "monot5 takes no instruction"),
        ("teacher(minilm,model=m,compute=int4)", "compute=int4 is not known"),
        ("teacher(minilm,model=m,max_length=3)", "max_length=3 is less than 8"),
        ("teacher(zerank,model=m,max_length=3)", "max_length=3 is less than 16"),
        ('teacher(zerank,model=m,instruction="{query}")', "names a field"),
        ("teacher(minilm)", "teacher needs model"),
        ("teacher(minilm,model=m,yes=x)", "no parameter 'yes'"),
    ],
)
def test_wrong_requests_are_refused_by_parsing(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){said}"):
        TEACHERS.parse(text)


def test_a_preset_alone_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match=r"(?s)no model is named.*teacher\(qwen3-reranker,model="):
        teacher_of("qwen3-reranker")


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_a_classifier_is_no_language_model(folder: Path, pool: Artifact, kind: str) -> None:
    """With a tied output layer it would load: each word's logit would be that of its embedding."""
    claiming(folder, "Qwen3ForSequenceClassification")
    with pytest.raises(BadInput, match=r"(?s)classifier \(Qwen3ForSeq.*write cross_encoder"):
        score_pool(pool.workspace, f"{kind}(model={folder})", pool)


# ---- scores --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("world")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'beir', docs=30, queries=6)}")
    return mine(workspace, "random", collection, "train", depth=4)


def pairs_of(scores: Artifact) -> list[tuple[int, int, float]]:
    rows: list[tuple[int, int, float]] = []
    for table in scores.tables(level=3):
        offsets, docs = list_values(table["doc"])
        query = np.repeat(table["query"].to_numpy(), np.diff(offsets)).tolist()
        values = list_values(table["logit"])[1].tolist()
        rows += zip(query, docs.tolist(), values, strict=True)
    return rows


def test_scores_of_a_preset_are_those_of_the_value_written_out(
    tmp_path: Path, pool: Artifact
) -> None:
    model = tiny_seq2seq(tmp_path / "t5")
    preset = score_pool(pool.workspace, spec("monot5", model, None, max_length=128), pool)
    by_hand = score_pool(pool.workspace, f"seq2seq(model={model},max_length=128)", pool)
    assert preset.fingerprint == by_hand.fingerprint
    value = Preset("monot5", str(model), max_length=128)
    assert score_pool(pool.workspace, value, pool).fingerprint == by_hand.fingerprint
    inside = f"ensemble(of=[{spec('monot5', model, None, max_length=128)},{model}])"
    assert score_pool(pool.workspace, inside, pool).input("member[0]").fingerprint == (
        by_hand.fingerprint
    )


@pytest.mark.parametrize(
    ("words", "yes", "no"),
    [
        ("yes=yes,no=none", ["yes"], []),
        ('yes=[yes,Yes," yes"],no=no', ["yes", "Yes", " yes"], ["no"]),
    ],
    ids=["one logit", "several spellings"],
)
def test_a_chat_scores_as_transformers_does(
    tmp_path: Path, pool: Artifact, words: str, yes: list[str], no: list[str]
) -> None:
    """The whole way: chat template, instruction, line ends, spellings, against the plain model."""
    import torch
    import transformers

    model = chat_lm(tmp_path / "m", kind="qwen3", head_dim=8)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    numbers = [tokenizer.encode(word)[0] for word in (*yes, *no)]
    turns = 'system="Judge.",user="{instruction}\\nQ: {query}\\nD: {document}",instruction="Do."'
    scores = score_pool(pool.workspace, f"causal_lm(model={model},{turns},{words})", pool)
    assert "Judge.<|im_end|>" in scores.metadata["prompt"]
    texts = {
        role: [text for table in pool.input(role).tables() for text in table["text"].to_pylist()]
        for role in ("queries", "corpus")
    }
    for query, doc, score in pairs_of(scores):
        said = f"Do.\nQ: {texts['queries'][query]}\nD: {texts['corpus'][doc]}"
        messages = [{"role": "system", "content": "Judge."}, {"role": "user", "content": said}]
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]

        def logits(inputs: Any = ids) -> Any:
            return network(input_ids=inputs).logits[0, -1][numbers]

        with torch.no_grad():
            exact = [math.exp(value) for value in logits().tolist()]
        odds = math.log(sum(exact[: len(yes)]))
        odds -= math.log(exact[-1]) if no else 0.0
        # ln Σ exp moves by no more than the logit that moves most; a difference adds two of them.
        assert score == pytest.approx(odds, rel=0, abs=2 * network_bound(logits))
