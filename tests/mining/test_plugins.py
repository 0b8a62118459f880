"""Parts of other people: by decorator or entry point, inline or on actors, and their errors."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from plugin_makers import install, on_path, write_metadata
from tiny_collection import tiny_beir

from rankmill import plugins
from rankmill.mining import foreign
from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.collection import collect
from rankmill.mining.errors import PluginError, UsageError
from rankmill.mining.names import Identity, neutral
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.statistics import STATISTICS, measure_pool
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.teachers import TEACHERS, score_pool
from rankmill.plugins import filter as register_filter
from rankmill.plugins import source, statistic, strategy, teacher


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of the package that is installed for this test."""
    with on_path(install(tmp_path / "site")):
        yield tmp_path / "site"


@pytest.fixture
def alone() -> Iterator[None]:
    """Forget after the test what it registers."""
    with on_path():
        yield


@pytest.fixture
def tiny(workspace: Workspace, tmp_path: Path):
    return collect(workspace, f"beir:{tiny_beir(tmp_path / 'tiny', docs=60, queries=12)}")


def all_three(tiny, executor: Execution = INLINE) -> list[Artifact]:
    """Mine, score and measure with the parts of the package."""
    work = tiny.artifact.workspace
    run = mine(work, "shared_words(least=1)", tiny, "train", depth=8, executor=executor)
    pool = pool_runs(work, [run], collection=tiny, split="train", depth=8, executor=executor)
    scores = score_pool(work, "overlap", pool, direction="trusted", executor=executor)
    return [run, scores, measure_pool(work, scores, ["spread(times=2)"], executor=executor)]


def test_a_package_joins_by_its_entry_points(ours, tiny):
    assert "shared_words" in SOURCES.names()
    assert "rankmill_ours" not in importlib.sys.modules  # listing loads nothing
    run, scores, measured = all_three(tiny)
    texts = [str(t) for t in tiny.corpus.texts(range(len(tiny.corpus)))]
    for part in Run(run).parts():
        for row, query in enumerate(part.query):
            words = set(tiny.queries.text(int(query)).lower().split())
            shared = Counter({d: len(words & set(t.lower().split())) for d, t in enumerate(texts)})
            best = sorted((-n, d) for d, n in shared.items() if n and texts[d].strip())[:8]
            listed = slice(part.offsets[row], part.offsets[row + 1])
            assert part.doc[listed].tolist() == [d for _, d in best]
            assert part.score[listed].tolist() == [-n for n, _ in best]
    label = run.metadata["source"]
    assert label.startswith("shared_words(least=1,version=src-")
    assert scores.metadata["kind"] == "similarity"
    assert measured.table(0).column_names == ["query", 'spread(times=2,version="2")']
    for values in zip(scores.table(0)["logit"].to_pylist(), measured.table(0)[1], strict=True):
        assert values[1].as_py() == pytest.approx(2 * (max(values[0]) - min(values[0])), rel=1e-6)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_two_actors_give_the_bytes_of_one_process(ours, tiny, tmp_path):
    @statistic("ours_first")
    @dataclass(frozen=True)
    class First:  # as in a notebook: no module to import it from
        version = "1"

        def measure(self, rows):
            return rows.scores[rows.offsets[:-1]].astype(float), np.zeros(len(rows), np.uint8)

    two = Execution(workers=2)
    spread = all_three(tiny, two)
    texts = ["ours_first", "spread"]
    other = collect(Workspace(tmp_path / "other"), f"beir:{tmp_path / 'tiny'}")
    inline = all_three(other)
    for here, there in zip(spread, inline, strict=True):
        assert here.root_hash == there.root_hash
    first = measure_pool(tiny.artifact.workspace, spread[1], texts, executor=two)
    second = measure_pool(other.artifact.workspace, inline[1], texts)
    assert first.root_hash == second.root_hash


