"""rankmill: prepare data for ranking distillation, measure every group, know what each step cost.

    import rankmill as rm

    nf = rm.collect("beir:nfcorpus", name="nf")
    run = nf.mine("bm25", split="train", depth=200)
    scores = run.pool(nf.mine("random", split="train")).score("cross_encoder(model=PATH)")
    groups = scores.select("uniform(source=bm25,last=100)", size=16, name="nf-groups")
    print(groups.audit()["must_be_zero"], groups.stats().to_polars())

Verbs take names wherever they take objects, and return objects with the next verbs as methods.
help(rm.mine), help(rm.Groups) and so on tell the options; docs/python.md shows all of it.

Collection      collect  survey  rewrite
Candidates      mine  pool  import_run
Teacher         score  import_scores
Groups          select  cross  import_groups  from_triples
From groups     cut  cells  subsample  retarget
Measures        stats  summarise  diagnose  terms  orthogonality
Students        train  rerank  retrieve  evaluate  compare
Looking         open  list  describe  audit  explain  export
Recipes         run  check  study  estimate  advise  report
Alone           measure_scores  pair_entropy  list_entropy  effective_size  misorder
                score_variance  near_copies
Objects         Collection  Run  Pool  Scores  Groups  Statistics  Student  Evaluation
                Comparison  Object  Ran  Workspace  Execution  RankmillError

Importing this is light: the verbs of `rankmill.api` are loaded when one is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.api import *  # noqa: F403

    __version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("rankmill")
    if not name.startswith("_") and not _is_module(name):
        from importlib import import_module

        api = import_module("rankmill.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'rankmill' has no attribute {name!r}")


def _is_module(name: str) -> bool:
    """Say whether `from rankmill import name` means a file or folder: then no verb is loaded."""
    from importlib import util

    verbs_too = ("report", "study")
    return name not in verbs_too and util.find_spec(f"{__name__}.{name}") is not None


def __dir__() -> Sequence[str]:
    from rankmill.api import __all__ as verbs

    return sorted([*verbs, "__version__"])
