"""`rankmill estimate` and `rm.estimate` on a tiny study: what is said, what is left untouched, what
is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from tiny_study import RECIPE, study_place

import rankmill as rm
from rankmill.mining import limits
from rankmill.mining.errors import BadInput, Interrupted, UsageError
from rankmill.mining.limits import Limit
from rankmill.mining.store import Workspace
from rankmill.mining.store.execution import Silent
from rankmill.study.estimate import estimate_recipe, ladder, samples
from rankmill.study.estimate.ladder import Ladder
from rankmill.study.estimate.outcome import Estimate
from rankmill.study.estimate.scratch import Recording

PLAIN = RECIPE.partition("[train]")[0].replace('name = "t"', 'name = "plain"')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = study_place(tmp_path_factory.mktemp("estimate"))
    (root / "plain.toml").write_text(PLAIN)
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Return every file below a folder with its size and the time of its last change."""
    stats = ((p, p.stat()) for p in sorted(folder.rglob("*")))
    return [(str(p), s.st_size, s.st_mtime_ns) for p, s in stats]


def left_behind(place: Path) -> list[str]:
    return [path.name for path in place.glob(".*-estimate-*")]


# ---- a study -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fingerprints() -> list[str]:
    """What was made for the estimate `made`, in order."""
    return []


@pytest.fixture(scope="module")
def made(place: Path, fingerprints: list[str]) -> Estimate:
    """Estimate the study over a workspace that holds its collection and one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        tiny = rm.collect("beir:tiny", workspace="half")
        rm.mine("bm25(k1=0.9,b=0.4)", tiny, split="train", depth=20)
        before, noted = listing(place / "half"), Recording._noted

        def noting(self, artifact, inputs):
            fingerprints.append(artifact.fingerprint)
            return noted(self, artifact, inputs)

        patch.setattr(Recording, "_noted", noting)
        estimate = rm.estimate("s.toml", workspace="half", sample=8)
        assert listing(place / "half") == before
        assert left_behind(place) == []
    return estimate


def test_every_request_has_a_row_and_what_is_there_costs_nothing(made):
    counts = Counter((row.stage, row.state == "there") for row in made.rows)
    assert counts == {
        ("collect", True): 1,
        ("mine", True): 1,
        ("mine", False): 1,
        ("pool", False): 1,
        ("score", False): 1,
        ("select", False): 2,
        ("references", False): 4,
        ("train", False): 8,
        ("evaluate", False): 16,
    }
    assert all(not row.lines for row in made.rows if row.state == "there")
    for row in made.rows:
        if row.state != "there":
            assert row.line("cpu_s").high > 0
            assert row.line("peak_rss_bytes").point > 1e7
            for found in row.lines.values():
                assert 0 <= found.low <= found.point <= found.high


def test_nothing_is_made_twice(made, fingerprints):
    assert len(fingerprints) == len(set(fingerprints)) > 30


def test_students_of_one_class_are_measured_once(made):
    states = Counter(row.state for row in made.rows if row.stage == "train")
    assert states == {"estimated": 2, "alike": 6}  # small and large


def test_the_work_is_that_of_the_whole_and_samples_are_smaller(made):
    row = next(row for row in made.rows if row.stage == "score")
    assert row.work == "20 queries"
    assert row.sampled["queries"] == [8.0, 4.0, 4.0, 4.0, 8.0]
    train = next(row for row in made.rows if row.stage == "train")
    assert train.work == "64 documents seen"
    assert max(train.sampled["queries"]) <= 64


def test_the_last_lines_say_on_what_it_rests(made):
    said = "\n".join(made.lines())
    assert "beir:tiny: 200 documents, in the workspace; sampled: the whole corpus" in said
    assert "8 of 20 queries of train" in said
    assert "2 of 35 requests are in the workspace and cost nothing" in said


def test_it_is_plain_json(made):
    told = json.loads(json.dumps(made.as_json(), allow_nan=False))
    assert len(told["stages"]) == len(made.rows)
    assert told["total"]["wall_s"]["low"] <= told["total"]["wall_s"]["high"]


class Heard(Silent):
    """Progress that keeps what is announced."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def announce(self, text: str) -> None:
        self.lines.append(text)


def test_what_the_samples_take_is_said_where_it_is_long(place, monkeypatch):
    """The samples are of 1, 1, ⅛, ½, ⅛ and 1 times the largest: 3¾ of it, here 40 s each."""
    heard, times = Heard(), iter([0, 0, 40, 80, 85, 105, 110])
    monkeypatch.setattr(ladder, "_clock", lambda: float(next(times)))
    estimate_recipe(place / "plain.toml", Workspace(place / "told"), queries=8, progress=heard)
    said = [one for one in heard.lines if one.startswith("sample ")]
    left = "; up to {} left (less by rankmill estimate --sample N)"
    assert [one.partition("split")[2] for one in said] == [
        "",
        left.format("1 min 50 s"),
        left.format("1 min 10 s"),
        left.format("1 min 5 s"),
        left.format("45 s"),
        left.format("40 s"),
    ]
    assert ladder.left_of(10.0, 1.0, 2.75) == ""
    assert ladder.left_of(0.0, 0.0, 4.75) == ""