def test_other_source_code_is_another_artifact(ours, tiny, tmp_path):
    first = all_three(tiny)
    changed = {"split()) for query": "split()[:3]) for query", 'version = "2"': 'version = "3"'}
    with on_path(install(tmp_path / "changed", changed)):
        second = all_three(tiny)
    kinds = [a.fingerprint == b.fingerprint for a, b in zip(first, second, strict=True)]
    assert kinds == [False, False, False]  # one module, one source: its parts change together
    label = first[0].metadata["source"]
    with on_path(tmp_path / "changed"):
        with pytest.raises(UsageError, match=r"made by version src-\w+ of its code; here is"):
            SOURCES.stored(label)
        assert Run(first[0]).label == label  # a label needs no plug-in
        run = mine(tiny.artifact.workspace, "random", tiny, "train", depth=8)
        pool = pool_runs(tiny.artifact.workspace, [first[0], run], collection=tiny, split="train")
        assert f"rank[{label}]" in pool.table(0).column_names


def test_a_version_that_is_declared_counts_alone(alone):
    @source("ours_one")
    @dataclass(frozen=True)
    class One:
        version = "2024.10"
        k: int = 3

    assert str(One()) == 'ours_one(k=3,version="2024.10")'
    assert SOURCES.parse(str(One(4))) == One(4)
    assert SOURCES.parse("ours_one(k=4,version=2024.10)") == One(4)
    assert SOURCES.display(One()) == "ours_one"
    with pytest.raises(UsageError, match="ours_one has no parameter 'vrsion'"):
        SOURCES.parse("ours_one(vrsion=1)")


def test_a_cell_of_a_notebook_may_run_again_but_names_are_not_taken_over(alone):
    def cell(least: int) -> type:
        @source("ours_again")
        @dataclass(frozen=True)
        class Again:
            k: int = least

        return Again

    cell(1)
    Again = cell(2)
    assert SOURCES.parse("ours_again") == Again(2)
    with pytest.raises(UsageError, match="the name of source 'bm25' is taken"):
        source("bm25")(Again)

    @dataclass(frozen=True)
    class Other:
        pass

    with pytest.raises(UsageError, match="the name of source 'ours_again' is taken"):
        source("ours_again")(Other)


def test_what_cannot_join_is_refused_where_it_is_written(alone):
    class Loose:
        pass

    with pytest.raises(UsageError, match="source ours_loose is no frozen dataclass"):
        source("ours_loose")(Loose)

    @dataclass(frozen=True)
    class Versioned:
        version: int = 1

    with pytest.raises(UsageError, match="has a parameter called version"):
        source("ours_versioned")(Versioned)

    @dataclass(frozen=True)
    class Idle:
        pass

    with pytest.raises(UsageError, match="statistic ours_idle has no measure"):
        statistic("ours_idle")(Idle)
    with pytest.raises(UsageError, match="'two words' cannot name a source"):
        source("two words")(Idle)
    Idle.__module__ = "nowhere"
    with pytest.raises(UsageError, match="has no version, and its source cannot be read"):
        source("ours_idle")(Idle)


def test_a_source_or_teacher_that_can_do_nothing_is_named(alone, tiny):
    @source("ours_empty")
    @dataclass(frozen=True)
    class Empty:
        version = "1"

    work = tiny.artifact.workspace
    with pytest.raises(UsageError, match=r'ours_empty\(version="1"\) cannot be mined'):
        mine(work, "ours_empty", tiny, "train", depth=3)
    teacher("ours_empty")(Empty)
    run = mine(work, "random", tiny, "train", depth=3)
    with pytest.raises(UsageError, match="cannot score"):
        score_pool(work, "ours_empty", run)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1, 2], r"gave \(\) documents with"),
        (([1, 1], [2.0, 1.0]), "gave a document twice"),
        (([1], [float("nan")]), "gave a score that is not finite"),
        (([1, 2], [1.0]), "documents with"),
        (([10**6], [1.0]), "gave documents beyond 0 to 59"),
        (([0.5], [1.0]), "not whole numbers"),
        (None, "gave NoneType, not two lists"),
    ],
)
def test_an_answer_that_is_no_list_names_source_and_query(alone, tiny, answer, message):
    @source("ours_wrong")
    @dataclass(frozen=True)
    class Wrong:
        version = "1"

        def searcher(self, collection):
            return lambda text, depth: answer

    with pytest.raises(PluginError, match=message) as error:
        mine(tiny.artifact.workspace, "ours_wrong", tiny, "train", depth=3)
    assert "ours_wrong" in str(error.value)


