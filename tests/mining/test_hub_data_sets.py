"""Data sets of the Hugging Face Hub by `hf:`, from caches in the layout of its library, offline.

The names of files and columns are those of the repositories on the Hub; the right values are what
their cards say that they mean.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankmill.mining.collection import Collection, collect
from rankmill.mining.errors import BadInput, UsageError

DOCS = {"d1": "first words", "d2": "second words", "d3": "third words"}
ASKED = {"q1": "one", "q2": "two"}
JUDGED = [("q1", "d1", 1), ("q2", "d3", 2)]
Made = bytes | str | list[dict[str, Any]]


def docs(ids: Mapping[str, str] = DOCS, name: str = "_id", **more: Any) -> list[dict[str, Any]]:
    return [{name: i, "title": "", "text": text, **more} for i, text in ids.items()]


def asked(ids: Mapping[str, str] = ASKED, name: str = "_id") -> list[dict[str, Any]]:
    return [{name: i, "text": text} for i, text in ids.items()]


def judged(rows: list[tuple[str, str, int]] = JUDGED, grade: type = float) -> list[dict[str, Any]]:
    return [{"query-id": q, "corpus-id": d, "score": grade(g)} for q, d, g in rows]


def tsv(rows: list[tuple[str, str, int]] = JUDGED) -> str:
    return "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in rows)


def trec(rows: list[tuple[str, str, int]] = JUDGED) -> str:
    return "".join(f"{q}\tQ0\t{d}\t{g}\n" for q, d, g in rows)


def written(name: str, made: Made) -> bytes:
    """Return rows as the ending says: Parquet, else JSON Lines; texts as they are."""
    if isinstance(made, list):
        if name.endswith(".parquet"):
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(made), sink)
            return sink.getvalue()
        made = "".join(json.dumps(row) + "\n" for row in made)
    data = made.encode() if isinstance(made, str) else made
    return gzip.compress(data) if name.endswith(".gz") else data


class Hub:
    """A cache folder as `huggingface_hub` keeps it."""

    def __init__(self, place: Path):
        self.place = place

    def add(self, repo: str, files: Mapping[str, Made], ref: str = "main", sha: str = "a") -> Path:
        held = self.place / f"datasets--{repo.replace('/', '--')}"
        commit = (sha * 40)[:40]
        snapshot = held / "snapshots" / commit
        (held / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (held / "refs" / ref).write_text(commit)
        (held / "blobs").mkdir(exist_ok=True)
        for name, made in files.items():
            data = written(name, made)
            blob = held / "blobs" / hashlib.sha256(data).hexdigest()
            blob.write_bytes(data)
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).symlink_to(blob)
        return snapshot


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return Hub(tmp_path / "cache")


def read(found: Collection) -> tuple[dict[str, str], dict[str, str], dict[str, Any]]:
    """Return documents, queries and judgements by split."""
    rows = range(len(found.corpus))
    texts = dict(zip(found.corpus.ids(rows), found.corpus.texts(rows), strict=True))
    queries = {}
    if "queries" in found.artifact.inputs:
        rows = range(len(found.queries))
        queries = dict(zip(found.queries.ids(rows), found.queries.texts(rows), strict=True))
    splits = {}
    for split in found.splits:
        qrels = found.qrels(split)
        pairs = zip(found.queries.ids(qrels.query), found.corpus.ids(qrels.doc), strict=True)
        splits[split] = sorted((*p, g) for p, g in zip(pairs, qrels.grade.tolist(), strict=True))
    return texts, queries, splits


SHARD = "-00000-of-00001.parquet"
NFC = {f"corpus{SHARD}": docs()}
FILES = {"corpus.jsonl": docs(), "queries.jsonl": asked()}
DE = {"e1": "erstes", "e2": "zweites"}
PLAIN = (DOCS, ASKED, {"test": JUDGED})
BRIGHT: dict[str, Any] = {
    f"documents/biology{SHARD}": [{"id": i, "content": t} for i, t in DOCS.items()],
    f"documents/earth_science{SHARD}": [{"id": i, "content": t} for i, t in DE.items()],
    f"long_documents/biology{SHARD}": [{"id": "long", "content": "a page"}],
    f"examples/biology{SHARD}": [
        {"query": "one", "id": "q1", "gold_ids": ["d1"], "excluded_ids": ["d2"]},
        {"query": "two", "id": "q2", "gold_ids": ["d3", "d2"], "excluded_ids": ["N/A"]},
    ],
    f"examples/earth_science{SHARD}": [
        {"query": "eins", "id": "q1", "gold_ids": ["e1"], "excluded_ids": ["N/A"]}
    ],
    f"gpt4_reason/biology{SHARD}": [{"query": "thought", "id": "q1", "gold_ids": ["d1"]}],
    "README.md": "# BRIGHT",
}
BRIGHT_JUDGED = [("q1", "d1", 1), ("q1", "d2", -100), ("q2", "d2", 1), ("q2", "d3", 1)]
MIRACL = {
    f"miracl-v1.0-{lang}/{role}.miracl-v1.0-{lang}-{split}.tsv": text
    for lang, split, role, text in [
        ("ar", "dev", "topics/topics", "q1\tone\n"),
        ("ar", "train", "topics/topics", "q2\ttwo\n"),
        ("ar", "test-a", "topics/topics", "q9\tblind\n"),
        ("ar", "dev", "qrels/qrels", trec(JUDGED[:1])),
        ("ar", "train", "qrels/qrels", trec(JUDGED[1:])),
        ("sw", "dev", "topics/topics", "q1\tmoja\n"),
        ("sw", "dev", "qrels/qrels", "q1 Q0 e1 1\n"),
    ]
}
MIRACL_DOCS = {
    "miracl-corpus-v1.0-ar/docs-0.jsonl.gz": docs({"d1": "first words"}, "docid"),
    "miracl-corpus-v1.0-ar/docs-1.jsonl.gz": docs(
        {"d2": "second words", "d3": "third words"}, "docid"
    ),
    "miracl-corpus-v1.0-sw/docs-0.jsonl.gz": docs(DE, "docid"),
}
LANGUAGES = {
    f"de-corpus/test{SHARD}": docs(DE),
    f"de-queries/test{SHARD}": asked({"q1": "eins"}),
    f"de-qrels/test{SHARD}": judged([("q1", "e2", 1)]),
    f"en-gb-corpus/test{SHARD}": docs({"x": "other"}),
    f"en-corpus/test{SHARD}": docs(),
    f"en-queries/test{SHARD}": asked(),
    f"en-qrels/test{SHARD}": judged(),
}
GERMAN = (DE, {"q1": "eins"}, {"test": [("q1", "e2", 1)]})

# name: (repositories, the text after hf:, documents, queries, splits)
LAYOUTS: dict[str, tuple[dict[str, Mapping[str, Made]], str, tuple[Any, Any, Any]]] = {
    "mteb, Parquet, data": (
        {
            "mteb/scifact": {
                f"corpus/corpus{SHARD}": docs(),
                f"queries/queries{SHARD}": asked(),
                f"data/test{SHARD}": judged(),
                f"data/train{SHARD}": judged(JUDGED[:1]),
            }
        },
        "mteb/scifact",
        (DOCS, ASKED, {"test": JUDGED, "train": JUDGED[:1]}),
    ),
    "mteb, default": (
        {
            "mteb/x": {
                f"corpus/test{SHARD}": docs(),
                f"queries/test{SHARD}": asked(),
                f"default/test{SHARD}": judged(grade=int),
            }
        },
        "mteb/x",
        PLAIN,
    ),
    "mteb, qrels in Parquet": (
        {
            "mteb/x": {
                f"corpus/corpus{SHARD}": docs(),
                f"queries/queries{SHARD}": asked(),
                f"qrels/test{SHARD}": judged(),
            }
        },
        "mteb/x:default",
        PLAIN,
    ),
    "mteb, JSON Lines": (
        {"mteb/nfcorpus": {**FILES, "qrels/test.jsonl": judged(), "README.md": "# x"}},
        "mteb/nfcorpus",
        PLAIN,
    ),
    "BEIR's folder": ({"x/y": {**FILES, "qrels/test.tsv": tsv()}}, "x/y", PLAIN),
    "BEIR's folder, compressed": (
        {
            "x/y": {
                "corpus.jsonl.gz": docs(),
                "queries.jsonl.gz": asked(),
                "qrels/test.tsv.gz": tsv(),
                "qrels/dev.tsv": tsv(JUDGED[1:]),
            }
        },
        "x/y",
        (DOCS, ASKED, {"test": JUDGED, "dev": JUDGED[1:]}),
    ),
    "a pair of repositories": (
        {
            "BeIR/nfcorpus": {"corpus.jsonl.gz": docs(), "queries.jsonl.gz": asked()},
            "BeIR/nfcorpus-qrels": {"test.tsv": tsv(), "validation.tsv": tsv(JUDGED[:1])},
        },
        "BeIR/nfcorpus+BeIR/nfcorpus-qrels",
        (DOCS, ASKED, {"test": JUDGED, "validation": JUDGED[:1]}),
    ),
    "a pair, Parquet": (
        {
            "BeIR/nfcorpus": {
                "corpus/nfcorpus-corpus.parquet": docs(),
                "queries/nfcorpus-queries.parquet": asked(),
            },
            "BeIR/nfcorpus-qrels": {"test.tsv": tsv()},
        },
        "BeIR/nfcorpus+BeIR/nfcorpus-qrels",
        PLAIN,
    ),
    "documents alone of a pair": (
        {"BeIR/nfcorpus": {"corpus.jsonl.gz": docs(), "queries.jsonl.gz": asked()}},
        "BeIR/nfcorpus",
        (DOCS, ASKED, {}),
    ),
    "shards": (
        {
            "x/y": {
                "corpus/corpus-00000-of-00002.parquet": docs({"d1": "first words"}),
                "corpus/corpus-00001-of-00002.parquet": docs(
                    {"d2": "second words", "d3": "third words"}
                ),
                f"queries/queries{SHARD}": asked(),
                "data/test-00000-of-00002.parquet": judged(JUDGED[:1]),
                "data/test-00001-of-00002.parquet": judged(JUDGED[1:]),
            }
        },
        "x/y",
        PLAIN,
    ),
    "converted by the Hub": (
        {
            "x/y": {
                "corpus/corpus/0000.parquet": docs(),
                "queries/queries/0000.parquet": asked(),
                "default/test/0000.parquet": judged(),
            }
        },
        "x/y@refs/convert/parquet",
        PLAIN,
    ),
    "one table of passages": (
        {"x/passages": {f"data/train{SHARD}": docs(name="docid")}},
        "x/passages",
        (DOCS, {}, {}),
    ),
    "numbers as ids": (
        {
            "x/y": {
                f"corpus/corpus{SHARD}": [{"_id": 1, "title": None, "text": "a"}],
                f"queries/queries{SHARD}": [{"_id": 2, "text": "b"}],
                f"data/dev{SHARD}": [{"query-id": 2, "corpus-id": 1, "score": 1}],
            }
        },
        "x/y",
        ({"1": "a"}, {"2": "b"}, {"dev": [("2", "1", 1)]}),
    ),
    "a language": ({"mteb/m": LANGUAGES}, "mteb/m:de", GERMAN),
    "a language whose name begins another's": ({"mteb/m": LANGUAGES}, "mteb/m:en", PLAIN),
    "the language behind": (
        {
            "mteb/m": {
                f"corpus-de/test{SHARD}": docs(DE),
                f"queries-de/test{SHARD}": asked({"q1": "eins"}),
                f"qrels-de/test{SHARD}": judged([("q1", "e2", 1)]),
                f"corpus-fr/test{SHARD}": docs(),
            }
        },
        "mteb/m:de",
        GERMAN,
    ),
    "queries by language, documents for all": (
        {
            "x/y": {
                "corpus.jsonl": docs(),
                "de/queries.jsonl": asked({"q1": "eins", "q2": "zwei"}),
                "fr/queries.jsonl": asked({"q1": "un", "q2": "deux"}),
                "qrels/test.tsv": tsv(),
            }
        },
        "x/y:de",
        (DOCS, {"q1": "eins", "q2": "zwei"}, {"test": JUDGED}),
    ),
    "BRIGHT": (
        {"xlangai/BRIGHT": BRIGHT},
        "xlangai/BRIGHT:biology",
        (
            DOCS,
            ASKED,
            {"all": [("q1", "d1", 1), ("q1", "d2", -100), ("q2", "d2", 1), ("q2", "d3", 1)]},
        ),
    ),
    "MIRACL": (
        {"miracl/miracl-corpus": MIRACL_DOCS, "miracl/miracl": MIRACL},
        "miracl/miracl-corpus+miracl/miracl:ar",
        (DOCS, {**ASKED, "q9": "blind"}, {"dev": JUDGED[:1], "train": JUDGED[1:]}),
    ),
    "two forms of one data set": (
        {
            "x/y": {
                **FILES,
                f"corpus/corpus{SHARD}": docs(),
                f"queries/queries{SHARD}": asked(),
                "qrels/test.jsonl": judged(),
                f"qrels/test{SHARD}": judged(),
            }
        },
        "x/y",
        PLAIN,
    ),
    "splits with names of their own": (
        {"x/y": {**FILES, "qrels/clean.tsv": tsv(), "qrels/2019.txt": trec()}},
        "x/y",
        (DOCS, ASKED, {"clean": JUDGED, "2019": JUDGED}),
    ),
    "other files and code beside": (
        {"x/y": {**FILES, "qrels/test.tsv": tsv(), "y.py": "raise SystemExit", "img/a.png": b"x"}},
        "x/y",
        PLAIN,
    ),
    "sentence-transformers' names": (
        {
            "s/msmarco": {
                f"corpus/train{SHARD}": [{"passage_id": i, "passage": t} for i, t in DOCS.items()],
                f"queries/train{SHARD}": [{"query_id": i, "query": t} for i, t in ASKED.items()],
                f"triplets/train{SHARD}": [{"query_id": "q1", "positive_id": "d1"}],
            }
        },
        "s/msmarco",
        (DOCS, ASKED, {}),
    ),
    "MS MARCO's names": (
        {
            "x/ms": {
                "collection.tsv": "".join(f"{i}\t{t}\n" for i, t in DOCS.items()),
                "queries.train.tsv": "q1\tone\n",
                "queries.dev.small.tsv": "q2\ttwo\n",
                "qrels.train.tsv": trec(JUDGED[:1]),
                "qrels.dev.small.tsv": trec(JUDGED[1:]),
            }
        },
        "x/ms",
        (DOCS, ASKED, {"train": JUDGED[:1], "dev.small": JUDGED[1:]}),
    ),
    "documents in parts": (
        {
            "x/wiki": {
                "corpus/part_00.jsonl": docs({"d1": "first words"}),
                "corpus/part_01.jsonl.gz": docs({"d2": "second words", "d3": "third words"}),
                "queries.jsonl": asked(),
            }
        },
        "x/wiki",
        (DOCS, ASKED, {}),
    ),
    "a card with all of its files": (
        {
            "mteb/m": {
                **LANGUAGES,
                "README.md": "---\nconfigs:\n- config_name: de-corpus\n  data_files:\n"
                "    - path: de-corpus/test-*\n- config_name: it-corpus\n  data_files:\n"
                "  - split: test\n    path: it-corpus/test-*\n---\n# m\n",
            }
        },
        "mteb/m:de",
        GERMAN,
    ),
    "a URL of the library's": ({"x/y": FILES}, "//datasets/x/y", (DOCS, ASKED, {})),
}


@pytest.mark.filterwarnings("ignore:hf.*not read")
@pytest.mark.parametrize(("repos", "spec", "right"), LAYOUTS.values(), ids=LAYOUTS)
def test_repositories_are_read_as_their_files_say(workspace, hub, repos, spec, right):
    ref = spec.partition("@")[2] or "main"
    for repo, files in repos.items():
        hub.add(repo, files, ref)
    assert read(collect(workspace, f"hf:{spec}")) == right
    hub.place.rename(hub.place.parent / "gone")  # what was read is in the workspace


REFUSED: dict[str, tuple[Mapping[str, Made], str, type[Exception], list[str]]] = {
    "not in the cache": (FILES, "x/other", BadInput, ["'x/other'", "'main'", "HF_HUB_OFFLINE"]),
    "another revision": (FILES, "x/y@v2", BadInput, ["'v2'", "main", "hf download x/y"]),
    "a commit that is not there": (FILES, f"x/y@{'c' * 40}", BadInput, ["'cccc"]),
    "unknown config": (LANGUAGES, "x/y:dee", BadInput, ["no config 'dee'", "did you mean de"]),
    "several configs": (LANGUAGES, "x/y", BadInput, ["3 configs: de, en, en-gb", "hf:x/y:de"]),
    "several domains": (BRIGHT, "x/y", BadInput, ["biology", "choose one"]),
    "no documents": (
        {"queries.jsonl": asked(), "notes/a.csv": "x"},
        "x/y",
        BadInput,
        ["no documents are found", "x/y/notes/a.csv", "x/y/queries.jsonl"],
    ),
    "nothing that is read": ({"README.md": "# x"}, "x/y", BadInput, ["x/y/README.md"]),
    "judgements without queries": (
        {"corpus.jsonl": docs(), "qrels/test.tsv": tsv()},
        "x/y",
        BadInput,
        ["no queries are found", "x/y/qrels/test.tsv"],
    ),
    "a shard is missing": (
        {"corpus/corpus-00001-of-00002.parquet": docs()},
        "x/y",
        BadInput,
        ["corpus/corpus-…-of-00002", "00000 is missing"],
    ),
    "queries of another language only": (
        {"de-corpus/a.jsonl": docs(), "fr-queries/a.jsonl": asked()},
        "x/y:de",
        BadInput,
        ["none of the config 'de'"],
    ),
    "a judgement of an unknown document": (
        {**FILES, "qrels/test.tsv": tsv([("q1", "zz", 1)])},
        "x/y",
        BadInput,
        ["'zz'", "test.tsv", "dangling_qrel=drop"],
    ),
    "damaged": ({"corpus.parquet": b"PAR1 no"}, "x/y", BadInput, ["not a readable Parquet file"]),
    "lists that are none": (
        {
            "documents/a.parquet": docs(),
            "examples/a.parquet": [{"id": "q1", "query": "one", "gold_ids": "d1"}],
        },
        "x/y",
        BadInput,
        ["'gold_ids'", "not a list"],
    ),
    "no owner": (FILES, "squad", UsageError, ["'squad'", "OWNER/NAME"]),
    "a path": (FILES, "../x/y", UsageError, ["OWNER/NAME"]),
    "out of the cache": (FILES, "x/y@a/../../b", UsageError, ["REVISION"]),
    "an empty config": (FILES, "x/y:", UsageError, ["CONFIG"]),
    "two configs": (FILES, "x/y:a+x/z:b", UsageError, ["two configs: a and b"]),
}


@pytest.mark.parametrize(("files", "spec", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_clear_is_refused(workspace, hub, files, spec, kind, said):
    hub.add("x/y", files)
    before = sorted(hub.place.rglob("*"))
    with pytest.raises(kind) as caught:
        collect(workspace, f"hf:{spec}")
    for part in said:
        assert part in str(caught.value)
    assert not list(workspace.root.rglob("*.arrow"))
    assert sorted(hub.place.rglob("*")) == before


def test_a_refusal_names_repository_revision_and_cache(workspace, hub):
    with pytest.raises(BadInput) as caught:
        collect(workspace, "hf:mteb/scifact@v1")
    for part in ("mteb/scifact", "v1", str(hub.place), "hf download mteb/scifact"):
        assert part in str(caught.value)


def test_a_file_whose_blob_is_gone_is_named(workspace, hub):
    snapshot = hub.add("x/y", FILES)
    (snapshot / "corpus.jsonl").resolve().unlink()
    with pytest.raises(BadInput, match=r"corpus\.jsonl is a link to a file that is not there"):
        collect(workspace, "hf:x/y")


def test_revisions_are_told_apart_by_content_alone(workspace, hub):
    hub.add("x/y", FILES)
    hub.add("x/y", {**FILES, "corpus.jsonl": docs(DE)}, ref="v2", sha="b")
    hub.add("x/copy", FILES, ref="old", sha="c")
    first, second = (collect(workspace, f"hf:{s}") for s in ("x/y", "x/y@v2"))
    assert first.corpus.ids(range(3)) == list(DOCS)
    assert second.corpus.ids(range(2)) == list(DE)
    for same in ("x/copy@old", f"x/y@{'a' * 40}", "x/y@main"):
        found = collect(workspace, f"hf:{same}")
        assert found.artifact.fingerprint == first.artifact.fingerprint
    assert second.artifact.fingerprint != first.artifact.fingerprint


CARD = """---
language: en
configs:
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus/corpus-*
- config_name: default
  data_files:
  - split: test
    path: data/test-*
