"""What there is, said by the command line: parts with their parameters, artifacts, recipes; rows of
artifacts that line up; groups that teach little."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from plugin_makers import install, on_path
from rich.cells import cell_len
from tiny_collection import tiny_beir

import rankmill as rm
from rankmill import plugins, recipes_data
from rankmill.mining.audit import poor_data
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.names import Family, default_text
from rankmill.mining.options import Option
from rankmill.mining.parts.costs import Costs
from rankmill.mining.parts.description import describe, options_of_part
from rankmill.named import families
from rankmill.stages import REQUESTS

WIDTH = 80
MEMBERS = [
    (kind, name)
    for kind, one in families.KINDS.items()
    for name in one.family.names()
    if one.family.member(name).__module__.startswith("rankmill.")
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """Return a folder with a tiny collection, scores of all its pairs, and a package of parts."""
    root = tmp_path_factory.mktemp("discovery")
    tiny_beir(root / "tiny", docs=60, queries=24)
    ids = {
        name: [
            json.loads(line)["_id"]
            for line in (root / "tiny" / f"{name}.jsonl").read_text().split("\n")
            if line
        ]
        for name in ("queries", "corpus")
    }
    with (root / "scores.jsonl").open("w") as stream:
        for i, query in enumerate(ids["queries"]):
            for j, doc in enumerate(ids["corpus"]):
                line = {"query_id": query, "doc_id": doc, "score": ((i * 7 + j * 13) % 31) / 3 - 5}
                stream.write(json.dumps(line) + "\n")
    with on_path(install(root / "site")):
        yield root


@pytest.fixture
def made(rankmill, place, monkeypatch):
    """Return the command line at 80 columns, in a workspace with groups of every stage."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    if not (place / "rankmill-work").exists():
        for line in (
            "collect beir:tiny --name nf",
            "mine bm25 -c nf --split train --depth 20 --name nf-bm25",
            "mine random -c nf --split train --depth 20 --name nf-random",
            "pool nf-bm25 nf-random --name nf-pool",
            "import scores.jsonl --as scores --kind similarity -c nf --name nf-given",
            "score stored(scores=nf-given) --pool nf-pool --name nf-scores",
            "select uniform(source=bm25,last=20) --pool nf-pool --scores nf-scores --size 4 "
            "--name nf-groups",
            "stats --groups nf-groups --name nf-stats",
        ):
            status, out, err = rankmill(*line.split())
            assert status == 0, (line, out, err)
    return rankmill


# ---- parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_every_part_says_what_it_is_takes_and_costs(kind, name):
    family = families.KINDS[kind].family
    part = describe(family, name)
    assert part.summary
    assert isinstance(part.costs, Costs)
    fields = dataclasses.fields(family.member(name))
    assert [one.name for one in part.parameters] == [field.name for field in fields]
    for one, field in zip(part.parameters, fields, strict=True):
        assert one.help, f"{name}: {one.name} has no help: write Annotated[…, Option('…')]"
        assert one.default == default_text(field)
        assert one.default is not None or one.example, f"{name}: {one.name} has no example"
        assert one.within is None or "number" in one.type, (
            f"{name}: a range of {one.name}, no number"
        )
    value = family.parse(part.example)  # an example can be typed as it stands
    assert value.canonical_name == name


def test_help_of_a_parameter_stands_in_its_field():
    """Not in a table beside it: a parameter that is added brings its own."""
    without = [
        (kind, name, field.name)
        for kind, name in MEMBERS
        for member in [families.KINDS[kind].family.member(name)]
        for field in dataclasses.fields(member)
        if field.name not in options_of_part(member)
        and f"`{field.name}`" not in (member.__doc__ or "")
    ]
    assert without == []


def test_shares_are_said_to_end_at_one():
    shell = describe(families.KINDS["strategies"].family, "shell")
    assert [one.within for one in shell.parameters[:2]] == ["0 to 1", "0 to 1"]


def test_families_are_listed_under_their_own_plural():
    assert {kind: one.family.plural for kind, one in families.KINDS.items()} == {
        kind: kind for kind in families.KINDS
    }
    for one in families.KINDS.values():
        for page in re.findall(r"docs/[\w-]+\.md", one.page):
            assert (Path(__file__).parents[2] / page).exists()


