"""The command line as a user meets it: the whole way, wrong arguments, damage, a kill."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder
from tiny_recipe import RECIPE

from rankmill.cli import doctor
from rankmill.mining.errors import EXTRAS
from rankmill.mining.models import precision
from rankmill.mining.models.passes import varlen
from rankmill.mining.teachers import scores


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a tiny collection and two tiny models."""
    root = tmp_path_factory.mktemp("cli")
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    return root


@pytest.mark.filterwarnings("ignore:.*validation groups are trained on")
def test_the_whole_way_stage_by_stage(rankmill):
    steps = [
        ("collect", "beir:tiny", "--name", "tiny"),
        ("mine", "bm25(k1=0.9,b=0.4)", "-c", "tiny", "--split", "train", "--depth", "20")
        + ("--name", "bm25", "--trec", "bm25.txt"),
        ("mine", "random", "-c", "tiny", "--split", "train", "--depth", "20", "-n", "random"),
        ("pool", "bm25", "random", "--name", "pool"),
        ("score", "cross_encoder(model=cross)", "--pool", "pool", "--name", "scores"),
        (
            "select",
            "uniform(source=bm25,last=20)",
            "--pool",
            "pool",
            "--scores",
            "scores",
            "--size",
            "4",
        )
        + ("-n", "groups"),
        ("stats", "--groups", "groups", "--scores", "scores", "--encoder", "encoder")
        + ("--name", "stats"),
        ("train", "bi_encoder(model=encoder)", "--groups", "groups", "--documents", "32")
        + ("--doc-length", "40", "--query-length", "20")
        + ("--batch", "4", "--threads", "3", "-n", "student", "--to", "out"),
        ("mine", "bm25", "-c", "tiny", "--split", "test", "--depth", "20", "-n", "test-bm25"),
        ("eval", "--student", "student", "--first-stage", "test-bm25"),
        ("eval", "--student", "out", "-c", "tiny", "--split", "test"),
        ("train", "bi_encoder(model=encoder,separate=true)", "--groups", "groups")
        + ("--loss", "infonce", "--documents", "32", "--doc-length", "40", "--query-length", "20")
        + ("--batch", "4", "--cache", "1", "--validate-steps", "2", "--patience", "1")
        + ("--validation", "groups")
        + ("--name", "towers", "--to", "towers-out"),
        ("eval", "--student", "towers", "-c", "tiny", "--split", "test"),
        ("eval", "--student", "towers-out", "--first-stage", "test-bm25"),
        ("eval", "--run", "bm25.txt", "-c", "tiny", "--split", "train"),
        ("import", "bm25.txt", "-c", "tiny", "--split", "train", "--name", "back"),
    ]
    for step in steps:
        status, out, err = rankmill(*step)
        assert status == 0, (step, err)
        assert ("root" in out) or ("nDCG@10" in out), out
        assert step[0] != "train" or "32 documents seen in 8 groups" in err
        assert "--threads" not in step or "; threads=3" in err
    for name in ("pool", "groups", "stats", "tiny"):
        status, out, _ = rankmill("show", name, "--rows", "2")
        assert status == 0
        assert "rows" in out
    _, out, _ = rankmill("show", "groups", "--rows", "1", "--format", "jsonl")
    row = json.loads(out)
    assert row["query_id"].startswith("q")
    assert len(row["doc_id"]) == 4
    assert rankmill("show", "pool", "--rows", "0", "--format", "csv", "--to", "pool.csv")[0] == 0
    assert Path("pool.csv").read_text().startswith('query_id,query_text,doc_id,"rank[bm25(')
    status, out, _ = rankmill("verify", "--json")
    assert status == 0
    assert json.loads(out)["broken"] == []
    _, out, _ = rankmill("cost", "student")
    assert "total" in out
    assert "scores" in out  # the student's cost holds that of its ancestors
    assert "groups" in rankmill("list", "groups")[1]


