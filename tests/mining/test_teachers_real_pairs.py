"""A real language model on pairs of real collections, against transformers on the whole text.

SmolLM2-135M-Instruct, its weights out of a package, and texts of three collections beside the
checkout. Eight pairs by default; RANKMILL_TEACHERS=all (`make teachers`) takes ninety-six, and has
transformers convert the model too, as rankmill's own words say to.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib.util
import io
import json
import os
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from rankmill.mining.actors import INLINE
from rankmill.mining.collection import collect
from rankmill.mining.devices import Engine, using
from rankmill.mining.errors import BadInput
from rankmill.mining.models.folder import resolve
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.teachers import teacher_of
from rankmill.mining.teachers.base import PREPARERS

pytestmark = pytest.mark.models

ALL = os.environ.get("RANKMILL_TEACHERS") == "all"
SETS = (("msmarco-dl-pool", "dl19"), ("nfcorpus", "test"), ("cranfield", "test"))
PER_QUERY = 4
QUERIES = 24 if ALL else 2
LENGTH = 192  # tokens; about a third of these documents are longer
OFF = 1e-3  # float32 in 30 layers; seen: 6e-5. A token more or less moves a score by 0.01 to 1
INSTRUCTION = "Find the passage that answers the question."
PROMPT = "{instruction}\nQuery: {query}\nDocument: {document}\nIs the document relevant?"
USER = "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
SYSTEM = 'Judge whether the document meets the requirements. Answer "yes" or "no".'
ASSISTANT = "My answer:"
YES, NO = ("yes", "Yes", " yes", " Yes"), ("no", "No", " no", " No")


def asked(way: str) -> str:
    """Return the parameters of a way to ask."""
    text = {"prompt": f"prompt={json.dumps(PROMPT)}", "chat": f"user={json.dumps(USER)}"}[way]
    if way == "chat":
        text += f",system={json.dumps(SYSTEM)},assistant={json.dumps(ASSISTANT)}"
    return f"{text},instruction={json.dumps(INSTRUCTION)},max_length={LENGTH}"


def listed(words: tuple[str, ...]) -> str:
    """Return words as a list of a canonical text."""
    return f"[{','.join(json.dumps(word) for word in words)}]"


@pytest.fixture(scope="module")
def texts(shared: Path) -> tuple[list[str], list[str]]:
    """Return real queries, and for each of them four documents that were judged for it."""
    queries: list[str] = []
    documents: list[str] = []
    for turn, (name, split) in enumerate(SETS):
        with gzip.open(shared / name / "corpus.jsonl.gz", "rt") as lines:
            held = {row["_id"]: row["text"] for row in map(json.loads, lines)}
        rows = (shared / name / "queries.jsonl").read_text().splitlines()
        asking = {row["_id"]: row["text"] for row in map(json.loads, rows)}
        judged: dict[str, list[str]] = {query: [] for query in asking}
        with (shared / name / "qrels" / f"{split}.tsv").open() as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                if row["corpus-id"] in held:
                    judged[row["query-id"]].append(held[row["corpus-id"]])
        share = QUERIES // len(SETS) + (turn < QUERIES % len(SETS))
        for query in [q for q, docs in judged.items() if len(docs) >= PER_QUERY][:share]:
            queries.append(asking[query])
            documents += judged[query][:PER_QUERY]
    return queries, documents


@pytest.fixture(scope="module")
def pool(texts: tuple[list[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("real")
    for name, prefix, held in (("queries", "q", texts[0]), ("corpus", "d", texts[1])):
        rows = [{"_id": f"{prefix}{n:03}", "text": text} for n, text in enumerate(held)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir()
    judged = "".join(f"q{n:03}\td{PER_QUERY * n:03}\t1\n" for n in range(len(texts[0])))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    workspace = Workspace(folder / "work")
    return mine(workspace, "random", collect(workspace, f"beir:{folder}"), "train", depth=2)


@pytest.fixture(scope="module")
def plain(
    smollm2: Path, texts: tuple[list[str], list[str]]
) -> dict[str, tuple[np.ndarray, int, int]]:
    """Return, of each way to ask, transformers' logits of the next token (pairs, vocabulary), the
    tokens in all, and how many pairs are cut: the whole text tokenised at once, one forward pass
    each."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    chat = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    told = {}
    for way, form in (("prompt", PROMPT), ("chat", chat + ASSISTANT)):
        form = form.replace("{instruction}", INSTRUCTION)
        end: list[int] = tokenizer(form.split("{document}")[1]).input_ids
        rows, tokens, cut = [], 0, 0
        for number, document in enumerate(texts[1]):
            query = texts[0][number // PER_QUERY]
            whole = form.replace("{query}", query).replace("{document}", document)
            ids: list[int] = tokenizer(whole).input_ids
            if len(ids) > LENGTH:
                ids, cut = [*ids[: LENGTH - len(end)], *end], cut + 1
            with torch.inference_mode():
                logits = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
            rows.append(logits.numpy())
            tokens += len(ids)
        told[way] = np.stack(rows).astype(np.float64), tokens, cut
    return told


def log_sum(logits: np.ndarray) -> np.ndarray:
    """Return ln Σ exp of each row."""
    top = logits.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(logits - top).sum(axis=1)))


