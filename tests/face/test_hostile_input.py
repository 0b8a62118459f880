"""Every door from outside × every hostile thing that can come through it.

Each attack is a command in a process of its own, with a bound on its memory and its time. What is
right: status 2 or 4 (or 0 where the thing is harmless), the place and the next step, no traceback,
and never «this is a bug».
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from attack_runner import Case, attacked, case, complaint
from tiny_models import tiny_encoder

from rankmill.mining.collection import collect
from rankmill.mining.collection.lines import read_lines, whole_text
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.blocks import read_blocks
from rankmill.mining.inputs.bounds import guards
from rankmill.mining.inputs.bounds.model_files import shapes_of
from rankmill.mining.store import Workspace
from rankmill.mining.teachers.files.pickles import convert_score_pickle

DEEP, DIGITS = 100_000, 5_000

LINES: dict[str, bytes] = {
    "lists in lists": b'{"_id": "d1", "text": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "objects in objects": b'{"_id": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "lists that never end": b"[" * DEEP,
    "deep in another field": b'{"_id": "d1", "text": "x", "o": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "id of many digits": b'{"_id": ' + b"1" * DIGITS + b', "text": "x"}',
    "text of many digits": b'{"_id": "d1", "text": ' + b"1" * DIGITS + b"}",
    "digits in another field": b'{"_id": "d1", "text": "x", "o": ' + b"1" * DIGITS + b"}",
    "1e400": b'{"_id": 1e400, "text": "x"}',
    "NaN": b'{"_id": NaN, "text": "x"}',
    "Infinity as text": b'{"_id": "d1", "text": Infinity}',
    "a key twice": b'{"_id": "d1", "_id": "d2", "text": "x"}',
    "NUL bytes": b"\0" * 1000,
    "lone surrogate": b'{"_id": "d\\ud800", "text": "x"}',
}


def lines_of(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@cache
def packed(codec: str, inside: bytes) -> bytes:
    """Return 16 MB of a byte in a few kB: every door has bombs, all of the same pieces."""
    whole = inside * (1 << 24)
    if codec == "gzip":
        return gzip.compress(whole, 6, mtime=0)
    return bytes(pa.compress(whole, codec=codec, asbytes=True))


def gzip_bomb(path: Path, inside: bytes, before: bytes = b"", times: int = 64) -> None:
    """Write `before` and 16 MB of `inside` times over, one line, as gzip."""
    path.write_bytes(gzip.compress(before, mtime=0) + packed("gzip", inside) * times)


def zstd_bomb(path: Path, inside: bytes, before: bytes = b"", times: int = 64) -> None:
    first = pa.compress(before or b"x", codec="zstd", asbytes=True)
    path.write_bytes(first + packed("zstd", inside) * times)


def long_line(path: Path, before: bytes) -> None:
    """Write 300 MB without a line end; the file takes no room on the disk."""
    path.write_bytes(before)
    os.truncate(path, 300 << 20)


# ---- the doors ---------------------------------------------------------------------------------


FEW = ("gzip bomb in one line", "FIFO", "/dev/zero", "folder")


def few(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """Yield some of them: for doors that are one with another, behind the first step."""
    return ((what, path) for what, path in files if what in FEW)


def odd_files(place: Path, name: str, before: bytes) -> Iterator[tuple[str, Path]]:
    """Yield what a file can be besides a file of lines: `name` in a folder of its own each."""

    def new(what: str) -> Path:
        folder = place / what.replace(" ", "-")
        folder.mkdir(parents=True)
        return folder / name

    path = new("gzip bomb in one line")
    gzip_bomb(path, b"a", before)
    yield "gzip bomb in one line", path
    path = new("zstd bomb in one line")
    zstd_bomb(path, b"a", before)
    yield "zstd bomb in one line", path
    path = new("line of 300 MB")
    long_line(path, before)
    yield "line of 300 MB", path
    path = new("truncated gzip")
    path.write_bytes(gzip.compress(before * 1000)[:-9])
    yield "truncated gzip", path
    for what in ("/dev/zero", "/dev/urandom"):
        path = new(what.strip("/"))
        path.symlink_to(what)
        yield what, path
    path = new("FIFO")
    os.mkfifo(path)
    yield "FIFO", path
    path = new("folder")
    path.mkdir()
    yield "folder", path
    path = new("dangling link")
    path.symlink_to("nowhere")
    yield "dangling link", path
    path = new("NUL bytes")
    path.write_bytes(bytes(100_000))
    yield "NUL bytes", path


def collect_cases(root: Path) -> Iterator[Case]:
    for what, line in LINES.items():
        folder = root / "jsonl" / what.replace(" ", "-").replace("/", "-")
        lines_of(
            folder,
            "documents.jsonl",
            json.dumps({"doc_id": "a", "text": "b"}).encode()
            + b"\n"
            + line.replace(b'"_id"', b'"doc_id"')
            + b"\n",
        )
        yield case("collect jsonl", what, folder, "collect", f"jsonl:{folder}")
    for form, before in {
        "jsonl": b'{"doc_id": "a", "text": "b"}\n{"doc_id": "b", "text": "',
        "tsv": b"doc_id\ttext\na\tb\nb\t",
        "parquet": b"PAR1",
    }.items():
        for what, path in odd_files(root / f"odd-{form}", f"documents.{form}", before):
            yield case(f"collect {form}", what, path.parent, "collect", f"{form}:{path.parent}")


QRELS = {
    "grade of many digits": b"q1\td1\t" + b"1" * DIGITS,
    "1e400": b"q1\td1\t1e400",
    "NaN": b"q1\td1\tNaN",
    "NUL bytes": b"q1\td1\t\0",
    "columns without end": b"q1\td1\t1" + b"\t1" * DEEP,
    "grade of many digits and a point": b"q1\td1\t" + b"1" * DIGITS + b".0",
}


def qrels_cases(root: Path, good: Path) -> Iterator[Case]:
    def beside(what: str, name: str = "test.tsv") -> Path:
        folder = root / what.replace(" ", "-").replace("/", "-")
        shutil.copytree(good, folder)
        for path in (folder / "qrels").iterdir():
            path.unlink()
        return folder / "qrels" / name

    for what, line in QRELS.items():
        path = beside(what)
        path.write_bytes(b"query-id\tcorpus-id\tscore\n" + line + b"\n")
        yield case("qrels", what, root, "collect", f"beir:{path.parents[1]}")
    for what, odd in odd_files(root / "odd", "test.tsv", b"q1\td1\t1\nq2\td"):
        path = beside(f"odd {what}")
        os.replace(odd, path)
        yield case("qrels", what, root, "collect", f"beir:{path.parents[1]}")


RUN = {
    "rank of many digits": b"q1 Q0 d1 " + b"1" * DIGITS + b" 1 t",
    "score of many digits": b"q1 Q0 d1 1 " + b"1" * DIGITS + b" t",
    "rank 1e400": b"q1 Q0 d1 1e400 1 t",
    "rank of many digits with a point": b"q1 Q0 d1 " + b"1" * DIGITS + b".0 1 t",
    "score NaN": b"q1 Q0 d1 1 NaN t",
    "NUL bytes": b"\0" * 1000,
}


def run_cases(root: Path) -> Iterator[Case]:
    words = ("-c", "t", "--split", "test")
    for what, line in RUN.items():
        path = lines_of(root, f"{what.replace(' ', '-')}.txt", line + b"\n")
        yield case("run", what, root, "import", str(path), *words)
    for what, path in odd_files(root / "odd", "run.txt", b"q1 Q0 d1 1 1 t\nq2 Q0 d2 1 2 "):
        yield case("run", what, root, "import", str(path), *words)


SCORES: dict[str, tuple[str, bytes]] = {
    "score of many digits": (
        "jsonl",
        b'{"query_id":"q1","doc_id":"d1","score":' + b"1" * DIGITS + b"}",
    ),
    "query of many digits": (
        "jsonl",
        b'{"query_id":' + b"1" * DIGITS + b',"doc_id":"d1","score":1}',
    ),
    "score 1e400": ("jsonl", b'{"query_id":"q1","doc_id":"d1","score":1e400}'),
    "score NaN": ("jsonl", b'{"query_id":"q1","doc_id":"d1","score":NaN}'),
    "deep score": (
        "jsonl",
        b'{"query_id":"q1","doc_id":"d1","score":' + b"[" * DEEP + b"]" * DEEP + b"}",
    ),
    "deep beside": (
        "jsonl",
        b'{"query_id":"q1","doc_id":"d1","score":1,"o":' + b"[" * DEEP + b"]" * DEEP + b"}",
    ),
    "deep lists": ("jsonl", b"[" * DEEP),
    "a key twice": ("jsonl", b'{"query_id":"q1","doc_id":"d1","score":1,"score":2}'),
    "deep": ("json", b'{"q1":' + b'{"a":' * DEEP),
    "many digits": ("json", b'{"q1":{"d1":' + b"1" * DIGITS + b"}}"),
    "digits in tsv": ("tsv", b"q1\td1\t" + b"1" * DIGITS),
    "digits in trec": ("trec", b"q1 Q0 d1 " + b"1" * DIGITS + b" 1 t"),
    "torn parquet": ("parquet", b"PAR1" + b"\xff" * 100 + b"PAR1"),
    "huge parquet footer": ("parquet", b"PAR1" + b"x" * 64 + struct.pack("<I", 1 << 31) + b"PAR1"),
    "numpy": (
        "npy",
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    ),
}


def score_cases(root: Path) -> Iterator[Case]:
    words = ("--as", "scores", "--kind", "logit", "-c", "t")
    for what, (form, line) in SCORES.items():
        path = lines_of(root, f"{what.replace(' ', '-')}.{form}", line + b"\n")
        yield case("scores", what, root, "import", str(path), *words)
    for form, before in {
        "jsonl": b'{"query_id":"q1","doc_id":"d1","score":1}\n{"query_id":"',
        "json": b'{"q1": {"d1": 1, "',
        "tsv": b"q1\td1\t1\nq2\td",
        "parquet": b"PAR1",
    }.items():
        for what, path in few(odd_files(root / f"odd-{form}", f"scores.{form}", before)):
            yield case(f"scores {form}", what, root, "import", str(path), *words)


GROUPS: dict[str, tuple[str, str]] = {
    "flag-embedding": (
        "x.jsonl",
        '{"query":"x","pos":["a"],"neg":["b"],"pos_scores":[VALUE],"neg_scores":[1]}',
    ),
    "colbert": ("x.jsonl", '["q1",["d1",VALUE],["d2",1]]'),
    "trove": ("x.jsonl", '{"qid":"q1","docid":["d1","d2"],"score":[VALUE,1]}'),
    "flat": (
        "x.jsonl",
        '{"qid":"q1","pos":["d1"],"neg":["d2"],"pos.score":[VALUE],"neg.score":[1]}',
    ),
    "rows": ("x.jsonl", '{"query":"x","positive":"a","negative_1":"b","scores":[VALUE,1]}'),
    "tevatron": (
        "x.jsonl",
        '{"query_id":"q1","query":"x","positive_passages":[{"docid":"d1","score":VALUE}],'
        '"negative_passages":[{"docid":"d2","score":1}]}',
    ),
    "lsr": ("x.tsv", "x\ta\tb\tVALUE\t1"),
    "matchmaker": ("x.tsv", "VALUE\t1\tx\ta\tb"),
}
VALUES = {
    "many digits": b"1" * DIGITS,
    "1e400": b"1e400",
    "NaN": b"NaN",
    "deep": b"[" * DEEP + b"]" * DEEP,
}


def group_cases(root: Path) -> Iterator[Case]:
    for form, (name, line) in GROUPS.items():
        words = ("--as", "groups", "--format", form, "--kind", "logit", "-c", "t")
        for what, value in VALUES.items():
            path = lines_of(
                root / form / what.replace(" ", "-"), name, line.encode().replace(b"VALUE", value)
            )
            yield case(f"groups {form}", what, root, "import", str(path), *words)
    words = ("--as", "groups", "--format", "trove", "--kind", "logit", "-c", "t")
    for what, path in odd_files(root / "odd", "g.jsonl", b'{"qid":"'):
        yield case("groups", what, root, "import", str(path), *words)
    words = ("--as", "groups", "--format", "triple", "--kind", "logit", "-c", "t")
    for what, path in few(odd_files(root / "odd-triple", "g.parquet", b"PAR1")):
        yield case("groups triple", what, root, "import", str(path), *words)


RECIPE = b'name = "x"\ncollection = "t"\nteacher = "stored(scores=s)"\n'
TOML = {
    "lists in lists": b"x = " + b"[" * DEEP + b"]" * DEEP,
    "tables in tables": b"x = " + b"{a=" * DEEP + b"1" + b"}" * DEEP,
    "many digits": b"seed = " + b"1" * DIGITS,
    "1e400": b"seed = 1e400",
    "nan": b"seed = nan",
    "dotted keys": b".".join([b"a"] * DEEP) + b" = 1",
    "dotted table": b"[" + b".".join([b"a"] * DEEP) + b"]",
    "deep spec": b"[mine.sources]\na = '" + b"fuse(" * DEEP + b"'",
    "NUL bytes": b"\0" * 100,
    "key twice": b"seed = 1\nseed = 2",
    "no UTF-8": b"\xff\xfe",
    "hexadecimal of many digits": b"seed = 0x" + b"f" * (100 * DIGITS),
    "a date of other planets": b"seed = 9999-99-99",
}


def recipe_cases(root: Path) -> Iterator[Case]:
    for what, text in TOML.items():
        path = lines_of(root, f"{what.replace(' ', '-')}.toml", RECIPE + text + b"\n")
        yield case("recipe", what, root, "check", str(path))
    path = lines_of(root, "good.toml", RECIPE)
    for what, value in {
        "digits": "seed=" + "1" * DIGITS,
        "deep": "seed=" + "[" * 50_000,
        "deep table": "x=" + "{a=" * 30_000,
        "dots": ".".join(["a"] * 50_000) + "=1",
        "deep spec": "teacher=" + "a(" * 50_000,
    }.items():
        yield case("--set", what, root, "check", str(path), "--set", value)
    for what, path in odd_files(root / "odd", "r.toml", RECIPE + b"x = '"):
        yield case("recipe", what, root, "check", str(path))


SPECS = {
    "brackets": "a(" * 50_000,
    "lists": "fuse(" + "[" * 50_000,
    "closed brackets": "bm25(k1=" + "(" * 60_000,
    "many digits": "bm25(k1=" + "1" * DIGITS + ")",
    "1e400": "bm25(k1=1e400)",
    "nan": "bm25(k1=nan)",
    "key twice": "bm25(k1=1,k1=2)",
    "quote never closed": 'imported(tag="' + "\\" * 100_001,
    "lone surrogate": 'imported(tag="\\ud800")',
    "controls": 'imported(tag="\\u0007\\u001b[2J")',
    "lists in lists closed": "fuse(" + "[" * 500 + "]" * 500 + ")",
    "arguments": "bm25(" + ",".join(["1"] * 40_000) + ")",
}


@contextmanager
def any_digits() -> Iterator[None]:
    """Let whole numbers of any length be spelled."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


