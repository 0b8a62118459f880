"""How often a source is read, what one pass over a table tells, and a source that changes."""

from __future__ import annotations

import gzip
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankmill.mining.collection import collect, survey
from rankmill.mining.collection.base import open_reader
from rankmill.mining.collection.readers import tsv_rows
from rankmill.mining.collection.readers.layouts import DOCUMENTS
from rankmill.mining.errors import BadInput, RankmillError
from rankmill.mining.inputs import blocks
from rankmill.mining.store import Workspace, files
from rankmill.mining.store.files import hashing

PLAIN = "".join(f"d{n}\tTitle {n}\ttext of {n} é\n" for n in range(60))
QUOTED = "".join(f'"d{n}"\t"Title {n}"\t"say ""{n}"""\n' for n in range(60))
MARKS = "".join(f'd{n}\tTitle {n}\the said "{n}"\n' for n in range(60))


def folder(place: Path, documents: str, ending: str = "") -> Path:
    (place / "qrels").mkdir(parents=True)
    pack = gzip.compress if ending else bytes
    (place / f"documents.tsv{ending}").write_bytes(pack(documents.encode()))
    (place / "queries.tsv").write_text("q1\twords\nq2\tother words\n")
    (place / "qrels" / "train.tsv").write_text("q1\td1\t1\nq2\td2\t1\n")
    return place


@pytest.fixture
def passes(monkeypatch) -> dict[str, int]:
    """Count how often the blocks of each file are read from its beginning."""
    counted: dict[str, int] = {}
    pieces = blocks._pieces_of

    def counting(path, digest, size):
        counted[path.name] = counted.get(path.name, 0) + 1
        return pieces(path, digest, size)

    monkeypatch.setattr(blocks, "_pieces_of", counting)
    monkeypatch.setattr(tsv_rows, "_quoted", {})
    return counted


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_table_is_read_to_be_known_and_once_more_to_be_written(
    workspace, tmp_path, passes, ending
) -> None:
    place = folder(tmp_path / "t", PLAIN, ending)
    found = collect(workspace, f"tsv:{place}")
    assert passes[f"documents.tsv{ending}"] == 2
    assert passes["queries.tsv"] == 2
    digest = hashlib.sha256((place / f"documents.tsv{ending}").read_bytes()).hexdigest()
    assert found.corpus.artifact.parameters["content"] == digest
    collect(workspace, f"tsv:{place}")
    assert passes[f"documents.tsv{ending}"] == 3  # to know that it is there already


def test_a_table_that_csv_wrote_is_read_once_more(workspace, tmp_path, passes) -> None:
    found = collect(workspace, f"tsv:{folder(tmp_path / 't', QUOTED)}")
    assert found.corpus.text(3) == 'Title 3 say "3"'
    assert passes["documents.tsv"] == 3


ODD = {
    "plain": PLAIN,
    "quoted": QUOTED,
    "marks": MARKS,
    "no id": PLAIN + "\t\t\n",
    "no text": PLAIN + "x\t \t \u2028\n",
}


@pytest.mark.parametrize("size", [50, 333, 1 << 20])
@pytest.mark.parametrize("kind", ODD)
def test_one_pass_tells_what_several_told(tmp_path, monkeypatch, size, kind) -> None:
    monkeypatch.setattr(tsv_rows, "BLOCK_BYTES", size)
    path = tmp_path / "documents.tsv"
    path.write_text(ODD[kind])
    rows = [line.split("\t") for line in ODD[kind].split("\n")[:-1]]
    bare = [f"line {n}" for n, row in enumerate(rows, 1) if not row[0]]
    blank = [f"line {n}" for n, row in enumerate(rows, 1) if not "".join(row[1:]).strip()]
    for empty in (False, True):
        monkeypatch.setattr(tsv_rows, "_quoted", {})
        looked = tsv_rows.look(path, DOCUMENTS, True, empty)
        monkeypatch.setattr(tsv_rows, "_quoted", {})
        assert looked.quoted == tsv_rows.quoted_fields(path, tsv_rows.table_of(path, DOCUMENTS))
        assert looked.quoted == (180 if kind == "quoted" else 0)
        assert looked.failed is None
        assert looked.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        sizes = np.concatenate([one.sizes for one in looked.outlines]).tolist()
        assert sizes == [sum(len(cell.encode()) for cell in row) for row in rows]
        odd = [one.shown.short(r) for one in looked.outlines for r in range(len(one.odd))]
        assert odd == (blank if empty else bare)


def test_a_line_that_is_refused_waits_for_what_is_told_first(workspace, tmp_path) -> None:
    """The judgements are looked at before the documents, and the file is hashed to its end."""
    place = folder(tmp_path / "t", PLAIN + "d99\tonly two\n" + PLAIN.replace("d", "e"))
    looked = tsv_rows.look(place / "documents.tsv", DOCUMENTS, True, False)
    assert looked.sha256 == hashlib.sha256((place / "documents.tsv").read_bytes()).hexdigest()
    assert "line 61" in str(looked.failed)
    with pytest.raises(BadInput, match="2 columns, expected 3"):
        collect(workspace, f"tsv:{place}")
    (place / "qrels" / "train.tsv").write_text("q1\td1\tgood\n")
    with pytest.raises(BadInput, match="'good' is not a whole number"):
        collect(workspace, f"tsv:{place}")
    assert not workspace.root.exists()