@pytest.mark.parametrize(
    ("way", "yes", "no"),
    [
        ("prompt", (" yes",), (" no",)),
        ("prompt", YES, NO),
        ("chat", YES, NO),
        ("chat", (" Yes",), None),
    ],
)
def test_scores_of_real_pairs_are_those_of_transformers(
    smollm2: Path,
    plain: dict[str, tuple[np.ndarray, int, int]],
    pool: Artifact,
    way: str,
    yes: tuple[str, ...],
    no: tuple[str, ...] | None,
) -> None:
    """In any batch, in any order, and alone."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    logits, tokens, cut = plain[way]
    spelled = [[tokenizer.encode(word).ids for word in words] for words in (yes, no or ())]
    sides = [logits[:, [one for (one,) in ids]] for ids in spelled]
    expected = log_sum(sides[0]) - (log_sum(sides[1]) if no else 0.0)

    words = f"yes={listed(yes)},no={listed(no) if no else 'none'}"
    teacher = teacher_of(f"causal_lm(model={smollm2},{asked(way)},{words})")
    query = np.repeat(np.arange(QUERIES, dtype=np.uint32), PER_QUERY)
    doc = np.arange(len(query), dtype=np.uint32)
    with using(Engine(device="cpu", batch_tokens=512)):
        prepared = PREPARERS[type(teacher)](pool.workspace, teacher, pool, INLINE)
        scorer = prepared.make(**prepared.options)
        whole = scorer.score(query, doc)
        alone = [scorer.score(query[at : at + 1], doc[at : at + 1]).scores for at in (0, 5, 7)]
        some = np.random.default_rng(0).permutation(len(doc))[: 8 if ALL else 4]
        mixed = scorer.score(query[some], doc[some]).scores
    np.testing.assert_allclose(whole.scores, expected, rtol=0, atol=OFF)
    assert np.ptp(expected) > 20 * OFF
    assert [one.tobytes() for one in alone] == [
        whole.scores[at : at + 1].tobytes() for at in (0, 5, 7)
    ]
    assert mixed.tobytes() == whole.scores[some].tobytes()
    assert cast(Any, scorer).truncated(query, doc) == cut > 0
    assert whole.usage["tokens"] - whole.usage["padding"] < tokens  # a query's prompt once


def test_the_words_that_refuse_a_gguf_file_convert_it(
    packaged_smollm2: Path, smollm2: Path, tmp_path: Path
) -> None:
    """What the message says is run as it stands; the weights are those of our own reading."""
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no package {package}: make teachers installs it")
    if not ALL:
        pytest.skip("three quarters of a minute: make teachers, or RANKMILL_TEACHERS=all")
    from safetensors.torch import load_file

    with pytest.raises(BadInput) as refused:
        resolve(str(packaged_smollm2))
    lines = re.search(r"in Python, (.*); then give NEW", str(refused.value), re.DOTALL)
    assert lines is not None
    new = tmp_path / "new"
    told = {"FOLDER": str(packaged_smollm2.parent), "NEW": str(new)}
    with contextlib.redirect_stderr(io.StringIO()):
        exec(compile(lines[1], "the message", "exec"), told)  # noqa: S102 - it is ours
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (smollm2, new))
    assert set(ours) == set(theirs)
    for name, weights in theirs.items():
        assert (weights.to(ours[name].dtype) == ours[name]).all(), name
    assert resolve(new).path == new
    teacher = teacher_of(f"causal_lm(model={new},user='{{query}}{{document}}',yes=Yes,no=No)")
    assert "<|im_start|>user" in cast(Any, teacher).asked(resolve(new)).text