def spec_cases(root: Path) -> Iterator[Case]:
    root.mkdir(parents=True, exist_ok=True)
    for what, spec in SPECS.items():
        yield case("spec", what, root, "mine", spec, "-c", "t", "--split", "train", "--depth", "3")


IDS = {"many digits": b"q1\t" + b"1" * DIGITS, "deep": b"[" * DEEP, "NUL bytes": b"\0" * 1000}


def ids_cases(root: Path) -> Iterator[Case]:
    def words(path: Path) -> tuple[str, ...]:
        return ("mine", f'random(depths="{path}")', "-c", "t", "--split", "train", "--depth", "3")

    for what, line in IDS.items():
        path = lines_of(root, f"{what.replace(' ', '-')}.tsv", line + b"\n")
        yield case("depths", what, root, *words(path))
    for what, path in few(odd_files(root / "odd", "d.tsv", b"q1\t")):
        yield case("depths", what, root, *words(path))


def pickle_cases(root: Path) -> Iterator[Case]:
    def convert(what: str, data: bytes) -> Case:
        path = lines_of(root, f"{what.replace(' ', '-')}.pkl", data)
        out = root / f"{what.replace(' ', '-')}.jsonl"
        return case("pickle", what, root, "unsafe-convert-pickle", str(path), "--to", str(out),
                    "--i-trust-this-file")  # fmt: skip

    head = b"\x80\x04}"
    for what, data in {
        "bytes of 2^60": head + b"\x8e" + struct.pack("<Q", 1 << 60),
        "text of 2^60": head + b"\x8d" + struct.pack("<Q", 1 << 60),
        "text of 2^31": head + b"X" + struct.pack("<I", (1 << 32) - 1),
        "long of 2^31": head + b"\x8b" + struct.pack("<i", (1 << 31) - 1),
        "digits": head + b"(X\x01\0\0\0qL" + b"1" * 1_000_000 + b"L\nu.",
        "marks": head + b"(" * 5_000_000,
        "dictionaries": head + b"}" * 5_000_000,
        "tuples in tuples": head + b")" + b"\x85" * 1_000_000 + b"\x85.",
        "a line without end": head + b"V" + b"a" * (1 << 28),
        "a large long as score": head
        + b"(X\x01\0\0\0q}(X\x01\0\0\0d\x8b"
        + struct.pack("<i", 600_000)
        + b"\x01" * 600_000
        + b"uu.",
        "tuple as id": head + b"(" + b")" + b"\x85" * 100_000 + b"}u.",
        "memo": b"\x80\x04" + b"]" + b"r\xff\xff\xff\xff",
    }.items():  # fmt: skip
        yield convert(what, data)
    for what, path in odd_files(root / "odd", "s.pkl", b"\x80\x04}(X\x01\0\0\0qV"):
        yield case("pickle", what, root, "unsafe-convert-pickle", str(path), "--to",
                   str(root / "out.jsonl"), "--i-trust-this-file")  # fmt: skip


