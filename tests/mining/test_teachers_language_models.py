"""Language models as teachers: scores of the plain model, the same bits in any company."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounding import network_bound
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm, tiny_seq2seq
from tiny_models import tiny_cross_encoder

from rankmill.mining.actors import INLINE
from rankmill.mining.collection import collect
from rankmill.mining.collection.handles import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.folder import resolve
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool, teacher_of
from rankmill.mining.teachers.base import PREPARERS
from rankmill.mining.teachers.prompt import Prompt, fields_of

ASK = "Q: {query} D: {document} Relevant:"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "causal_lm": tiny_causal_lm(folder / "llama"),
        "seq2seq": tiny_seq2seq(folder / "t5"),
        "cross": tiny_cross_encoder(folder / "cross"),
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collection, Artifact]:
    folder = tmp_path_factory.mktemp("world")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'beir', docs=40, queries=8)}")
    return collection, mine(workspace, "random", collection, "train", depth=6)


def text_of(kind: str, models: dict[str, Path], **more: Any) -> str:
    said = "".join(f",{k}={json.dumps(v)}" for k, v in more.items())
    return f"{kind}(model={models[kind]},prompt={json.dumps(ASK)}{said})"


def pairs_of(scores: Artifact) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for table in scores.tables(level=3):
        offsets, docs = list_values(table["doc"])
        query = np.repeat(table["query"].to_numpy(), np.diff(offsets)).tolist()
        values = list_values(table["logit"])[1].tolist()
        found |= dict(zip(zip(query, docs.tolist(), strict=True), values, strict=True))
    return found


def words_of(network: Any, inputs: dict[str, Any], words: list[int]) -> Any:
    """Return a model's logits of some words after the last token."""
    return network(**inputs).logits[0, -1][words]


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_scores_are_those_of_the_joined_text_in_the_plain_model(
    world: tuple[Collection, Artifact], models: dict[str, Path], kind: str
) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer

    collection, run = world
    scores = score_pool(run.workspace, text_of(kind, models), run)
    assert scores.metadata["kind"] == "logit"
    assert scores.metadata["prompt"] == ASK
    assert scores.metadata["truncation"] == "document"
    assert str(models[kind]) not in str(scores.manifest)
    loader = "AutoModelForCausalLM" if kind == "causal_lm" else "T5ForConditionalGeneration"
    exact = {"dtype": torch.float64, "attn_implementation": "eager"}
    network = getattr(transformers, loader).from_pretrained(models[kind], **exact).eval()
    tokenizer = Tokenizer.from_file(str(models[kind] / "tokenizer.json"))
    words = (" yes", " no") if kind == "causal_lm" else ("true", "false")
    yes, no = (tokenizer.encode(w, add_special_tokens=False).ids[0] for w in words)
    found = pairs_of(scores)
    assert len(found) == scores.counts["pairs"] == 24
    checked = 0
    for (query, doc), score in found.items():
        texts = {"query": collection.queries.text(query), "document": collection.corpus.text(doc)}
        ids = torch.tensor([tokenizer.encode(ASK.format(**texts)).ids])
        if ids.shape[1] > 250:
            continue  # cut: looked at below
        extra = {} if kind == "causal_lm" else {"decoder_input_ids": torch.tensor([[0]])}
        inputs = {"input_ids": ids, **extra}
        with torch.no_grad():
            logits = network(**inputs).logits[0, -1]
        two = partial(words_of, network, inputs, [yes, no])
        off = 2 * network_bound(two)  # of two logits
        assert score == pytest.approx(float(logits[yes] - logits[no]), rel=0, abs=off)
        checked += 1
    assert checked > 8
    assert len(set(found.values())) > 20


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_a_score_depends_on_its_pair_alone(
    world: tuple[Collection, Artifact], models: dict[str, Path], kind: str, compute: str
) -> None:
    import torch

    collection, run = world
    teacher = teacher_of(text_of(kind, models, compute=compute))
    prepared = PREPARERS[type(teacher)](run.workspace, teacher, run, INLINE)
    query = np.repeat(np.arange(4, dtype=np.uint32), 5)
    doc = np.arange(20, dtype=np.uint32)
    threads = torch.get_num_threads()
    seen = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            scorer = prepared.make(**prepared.options)
            whole = scorer.score(query, doc).scores
            turned = scorer.score(query[::-1].copy(), doc[::-1].copy()).scores[::-1]
            alone = [scorer.score(query[i : i + 1], doc[i : i + 1]).scores[0] for i in range(20)]
            seen += [whole.tobytes(), turned.tobytes(), np.asarray(alone).tobytes()]
    finally:
        torch.set_num_threads(threads)
    assert len(set(seen)) == 1


def test_the_document_is_cut_and_the_cut_counted(
    world: tuple[Collection, Artifact], models: dict[str, Path]
) -> None:
    _, run = world
    short = score_pool(run.workspace, text_of("seq2seq", models, max_length=64), run)
    assert 0 < short.counts["truncated"] <= 24
    assert short.cost()["usage"]["tokens"] <= 24 * 64
    full = score_pool(run.workspace, text_of("seq2seq", models, max_length=512), run)
    assert full.counts["truncated"] < short.counts["truncated"]


def test_a_prompt_keeps_special_ids_and_the_order_of_its_fields(models: dict[str, Path]) -> None:
    tokenizer = resolve(models["seq2seq"]).tokenizer()
    prompt = Prompt.of("Document: {document} Query: {query} x", tokenizer, end=True)
    assert prompt.first == "document"
    assert prompt.after[-1] == 1
    template = prompt.template
    assert len(template.special) == prompt.fixed
    assert (template.prefix, template.middle) == (len(prompt.before), len(prompt.between))
    assert fields_of("{document}{query}") == ("document", "query")


def test_bad_requests(world: tuple[Collection, Artifact], models: dict[str, Path]) -> None:
    _, run = world
    for changes, error, said in (
        ({"prompt": "no fields"}, UsageError, "names no field"),
        ({"prompt": "{query} {query}"}, UsageError, "names query, query"),
        ({"yes": " no"}, UsageError, "yes and no are the same word"),
        ({"compute": "int4"}, UsageError, "compute=int4 is not known"),
        ({"max_length": 4}, UsageError, "max_length=4 is less than 16"),
        ({"max_length": 500}, BadInput, "max_length=500, the model reads 256 tokens"),
        ({"yes": "relevant"}, UsageError, "'relevant' is 7 tokens for this model: r, e"),
        ({"max_length": 20}, UsageError, r"the prompt takes 15 of max_length=20 tokens"),
    ):
        said_prompt = {"prompt": ASK, "max_length": 256} | changes
        fields = ",".join(f"{k}={json.dumps(v)}" for k, v in said_prompt.items())
        with pytest.raises(error, match=said):
            score_pool(run.workspace, f"causal_lm(model={models['causal_lm']},{fields})", run)
    for model, said in (("cross", "which says no words"), ("causal_lm", "cannot be loaded")):
        with pytest.raises(BadInput, match=said):
            score_pool(
                run.workspace, f"seq2seq(model={models[model]},yes=a,no=b,max_length=128)", run
            )


def test_a_path_alone_finds_the_kind(models: dict[str, Path]) -> None:
    assert type(teacher_of(models["causal_lm"])).__name__ == "CausalLm"
    assert type(teacher_of(models["seq2seq"])).__name__ == "Seq2Seq"