def test_commands_that_examples_show_exist(made):
    """Every flag of a family's command is one of the command itself."""
    for one in families.KINDS.values():
        words = one.command.split()
        said = made(words[1], "--help")[1]
        for flag in re.findall(r"(?<= )--?[a-z]+", one.command):
            assert flag in said, (words[1], flag)


def test_describe_says_what_a_source_takes(made):
    status, out, _ = made("describe", "dense")
    assert status == 0
    assert max(map(cell_len, out.splitlines())) <= WIDTH
    for said in (
        "source dense",
        "a GPU is advisable",
        "grows with tokens of the corpus",
        "model         required",
        "(whole number, tokens, at least 1)",
        'rankmill mine "dense(model=PATH)" -c COLLECTION --split train --name RUN',
    ):
        assert said in out
    facts = json.loads(made("describe", "dense(model=x)", "--json")[1])
    (part,) = facts["parts"]
    assert part["kind"] == "sources"
    assert part["costs"]["gpu"] is True
    known = {one["name"]: one for one in part["parameters"]}
    assert known["model"]["default"] is None
    assert known["max_length"]["unit"] == "tokens"
    assert "Foundations and Trends" in made("describe", "bm25")[1]


def test_describe_finds_a_name_in_every_family(made):
    out = made("describe", "random")[1]
    assert "source random" in out
    assert "strategy random" in out
    assert "source random" not in made("describe", "random", "--kind", "strategies")[1]


def test_describe_knows_presets_and_parts_of_other_people(made):
    status, out, _ = made("describe", "monot5")
    assert status == 0
    assert "Query: {query} Document: {document} Relevant:" in out
    assert "teacher(monot5,model=PATH)" in out
    assert json.loads(made("describe", "monot5", "--json")[1])["preset"]["yes"] == "true"
    assert "monot5" in made("list", "teachers")[1]
    out = made("describe", "shared_words")[1]
    assert "source shared_words" in out
    assert "least" in out
    assert "the package does not say" in out


@pytest.mark.parametrize(
    ("name", "noun", "said"),
    [
        ("mine", "command mine", "rankmill mine --help"),
        ("evaluate", "command eval", "in Python  rm.evaluate"),
        ("e5", "prompts e5", "dense(model=PATH,preset=e5)"),
        ("nfcorpus", "recipe nfcorpus", "rankmill recipes copy nfcorpus"),
        ("nf-bm25", "run nf-bm25", "rankmill show nf-bm25"),
        ("beir/nfcorpus", "data set beir/nfcorpus", "rankmill collect ir:beir/nfcorpus"),
    ],
)
def test_describe_says_what_a_word_means_that_is_no_part(made, name, noun, said):
    if noun.startswith("data set"):
        pytest.importorskip("ir_datasets")
    status, out, err = made("describe", name)
    assert status == 0, err
    assert out.startswith(noun)
    assert said in out
    (means, *_) = json.loads(made("describe", name, "--json")[1])["means"]
    assert f"{means['noun']} {means['name']}" == noun


