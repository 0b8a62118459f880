"""No result depends on how many threads share an operation: forward passes, searches, sums.

The models are those of awkward widths whose bits do depend on it wherever one operation is shared:
with a matrix of width 32 a float32 product on two threads differs from that on one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import thread_probe
import torch
from tiny_collection import tiny_beir
from tiny_language_models import tiny_causal_lm, tiny_seq2seq
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.actors import INLINE
from rankmill.mining.collection import collect
from rankmill.mining.derive.conditions import _by_one_thread
from rankmill.mining.devices import on_every_core
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.forward import Forward
from rankmill.mining.models.sequences import Template, single_sequences
from rankmill.mining.models.tokens import Ragged
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.teachers import teacher_of
from rankmill.mining.teachers.base import PREPARERS

THREADS = (1, 2, 3)
ONE_BATCH, SEVERAL = 30, 100  # texts: about 1,500 of the 2,048 tokens of a batch, and three batches
AWKWARD = [  # width, heads, what is read, precision
    (32, 4, "mean", "float32"),
    (24, 3, "last", "float32"),
    (36, 4, "cls", "float32"),
    (32, 4, "logits", "float32"),
    (100, 4, "logits", "float32"),
    (24, 3, "logits", "bfloat16"),
    (36, 4, "logits", "bfloat16"),
    (32, 4, "mean", "bfloat16"),
]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def same_for_any_threads(compute: Callable[[], Any]) -> Any:
    """Return what `compute` gives; its bytes must be equal with 1, 2 and 3 threads."""
    found = []
    for threads in THREADS:
        torch.set_num_threads(threads)
        found.append(compute())
        assert torch.get_num_threads() == threads
    assert len({np.asarray(one).tobytes() for one in found}) == 1
    return found[0]


def some_texts(count: int) -> Ragged:
    rng = np.random.Generator(np.random.Philox(5))
    sizes = rng.integers(3, 98, SEVERAL)[:count]
    values = np.random.Generator(np.random.Philox(6)).integers(5, 200, 120 * SEVERAL)
    return Ragged(values.astype(np.uint16), np.concatenate([[0], np.cumsum(sizes)]))


@pytest.mark.parametrize(("width", "heads", "head", "compute"), AWKWARD)
def test_vectors_and_logits(
    tmp_path: Path, width: int, heads: int, head: str, compute: str
) -> None:
    make = tiny_cross_encoder if head == "logits" else tiny_encoder
    shape: dict[str, Any] = {
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": 2 * width,
    }
    check_forward(make(tmp_path / "model", **shape), head, compute)


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "mpnet", "deberta-v2"])
def test_logits_of_other_architectures(tmp_path: Path, kind: str) -> None:
    check_forward(tiny_cross_encoder(tmp_path / kind, kind=kind), "logits", "float32")


def check_forward(folder: Path, head: str, compute: str) -> None:
    """One batch and several give a text the same bits, with any number of threads."""
    model = resolve(folder)
    template = Template.of(model.tokenizer(), pair=False)
    forward = Forward(model, head=head, compute=compute, max_length=100)

    def rows(count: int) -> np.ndarray:
        return forward.run(single_sequences(some_texts(count), template, 100))

    few = same_for_any_threads(lambda: rows(ONE_BATCH))
    many = same_for_any_threads(lambda: rows(SEVERAL))
    assert few.tobytes() == many[:ONE_BATCH].tobytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("world")
    workspace = Workspace(folder / "work")
    collection = collect(workspace, f"beir:{tiny_beir(folder / 'beir', docs=40, queries=8)}")
    return mine(workspace, "random", collection, "train", depth=6)


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_log_odds(tmp_path: Path, run: Artifact, kind: str, compute: str) -> None:
    folder = (tiny_causal_lm if kind == "causal_lm" else tiny_seq2seq)(tmp_path / kind)
    teacher = teacher_of(
        f'{kind}(model={folder},compute={compute},prompt="{{query}} {{document}}")'
    )
    prepared = PREPARERS[type(teacher)](run.workspace, teacher, run, INLINE)
    scorer = prepared.make(**prepared.options)
    query, doc = np.repeat(np.arange(4, dtype=np.uint32), 5), np.arange(20, dtype=np.uint32)
    whole = same_for_any_threads(lambda: scorer.score(query, doc).scores)
    first = same_for_any_threads(lambda: scorer.score(query[:1], doc[:1]).scores)
    assert first.tobytes() == whole[:1].tobytes()


def test_whatever_the_environment_says(tmp_path: Path) -> None:
    """Vectors, runs, indexes, scores, columns and sums: the same bytes with 1 and 3 threads."""
    tiny_beir(tmp_path / "beir", docs=400, queries=500)
    tiny_encoder(tmp_path / "encoder", hidden_size=36, intermediate_size=72)
    tiny_cross_encoder(tmp_path / "cross")
    found = []
    for threads in (1, 3):
        place = tmp_path / f"work{threads}"
        ended = subprocess.run(
            [sys.executable, thread_probe.__file__, str(tmp_path), str(place)],
            env=os.environ | dict.fromkeys(thread_probe.THREAD_VARIABLES, str(threads)),
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        found.append(json.loads(ended.stdout))
    differing = {name: [one[name] for one in found] for name in found[0]}
    assert {name for name, hashes in differing.items() if len(set(hashes)) > 1} == set()


def test_a_condition_with_aggregates() -> None:
    """polars shares a column of this length out: SUM(x·x) hangs on the number of its threads."""
    x = np.random.Generator(np.random.Philox(7)).lognormal(0, 3, 1_000_001)
    # In the order of one thread: what polars itself gives in a process that has one.
    code = "import sys, numpy, polars as pl; x = numpy.frombuffer(sys.stdin.buffer.read()); "
    code += "print(repr(pl.DataFrame({'x': x}).select(pl.sql_expr('SUM(x * x)')).item()))"
    one = subprocess.run(
        [sys.executable, "-c", code],
        input=x.tobytes(),
        capture_output=True,
        env=os.environ | {"POLARS_MAX_THREADS": "1"},
        check=True,
    )
    exact = float(one.stdout)
    assert exact == pytest.approx((x * x).sum(), rel=1e-10)
    whole = pl.DataFrame({"x": x})
    pieces = pl.concat([whole[:7], whole[7:400_000], whole[400_000:]], rechunk=False)
    for frame in (whole, pieces):
        found = _by_one_thread(frame, f"x > 0 AND SUM(x * x) = {exact!r}")
        assert found.len() == len(x)
        assert found.all()


# ---- the threads themselves --------------------------------------------------------------------


def product(_: int) -> bytes:
    """A product whose bits depend on the number of threads, with nothing before it that would let
    torch set up its threads."""
    return (LEFT @ RIGHT).numpy().tobytes()


LEFT = torch.randn(2048, 32, generator=torch.Generator().manual_seed(1))
RIGHT = torch.randn(24, 32, generator=torch.Generator().manual_seed(2)).T


@pytest.mark.parametrize("items", [1, 2, 7])
def test_the_first_operation_of_a_core_has_one_thread_already(items: int) -> None:
    """A fresh thread has OpenMP's own number of threads until torch sets another there."""
    torch.set_num_threads(1)
    alone = product(0)
    found = same_for_any_threads(
        lambda: b"".join(on_every_core(product, range(items), device="cpu"))
    )
    assert found == alone * items