def test_a_recipe_runs_once_and_then_finds_everything(rankmill, tmp_path):
    recipe = tmp_path / "t.toml"
    recipe.write_text(RECIPE)
    work = ("--workspace", str(tmp_path / "work"))
    status, out, err = rankmill("run", str(recipe), *work, "--json", "--report", "report.html")
    assert status == 0, err
    first = json.loads(out)
    assert {s["system"] for s in first["systems"]} == {
        "first stage",
        "teacher",
        "untrained start",
        "random",
        "bm25",
    }
    assert Path("report.html").read_text().startswith("<!doctype html>")
    records = {p: p.stat().st_mtime_ns for p in (tmp_path / "work").rglob("*.arrow")}
    written = Path("report.html").stat().st_mtime_ns
    status, out, _ = rankmill("run", str(recipe), *work, "--json", "--report", "report.html")
    again = json.loads(out)
    assert again.pop("command")["artifacts"]["wall_s"] == 0.0
    assert first.pop("command")["artifacts"]["cpu_s"] > 0.0
    assert again == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "work").rglob("*.arrow")} == records
    assert Path("report.html").stat().st_mtime_ns == written
    check = ("check", str(recipe), *work, "--json")
    stages = json.loads(rankmill(*check)[1])["stages"]
    assert [s for s in stages if s["rows"] is None] == []
    other = json.loads(rankmill(*check, "--set", "groups.samplers.bm25=top(source=bm25)")[1])
    missing = {(s["stage"], s["name"]) for s in other["stages"] if s["rows"] is None}
    assert missing == {("select", "bm25"), ("stats", "bm25"), ("train", "bm25, kl")} | {
        (s["stage"], s["name"]) for s in stages if s["stage"] == "evaluate"
    }
    nothing = ("--workspace", str(tmp_path / "none"))
    status, out, _ = rankmill("check", str(recipe), *nothing)
    assert status == 0
    assert f"{len(stages)} stages, {len(stages)} of them to be made" in out
    assert not (tmp_path / "none").exists()
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "work").rglob("*.arrow")} == records


@pytest.mark.ray
def test_two_workers_give_the_same_root_hashes(rankmill, tmp_path, ray_cluster):
    recipe = tmp_path / "t.toml"
    recipe.write_text(RECIPE)
    roots = []
    for workers in ("0", "2"):
        work = ("--workspace", str(tmp_path / workers), "--workers", workers)
        status, out, err = rankmill("run", str(recipe), *work, "--json")
        assert status == 0, err
        roots.append(json.loads(out)["roots"])
    assert roots[0] == roots[1]
    assert len(roots[0]) > 20


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("mine", "bm26", "-c", "tiny", "--split", "train"), 2, "did you mean bm25?"),
        (("mine", "bm25(k9=1)", "-c", "tiny", "--split", "train"), 2, "no parameter 'k9'"),
        (("mine", "bm25", "-c", "tinny", "--split", "train"), 4, "did you mean tiny?"),
        (("mine", "bm25", "-c", "tiny", "--split", "trian"), 4, "did you mean train?"),
        (("mine", "bm25", "-c", "tiny", "--split", "train", "--depth", "9999"), 4, "larger than"),
        (("score", "cross_encoder(model=nowhere)", "--pool", "pool"), 4, "no model folder"),
        (("score", "cros_encoder(model=x)", "--pool", "pool"), 2, "did you mean cross_encoder"),
        (("stats", "--groups", "groups", "-s", "pair_entrpy"), 2, "did you mean pair_entropy"),
        (("stats", "--groups", "groups", "-s", "diameter"), 2, "encoder"),
        (("eval",), 2, "give run or student"),
        (("eval", "--run", "nothing-like-it"), 4, "no run called"),
        (("run", "no-such.toml"), 4, "there is no such recipe"),
        (("run", "nfcorpus"), 4, "`rankmill recipes copy nfcorpus` writes nfcorpus.toml here"),
        (("check", "recipes/msmarco.toml"), 4, "`rankmill recipes copy msmarco` writes"),
        (("mine", "bm25", "--workers", "x"), 2, "--workers: 'x' is no whole number"),
        (("collect", "beir:nowhere"), 4, "fetched as ir:beir/nowhere or hf:OWNER/NAME"),
        (("collect", "beer:tiny"), 2, "beir"),
        (("show", "groups", "--format", "xml"), 2, "unknown format"),
        (("show", "groups", "--format", "parquet"), 2, "add --to FILE"),
        (
            ("train", "bi_encoder(model=encoder)", "--groups", "groups", "--documents", "x"),
            2,
            "count",
        ),
        (("train", "bi_encoder(model=encoder)", "--groups", "groups", "--loss", "kk"), 2, "kl"),
        (
            ("train", "bi_encoder(model=encoder)", "--groups", "groups", "--mirco", "4"),
            2,
            "--micro",
        ),
        (
            ("train", "bi_encoder(model=encoder)", "--groups", "groups", "--warmup", "1.5"),
            2,
            "--warmup 1.5 must be at most 1",
        ),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_wrong_arguments_say_what_and_what_to_do(rankmill, arguments, status, message):
    # The artifacts that these name were made by the first test of this module.
    found, _, err = rankmill(*arguments)
    assert message in err
    assert found == status, err
    assert "Traceback" not in err