def test_describe_takes_several_names(made):
    status, out, _ = made("describe", "bm25", "kl")
    assert status == 0
    assert "source bm25" in out
    assert "loss kl" in out
    assert [one["name"] for one in json.loads(made("describe", "bm25", "kl", "--json")[1])] == [
        "bm25",
        "kl",
    ]


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("describe dens", 2, "did you mean dense"),
        ("describe dense --kind sauces", 2, "'sauces' is no kind of part"),
        ("list sauces", 2, "there is no kind 'sauces'"),
        ("mine dense(modell=x) -c nf --split train", 2, "`rankmill describe dense` says what it"),
        ("mine dens -c nf --split train", 2, "`rankmill list sources` shows them all"),
        ("mine bm25(k1=-1) -c nf --split train", 2, "`rankmill describe bm25` says what it takes"),
        ("select topp --pool nf-pool --scores nf-scores", 2, "`rankmill list strategies`"),
        ("collect beir:tiny --workers 2", 2, "collect takes no --workers: files are read once"),
        ("survey nf --ray-address x", 2, "survey takes no --ray-address"),
        ("pool nf-bm25 --device cpu", 2, "pool takes no --device: it runs no model"),
        ("recipes coppy", 2, "recipes has no action 'coppy'"),
        ("recipes list nfcorpus", 2, "recipes list takes no name"),
        ("recipes copy", 2, "`rankmill recipes copy NAME`, one of: crossed, msmarco, negatives"),
        ("list nosuch", 2, "artifacts are collection, run, pool"),
        ("describe nosuch", 2, "`rankmill recipes list` recipes"),
        ("describe", 2, "describe needs NAME"),
        ("mien", 2, "there is no command 'mien'\n  do: did you mean mine?"),
        ("mine bm25 --deepth 5", 2, "mine has no option --deepth\n  do: did you mean --depth"),
        ("mine bm25 words here", 2, "nothing is done with 'words here'"),
        ("mine bm25 -c nf --split train --depth x", 2, "--depth: 'x' is no whole number"),
        ("mine bm25 --depth", 2, "--depth needs a value"),
        ("mine", 2, "mine needs SOURCE\n  do: `rankmill mine --help` lists what it takes"),
        ("recipes copy nfcorpuss", 2, "did you mean nfcorpus"),
    ],
)
def test_wrong_words_are_told_where_to_look(made, line, status, said):
    got, _, err = made(*line.split())
    assert (got, said in err) == (status, True), err


def test_every_stage_takes_workers_or_says_why_not():
    for request in REQUESTS.values():
        assert bool(request.alone) != request.sharded, request.verb


def test_a_part_of_ones_own_says_what_it_takes_and_costs():
    family = Family("source")

    @dataclasses.dataclass(frozen=True)
    class Prefix:
        """Documents that begin as the query does.

        `folded`: letters are compared without case.
        """

        letters: Annotated[int, Option("How many letters are compared.", unit="letters")] = 3
        folded: bool = False
        costs = plugins.Costs("CPU", "queries × documents")

    family.add("prefix", Prefix)
    part = describe(family, "prefix")
    assert part.summary == "Documents that begin as the query does."
    assert [(p.help, p.unit) for p in part.parameters] == [
        ("How many letters are compared.", "letters"),
        ("Letters are compared without case.", None),
    ]
    assert part.costs == Costs("CPU", "queries × documents")
    assert part.example == "prefix(letters=3,folded=false)"


# ---- artifacts -------------------------------------------------------------------------------


def test_list_lines_up_and_folds_what_has_no_name(made):
    status, out, _ = made("list")
    assert status == 0
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(cell_len, lines)) <= WIDTH
    assert lines[0].split() == ["name", "kind", "rows", "size", "age", "cost"]
    names = [line.split()[0] for line in lines[1:-1]]
    assert names == [
        *("nf", "nf-bm25", "nf-random", "nf-pool", "nf-given", "nf-scores", "nf-groups"),
        "nf-stats",
    ]
    assert re.fullmatch(r"and \d+ without a name, .*: --all shows them", lines[-1])
    assert len(made("list", "--all")[1].splitlines()) > len(lines)
    assert [line.split()[0] for line in made("list", "runs")[1].splitlines()[1:]] == [
        "nf-bm25",
        "nf-random",
    ]
    facts = json.loads(made("list", "groups", "--json")[1])["artifacts"]
    assert facts[0]["names"] == ["nf-groups"]
    assert facts[0]["seconds"] >= 0
    assert facts[0]["finished"].endswith("Z")
    assert "no evaluation in" in made("list", "evaluation")[1]


def test_statistics_are_parts_and_artifacts(made):
    out = made("list", "statistics")[1]
    assert "pair_entropy" in out
    assert "nf-stats" in out
    facts = json.loads(made("list", "statistics", "--json")[1])
    assert {one["name"] for one in facts["statistics"]} >= {"pair_entropy", "spread"}
    assert [one["names"] for one in facts["artifacts"]] == [["nf-stats"]]


