"""Read triples with matchmaker's readers of training data, the texts taken before its tokenizer.

The readers derive from classes of AllenNLP, which cannot be installed beside a torch of today: they
are stood in for. What opens the file, splits its lines and names their parts is matchmaker's.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import types
from pathlib import Path

from triples import write_groups

STOOD_IN = ("allennlp", "blingfire", "overrides", "rich", "transformers")


class Anything:
    """A base class, a field or a token, whatever is asked for."""

    def __init__(self, *_: object, **__: object):
        pass

    def shard_iterable(self, lines):
        return lines

    def log(self, *_: object):
        pass


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
from matchmaker.dataloaders.tas_balanced_training_loader import (  # noqa: E402
    FastTransformerTokenizer,
    TASBalancedDatasetLoader,
)

Triple = tuple[str, str, str, float, float]


class Texts(IndependentTrainingDatasetReader):
    """The reader, one triple at a time."""

    def text_to_instance(self, query, positive, negative, *rest):
        _, _, positive_score, negative_score, *_ = rest
        return query, positive, negative, float(positive_score), float(negative_score)


def texts(export: Path) -> list[Triple]:
    return list(Texts(train_pairwise_distillation=True)._read(export / "train.tsv"))


def ids(export: Path) -> list[Triple]:
    """What the loader for TAS-balanced batches holds; its clusters of queries are one here."""
    clusters = export.parent / "clusters.tsv"
    queries = (export / "queries.tsv").read_text(encoding="utf-8").splitlines()
    clusters.write_text(" ".join(line.split("\t")[0] for line in queries) + "\n")
    data = TASBalancedDatasetLoader(
        str(export / "queries.tsv"), str(export / "collection.tsv"), str(export / "train.tsv"),
        str(clusters), 1, 1, object.__new__(FastTransformerTokenizer),
        pair_balancing_strategy="random",
    )  # fmt: skip
    data.load_data()
    return [
        (data.queries[query], data.collection[positive], data.collection[negative], *scores)
        for query, pairs in data.pairs_with_teacher_scores_by_qid.items()
        for positive, negative, *scores in pairs
    ]


def main(export: Path, out: Path) -> None:
    write_groups(export, (ids if (export / "collection.tsv").exists() else texts)(export), out)
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
