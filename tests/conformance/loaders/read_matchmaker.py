"""Read triples with matchmaker's reader of training data, the texts taken before its tokenizer.

The reader derives from classes of AllenNLP, which cannot be installed beside a torch of today: they
are stood in for. What opens the file, splits its lines and names their parts is matchmaker's.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import types
from pathlib import Path

STOOD_IN = ("allennlp", "blingfire", "overrides", "transformers")


class Anything:
    """A base class, a field or a token, whatever is asked for."""

    def __init__(self, *_: object, **__: object):
        pass

    def shard_iterable(self, lines):
        return lines


def stood_in(name: str):
    """What a module of AllenNLP holds under `name`."""
    if name.startswith("__"):
        raise AttributeError(name)
    same = {"overrides": lambda method: method, "cached_path": lambda path: path}
    return same.get(name, Anything)


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of AllenNLP and its tokenizer that hold `Anything` under every name."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in STOOD_IN:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__all__ = []
        module.__getattr__ = stood_in
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, StandIns())
from matchmaker.dataloaders.independent_training_loader import (  # noqa: E402
    IndependentTrainingDatasetReader,
)


class Texts(IndependentTrainingDatasetReader):
    """The reader, one triple at a time."""

    def text_to_instance(self, query, positive, negative, *rest):
        _, _, positive_score, negative_score, *_ = rest
        return query, positive, negative, float(positive_score), float(negative_score)


def main(export: Path, out: Path) -> None:
    negatives = json.loads((export / "export.json").read_text())["group_size"] - 1
    rows = list(Texts(train_pairwise_distillation=True)._read(export / "train.tsv"))
    with out.open("w", encoding="utf-8") as stream:
        for at in range(0, len(rows), negatives):
            found = rows[at : at + negatives]
            query, positive, _, score, _ = found[0]
            assert all((row[0], row[1], row[3]) == (query, positive, score) for row in found)
            line = {
                "query": query,
                "docs": [positive, *(row[2] for row in found)],
                "scores": [score, *(row[4] for row in found)],
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
