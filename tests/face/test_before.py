"""What a recipe is refused for before its first stage: models, heads, sizes of groups, splits."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.models.classifiers import check_trained
from rankmill.mining.models.folder import look_at, resolve
from rankmill.study.before import look_first
from rankmill.study.before.missing import to_download
from rankmill.study.before.sizes import check_sizes
from rankmill.study.before.splits import check_splits, check_splits_told
from rankmill.study.recipe import Recipe, load, recipe_of

RECIPE = """
name = "t"
collection = "beir:tiny"
teacher = "cross_encoder(model=cross,max_length=64)"
[mine]
depth = 20
[mine.sources]
random = "random"
bm25 = "bm25"
[groups]
size = 4
[groups.samplers]
hard = "uniform(source=bm25,first=6,last=15)"
all = "softmax"
[train]
student = "bi_encoder(model=encoder,layers=1)"
documents = 64
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a tiny collection, an encoder, cross-encoders with and without head."""
    root = tmp_path_factory.mktemp("before")
    tiny_beir(root / "tiny", docs=60, queries=24)
    tiny_encoder(root / "encoder")
    tiny_cross_encoder(root / "cross")
    tiny_cross_encoder(root / "headless")
    weights = load_file(root / "headless" / "model.safetensors")
    trunk = {name: array for name, array in weights.items() if not name.startswith("classifier")}
    assert trunk.keys() < weights.keys()
    save_file(trunk, root / "headless" / "model.safetensors", metadata={"format": "pt"})
    (root / "t.toml").write_text(RECIPE)
    return root


def written(key: str = "", value: object = None) -> Recipe:
    """Return the recipe with a dotted key in it."""
    tables = tomllib.loads(RECIPE)
    table = tables
    *sections, last = key.split(".")
    for section in sections:
        table = table.setdefault(section, {})
    if key:
        table[last] = value
    return recipe_of(tables, "t.toml")


# ---- models ----------------------------------------------------------------------------------


def test_a_recipe_in_order_passes(place, monkeypatch):
    monkeypatch.chdir(place)
    look_first(written())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("teacher", "cross_encoder(model=nowhere)", "there is no model folder 'nowhere'"),
        (
            "teacher",
            "ensemble(of=[cross_encoder(model=cross),cross_encoder(model=nowhere)])",
            "folder 'nowhere'",
        ),
        ("teacher", "cross_encoder(model=headless)", "no trained classifier"),
        ("teacher", "cross_encoder(model=encoder)", "no trained classifier"),
        ("teacher", "teacher(minilm,model=headless)", "no trained classifier"),
        ("teacher", "cross_encoder(model=package:no-such-package)", "is not installed"),
        ("mine.sources.near", "dense(model=nowhere)", "no model folder 'nowhere'"),
        ("mine.sources.near", "dense(model=encoder,query_model=nowhere)", "folder 'nowhere'"),
        (
            "mine.sources.again",
            "rerank(teacher=cross_encoder(model=headless),of=bm25)",
            "no trained classifier",
        ),
        ("statistics.encoder", "nowhere", "no model folder 'nowhere'"),
        ("groups.encoder", "bi_encoder(model=nowhere)", "no model folder 'nowhere'"),
        ("train.student", "bi_encoder(model=nowhere)", "no model folder 'nowhere'"),
        ("evaluate.first_stage", "dense(model=nowhere)", "no model folder 'nowhere'"),
    ],
)
def test_models_are_looked_at_before_the_first_stage(place, monkeypatch, key, value, said):
    monkeypatch.chdir(place)
    with pytest.raises(BadInput, match=said) as refused:
        look_first(written(key, value))
    assert key.rpartition(".")[2].split("_")[0] in str(refused.value.where)
    assert refused.value.do


def test_a_student_may_have_a_new_head(place, monkeypatch):
    monkeypatch.chdir(place)
    look_first(written("train.student", "cross_encoder(model=encoder)"))


def test_models_of_servers_and_of_the_hub_are_not_looked_for(place, monkeypatch):
    monkeypatch.chdir(place)
    look_first(written("teacher", "endpoint(url=http://localhost:1,model=m,api=openai)"))
    monkeypatch.setattr("rankmill.mining.models.folder.is_offline", lambda: False)
    assert look_at("somebody/some-model") is None
    monkeypatch.setattr("rankmill.mining.models.folder.is_offline", lambda: True)
    with pytest.raises(BadInput, match="somebody/some-model"):
        look_at("somebody/some-model")


def test_a_head_is_seen_without_loading_the_model(place):
    check_trained(place / "cross")
    assert look_at(str(place / "cross")) == resolve(place / "cross").path
    with pytest.raises(BadInput, match="none of its 3. arrays is one of a head"):
        check_trained(place / "headless")


# ---- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "sampler", "said"),
    [
        (12, "hard", "need 11 negatives, and 'hard' draws from 10 at most: ranks 6 to 15 of bm25"),
        (1000, "hard", "'hard' draws from 10 at most"),
        (42, "all", "need 41 negatives, and 'all' draws from 40 at most: 2 sources, 20 of each"),
    ],
)
def test_groups_larger_than_any_list_are_refused(size, sampler, said):
    recipe = written("groups.size", size)
    kept = {sampler: recipe.samplers[sampler]}
    with pytest.raises(UsageError, match=said) as refused:
        check_sizes(written_with(recipe, kept))
    assert "or less, or mine deeper (mine.depth=20)" in str(refused.value.do)
    check_sizes(written_with(written("groups.size", 11), kept))


def written_with(recipe: Recipe, samplers: dict[str, str]) -> Recipe:
    """Return the recipe with other samplers."""
    tables = json.loads(json.dumps(recipe.written))
    tables["groups"]["samplers"] = samplers
    return recipe_of(tables, recipe.where)


def test_a_window_behind_every_list_is_refused():
    recipe = written("groups.samplers", {"far": "uniform(source=bm25,first=30,last=40)"})
    with pytest.raises(UsageError, match="'far' draws from 0 at most") as refused:
        check_sizes(recipe)
    assert "let the window begin before the lists end" in str(refused.value.do)


def test_pools_that_are_cut_and_groups_that_are_filled_up():
    recipe = written("pool.depth", 3)
    with pytest.raises(UsageError, match="'hard' draws from 0 at most"):
        check_sizes(recipe)
    filled = json.loads(json.dumps(recipe.written))
    filled["groups"]["when_short"] = "fill"
    check_sizes(recipe_of(filled, "t.toml"))
    filled["groups"]["size"] = 9
    with pytest.raises(UsageError, match="from 6 at most: all sources together"):
        check_sizes(recipe_of(filled, "t.toml"))


# ---- splits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("mine.split", "tarin", "has no split 'tarin'"),
        ("evaluate.domains", {"x": {"split": "tset"}}, "has no split 'tset'"),
        ("collect.splits", ["train"], "has no split 'test'"),
        (
            "evaluate.domains",
            {"x": {"collection": "python-docs:held-out", "split": "train"}},
            "the collection python-docs:held-out has no split 'train'",
        ),
    ],
)
def test_splits_are_looked_for_before_anything_is_read(place, monkeypatch, key, value, said):
    monkeypatch.chdir(place)
    with pytest.raises(UsageError, match=said) as refused:
        check_splits_told(written(key, value))
    assert "it has " in str(refused.value.do)


def test_splits_that_are_made_or_are_every_query_count(place, monkeypatch):
    monkeypatch.chdir(place)
    check_splits_told(written("mine.split", "*"))
    tables = json.loads(json.dumps(written().written))
    tables["collect"] = {"divide": ["train=fit:10,dev:*"]}
    tables["mine"]["split"] = "fit"
    check_splits_told(recipe_of(tables, "t.toml"))


def test_the_splits_of_a_collection_that_was_read_are_looked_at():
    class Held:
        splits = ("train",)

    with pytest.raises(UsageError, match="has no split 'test'"):
        check_splits(written(), Held())  # type: ignore[arg-type]
    Held.splits = ()
    with pytest.raises(UsageError, match="has no judgements, and mine.split names"):
        check_splits(written(), Held())  # type: ignore[arg-type]


# ---- on the command line ---------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check t.toml", "run t.toml", "run t.toml --dry-run"])
@pytest.mark.parametrize(
    ("override", "status", "said"),
    [
        ("train.student=bi_encoder(model=nowhere)", 4, "there is no model folder 'nowhere'"),
        ("groups.size=1000", 2, "groups of 1,000 documents need 999 negatives"),
        ("mine.split=tarin", 2, "did you mean train? it has test, train"),
    ],
)
def test_nothing_is_made_of_a_recipe_that_must_fail(
    rankmill, place, tmp_path, command, override, status, said
):
    workspace = tmp_path / "ws"
    got, _, err = rankmill(*command.split(), "--set", override, "--workspace", str(workspace))
    assert (got, said in err) == (status, True), err
    assert not list(workspace.glob("*/*/manifest.json"))


def test_counts_are_read_in_recipes_as_on_the_command_line(place):
    path = place / "t.toml"
    for text, count in (("1M", 1_000_000), ("50k", 50_000), ("1.5k", 1_500), ("640", 640)):
        assert load(path, [f"train.documents={text}"]).option("train", "documents") == count
    assert load(path, ["mine.depth=1k"]).option("mine", "depth") == 1_000
    with pytest.raises(UsageError, match=r"mine\.depth='1kk' is not a whole number"):
        load(path, ["mine.depth=1kk"])


def test_a_dry_run_says_plan_and_estimate_and_makes_nothing(rankmill, place, tmp_path, monkeypatch):
    from rankmill.study import estimate as estimating

    class Estimated:
        rows = ()

        def as_json(self) -> dict[str, int]:
            return {"total": 1}

        def refuse(self) -> None:
            refused.append(True)

    refused: list[bool] = []
    monkeypatch.setattr(estimating, "estimate_recipe", lambda *given, **more: Estimated())
    workspace = tmp_path / "ws"
    line = ("run", "t.toml", "--dry-run", "--json", "--workspace", str(workspace))
    status, out, err = rankmill(*line)
    assert status == 0, err
    told = json.loads(out)
    assert told["estimate"] == {"total": 1}
    assert [one["stage"] for one in told["stages"]][:2] == ["collect", "mine"]
    assert refused == [True]
    assert not list(workspace.glob("*/*/manifest.json"))


# ---- what is not on this machine -------------------------------------------------------------


def test_all_that_is_missing_is_said_at_once(place, monkeypatch):
    monkeypatch.chdir(place)
    tables = tomllib.loads(RECIPE)
    tables["collection"] = "beir:elsewhere"
    tables["teacher"] = "imported(path=scores.jsonl,kind=logit)"
    tables["train"]["student"] = "bi_encoder(model=nowhere)"
    with pytest.raises(
        BadInput, match="3 things that the recipe names are not on this machine"
    ) as e:
        look_first(recipe_of(tables, "t.toml"))
    said = str(e.value)
    assert (
        f"  - collection, {place}/elsewhere: there is no such folder\n    give the folder" in said
    )
    assert "--set collection=beir:… names another" in said
    assert f"  - teacher, {place}/scores.jsonl: there is no file 'scores.jsonl'\n" in said
    assert "  - train.student, " in said
    assert "there is no model folder 'nowhere'" in said


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("collection", "beir:elsewhere", "there is no such folder"),
        ("collection", "tsv:elsewhere", "there is no file elsewhere"),
        ("collection", "ir:no/such/id", "ir_datasets has no data set 'no/such/id'"),
        ("evaluate.domains.far.collection", "jsonl:elsewhere", "there is no file elsewhere"),
        ("mine.sources.theirs", "imported(path=run.txt)", "there is no file 'run.txt'"),
    ],
)
def test_collections_and_files_are_looked_for_before_the_first_stage(
    place, monkeypatch, key, value, said
):
    monkeypatch.chdir(place)
    with pytest.raises(BadInput, match=said) as refused:
        look_first(written(key, value))
    assert str(refused.value.where).startswith(f"t.toml: {key}")


def test_what_is_downloaded_first_is_told_and_refuses_nothing(place, monkeypatch):
    pytest.importorskip("ir_datasets")
    monkeypatch.chdir(place)
    monkeypatch.setenv("IR_DATASETS_HOME", str(place / "home"))
    recipe = written("collection", "ir:antique/train")
    look_first(recipe)
    assert to_download(recipe) == ["ir:antique/train"]
    assert to_download(written()) == []
    kept = place / "home" / "antique"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "irds_version.txt").write_text("the library leaves this without a download")
    assert to_download(recipe) == ["ir:antique/train"]
    (kept / "collection.tsv").write_text("1\ttext\n")
    assert to_download(recipe) == []


def test_a_dry_run_estimates_nothing_of_what_is_not_downloaded(place, rankmill, monkeypatch):
    pytest.importorskip("ir_datasets")
    monkeypatch.setenv("IR_DATASETS_HOME", str(place / "another-home"))
    words = ("t.toml", "--set", "collection=ir:antique/train")
    status, out, err = rankmill("check", *words)
    assert status == 0, err
    assert "the recipe is well formed: " in out
    assert "not on this machine yet, downloaded by the first stage: ir:antique/train" in out
    status, out, _ = rankmill("check", *words, "--json")
    assert json.loads(out)["to_download"] == ["ir:antique/train"]
    status, out, err = rankmill("run", *words, "--dry-run")
    assert status == 4
    assert "the estimate measures samples of the collections, and some are not on this" in err
    assert "do: download first: rankmill collect ir:antique/train" in err
    status, out, err = rankmill("run", "t.toml", "--set", "collection=beir:nowhere", "--dry-run")
    assert status == 4
    assert "there is no such folder" in err
    assert "sound" not in out