@pytest.mark.parametrize("kind", list(families.KINDS))
def test_parts_are_listed_at_80_columns(made, kind, tmp_path):
    status, out, _ = made("list", kind, "--workspace", str(tmp_path / "nowhere"))
    assert status == 0
    assert max(map(cell_len, out.splitlines())) <= WIDTH
    for name in families.KINDS[kind].family.names():
        assert re.search(rf"^{re.escape(name)}\b", out, re.M), name


@pytest.mark.parametrize("name", ["nf-groups", "nf-pool", "nf-scores", "nf-bm25", "nf-stats"])
def test_show_lines_up_and_resolves_ids(made, name):
    status, out, _ = made("show", name, "--rows", "2")
    assert status == 0
    lines = out.splitlines()
    assert max(map(cell_len, lines)) <= WIDTH
    told = made("show", name, "--rows", "0", "--format", "jsonl")[1]
    rows = [json.loads(line) for line in told.splitlines()]
    assert lines[0].startswith(f"{rows[0]['query_id']}  {rows[0]['query_text'][:10]}")
    assert f"2 of {len(rows)} rows" in out


def test_show_names_scores_by_their_kind_a_document_a_line(made):
    out = made("show", "nf-groups", "--rows", "1")[1].splitlines()
    row = json.loads(made("show", "nf-groups", "--rows", "1", "--format", "jsonl")[1])
    assert out[1].split() == ["#", "document", "similarity", "grade", "inclusion", "text"]
    assert [line.split()[1] for line in out[2:6]] == row["doc_id"]
    assert [float(line.split()[2]) for line in out[2:6]] == pytest.approx(row["score"], abs=5e-4)
    scores = made("show", "nf-scores", "--rows", "1")[1].splitlines()
    assert "logit" not in scores[1]
    shown = [float(line.split()[2]) for line in scores[2:12]]
    assert shown == sorted(shown, reverse=True)
    assert "more; --format jsonl" in scores[12]


def test_explain_fits_a_screen_and_all_shows_the_rest(made):
    row = json.loads(made("show", "nf-groups", "--rows", "1", "--format", "jsonl")[1])
    line = ("explain", row["query_id"], "--groups", "nf-groups")
    out = made(*line)[1].splitlines()
    assert len(out) <= 34
    assert max(map(cell_len, out)) <= WIDTH
    kept = [one.split()[2] for one in out if one.startswith("●")]
    assert set(kept) == set(row["doc_id"])  # wherever the teacher ranks them
    assert "--all shows them" in out[-1]
    told = json.loads(made(*line, "--json")[1])["groups"][0]
    every = made(*line, "--all")[1]
    assert all(re.search(rf"\b{one['doc_id']}\b", every) for one in told["candidates"])
    assert all(name in every for name in told["statistics"])
    assert "left out" not in every


# ---- groups that teach little ----------------------------------------------------------------


def test_groups_that_teach_little_say_so_and_what_helps(made):
    line = "select uniform(source=bm25,last=20) --pool nf-pool --scores nf-scores --name poor"
    status, out, _ = made(*line.split(), "--size", "18")
    assert status == 0
    made_of = json.loads(made("list", "groups", "--json")[1])["artifacts"]
    poor = next(one for one in made_of if one["names"] == ["poor"])
    dropped = sum(poor["dropped"].values())
    assert dropped / (dropped + poor["rows"]) > poor_data.MOST_DROPPED
    assert f"({dropped:,} of {dropped + poor['rows']:,}) have no group: too few candidates" in out
    assert "--when-short fill" in out
    assert "score above the positive" in out
    assert "rankmill audit --groups poor" in out
    facts = json.loads(made(*line.split(), "--size", "18", "--json")[1])
    assert len(facts["advice"]) == 2
    status, out, _ = made(*line.split(), "--size", "3", "--filter", "margin(gap=0,score=raw)")
    assert "score above the positive" not in out


def test_nothing_is_said_of_good_groups(workspace):
    from group_makers import make_groups

    good = make_groups(workspace, [[2.0, 1.0, 0.5], [3.0, 0.1, 0.2]])
    assert poor_data.advice_of(good) == []
    poor = make_groups(workspace, [[0.0, 1.0, 0.5], [3.0, 4.0, 0.2]])
    (one,) = poor_data.advice_of(poor)
    assert one.share == 0.75
    assert one.said().startswith("75% of the negatives (3 of 4) score above the positive")
    assert "groups.filters" in one.said(recipe=True)