@pytest.mark.parametrize("name", [5, None, b"x", ["a"]])
def test_a_name_that_is_no_text_is_refused_where_it_is_written(alone, name):
    with pytest.raises(UsageError, match="is no name of a source"):
        source(name)
    with pytest.raises(UsageError, match="is no class"):
        source("ours")(lambda text: text)


def test_a_searcher_that_returns_nothing_is_named(alone, tiny):
    @source("ours_nothing")
    @dataclass(frozen=True)
    class Nothing:
        version = "1"

        def searcher(self, collection):
            pass

    with pytest.raises(PluginError, match="source ours_nothing.* gave None, not a function"):
        mine(tiny.artifact.workspace, "ours_nothing", tiny, "train", depth=3)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        5,
        [1.0],
        ([1.0], [0]),
        (np.zeros(3), np.zeros(2, np.uint8)),
        ("ab", "cd"),
        (np.zeros((12, 1)), np.zeros((12, 1))),
        (None, None),
    ],
)
def test_a_column_of_another_shape_names_the_statistic(alone, tiny, answer):
    @statistic("ours_column")
    @dataclass(frozen=True)
    class Wrong:
        version = "1"

        def measure(self, rows):
            return answer

    rows = np.zeros(12)
    with pytest.raises(PluginError, match="statistic ours_column gave .*\n  do: return"):
        Wrong().measure(rows)


@pytest.mark.parametrize(
    "answer", [None, True, np.ones(3, bool), np.ones(12), [0, 1], np.ones((12, 1), bool)]
)
def test_a_mask_of_another_shape_names_the_filter(alone, answer):
    @register_filter("ours_mask")
    @dataclass(frozen=True)
    class Wrong:
        version = "1"

        def reads(self, labels):
            return frozenset()

        def keeps(self, candidates):
            return answer

    with pytest.raises(PluginError, match="filter ours_mask gave"):
        Wrong().keeps(np.zeros(12))


@pytest.mark.parametrize("answer", [3, None, np.zeros((4, 2)), np.zeros(3)])
def test_a_loss_of_another_shape_is_named(alone, answer):
    @plugins.loss("ours_gap")
    @dataclass(frozen=True)
    class OursGap(plugins.Loss):
        def _values(self, f, g):
            return answer

    with pytest.raises(PluginError, match=r"loss ours_gap gave [\s\S]*for 4 groups\n  do: return"):
        OursGap().values(np.zeros((4, 2)), np.zeros((4, 2)))


@pytest.mark.parametrize("answer", [None, [1], [1, 1], [1, 9], [1.0, 2.0], [[1, 2]]])
def test_a_choice_of_something_else_names_the_strategy(alone, answer):
    from rankmill.mining.selection.strategies import Uniform

    @strategy("ours_choice")
    @dataclass(frozen=True)
    class Wrong(Uniform):
        version = "1"

        def choose(self, candidates, reach, size, draws):
            return answer

    with pytest.raises(PluginError, match="ours_choice gave"):
        Wrong().choose(np.zeros(12), np.array([1, 2, 3]), 2, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("given", "message"), [([1.0], "shape"), ("no", "gave str"), (None, "gave")]
)
def test_scores_that_are_no_numbers_name_the_teacher(alone, tiny, given, message):
    @teacher("ours_wrong")
    @dataclass(frozen=True)
    class Wrong:
        version = "1"

        def scorer(self):
            return lambda pairs: given

    run = mine(tiny.artifact.workspace, "random", tiny, "train", depth=3)
    with pytest.raises(PluginError, match=f"teacher ours_wrong.*{message}"):
        score_pool(tiny.artifact.workspace, "ours_wrong", run)