# ---- model folders -----------------------------------------------------------------------------

ODD_VALUES: dict[str, Any] = {
    "a million": 1_000_000,
    "2^40": 1 << 40,
    "negative": -3,
    "0": 0,
    "text": "many",
    "list": [2],
    "null": None,
    "1.5": 1.5,
    "true": True,
    "object": {"a": 1},
    "digits": 10**4000,
}
SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "vocab_size", "type_vocab_size",
)  # fmt: skip
CONFIGS: dict[str, Any] = {
    "list": [],
    "null": None,
    "text": "x",
    "number": 1,
    "model_type list": {"model_type": ["bert"]},
    "model_type none such": {"model_type": "nosuch"},
    "model_type missing": {"hidden_size": 1},
    "architectures a number": {"architectures": 3},
    "architectures of lists": {"architectures": [[1], {"a": 1}]},
    "text_config of itself": {"text_config": {"text_config": {}}},
    "auto_map": {"auto_map": {"AutoModel": "x.Y"}},
    "hidden_act unknown": {"hidden_act": "os.system"},
    "hidden_act list": {"hidden_act": [1]},
    "pad_token_id huge": {"pad_token_id": 1 << 40},
    "torch_dtype": {"torch_dtype": "float1024"},
    "layer_norm_eps text": {"layer_norm_eps": "small"},
    "id2label huge": {"num_labels": 1 << 40},
    "id2label odd": {"id2label": [1, 2]},
    "quantization_config": {"quantization_config": {"quant_method": "nosuch"}},
}
JSONS = {"config.json", "tokenizer.json", "modules.json", "sentence_bert_config.json",
         "tokenizer_config.json", "config_sentence_transformers.json", "1_Pooling/config.json",
         "model.safetensors.index.json"}  # fmt: skip