# ---- recipes ---------------------------------------------------------------------------------


def test_recipes_are_listed_and_copied(made, tmp_path):
    status, out, _ = made("recipes")
    assert status == 0
    known = sorted(path.stem for path in recipes_data.recipe_folder().glob("*.toml"))
    assert all(name in out for name in known)
    facts = json.loads(made("recipes", "list", "--json")[1])
    assert [one["name"] for one in facts["recipes"]] == known
    target = tmp_path / "mine.toml"
    status, out, _ = made("recipes", "copy", "nfcorpus", "--to", str(target))
    assert status == 0
    assert f"rankmill run {target} --dry-run" in out
    assert tomllib.loads(target.read_text())["name"] == "nfcorpus"
    status, _, err = made("recipes", "copy", "nfcorpus", "--to", str(target))
    assert (status, "there is a file already" in err) == (4, True)
    assert json.loads(
        made("recipes", "copy", "crossed", "--to", str(tmp_path / "c.toml"), "--json")[1]
    )["command"].startswith("rankmill study ")


def test_recipes_come_from_the_package_before_the_checkout(monkeypatch, tmp_path):
    package = tmp_path / "site" / "rankmill"
    package.mkdir(parents=True)
    monkeypatch.setattr(recipes_data.resources, "files", lambda name: package)
    with pytest.raises(BadInput, match="this installation has no recipes"):
        recipes_data.recipe_folder()
    shutil.copytree(Path(__file__).parents[2] / "recipes", package.parent / "recipes")
    assert recipes_data.recipe_folder() == package.parent / "recipes"
    (package / "recipes").mkdir()
    (package / "recipes" / "own.toml").write_text('title = "own"\n')
    assert recipes_data.recipe_folder() == package / "recipes"
    with pytest.raises(UsageError, match="there is no recipe 'nfcorpus' to copy"):
        recipes_data.sample("nfcorpus")


# ---- the same in Python --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["dense", "random", "rerank", "monot5", "mine", "doctor", "e5", "nfcorpus", "nf-bm25"]
)
def test_python_describes_what_the_terminal_does(made, word):
    facts = json.loads(made("describe", word, "--json")[1])
    told = rm.describe(word, workspace="rankmill-work")
    named = [one["noun"] for one in (*facts.get("parts", ()), *facts.get("means", ()))]
    if "preset" in facts:
        assert json.loads(json.dumps(told[0].as_json())) == facts["preset"]
    else:
        assert [one.noun for one in told] == named
        assert [one.as_json() for one in told[len(facts.get("parts", ())) :]] == facts.get(
            "means", []
        )
    first = made("describe", word)[1].splitlines()[0].strip()
    assert repr(told).splitlines()[0] == first


def test_python_says_the_same_of_what_nobody_knows(made):
    _, _, err = made("describe", "nosuch")
    with pytest.raises(UsageError) as refused:
        rm.describe("nosuch", workspace="rankmill-work")
    assert str(refused.value.what) in err


@pytest.mark.parametrize("word", ["statistics", "students"])
def test_words_for_artifacts_and_parts_reach_both(made, word):
    artifacts = rm.list(word, workspace="rankmill-work")
    assert artifacts.columns == ["name", "kind", "fingerprint", "rows", "bytes"]
    assert artifacts.equals(rm.list(word, parts=False, workspace="rankmill-work"))
    parts = rm.list(word, parts=True, workspace="rankmill-work")
    facts = json.loads(made("list", word, "--json")[1])
    assert parts["name"].to_list() == [one["name"] for one in facts[word]]
    assert len(facts["artifacts"]) == artifacts.height


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "run", "parts": True}, "kind='run' is none of them"),
        ({"parts": True}, "no kind was given"),
        ({"kind": "sources", "parts": False}, "parts=False asks for artifacts"),
    ],
)
def test_a_list_that_is_nothing_is_refused(made, given, said):
    with pytest.raises(UsageError, match=said):
        rm.list(**given, workspace="rankmill-work")