# ---- a recipe without training -------------------------------------------------------------------


def plain(**options) -> Estimate:
    return rm.estimate("plain.toml", workspace="none", **options)


def test_a_sample_larger_than_the_data_is_the_whole_and_says_so(place):
    made = plain(sample=500)
    assert "all 20 queries of train" in "\n".join(made.notes)
    assert "read from the source" in "\n".join(made.notes)
    assert [row.stage for row in made.rows[:2]] == ["collect", "mine"]
    assert made.rows[0].state == "measured"
    assert not (place / "none").exists()


def test_what_no_sample_could_make_is_told_without_a_larger_sample():
    """All 20 queries are in the sample: what is missing is missing in the whole."""
    only_bm25 = ["groups.size=21", 'groups.samplers={bm25="uniform(source=bm25,last=20)"}']
    with pytest.raises(BadInput, match="select .*: no query has candidates enough") as refused:
        plain(sample=500, overrides=only_bm25)
    assert "--sample" not in str(refused.value)
    assert refused.value.where == "plain.toml"


def test_slices_of_a_larger_corpus_give_costs_that_grow_with_documents():
    made = plain(sample=8, documents=100)
    bm25 = next(row for row in made.rows if row.name == "bm25" and row.stage == "mine")
    assert max(bm25.sampled["corpus"]) == 100
    assert bm25.line("disk_bytes").point > 0
    assert "sampled: 100 documents" in "\n".join(made.notes)


def test_of_a_large_source_only_the_beginning_is_read(monkeypatch):
    monkeypatch.setattr(samples, "LARGE_SOURCE", 100)
    made = plain(sample=8, documents=100)
    assert "estimated from" in "\n".join(made.notes)
    collect = made.rows[0]
    assert collect.stage == "collect"
    assert collect.line("wall_s").point > 0
    count = int(collect.work.split()[0].replace(",", ""))
    assert 180 <= count <= 220


def test_a_declared_machine_marks_its_rows_and_what_nobody_declared():
    made = plain(sample=8, machine="8xH100")
    assert {row.state for row in made.rows} == {"declared"}
    assert made.total["gpu_s"].point > 0
    assert "its memory and disk are not declared" in "\n".join(made.notes)


# ---- what is refused -----------------------------------------------------------------------------


def test_a_recipe_that_check_refuses_is_refused_before_anything_is_made(place):
    with pytest.raises(UsageError, match="unknown loss"):
        rm.estimate("s.toml", ["train.loss=nothing"], workspace="none")
    assert left_behind(place) == []


def test_an_unknown_split_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="has no split 'trian'(.|\n)*did you mean train"):
        plain(overrides=["mine.split=trian"])


def test_ctrl_c_in_a_sample_leaves_nothing(place, monkeypatch):
    calls = []

    def stop(self, asked, share):
        calls.append(asked)
        if len(calls) == 3:
            raise Interrupted("stopped by SIGINT")
        asked.step.make()

    monkeypatch.setattr(Ladder, "_make", stop)
    with pytest.raises(Interrupted):
        plain(sample=8)
    assert left_behind(place) == []
    assert not (place / "none").exists()


def test_a_place_that_cannot_be_written_to_is_refused_with_what_to_do():
    with pytest.raises(BadInput, match="no sample can be measured here(.|\n)*scratch=DIR"):
        plain(scratch="plain.toml")


@pytest.mark.parametrize(("option", "value"), [("sample", 7), ("documents", 10), ("sample", 0)])
def test_a_sample_too_small_is_refused(option, value):
    with pytest.raises(UsageError, match=f"{option}={value} is too small"):
        plain(**{option: value})


def test_prices_and_machines_are_read_before_any_work(place):
    (place / "p.toml").write_text("per_kw = 1")
    with pytest.raises(UsageError, match="unknown price 'per_kw'"):
        plain(prices="p.toml")
    with pytest.raises(BadInput, match="there is no such file of prices"):
        plain(prices="none.toml")
    with pytest.raises(UsageError, match="is no machine that is known"):
        plain(machine="9xX1")
    assert left_behind(place) == []


def test_the_command_prints_the_estimate_and_ends_with_what_cannot_fit(rankmill, monkeypatch):
    monkeypatch.setattr(limits, "memory_limit", lambda: Limit(1e6, "ulimit -v"))
    status, out, err = rankmill("estimate", "plain.toml", "--sample", "8", "-w", "none", "--json")
    told = json.loads(out)
    assert status == 4
    assert "this cannot fit: collect beir:tiny needs" in err
    assert "ulimit -v is 1.0 MB" in err
    assert told["refused"]
    assert told["limits"]["memory"] == {"bytes": 1e6, "said_by": "ulimit -v"}


def test_the_command_prints_a_table_for_people(rankmill):
    status, out, _ = rankmill("estimate", "plain.toml", "--sample", "8", "-w", "none")
    assert status == 0
    assert "grows with" in out
    assert "20 queries" in out
    assert "together:" in out