def test_this_file_can_fail() -> None:
    """A sum cut by the number of threads, as a shared operation is, is caught."""

    def shared(_: int) -> float:
        large = np.asarray([2**24, 1, 1, 1, 1, 1], dtype=np.float32)  # where the next is 2 away
        parts = np.array_split(large, torch.get_num_threads())
        return float(sum(np.cumsum(part)[-1] for part in parts))

    with pytest.raises(AssertionError):
        same_for_any_threads(lambda: shared(0))
    same_for_any_threads(lambda: list(on_every_core(shared, [0], device="cpu")))


def test_an_error_leaves_the_callers_threads_as_they_were() -> None:
    def fails(item: int) -> int:
        if item == 2:
            raise ValueError("item 2")
        return item

    torch.set_num_threads(3)
    with pytest.raises(ValueError, match="item 2"):
        list(on_every_core(fails, range(5), device="cpu"))
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as fresh:  # what a new thread of the user's gets
        assert fresh.submit(torch.get_num_threads).result() == 3


def test_two_callers_at_once_do_not_share_threads() -> None:
    torch.set_num_threads(1)
    alone = product(0)
    both = threading.Barrier(2)

    def call(threads: int) -> tuple[set[bytes], int]:
        torch.get_num_threads()  # sets up this thread: later it would forget what is set now
        torch.set_num_threads(threads)
        both.wait()
        found = {one for _ in range(20) for one in on_every_core(product, range(4), device="cpu")}
        return found, torch.get_num_threads()

    with ThreadPoolExecutor(2) as callers:
        assert list(callers.map(call, [2, 3])) == [({alone}, 2), ({alone}, 3)]