def test_unknown_recipe_keys_are_refused_with_the_nearest(rankmill, tmp_path):
    recipe = tmp_path / "t.toml"
    recipe.write_text(RECIPE)
    for change, message in [
        ("train.documnts=3", "did you mean documents"),
        ("colection=x", "did you mean collection"),
        ("groups.size=1", "size=1 must be at least 2"),
        ("groups.when_short=fil", "did you mean fill"),
        ("statistics.columns=[]", "it is called statistics.statistics now"),
        ("mine.sources.bm25=rrf(of=[fusion,dense])", "is made of itself"),
        ("seed", "has no '='"),
    ]:
        status, _, err = rankmill("run", str(recipe), "--set", change)
        assert (status, message in err) == (2, True), err


def test_a_flipped_byte_is_named_by_verify(rankmill, tmp_path):
    work = ("--workspace", str(tmp_path / "work"))
    rankmill("collect", "beir:tiny", "--name", "t", *work)
    rankmill("mine", "random", "-c", "t", "--split", "train", "--depth", "5", "-n", "r", *work)
    part = next((tmp_path / "work").glob("run/*/part-00000.arrow"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.chmod(0o644)
    part.write_bytes(bytes(data))
    status, _, err = rankmill("verify", "r", *work)
    assert status == 6
    assert str(part) in err


def test_verify_reads_what_an_artifact_was_made_from(rankmill, tmp_path):
    work = ("--workspace", str(tmp_path / "work"))
    rankmill("collect", "beir:tiny", "--name", "t", *work)
    rankmill("mine", "random", "-c", "t", "--split", "train", "--depth", "5", "-n", "r", *work)
    status, out, _ = rankmill("verify", "t", "--json", *work)
    kinds = [one["kind"] for one in json.loads(out)["good"]]
    assert status == 0
    assert {"corpus", "queries", "qrels", "collection"} == set(kinds)
    assert kinds[-1] == "collection"
    part = next((tmp_path / "work").glob("corpus/*/part-00000.arrow"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.chmod(0o644)
    part.write_bytes(bytes(data))
    for name in ("t", "r"):
        status, _, err = rankmill("verify", name, *work)
        assert status == 6
        assert str(part) in err


def test_verify_compares_inputs_with_what_was_made_from_them(rankmill, tmp_path):
    work = ("--workspace", str(tmp_path / "work"))
    rankmill("collect", "beir:tiny", "--name", "t", *work)
    rankmill("mine", "random", "-c", "t", "--split", "train", "--depth", "5", "-n", "r", *work)
    manifest = next((tmp_path / "work").glob("queries/*/manifest.json"))
    text = manifest.read_text()
    manifest.chmod(0o644)
    manifest.write_text(text.replace('"format"', '"format" ', 1))  # another root, same meaning
    status, _, err = rankmill("verify", "r", *work)
    assert status == 6
    assert "root hash" in err
    assert str(manifest) in err
    manifest.unlink()
    status, _, err = rankmill("verify", "r", *work)
    assert status == 6
    assert "its input 'queries' cannot be opened" in err


def test_help_has_an_example_for_each_command(rankmill):
    status, out, _ = rankmill("--help")
    assert status == 0
    for command in "collect mine pool score select stats train eval import run demo".split():
        assert f" {command} " in out
        assert "Example: rankmill" in rankmill(command, "--help")[1]
    assert rankmill("study", "-h")[1] == rankmill("study", "--help")[1]


def test_doctor_finds_what_is_installed(rankmill):
    status, out, _ = rankmill("doctor")
    lines = {line.split()[1] for line in out.splitlines()}
    assert set(EXTRAS) - {"safetensors", "tokenizers"} <= lines  # two that come with transformers
    assert not lines & {"bm25s", "sentence_transformers"}  # which nothing of a user's needs
    assert status == 0
    assert "processor" in out
    status, out, _ = rankmill("doctor", "--json")
    told = json.loads(out)
    assert status == 0
    assert re.search(r"\d+ cores; ", told["processor"]["detail"])
    assert "shares an operation among threads" in told["equal bytes"]["detail"]
    assert f"({torch.get_num_threads()} here)" in told["training"]["detail"]
    assert "canonical scores decide" in told["exact search"]["detail"]
    assert "compute=auto takes" in told["bfloat16"]["detail"]


@pytest.mark.parametrize(("fast", "state"), [(True, "good"), (False, "lacks")])
def test_doctor_says_what_bfloat16_is_worth(fast, state, monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_is_faster", lambda: fast)
    found = {f.what: f for f in doctor.promises()}["bfloat16"]
    assert found.state == state
    assert ("takes it" if fast else "takes float32") in found.detail


def test_doctor_says_how_models_run_and_where_the_hubs_are(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for folder in ("models--BAAI--bge-m3", "models--gpt2", "datasets--a--b"):
        (tmp_path / "hub" / folder).mkdir(parents=True)
    cases = ((False, False, "float32: .*neither"), (True, True, r"bfloat16: .*\(AMX\)"))
    for tiles, fast, said in cases:
        monkeypatch.setattr(precision, "has_tiles", lambda so=tiles: so)
        monkeypatch.setattr(precision, "multiplies_bfloat16", lambda so=fast: so)
        told = {f.what: f.detail for f in doctor._models()}
        assert re.match(f"takes {said}", told["compute=auto"])
    assert told["attention"].startswith("sdpa")
    assert told["hub cache"] == f"{tmp_path / 'hub'}; 2 models; offline"


def test_doctor_describes_every_gpu(monkeypatch):
    class Properties:
        name, total_memory, major, minor = "H200", 150e9, 9, 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Properties)
    monkeypatch.setattr(varlen, "lacking", lambda device, dtype: None)
    told = {f.what: f.detail for f in (*doctor._gpus(), *doctor._models())}
    assert re.fullmatch(r"H200, \d+.*B, compute capability 9.0", told["gpu cuda:1"])
    assert "gpu cuda:0" in told
    assert told["compute=auto"].startswith("takes bfloat16: a GPU")
    assert told["attention"].startswith("one call for all texts")
    monkeypatch.setattr(varlen, "lacking", lambda device, dtype: "torch 2.10 has no varlen_attn")
    told = {f.what: f.detail for f in doctor._models()}
    assert told["attention"].endswith("each length: torch 2.10 has no varlen_attn")


def test_doctor_names_instruction_sets(monkeypatch):
    said = {"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": True}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: said)
    assert "; AVX2, AVX-512, AMX BF16; " in doctor._processor().detail


def test_kill_in_the_middle_of_scoring_then_the_same_root(rankmill, place, tmp_path, monkeypatch):
    """`kill -9` while the score stage runs; the same command then gives the oracle's root hash."""
    slow = (
        "import time\n"
        "from rankmill.mining.teachers import scores\n"
        "scores._SHARD_WORK = 400\n"
        "honest = scores.ScoreWorker.__call__\n"
        "def slowly(self, shard):\n"
        "    time.sleep(0.3)\n"
        "    return honest(self, shard)\n"
        "scores.ScoreWorker.__call__ = slowly\n"
        "from rankmill.cli import main\n"
        "main()\n"
    )
    monkeypatch.setattr(scores, "_SHARD_WORK", 400)

    def finish(work: Path, *arguments: str) -> str:
        status, out, err = rankmill(*arguments, "--workspace", str(work))
        assert status == 0, err
        return out

    score = ("score", "cross_encoder(model=cross)", "--pool", "pool", "--name", "scores")
    for work in (tmp_path / "killed", tmp_path / "oracle"):
        finish(work, "collect", "beir:tiny", "--name", "tiny")
        finish(work, "mine", "random", "-c", "tiny", "--split", "train", "--depth", "9", "-n", "r")
        finish(work, "pool", "r", "--name", "pool")
    victim = subprocess.Popen(
        [sys.executable, "-c", slow, *score, "--workspace", str(tmp_path / "killed")],
        cwd=place,
        env=os.environ | {"RANKMILL_TEST_NO_FSYNC": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "killed").glob("scores/*/part-*.json"))) < 2:
        assert victim.poll() is None, victim.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    victim.kill()
    victim.communicate()
    assert not list((tmp_path / "killed").glob("scores/*/manifest.json"))
    finish(tmp_path / "killed", *score)
    finish(tmp_path / "oracle", *score)
    roots = [finish(tmp_path / w, "hash", "scores") for w in ("killed", "oracle")]
    assert roots[0] == roots[1]


def test_ctrl_c_ends_with_75_and_says_how_to_go_on(rankmill, place, tmp_path):
    code = (
        "import os, signal, threading\n"
        "from rankmill.mining.sources import uniform\n"
        "honest = uniform.Drawer.__call__\n"
        "def interrupted(self, shard):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return honest(self, shard)\n"
        "uniform.Drawer.__call__ = interrupted\n"
        "from rankmill.cli import main\n"
        "main()\n"
    )
    work = ["--workspace", str(tmp_path / "work")]
    assert rankmill("collect", "beir:tiny", "--name", "t", *work)[0] == 0
    mine = ["mine", "random", "-c", "t", "--split", "train", "--depth", "5", *work]
    ended = subprocess.run([sys.executable, "-c", code, *mine], cwd=place, capture_output=True)
    assert ended.returncode == 75, ended.stderr.decode()
    assert b"stopped by SIGINT" in ended.stderr
    assert b"run the same command to resume" in ended.stderr


def ended(code: str, *arguments: str) -> tuple[int, str]:
    """Run a command after some code; returns its status and what it said."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}from rankmill.cli import main\nmain()\n", *arguments],
        env=os.environ | {"RANKMILL_TEST_NO_FSYNC": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.returncode, run.stderr


def test_a_signal_that_was_dropped_on_its_way_comes_again():
    """Python drops what a handler raises in a callback or a destructor, compiled code drops it."""
    code = (
        "import os, signal, sys, time\n"
        "from rankmill.cli import doctor\n"
        "def dropped(*_, **__):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except BaseException:\n"
        "        pass\n"
        "    try:\n"
        "        time.sleep(100)\n"
        "    finally:\n"
        "        time.sleep(1.5)\n"  # what is cleaned up is left alone
        "        sys.stderr.write('cleaned up')\n"
        "doctor._processor = dropped\n"
    )
    status, said = ended(code, "doctor")
    assert (status, said.count("stopped by SIGTERM")) == (75, 1), said
    assert said.startswith("cleaned up")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_while_the_command_line_is_imported(name):
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer':\n"
        f"            os.kill(os.getpid(), signal.{name})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    status, said = ended(code, "--help")
    assert (status, f"stopped by {name}" in said) == (75, True), said