- config_name: queries
  data_files: "queries/*.parquet"
- config_name: triplets
  data_files:
  - split: train
    path: triplets/train-*
---
# A data set
"""


@pytest.mark.parametrize("absent", ["corpus/corpus", "queries/queries", "data/test"])
def test_a_part_of_a_data_set_is_not_taken_for_the_whole(workspace, hub, absent):
    files = {
        f"corpus/corpus{SHARD}": docs(),
        f"queries/queries{SHARD}": asked(),
        f"data/test{SHARD}": judged(),
        "README.md": CARD,
    }
    hub.add("x/whole", files)
    assert read(collect(workspace, "hf:x/whole")) == PLAIN
    del files[f"{absent}{SHARD}"]
    hub.add("x/part", files)
    with pytest.raises(BadInput, match="not whole"):
        collect(workspace, "hf:x/part")


@pytest.mark.parametrize("line", ["data_files: [a.jsonl, b.jsonl]", "path: hf://x/y/z.parquet"])
def test_what_is_no_pattern_of_a_card_promises_nothing(workspace, hub, line):
    hub.add("x/y", {**FILES, "README.md": f"---\nconfigs:\n- config_name: a\n  {line}\n---\n"})
    assert read(collect(workspace, "hf:x/y"))[:2] == PLAIN[:2]


def record(hub: Hub, repo: str, names: Mapping[str, Any]) -> None:
    """Write down all names of a repository as the library does when it downloads."""
    from huggingface_hub import _tree_cache

    entries = {name: _tree_cache.TreeCacheEntry(size=1, blob_id="0") for name in names}
    held = hub.place / f"datasets--{repo.replace('/', '--')}"
    _tree_cache.write_tree_cache(str(held), "a" * 40, entries)


def test_the_record_of_a_download_says_what_is_whole(workspace, hub):
    de = {name: made for name, made in LANGUAGES.items() if name.startswith("de-")}
    hub.add("mteb/m", de)
    record(hub, "mteb/m", {**LANGUAGES, "README.md": "", "model.bin": ""})
    assert read(collect(workspace, "hf:mteb/m:de")) == GERMAN
    with pytest.raises(BadInput, match="not whole"):
        collect(workspace, "hf:mteb/m:en")
    with pytest.raises(BadInput, match="3 configs: de, en, en-gb"):
        collect(workspace, "hf:mteb/m")
    hub.add("x/y", FILES)  # what is no part of a collection need not be there
    record(hub, "x/y", {**FILES, "triplets/train.parquet": "", "y.csv": ""})
    assert read(collect(workspace, "hf:x/y"))[:2] == PLAIN[:2]
    hub.add("x/z", FILES)
    record(hub, "x/z", {**FILES, "qrels/test.tsv": ""})
    with pytest.raises(BadInput, match="not whole"):
        collect(workspace, "hf:x/z")


def test_files_with_rows_that_are_not_read_are_told(workspace, hub):
    hub.add("x/y", {**FILES, "top_ranked/test.jsonl": [{"query-id": "q1", "corpus-ids": ["d1"]}]})
    with pytest.warns(RuntimeWarning, match=r"not read: x/y/top_ranked/test\.jsonl"):
        collect(workspace, "hf:x/y")


def test_the_cache_below_the_home_of_the_library(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    Hub(tmp_path / "home" / "hub").add("x/y", FILES)
    assert read(collect(workspace, "hf:x/y"))[0] == DOCS


# ---- with a network, played by stand-ins for the library's two calls -----------------------------


@pytest.fixture
def online(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A Hub that holds `x/far`; returns the patterns of what was asked for."""
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    local, fetched = huggingface_hub.snapshot_download, []

    def listing(self: Any, name: str, **_: Any) -> list[str]:
        if name != "x/far":
            raise ConnectionError("no route to host")
        return [*LANGUAGES, "model.bin", "README.md"]

    def download(name: str, **how: Any) -> str:
        if how.get("local_files_only"):
            return str(local(name, **how))
        fetched.append(how["allow_patterns"])
        wanted = {n: made for n, made in LANGUAGES.items() if n in how["allow_patterns"]}
        return str(hub.add(name, wanted))

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", listing)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return fetched


def test_only_the_files_that_are_read_are_fetched(workspace, online):
    assert read(collect(workspace, "hf:x/far:de")) == GERMAN
    assert [sorted(patterns) for patterns in online] == [
        ["README.md", *sorted(name for name in LANGUAGES if name.startswith("de-"))]
    ]


def test_nothing_is_fetched_where_it_would_lead_nowhere(workspace, online):
    for spec, said in (("x/far", "3 configs"), ("x/far:it", "no config 'it'")):
        with pytest.raises(BadInput, match=said):
            collect(workspace, f"hf:{spec}")
    with pytest.raises(BadInput, match="cannot be fetched: ConnectionError: no route to host"):
        collect(workspace, "hf:x/nowhere")
    assert online == []
