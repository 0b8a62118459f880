"""Every public verb with arguments that it takes, by the names of the workspaces of tests: "pets",
"bm25", "random", "pool", "given", "scores", "groups", "measured", "odd-one"."""

from __future__ import annotations

from typing import Any

BASE: dict[str, dict[str, Any]] = {
    "collect": {"documents": ["a b"], "queries": ["a"], "qrels": {"0": {"0": 1}}},
    "survey": {"collection": "pets"},
    "rewrite": {"collection": "pets", "path": "rewrites.tsv", "split": "train"},
    "mine": {"source": "bm25", "collection": "pets", "split": "train", "depth": 3},
    "pool": {"runs": ["bm25"]},
    "score": {"teacher": "stored(scores=given)", "pool": "pool", "direction": "trusted"},
    "select": {"strategy": "top", "pool": "pool", "scores": "scores", "size": 4},
    "stats": {"groups": "groups", "statistics": ["ties"]},
    "cross": {"pool": "pool", "scores": "scores", "encoder": "no-model"},
    "cut": {"groups": "groups", "statistics": "measured", "keep": "keep_below(q=0.75)"},
    "cells": {"groups": "groups", "statistics": "measured"},
    "subsample": {"groups": "groups", "size": 3},
    "retarget": {"groups": "groups", "target": "temperature(T=2)"},
    "train": {"student": "bi_encoder(model=no-model)", "groups": "groups"},
    "rerank": {"student": "./no-model", "run": "bm25"},
    "retrieve": {"student": "./no-model", "collection": "pets", "split": "test"},
    "evaluate": {"run": "bm25"},
    "compare": {"systems": {"a": "bm25-judged", "b": "random-judged"}, "draws": 10},
    "diagnose": {"student": "./no-model", "groups": "groups"},
    "terms": {"designs": {"a": "measured", "b": "measured"}},
    "audit": {"groups": "groups"},
    "explain": {"groups": "groups", "query_id": "q0"},
    "export": {"format": "sentence-transformers", "groups": "groups", "to": "out"},
    "import_run": {"path": "run.txt", "collection": "pets", "split": "train"},
    "import_scores": {"path": "scores.jsonl", "collection": "pets", "kind": "logit"},
    "import_groups": {"path": "a-file", "collection": "pets", "format": "colbert", "kind": "logit"},
    "advise": {"about": "pool"},
    "summarise": {"statistics": "measured"},
    "measure_scores": {"scores": [[1.0, 2.0]], "statistics": ["pair_entropy"]},
    "pair_entropy": {"scores": [[1.0, 2.0]]},
    "from_triples": {"triples": [("who sings", "birds sing", "fish swim")]},
    "near_copies": {"texts": ["birds sing a song", "Birds sing a song."]},
    "open": {"name": "groups"},
    "list": {},
    "describe": {"name": "bm25"},
    "orthogonality": {"cells": None},
    "run": {"recipe": "no-recipe.toml"},
    "check": {"recipe": "no-recipe.toml"},
    "study": {"recipe": "no-recipe.toml"},
    "estimate": {"recipe": "no-recipe.toml"},
    "report": {"ran": None},
    "Workspace": {"root": "work"},
    "Execution": {},
}
ALIKE = {"list_entropy", "effective_size", "misorder", "score_variance"}  # made as pair_entropy is
METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "pets": {"mine": BASE["mine"], "head": {}, "qrels": {"split": "train"}},
    "bm25": {"pool": {}, "evaluate": {}, "head": {}, "records": {}, "input": {"role": "corpus"}},
    "groups": {
        "stats": {"statistics": ["ties"]},
        "export": {"format": "colbert", "to": "out-2"},
        "to_dataset": {},
    },
    "measured": {"summary": {}, "cut": {"keep": "keep_below(q=0.75)"}},
}