RAW = {
    "deep": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "never closed": b"{",
    "digits": b'{"a": ' + b"1" * DIGITS + b"}",
    "list": b"[]",
    "null": b"null",
    "number": b"3",
    "text": b'"x"',
    "list of numbers": b"[1,2]",
    "no UTF-8": b"\xff\xfe\x00",
    "empty": b"",
    "NaN": b'{"max_seq_length": NaN, "vocab_size": NaN}',
    "surrogate": b'{"prompts": {"query": "\\ud800"}}',
}
TOKENIZERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "model null": lambda t: t | {"model": None},
    "model list": lambda t: t | {"model": []},
    "vocab list": lambda t: t | {"model": t["model"] | {"vocab": [1]}},
    "vocab of texts": lambda t: t | {"model": t["model"] | {"vocab": {"a": "b"}}},
    "vocab negative": lambda t: t | {"model": t["model"] | {"vocab": {"a": -1}}},
    "vocab huge": lambda t: t | {"model": t["model"] | {"vocab": {"[UNK]": 1 << 31}}},
    "vocab 2^32": lambda t: t | {"model": t["model"] | {"vocab": {"[UNK]": 1 << 32}}},
    "vocab empty": lambda t: t | {"model": t["model"] | {"vocab": {}}},
    "added_tokens number": lambda t: t | {"added_tokens": 3},
    "added token huge id": lambda t: t | {"added_tokens": [t["added_tokens"][0] | {"id": 1 << 31}]},
    "post_processor odd": lambda t: t | {"post_processor": {"type": "TemplateProcessing"}},
    "post_processor of ids": lambda t: (
        t | {"post_processor": t["post_processor"] | {"special_tokens": {}}}
    ),
    "normalizer regex": lambda t: (
        t | {"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}}
    ),
    "type number": lambda t: t | {"pre_tokenizer": {"type": 3}},
    "version": lambda t: t | {"version": "99"},
}  # fmt: skip
MODULES: dict[str, Any] = {
    "up": [{"idx": 0, "name": "0", "path": "../../../../etc", "type": "x.Pooling"}],
    "absolute": [{"idx": 0, "name": "0", "path": "/etc", "type": "x.Pooling"}],
    "NUL": [{"idx": 0, "name": "0", "path": "a\0b", "type": "x.Pooling"}],
    "device": [{"idx": 0, "name": "0", "path": "/dev/zero", "type": "x.Dense"}],
    "no type": [{"path": ""}],
    "no path": [{"type": "x.Pooling"}],
    "type a number": [{"path": "", "type": 3}],
    "path a list": [{"path": [], "type": "x.Pooling"}],
    "strings": ["x"],
    "object": {"a": 1},
    "long name": [{"path": "a" * 5000, "type": "x.Pooling"}],
}
SETTINGS: dict[str, tuple[str, Any]] = {
    "max_seq_length text": ("sentence_bert_config.json", {"max_seq_length": "x"}),
    "max_seq_length list": ("sentence_bert_config.json", {"max_seq_length": [1]}),
    "max_seq_length huge": ("sentence_bert_config.json", {"max_seq_length": 1 << 70}),
    "max_seq_length negative": ("sentence_bert_config.json", {"max_seq_length": -1}),
    "prompts list": ("config_sentence_transformers.json", {"prompts": ["x"]}),
    "prompts numbers": ("config_sentence_transformers.json", {"prompts": {"query": 3}}),
    "prompts text": ("config_sentence_transformers.json", {"prompts": "query"}),
    "default prompt list": ("config_sentence_transformers.json", {"default_prompt_name": ["x"]}),
    "default prompt number": ("config_sentence_transformers.json", {"default_prompt_name": 3}),
    "prompts of nobody": ("config_sentence_transformers.json", {"prompts": {"\x1b[2J": "x"}}),
    "pooling list": ("1_Pooling/config.json", ["pooling_mode_mean_tokens"]),
    "pooling mode number": ("1_Pooling/config.json", {"pooling_mode": 3}),
    "index up": ("model.safetensors.index.json", {"weight_map": {"a": "../x.safetensors"}}),
}


