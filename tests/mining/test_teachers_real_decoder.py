"""A real language model as a teacher: SmolLM2-135M-Instruct, whose weights come in a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from rankmill.mining.actors import INLINE
from rankmill.mining.collection import collect
from rankmill.mining.devices import Engine, using
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.teachers import teacher_of
from rankmill.mining.teachers.base import PREPARERS

QUERIES = ["who wrote Hamlet", "is the sun warm?"]
DOCS = [
    "Hamlet is a tragedy by William Shakespeare, written about 1600.",
    "The sun has some 5,772 K. ",
    "",
    "Bake the bread at 220 °C.\nIt is done when it sounds hollow. " * 4,
]
PROMPT = "Query: {query}\nDocument: {document}\nRelevant?"
USER = "Query: {query}\nDocument: {document}\nIs it relevant?"
SYSTEM = "Say Yes or No."
OFF = 1e-3  # float32 in 30 layers; seen: 2.3e-5. A token more or less moves a score by 0.01 to 1
LENGTH = {"prompt": 64, "chat": 96}


@pytest.fixture(scope="module")
def plain(smollm2: Path) -> tuple[Any, Any]:
    """Return transformers' own tokenizer and model, float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    return AutoTokenizer.from_pretrained(smollm2), model


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("world")
    for name, prefix, texts in (("corpus", "d", DOCS), ("queries", "q", QUERIES)):
        rows = [{"_id": f"{prefix}{n}", "text": text} for n, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir()
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(len(QUERIES)))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    workspace = Workspace(folder / "work")
    return mine(workspace, "random", collect(workspace, f"beir:{folder}"), "train", depth=3)


def whole_ids(tokenizer: Any, way: str, query: str, doc: str) -> list[int]:
    """Return the ids of a pair as transformers makes them of the whole text, the document's end cut
    where they are too many."""
    text = PROMPT
    if way == "chat":
        turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text.replace("{query}", query).replace("{document}", doc)).input_ids
    end: list[int] = tokenizer(text.split("{document}")[1]).input_ids
    return ids if len(ids) <= LENGTH[way] else [*ids[: LENGTH[way] - len(end)], *end]


@pytest.mark.models
@pytest.mark.parametrize("way", ["prompt", "chat"])
def test_scores_are_those_of_transformers_one_sequence_at_a_time(
    smollm2: Path, plain: tuple[Any, Any], pool: Artifact, way: str
) -> None:
    """The same in any batch, where pairs of a query share their beginning, and alone."""
    import torch

    tokenizer, model = plain
    user, prompt = f"user={json.dumps(USER)},system={json.dumps(SYSTEM)}", json.dumps(PROMPT)
    asked = f"{user},yes=Yes,no=No" if way == "chat" else f'prompt={prompt},yes=" Yes",no=" No"'
    query, doc = (
        np.repeat(np.arange(2, dtype=np.uint32), 4),
        np.tile(np.arange(4, dtype=np.uint32), 2),
    )
    with using(Engine(device="cpu", batch_tokens=64)):
        teacher = teacher_of(f"causal_lm(model={smollm2},{asked},max_length={LENGTH[way]})")
        prepared = PREPARERS[type(teacher)](pool.workspace, teacher, pool, INLINE)
        scorer = prepared.make(**prepared.options)
        whole = scorer.score(query, doc)
        if way == "prompt":
            turned = scorer.score(query[::-1].copy(), doc[::-1].copy()).scores[::-1]
            assert turned.tobytes() == whole.scores.tobytes()
        alone = scorer.score(query[5:6], doc[5:6]).scores
    assert alone.tobytes() == whole.scores[5:6].tobytes()
    assert cast(Any, scorer).truncated(query, doc) == 2

    words = ("Yes", "No") if way == "chat" else (" Yes", " No")
    yes, no = (tokenizer(word, add_special_tokens=False).input_ids[0] for word in words)
    every = [
        whole_ids(tokenizer, way, QUERIES[q], DOCS[d]) for q, d in zip(query, doc, strict=True)
    ]
    computed = whole.usage["tokens"] - whole.usage["padding"]
    assert computed < sum(map(len, every))  # what pairs of a query begin with is computed once
    for ids, score in zip(every, whole.scores.tolist(), strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
        assert abs(score - float(logits[yes] - logits[no])) < OFF, tokenizer.decode(ids)
    assert len({round(score, 4) for score in whole.scores.tolist()}) == len(every)
