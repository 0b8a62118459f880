"""What all tests share: an offline environment, a workspace, one local cluster.

pytest puts this folder on the path: `from oracles.entropy import …`, `from tiny_models import …`.
For the same reason no folder here may be called `rankmill`: it would hide the package.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

import environment  # noqa: E402

environment.settle()

import pytest  # noqa: E402  (after the environment)
from hypothesis import HealthCheck, settings  # noqa: E402
from object_store import machine, one_server, server, store  # noqa: E402, F401  (fixtures)

# Nothing is timed in a test: an example may take longer where two processes share the processors.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SHARED = ROOT.parent / "shared" / "data"


PARALLEL = "PYTEST_XDIST_WORKER" in os.environ  # `make test`: files are shared out to processes
FORKS, PLAIN, CLUSTER, OWN_CLUSTER = range(4)
# Of files shared out: those that take longest early; none of them alone at the end.
TURNS = (FORKS, CLUSTER, OWN_CLUSTER, PLAIN)
LARGE = ("torch", "transformers", "transformers.modeling_utils")  # to import
_needs_cluster: set[Path] = set()  # files with tests on the shared cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Forking tests first, while the process has no threads; the cluster's last, and after them
    those that put clusters of their own in its place.

    Where files are shared out they come whole, in the order of `TURNS`; of those that fork, the
    ones that need the cluster come last, so that it runs from there to the last that does.
    """
    _needs_cluster.update(i.path for i in items if "ray_cluster" in getattr(i, "fixturenames", ()))
    if not PARALLEL:
        items.sort(key=_place)  # stable: files keep their order
        return
    places: dict[Path, list[int]] = {}
    for item in items:
        places.setdefault(item.path, []).append(_place(item))
        if _place(item) == FORKS:  # pytest-xdist has a thread for its messages
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
    files = _dealt(places)
    items.sort(key=lambda item: (files.index(item.path), _place(item)))


def _dealt(places: dict[Path, list[int]]) -> list[Path]:
    """Return files in the order in which they are dealt out, given the places of their tests.

    Those that fork alternate between studies, which compile nearly all kernels, and the others,
    which compile none: else the first two processes would both compile the same ones.
    """
    turn = {path: min(map(TURNS.index, these)) for path, these in places.items()}
    files = sorted(places, key=lambda path: (turn[path], path in _needs_cluster))
    forking = [path for path in files if turn[path] == FORKS]
    studies = [path for path in forking if path.parent.name == "face"]
    others = sorted(set(forking) - set(studies), key=lambda path: -len(places[path]))
    dealt = [path for pair in zip_longest(studies, others) for path in pair if path is not None]
    return dealt + files[len(dealt) :]


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("forks"):
        return FORKS
    if item.path.name == "test_actors_nodes.py":
        return OWN_CLUSTER
    return CLUSTER if item.get_closest_marker("ray") else PLAIN


def pytest_sessionstart() -> None:
    """Let the second process import what is large while the first one reads the tests: where no
    bytecode is kept yet, as in a fresh checkout, each then finds what the other has compiled."""
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        for name in LARGE:
            with suppress(ModuleNotFoundError):  # a light core: its tests skip what needs them
                import_module(name)


@pytest.fixture(scope="module", autouse=True)
def _parts_of_module() -> Iterator[None]:
    """Let no part outlive the module whose fixtures registered it."""
    yield from _registered_for_now()


@pytest.fixture(autouse=True)
def _parts_of_test(_parts_of_module: None) -> Iterator[None]:
    """Let no part outlive the test that registered it: others list what there is."""
    yield from _registered_for_now()


def _registered_for_now() -> Iterator[None]:
    """Restore afterwards which parts of other people's code, functions too, are registered.

    Those of installed packages stay: their modules, once imported, register nothing again.
    """
    from rankmill.mining import foreign
    from rankmill.mining.names.family import foreigners

    before = foreigners()
    yield
    for family, name, _ in foreigners():
        if name not in foreign.installed(family.group):
            del family._members[name]
    for family, name, member in before:
        family._members[name] = member


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real collections beside the checkout, or skip."""
    if not SHARED.is_dir():
        pytest.skip(f"no real collections at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def packaged_smollm2() -> Path:
    """Return the file of SmolLM2-135M-Instruct inside its package, or skip."""
    from gguf_checkpoint import PACKAGE, packaged_gguf

    packaged = packaged_gguf()
    if packaged is None:
        pytest.skip(f"no package {PACKAGE}: make test installs it, with --no-deps")
    return packaged


@pytest.fixture(scope="session")
def smollm2(packaged_smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return that model as a folder, 270 MB for this session."""
    from gguf_checkpoint import llama_folder

    return llama_folder(packaged_smollm2, tmp_path_factory.mktemp("smollm2") / "model")


@pytest.fixture(scope="session")
def smollm2_tokenizer(packaged_smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with its tokenizer and chat template alone."""
    from gguf_checkpoint import write_tokenizer

    return write_tokenizer(packaged_smollm2, tmp_path_factory.mktemp("smollm2") / "tokenizer")


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    """Return an empty workspace of this test alone."""
    from rankmill.mining.store import Workspace

    return Workspace(tmp_path / "work")


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a workspace with an artifact of every kind, for tests that undo what they do to it."""
    from every_kind import every_kind as make

    return make(tmp_path_factory.mktemp("every-kind"))


_cluster = ExitStack()  # holds the shared cluster while it runs


@pytest.fixture
def ray_cluster() -> None:
    """See to it that the local cluster with two slots runs which tests share."""
    from rankmill.mining.actors import cluster

    ray = sys.modules.get("ray")  # `cluster` imports it, with what it reads from the environment
    if ray is None or not ray.is_initialized():
        end_shared_cluster()  # where somebody else has stopped it
        name_test_modules_to_actors()
        _cluster.enter_context(cluster(2))


def end_shared_cluster() -> None:
    """End the shared cluster, if it runs: its ten processes take a tenth of a processor idle."""
    _cluster.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no cluster run beside files that do not use it."""
    if item.path not in _needs_cluster:
        end_shared_cluster()


def pytest_sessionfinish() -> None:
    end_shared_cluster()


def name_test_modules_to_actors() -> None:
    """Let actors import the workers that tests define."""
    tests, places = str(ROOT / "tests"), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if tests not in places:
        os.environ["PYTHONPATH"] = os.pathsep.join([tests, *places])


@pytest.fixture
def rankmill(place, capfd, monkeypatch):
    """Return a function that runs one command in the module's folder `place`, in this process:
    (status, stdout, stderr)."""
    from rankmill import cli

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "240")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rankmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the figures that are rendered."""
    from rankmill.report.page import canvas

    figures: list[Any] = []
    render = canvas.render

    def keep(figure: Any, alternative: str) -> str:
        figures.append(figure)
        return render(figure, alternative)

    monkeypatch.setattr(canvas, "render", keep)
    return figures