def tensors(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start: int, stop: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


WEIGHTS = {
    "header of 2^60 bytes": tensors(b"{}", length=1 << 60),
    "header of 99 MB": tensors(b"{}", length=99 << 20),
    "header deep": tensors(b"[" * DEEP + b"]" * DEEP),
    "header digits": tensors(b'{"a":' + b"1" * DIGITS + b"}"),
    "no JSON": tensors(b"\xff" * 8),
    "beyond the file": tensors({"a": entry(0, 1 << 40, [1 << 38])}),
    "overlapping": tensors({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)),
    "shape overflow": tensors({"a": entry(0, 4, [1 << 62, 1 << 62])}, bytes(4)),
    "negative": tensors({"a": entry(-4, 4, [2])}, bytes(8)),
    "other dtype": tensors({"a": entry(0, 4, [1], "X99")}, bytes(4)),
    "empty": b"",
    "7 bytes": b"\0" * 7,
    "no weights": tensors({}),
}


def model_cases(root: Path, good: Path) -> Iterator[Case]:
    def changed(what: str, *other: str) -> Path:
        """Return a folder with links to all files of the model but some."""
        folder = root / what.replace(" ", "-").replace("/", "-")
        for path in good.rglob("*"):
            name = path.relative_to(good).as_posix()
            if path.is_file() and name not in other:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(path)
        return folder

    def mined(door: str, what: str, folder: Path) -> Case:
        spec = f'dense(model="{folder}")'
        return case(door, what, root, "mine", spec, "-c", "t", "--split", "train", "--depth", "3")

    config = json.loads((good / "config.json").read_text())
    for key in SIZES:
        for what, value in ODD_VALUES.items():
            folder = changed(f"config-{key}-{what}", "config.json")
            with any_digits():
                (folder / "config.json").write_text(json.dumps(config | {key: value}))
            yield mined("config.json", f"{key} {what}", folder)
    for what, value in CONFIGS.items():
        folder = changed(f"config-{what}", "config.json")
        whole = config | value if isinstance(value, dict) else value
        if what == "model_type missing":
            whole = value
        (folder / "config.json").write_text(json.dumps(whole))
        yield mined("config.json", what, folder)
    for name in sorted(JSONS):
        for what, data in RAW.items():
            folder = changed(f"{name}-{what}", name)
            lines_of(folder, name, data)
            yield mined(name, what, folder)
        for what, path in odd_files(root / f"odd-{name}".replace("/", "-"), "x.json", b'{"a": "'):
            if name != "config.json" and what not in FEW:
                continue  # one door for all of them
            folder = changed(f"{name}-odd-{what}", name)
            (folder / name).parent.mkdir(exist_ok=True)
            os.replace(path, folder / name)
            yield mined(name, what, folder)
    tokenizer = json.loads((good / "tokenizer.json").read_text())
    for what, change in TOKENIZERS.items():
        folder = changed(f"tokenizer-{what}", "tokenizer.json")
        (folder / "tokenizer.json").write_text(json.dumps(change(tokenizer)))
        yield mined("tokenizer.json", what, folder)
    for what, value in MODULES.items():
        folder = changed(f"modules-{what}", "modules.json")
        (folder / "modules.json").write_text(json.dumps(value))
        yield mined("modules.json", what, folder)
    for what, (name, value) in SETTINGS.items():
        folder = changed(f"settings-{what}", name)
        lines_of(folder, name, json.dumps(value).encode())
        yield mined(name, what, folder)
    for what, data in WEIGHTS.items():
        folder = changed(f"weights-{what}", "model.safetensors")
        (folder / "model.safetensors").write_bytes(data)
        yield mined("weights", what, folder)
    for what, path in odd_files(root / "odd-weights", "x", b"\x80"):
        folder = changed(f"weights-odd-{what}", "model.safetensors")
        os.replace(path, folder / "model.safetensors")
        yield mined("weights", what, folder)


# ---- running them ------------------------------------------------------------------------------


def judged(outcomes: list[dict[str, Any]]) -> None:
    wrong = {one["name"]: why for one in outcomes if (why := complaint(one))}
    assert not wrong, "\n\n".join(f"{name}\n{why}" for name, why in wrong.items())


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Return a folder with a workspace that holds the collection `t`."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "good" / "qrels").mkdir(parents=True)
    docs = [{"_id": f"d{n}", "title": "", "text": f"text number {n}"} for n in range(9)]
    queries = [{"_id": f"q{n}", "text": f"question {n}"} for n in range(1, 4)]
    for name, rows in (("corpus", docs), ("queries", queries)):
        path = root / "good" / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split in ("train", "test"):
        path = root / "good" / "qrels" / f"{split}.tsv"
        path.write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")
    workspace = Workspace(root / "ws")
    workspace.alias("t", collect(workspace, f"beir:{root / 'good'}").artifact)
    return root


@pytest.fixture
def attack(world, tmp_path, monkeypatch):
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(world / "ws"))

    def run(cases: Iterable[Case], *, models: bool = False) -> None:
        judged(attacked(list(cases), tmp_path, models=models))

    return run


