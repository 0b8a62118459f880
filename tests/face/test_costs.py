"""What artifacts cost, drawn; what a command cost, in books that balance."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_collection import tiny_beir
from tiny_models import tiny_encoder

import rankmill as rm
from rankmill.cli import streams
from rankmill.cli.costs import _table
from rankmill.mining.errors import BadInput
from rankmill.mining.store.aliases import Alias
from rankmill.provenance.drawing import drawn
from rankmill.provenance.graph import GONE, Node, connected, graph_of
from rankmill.provenance.layout import arrange


class FakeWorkspace:
    """Artifacts by fingerprint, without a disk."""

    def __init__(self) -> None:
        self.made: dict[str, FakeArtifact] = {}

    def names(self) -> dict[str, Alias]:
        return {f'"{key}" <&>\\': Alias("run", key) for key in list(self.made)[:1]}


class FakeArtifact(SimpleNamespace):
    """An artifact with a cost, made of others."""

    def input(self, role: str) -> "FakeArtifact":
        made: FakeArtifact = self.workspace.made.get(self.inputs[role])
        if made is None:
            raise BadInput("it is gone")
        return made

    def cost(self) -> dict[str, float]:
        return {"cpu_s": self.seconds / 2, "gpu_s": self.seconds / 2, "usage": {}}


def fake(graph: list[tuple[str, list[str], float]]) -> FakeWorkspace:
    """Make artifacts: name, inputs, seconds."""
    workspace = FakeWorkspace()
    for name, inputs, seconds in graph:
        roles = {f"as {number}": source for number, source in enumerate(inputs)}
        workspace.made[name] = FakeArtifact(
            fingerprint=name,
            kind="run",
            inputs=roles,
            manifest={"inputs": {role: {"kind": "pool"} for role in roles}},
            workspace=workspace,
            rows=3,
            bytes=5,
            path=Path("/nowhere"),
            seconds=seconds,
        )
    return workspace


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 9))
    made = []
    for number in range(size):
        inputs = draw(st.lists(st.integers(0, number - 1), max_size=4)) if number else []
        made.append((f"n{number}", [f"n{i}" for i in inputs], draw(st.floats(0, 1e4))))
    return made


def test_what_comes_along_by_hand():
    made = fake([("a", [], 8.0), ("b", ["a"], 4.0), ("c", ["a"], 2.0), ("d", ["b", "c", "b"], 1.0)])
    graph = graph_of([made.made["d"]])
    assert {(e.source, e.target): e.seconds for e in graph.edges} == {
        ("a", "b"): 4.0,
        ("a", "c"): 4.0,
        ("b", "d"): 8.0,
        ("c", "d"): 6.0,
    }
    assert graph.roots == ["d"]
    assert graph.brought("d") == graph.seconds == 15.0
    assert next(e.roles for e in graph.edges if e.source == "b") == ("as 0", "as 2")


@given(graphs())
def test_all_that_is_spent_reaches_the_last_nodes_once(made):
    workspace = fake(made)
    graph = graph_of(list(workspace.made.values()))
    assert list(graph.nodes) == list(dict.fromkeys(graph.nodes))
    assert sum(graph.brought(key) for key in graph.roots) == pytest.approx(graph.seconds)
    for key in graph.nodes:
        leaving = [edge.seconds for edge in graph.edges if edge.source == key]
        assert not leaving or sum(leaving) == pytest.approx(graph.brought(key))


@given(graphs())
def test_a_layout_goes_to_the_right_and_nothing_overlaps(made):
    workspace = fake(made)
    graph = graph_of(list(workspace.made.values()))
    layout = arrange(list(graph.nodes), [(e.source, e.target) for e in graph.edges])
    for edge in graph.edges:
        way = [layout.nodes[edge.source], *layout.bends[edge.source, edge.target]]
        layers = [place.layer for place in [*way, layout.nodes[edge.target]]]
        assert layers == list(range(layers[0], layers[-1] + 1))
    columns: dict[int, list[float]] = {}
    for place in layout.nodes.values():
        columns.setdefault(place.layer, []).append(place.height)
        assert 0 <= place.height <= layout.height - 1 + 1e-9
    for heights in columns.values():
        heights.sort()
        assert all(b - a >= 1 - 1e-9 for a, b in zip(heights[:-1], heights[1:], strict=True))


def test_a_picture_holds_every_node_and_edge_whatever_they_are_called():
    made = fake([("a", [], 8.0), ("b", ["a"], 4.0), ("c", ["a", "b"], 0.001), ("d", ["c"], 1.0)])
    graph = graph_of([made.made["d"]])
    title = 'What "<&>" cost'
    svg = drawn(graph, title, ".svg")
    assert svg == drawn(graph_of([made.made["d"]]), title, ".svg")
    root = ElementTree.fromstring(svg)
    texts = ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert title in texts
    assert '"a" <&>\\' in texts
    edges = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("class") == "edge"]
    assert len(edges) == len(graph.edges) == 4
    page = drawn(graph, title, ".html", ["a note <b>"])
    assert page.startswith("<!doctype html>")
    assert "a note &lt;b&gt;" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="', page)
    dot = drawn(graph, title, ".dot")
    assert '"run\\n\\"a\\" <&>\\\\\\nno ledger"' in dot
    assert dot.count(" -> ") == 4
    assert drawn(graph_of([]), "nothing", ".svg").startswith("<svg")


def test_every_number_of_a_page_stands_under_its_heading():
    lines = {"wall_s": 1.0, "cpu_s": 2.0, "compile_s": 3.0, "start_s": 4.0, "overhead_s": 5.0}
    cost = {**lines, "gpu_s": 6.0, "peak_rss_bytes": 7_000_000}
    whole = Node("k", "run", "nf-bm25", 10, 8_000, cost, "whole")
    page = drawn(
        connected({"k": whole, "gone": Node("g", "pool", "p", 0, 0, {}, GONE)}), "t", ".html"
    )
    table = page.partition("<table>")[2].partition("</table>")[0]
    rows = [re.findall(r"<t[hd]([^>]*)>([^<]*)</t[hd]>", row) for row in table.split("<tr>")[1:]]
    heads, first, gone, together = ([text for _, text in row] for row in rows)
    assert dict(zip(heads[2:], first[2:], strict=True)) == {
        "elapsed": "1.00 s",
        "processor": "2.00 s",
        "compiling": "3.00 s",
        "imports": "4.00 s",
        "overhead": "5.00 s",
        "accelerator": "6.00 s",
        "peak memory": "7.0 MB",
        "stored": "8.0 kB",
    }
    spans = [int((re.findall(r'colspan="(\d+)"', said) or ["1"])[0]) for said, _ in rows[2]]
    assert sum(spans) == len(heads) == len(together)
    assert gone[2] == "no longer there"


@pytest.mark.parametrize("terminal", ["", "1"])
@pytest.mark.parametrize("columns", ["40", "80", "300"])
def test_no_number_is_cut_off_whatever_the_width(monkeypatch, capsys, terminal, columns):
    """A terminal of 40 columns breaks long lines itself; `1…` would say nothing."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", terminal)
    chain = [(f"n{n}", [f"n{n - 1}"] if n else [], 1234.5 + n) for n in range(30)]
    graph = graph_of([fake(chain).made["n29"]])
    streams.print_whole(_table(graph))
    out = capsys.readouterr().out
    assert "…" not in out
    for node in graph.nodes.values():
        assert f"run {node.name}" in out
        assert f"{graph.brought(node.key):.2f} s" in out
    assert f"{graph.seconds:.2f} s" in out


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a tiny collection, a model and a recipe."""
    root = tmp_path_factory.mktemp("costs")
    tiny_beir(root / "tiny")
    tiny_encoder(root / "encoder")
    (root / "t.toml").write_text(RECIPE)
    return root


RECIPE = """
name = "t"
collection = "beir:tiny"
teacher = "bi_encoder(model=encoder,max_length=32)"
[mine]
split = "train"
depth = 20
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 4
[groups.samplers]
random = "uniform(source=random,last=20)"
bm25 = "uniform(source=bm25,last=20)"
[statistics]
statistics = ["pair_entropy"]
[train]
student = "bi_encoder(model=encoder,layers=1)"
documents = 32
batch = 4
[train.settings]
doc_length = 20
query_length = 10
[evaluate]
depth = 10
"""


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="asks what a child process took")
def test_the_books_of_a_command_balance(place):
    """Against what the kernel says of the process, measured from outside."""
    words = [sys.executable, "-m", "rankmill", "run", "t.toml", "--json"]
    with (
        open(place / "out.json", "wb") as out,
        subprocess.Popen(words, cwd=place, stdout=out, stderr=subprocess.DEVNULL) as process,
    ):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    found = json.loads((place / "out.json").read_text())
    told = found["command"]
    outside = usage.ru_utime + usage.ru_stime
    made = told["artifacts"]
    spent = made["cpu_s"] + made["compile_s"] + made["start_s"] + made["overhead_s"]
    rest = sum(told["outside"][line] for line in ("cpu_s", "compile_s", "start_s"))
    together = told["start"]["cpu_s"] + spent + rest
    assert together == pytest.approx(told["cpu_s"], rel=0.01)
    assert together == pytest.approx(outside, rel=0.05)
    assert told["start"]["wall_s"] + made["wall_s"] + told["outside"]["wall_s"] == pytest.approx(
        told["wall_s"], rel=0.01
    )
    # What artifacts say of themselves is what the command says of them.
    workspace = rm.Workspace(place / "rankmill-work")
    costs = [artifact.cost() for artifact in workspace.artifacts()]
    for line in ("wall_s", "cpu_s", "compile_s", "start_s", "overhead_s"):
        assert sum(c[line] for c in costs) == pytest.approx(made[line], abs=0.002 * len(costs))
    charges = found["charges"]
    for line, whole in charges["whole"].items():
        shares = [of[line] for of in charges["systems"].values()]
        assert sum(shares) == pytest.approx(whole)
    behind = {a.root_hash: a.cost() for a in workspace.artifacts()}
    roots = [behind[root] for root in found["roots"].values()]
    assert charges["whole"]["cpu_s"] == pytest.approx(sum(c["cpu_s"] for c in roots))
    row = found["gains"][0]
    lines = ("cpu_s", "compile_s", "start_s", "overhead_s", "gpu_s")
    of = charges["systems"][row["system"]]
    assert row["charged"] == pytest.approx(sum(of[line] for line in lines))


def test_cost_prints_a_tree_that_names_what_is_shared_once(rankmill):
    status, out, err = rankmill("cost", "t-random-student", "--per-cpu-hour", "0.1")
    assert status == 0, err
    assert out.count("pool t-pool") == 1
    assert "├─" in out
    assert "↑" in out
    assert "FLOP" in out
    assert re.search(r"together: [\d.]+ s of processor", out)
    assert "money: " in out
    assert "energy" not in out  # no counter, no watts: nothing is made up
    status, out, _ = rankmill("cost")
    assert status == 0
    assert "evaluation" in out


def test_cost_for_machines(rankmill):
    _, out, _ = rankmill("cost", "t-random-student", "--json", "--watts-per-cpu", "10")
    found = json.loads(out)
    stages = {stage["fingerprint"]: stage for stage in found["stages"]}
    assert found["together"]["seconds"] == pytest.approx(sum(s["own_s"] for s in stages.values()))
    last = [s for key, s in stages.items() if all(e["from"] != key for e in found["edges"])]
    assert [s["kind"] for s in last] == ["student"]
    assert last[0]["brought_s"] == pytest.approx(found["together"]["seconds"])
    assert {e["to"] for e in found["edges"]} <= stages.keys()
    assert all(stage["memory"] for stage in stages.values())
    assert found["bill"]["money"] is None
    assert found["bill"]["energy"] in ("estimated from declared watts", "measured")


@pytest.mark.parametrize("form", ["svg", "html", "dot"])
def test_cost_is_drawn(rankmill, form):
    status, out, err = rankmill("cost", "t-random-student", "--to", f"cost.{form}")
    assert status == 0, err
    assert out.splitlines()[-1] == f"cost.{form}"
    text = Path(f"cost.{form}").read_text()
    assert "What t-random-student cost" in text
    assert "t-pool" in text


def test_prices_from_a_file_and_from_options(rankmill):
    Path("p.toml").write_text("[prices]\nper_cpu_hour = 1000\ncurrency = 'EUR'\n")
    _, out, _ = rankmill("cost", "t-pool", "--json", "--prices", "p.toml")
    assert json.loads(out)["bill"]["currency"] == "EUR"
    _, other, _ = rankmill("cost", "t-pool", "--json", "--prices", "p.toml", "--per-cpu-hour", "0")
    assert json.loads(out)["bill"]["money"] > json.loads(other)["bill"]["money"] == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--to", "cost.png"), 2, "its name ends in none of .svg, .html, .dot"),
        (("--to", "none/cost.svg"), 4, "none"),
        (("--per-kwh", "-1"), 2, "per_kwh=-1.0 is no price"),
        (("--watts-per-gpu", "nan"), 2, "watts_per_gpu=nan is no amount"),
        (("--prices", "none.toml"), 4, "there is no such file of prices"),
        (("--prices", "bad.toml"), 2, "did you mean per_kwh"),
    ],
)
def test_what_cost_refuses(rankmill, words, status, said):
    Path("bad.toml").write_text("per_kwhh = 1")
    ended, out, err = rankmill("cost", "t-pool", *words)
    assert ended == status
    assert said in err
    assert out == ""


def test_ledgers_that_are_lost_or_damaged_are_named_and_in_no_sum(rankmill):
    pool = rm.Workspace("rankmill-work").find("t-pool")
    path, good = pool.path / "ledger.json", (pool.path / "ledger.json").read_bytes()
    whole = json.loads(rankmill("cost", "t-pool", "--json")[1])
    for text, said in ((b"{", "ledger damaged"), (None, "no ledger")):
        path.unlink()
        if text is not None:
            path.write_bytes(text)
        status, out, _ = rankmill("cost", "t-pool", "--to", "lost.html")
        assert status == 0
        assert f"not in the sums: pool t-pool ({said})" in out
        row = next(line for line in out.splitlines() if line.startswith("pool t-pool"))
        assert [cell.strip() for cell in row.split("│")[1:4]] == ["–", "–", "–"]
        assert said in Path("lost.html").read_text()
        found = json.loads(rankmill("cost", "t-pool", "--json")[1])
        assert found["together"]["seconds"] < whole["together"]["seconds"]
        path.write_bytes(good)


def test_an_input_that_is_gone_is_named(rankmill):
    workspace = rm.Workspace("rankmill-work")
    run = workspace.find("t-bm25")
    away = run.path.with_name("away")
    run.path.rename(away)
    try:
        status, out, err = rankmill("cost", "t-pool")
    finally:
        away.rename(run.path)
    assert status == 0, err
    assert f"not in the sums: run {run.fingerprint[:12]} (no longer there)" in out or (
        "not in the sums: run t-bm25 (no longer there)" in out
    )