def test_an_error_of_their_code_says_whose_it_is(tiny, tmp_path):
    site = install(tmp_path / "bad", {"words = set(text.lower().split())": "words = text / 0"})
    with on_path(site):
        with pytest.raises(PluginError) as error:
            mine(tiny.artifact.workspace, "shared_words", tiny, "train", depth=3)
        said = str(error.value)
        assert "source shared_words" in said
        assert "TypeError: unsupported operand" in said
        assert "rankmill-ours 0.1" in said
        assert f"{site / 'rankmill_ours.py'} line " in said
        with pytest.raises(UsageError, match="least=0 must be at least 1\n  where: source shared"):
            SOURCES.parse("shared_words(least=0)")


def test_a_broken_package_is_named_and_breaks_nothing_else(tmp_path):
    site = tmp_path / "broken"
    write_metadata(
        site,
        "rankmill-broken",
        "3.1",
        {
            "rankmill.sources": {
                "gone": "rankmill_gone:Gone",
                "silent": "rankmill_silent:Silent",
                "bm25": "rankmill_silent:Silent",
            }
        },
    )
    (site / "rankmill_silent.py").write_text("class Silent: pass\n")
    with on_path(site):
        with pytest.raises(PluginError, match="the source 'gone' cannot be loaded: ModuleNotFound"):
            SOURCES.parse("gone")
        with pytest.raises(PluginError, match=r"silent:Silent registers no source called 'silent'"):
            SOURCES.parse("silent(k=1)")
        assert str(SOURCES.parse("bm25")) == "bm25(k1=0.9,b=0.4)"
        with pytest.raises(UsageError, match="did you mean bm25"):
            SOURCES.parse("bm52")
        assert "gone" not in dict(SOURCES.usable())
        faults = {p.name: p for p in plugins.installed() if p.package == "rankmill-broken 3.1"}
        assert "rankmill has a source 'bm25' of its own" in str(faults["bm25"].fault)
        assert "rankmill-broken 3.1" in str(faults["gone"].fault)
    with pytest.raises(UsageError, match="unknown source 'gone'"):
        SOURCES.parse("gone")


def test_one_name_in_two_packages_is_refused(tmp_path):
    for name in ("rankmill-a", "rankmill-b"):
        write_metadata(tmp_path / name, name, "1", {"rankmill.teachers": {"twin": "x:Y"}})
    both = tmp_path / "rankmill-a", tmp_path / "rankmill-b"
    with (
        on_path(*both),
        pytest.raises(PluginError, match="2 packages have a teacher"),
    ):
        TEACHERS.parse("twin")


def test_filters_and_strategies_join_too(alone):
    from rankmill.mining.selection import FILTERS, STRATEGIES
    from rankmill.mining.selection.strategies import Uniform

    @register_filter("ours_even")
    @dataclass(frozen=True)
    class Even:
        version = "1"

        def reads(self, labels):
            return frozenset()

        def keeps(self, candidates):
            return candidates.doc % 2 == 0

    @strategy("ours_uniform")
    @dataclass(frozen=True, slots=True)
    class Ours(Uniform):
        version = "1"

    assert FILTERS.stored(str(Even())) == Even()
    assert STRATEGIES.stored(str(Ours(last=5))) == Ours(last=5)
    assert str(Uniform(last=5)).startswith("uniform(")


def test_a_parameter_of_theirs_may_be_neutral_too(alone):
    @statistic("ours_later")
    @dataclass(frozen=True)
    class Later:
        version = "1"
        k: int = neutral(1, default=2)

        def measure(self, rows):
            raise AssertionError

    assert str(Later(1)) == 'ours_later(version="1")'
    assert STATISTICS.parse("ours_later") == Later(2)
    assert STATISTICS.stored("ours_later") == Later(1)
    assert STATISTICS.parse(Identity("ours_later")) == Later(1)


def test_errors_of_devices_pass_as_they_are():
    def broken():
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="CUDA error"):
        foreign.guarded(broken, "teacher x", None)()