def test_files_and_words(attack, tmp_path, world):
    doors = {
        "collect": collect_cases,
        "qrels": lambda place: qrels_cases(place, world / "good"),
        "runs": run_cases,
        "scores": score_cases,
        "groups": group_cases,
        "recipes": recipe_cases,
        "specs": spec_cases,
        "ids": ids_cases,
        "pickles": pickle_cases,
    }
    attack(chain.from_iterable(cases(tmp_path / door) for door, cases in doors.items()))


def test_model_folders(attack, tmp_path):
    good = tiny_encoder(tmp_path / "good")
    attack(model_cases(tmp_path, good), models=True)


# ---- mutations, in this process ----------------------------------------------------------------


def mutated(data: bytes, number: int) -> bytes:
    """Return data with one to four bytes changed, or cut, or with a piece twice."""
    draws = np.random.Generator(np.random.Philox(number))
    piece = bytearray(data)
    for _ in range(int(draws.integers(1, 5))):
        piece[int(draws.integers(len(piece)))] = int(draws.integers(256))
    at, end = sorted(draws.integers(0, len(piece), 2).tolist())
    return bytes((piece, piece[:at], piece[:end] + piece[at:])[number % 3])


def test_a_thousand_mutated_pickles_are_read_or_refused(tmp_path):
    rows = {f"q{q}": {f"d{d}": q + d / 7 for d in range(5)} for q in range(4)}
    rows["n"] = {"d": np.float32(1.5), "e": 3, "f": 10**30}
    refused = 0
    for number in range(1000):
        path = lines_of(tmp_path, "s.pkl", mutated(pickle.dumps(rows, number % 5 + 1), number))
        try:
            convert_score_pickle(path, tmp_path / "out.jsonl")
        except BadInput:
            refused += 1
    assert refused > 500