@pytest.mark.parametrize("kind", ["tsv", "jsonl"])
def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, kind) -> None:
    """Even where it keeps its size and its number of rows; then the same command does it anew."""
    place = folder(tmp_path / "t", PLAIN)
    if kind == "jsonl":
        for name in ("documents", "queries"):
            (place / f"{name}.tsv").unlink()
        row = '{"_id": "d%d", "text": "text %d"}\n'
        (place / "documents.jsonl").write_text("".join(row % (n, n) for n in range(60)))
        row = '{"_id": "q%d", "text": "word"}\n'
        (place / "queries.jsonl").write_text(row % 1 + row % 2)
    path = place / f"documents.{kind}"
    look = survey.check_positives

    def changed(*given):
        look(*given)
        path.write_text(path.read_text().replace("text", "TEXT"))

    monkeypatch.setattr(survey, "check_positives", changed)
    workspace = Workspace(tmp_path / "work")
    with pytest.raises(RankmillError, match="the file changed while it was read"):
        collect(workspace, f"{kind}:{place}")
    monkeypatch.undo()
    found = collect(workspace, f"{kind}:{place}")
    assert found.corpus.text(0).endswith("TEXT of 0 é" if kind == "tsv" else "TEXT 0")
    found.corpus.artifact.verify()


def test_a_table_whose_writing_breaks_off_is_written_to_the_same_bytes(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(survey, "PART_ROWS", 20)
    monkeypatch.setattr(tsv_rows, "BLOCK_BYTES", 100)
    place = folder(tmp_path / "t", PLAIN)
    whole = collect(Workspace(tmp_path / "whole"), f"tsv:{place}")

    def fail(step, path):
        if step == "rename" and path.name == "part-00001.json":
            raise KeyboardInterrupt("stop here")

    broken = Workspace(tmp_path / "broken")
    monkeypatch.setattr(files.steps, "fault", fail)
    with pytest.raises(KeyboardInterrupt):
        collect(broken, f"tsv:{place}")
    monkeypatch.setattr(files.steps, "fault", None)
    assert collect(broken, f"tsv:{place}").artifact.root_hash == whole.artifact.root_hash


def test_the_look_is_charged_to_the_corpus_and_fits_into_its_wall_clock(
    workspace, tmp_path, monkeypatch
) -> None:
    """The pass that hashes is the one that looks, so it is part of what the corpus cost."""
    place = folder(tmp_path / "t", PLAIN)
    table_of = tsv_rows.table_of

    def slow(*given: Any) -> Any:
        time.sleep(0.2)
        return table_of(*given)

    monkeypatch.setattr(tsv_rows, "table_of", slow)
    cost = collect(workspace, f"tsv:{place}").corpus.artifact.cost()
    assert 0.2 < cost["shard_wall_s"] <= cost["wall_s"]


def test_an_outline_needs_no_hash_before(tmp_path) -> None:
    reader = open_reader(f"tsv:{folder(tmp_path / 't', PLAIN)}")
    for _ in range(2):
        assert sum(len(one) for one in reader.outline("corpus")) == 60
    reader.facts()
    for _ in range(2):
        assert sum(len(one) for one in reader.outline("corpus")) == 60


def test_a_process_hashes_a_file_once_for_each_of_its_states(tmp_path, monkeypatch) -> None:
    """Collected again, a file is known by its entry; one that changed is read, whatever its size,
    and so is one that changed only just now."""
    place = folder(tmp_path / "t", PLAIN)
    (place / "documents.tsv").unlink()
    path, row = place / "documents.jsonl", '{"_id": "d%d", "text": "text %d"}\n'
    path.write_text("".join(row % (n, n) for n in range(60)))
    (place / "queries.tsv").unlink()
    row_of_query = '{"_id": "q%d", "text": "word"}\n'
    (place / "queries.jsonl").write_text(row_of_query % 1 + row_of_query % 2)
    read, real = list[str](), hashing.sha256_of

    def counted(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(hashing, "sha256_of", counted)
    hour = time.time() - 3600
    for one in place.rglob("*.*"):
        os.utime(one, (hour, hour))
    found = [collect(Workspace(tmp_path / name), f"jsonl:{place}") for name in ("one", "two")]
    assert sorted(read) == ["documents.jsonl", "queries.jsonl", "train.tsv"]
    assert found[0].artifact.root_hash == found[1].artifact.root_hash
    path.write_text(path.read_text().replace("text 7", "TEXT 7"))  # of the same size
    os.utime(path, (hour + 7200, hour + 7200))  # just now, however slow this machine is
    again = [collect(Workspace(tmp_path / name), f"jsonl:{place}") for name in ("one", "two")]
    assert read.count("documents.jsonl") == 3
    assert again[0].corpus.text(7) == "TEXT 7"
    os.utime(path, (hour + 1, hour + 1))
    for _ in range(2):
        assert collect(Workspace(tmp_path / "one"), f"jsonl:{place}").corpus.text(7) == "TEXT 7"
    assert read.count("documents.jsonl") == 4
