"""contrastors: shards whose lines are found by offsets, and gzip in blocks that it is packed in."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from toy_groups import DOCS, random_toy, rows_of, toy

from rankmill.mining.exports import export_groups, gzip_blocks


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return random_toy(tmp_path_factory.mktemp("contrastors"))


def test_contrastors_offsets_of_many_shards(made, tmp_path):
    groups, collection = made
    out = export_groups("contrastors(shard=5)", groups, collection, tmp_path / "out").path
    counts = json.loads((out / "counts.json").read_text())
    assert list(counts.values()) == [5, 5, 3]
    offsets = json.loads(gzip.open(out / "offsets.json.gz").read())
    queries = []
    for name, count in counts.items():
        text = gzip.open(out / name, "rt", encoding="utf-8", newline="").read()
        for line in range(count):
            begin, end = offsets[name][str(line)]
            queries.append(json.loads(text[begin:end])["query"])
    ids = [query for query, _, _ in rows_of(groups, collection)]
    assert queries == collection.queries.texts(collection.queries.ordinals(ids))


def test_an_offset_is_the_same_in_bytes_and_characters(tmp_path):
    groups, collection = toy(tmp_path, docs=DOCS | {"1": 'süß 🦉 \u2028 "x" \\ \x7f'})
    out = export_groups("contrastors", groups, collection, tmp_path / "out").path
    raw = gzip.open(out / "shard-00000.jsonl.gz").read()
    assert raw.isascii()
    assert json.loads(gzip.open(out / "offsets.json.gz").read()) == {
        "shard-00000.jsonl.gz": {"0": [0, len(raw)]}
    }
    assert json.loads(raw)["negatives"][0] == 'süß 🦉 \u2028 "x" \\ \x7f'


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("s3://mine/groups", "mine/groups/shard-00000.jsonl.gz"),
        ("/data/groups/", "data/groups/shard-00000.jsonl.gz"),
        ("/home/me/data/groups", "me/data/groups/shard-00000.jsonl.gz"),
    ],
)
def test_a_shard_goes_by_the_end_of_its_path(made, tmp_path, bucket, key):
    groups, collection = made
    settings = {"bucket": bucket}
    made_ = export_groups(
        "contrastors", groups, collection, tmp_path / "out", settings=settings
    ).path
    assert json.loads((made_ / "counts.json").read_text()) == {key: 13}
    assert list(json.loads(gzip.open(made_ / "offsets.json.gz").read())) == [key]


@pytest.mark.parametrize("size", [0, 5, 16, 17, 50])
@pytest.mark.parametrize("threads", [1, 3])
def test_gzip_in_blocks_is_what_was_written_whatever_the_threads(monkeypatch, size, threads):
    monkeypatch.setattr(gzip_blocks, "_BLOCK", 16)
    monkeypatch.setattr(gzip_blocks, "processors", lambda: threads)
    data = bytes(range(size))
    packed = io.BytesIO()
    memory = bytearray(7)  # used again and again, as writers do
    with gzip_blocks.GzipBlocks(packed) as blocks:
        for at in range(0, size, 7):
            piece = data[at : at + 7]
            memory[: len(piece)] = piece
            assert blocks.write(memoryview(memory)[: len(piece)]) == len(piece)
        blocks.finish()
    assert gzip.decompress(packed.getvalue()) == data
    assert packed.getvalue().count(b"\x1f\x8b\x08") == size // 16 + 1
