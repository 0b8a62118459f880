"""What an artifact holds follows from its fingerprint: not from what was asked for before, nor from
where models and collections lie, nor from how their files are laid out."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_collection import tiny_beir
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill import api
from rankmill.mining.store import Artifact, Workspace

ORDERS = 6
COMMANDS = (
    "dense(first)",
    "dense(second)",
    "neighbours(first)",
    "rerank(cross)",
    "score(cross)",
    "stats(second)",
    "train(bi_encoder)",
    "train(cross_encoder)",
    "train(scratch)",
)


class Person:
    """Somebody with own folders, and copies of models that differ in what decides nothing."""

    def __init__(self, place: Path, originals: Path, number: int):
        beir = shutil.copytree(originals / "beir", place / f"data-{number}")
        self.workspace = Workspace(place / f"work of {number}")
        self.collection = api.collect(f"beir:{beir}", workspace=self.workspace)
        self.models = {}
        for name in ("first", "second", "cross"):
            folder = place / f"models {number}" / f"{name}-{number}"
            shutil.copytree(originals / name, folder)
            lay_out(folder, number)
            self.models[name] = f'model="{folder}"'

    def run(self, source: str = "bm25(k1=0.9,b=0.4)") -> Artifact:
        return api.mine(source, self.collection, split="train", depth=12)

    def groups(self, teacher: str) -> Artifact:
        scores = api.score(teacher, api.pool([self.run()]))
        return api.select("uniform(last=10)", scores.input("pool"), scores, size=4)

    def do(self, command: str) -> None:
        """Carry out one command, and whatever it needs that is not there yet."""
        verb, _, what = command.removesuffix(")").partition("(")
        model = self.models.get(what)
        if verb in ("dense", "neighbours"):
            self.run(f"{verb}({model})")
        elif verb == "rerank":
            self.run(f"rerank(teacher=cross_encoder({model}),of={self.run().fingerprint})")
        elif verb == "score":
            api.stats(scores=self.groups(f"cross_encoder({model})").input("scores"))
        elif verb == "stats":
            teacher = f"bi_encoder({model})"
            api.stats(self.groups(teacher), encoder=teacher)
        else:
            groups = self.groups(f"bi_encoder({self.models['second']})")
            small: dict[str, Any] = {"batch": 4, "query_length": 8, "doc_length": 16, "lr": 1e-3}
            student = f"{what}({self.models['first']})"
            if what == "scratch":
                student = f"bi_encoder({self.models['first']},scratch=true)"
            made = api.train(student, groups, documents=32, threads=1, **small)
            ranked = api.rerank(made, self.run(), depth=5)
            with pytest.warns(RuntimeWarning, match="queries that the student was trained on"):
                api.evaluate(ranked)

    def roots(self) -> dict[tuple[str, str], str]:
        return {(a.kind, a.fingerprint): a.root_hash for a in self.workspace.artifacts()}


def lay_out(folder: Path, number: int) -> None:
    """Write the JSON files of a model anew: other blanks, another origin, another library."""
    for path in sorted(folder.rglob("*.json")):
        value = json.loads(path.read_text())
        if path.name == "config.json" and path.parent == folder:
            value["_name_or_path"] = str(folder)
            value["transformers_version"] = f"5.0.{number}"
            value["dtype" if number % 2 else "torch_dtype"] = "float16" if number % 3 else "float32"
        items = sorted(value.items(), reverse=bool(number % 2)) if isinstance(value, dict) else None
        path.write_text(json.dumps(dict(items) if items else value, indent=number % 4 or None))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("originals")
    tiny_beir(place / "beir")
    tiny_encoder(place / "first", seed=1)
    tiny_encoder(place / "second", seed=2)
    tiny_cross_encoder(place / "cross", seed=3)
    return place


def test_no_order_of_commands_and_no_folder_changes_a_root_hash(
    originals: Path, tmp_path: Path
) -> None:
    found: list[dict[tuple[str, str], str]] = []
    for number in range(ORDERS):
        person = Person(tmp_path, originals, number)
        order = random.Random(number).sample(COMMANDS, len(COMMANDS))
        for command in order:
            person.do(command)
        found.append(person.roots())
    assert len({kind for kind, _ in found[0]}) >= 11, sorted({kind for kind, _ in found[0]})
    for roots in found[1:]:
        assert roots.keys() == found[0].keys()  # copies of a model are the same request
        other = {kind for (kind, name), root in roots.items() if root != found[0][kind, name]}
        assert not other