def test_a_thousand_mutated_headers_are_read_or_refused(tmp_path):
    whole = tensors({"a": entry(0, 8, [2]), "b": entry(8, 16, [1, 2])}, bytes(16))
    refused = 0
    for number in range(1000):
        path = lines_of(tmp_path, "m.safetensors", mutated(whole, number))
        try:
            shapes_of(path)
        except BadInput:
            refused += 1
    assert refused > 300


# ---- bounds ------------------------------------------------------------------------------------


def test_a_bound_is_said_and_can_be_raised(tmp_path, monkeypatch):
    path = lines_of(tmp_path, "x.txt", b"a" * 100 + b"\nb\n")
    monkeypatch.setenv("RANKMILL_MOST_LINE_BYTES", "99")
    for read in (read_lines, partial(read_blocks, size=64)):
        with pytest.raises(BadInput, match=r"line 1\n  do: .* RANKMILL_MOST_LINE_BYTES"):
            list(read(path))
    monkeypatch.setenv("RANKMILL_MOST_WHOLE_BYTES", "50")
    with pytest.raises(BadInput, match="RANKMILL_MOST_WHOLE_BYTES"):
        whole_text(path)
    monkeypatch.setenv("RANKMILL_MOST_LINE_BYTES", "100")
    assert [line for _, line in read_lines(path)] == ["a" * 100, "b"]
    assert len(list(read_blocks(path, size=64))) == 1


@pytest.mark.parametrize("said", ["many", "-1", "0", "1e9", "9" * 30, "²"])
def test_a_bound_is_a_whole_number(monkeypatch, said):
    monkeypatch.setenv("RANKMILL_MOST_LINE_BYTES", said)
    with pytest.raises(UsageError, match="RANKMILL_MOST_LINE_BYTES="):
        _ = guards.LINE_BYTES.most


def test_the_documentation_lists_every_bound():
    bounds = [one for one in vars(guards).values() if isinstance(one, guards.Bound)]
    text = (Path(__file__).resolve().parents[2] / "docs/faults.md").read_text()
    assert len(bounds) == 5
    for bound in bounds:
        assert f"`{bound.name}`" in text
