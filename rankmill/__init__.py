"""rankmill: prepare data for ranking distillation, measure every group, know what each step cost.

`import rankmill as rm` is light: the verbs are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.api import (
        audit as audit,
    )
    from rankmill.api import (
        collect as collect,
    )
    from rankmill.api import (
        compare as compare,
    )
    from rankmill.api import (
        evaluate as evaluate,
    )
    from rankmill.api import (
        explain as explain,
    )
    from rankmill.api import (
        mine as mine,
    )
    from rankmill.api import (
        pool as pool,
    )
    from rankmill.api import (
        rerank as rerank,
    )
    from rankmill.api import (
        retrieve as retrieve,
    )
    from rankmill.api import (
        score as score,
    )
    from rankmill.api import (
        select as select,
    )
    from rankmill.api import (
        stats as stats,
    )
    from rankmill.api import (
        train as train,
    )
    from rankmill.crossing import (
        cross as cross,
    )
    from rankmill.crossing import (
        orthogonality as orthogonality,
    )
    from rankmill.exchange import (
        export as export,
    )
    from rankmill.exchange import (
        import_groups as import_groups,
    )
    from rankmill.exchange import (
        import_run as import_run,
    )
    from rankmill.exchange import (
        import_scores as import_scores,
    )
    from rankmill.measures import (
        diagnose as diagnose,
    )
    from rankmill.measures import (
        terms as terms,
    )
    from rankmill.mining.actors import Execution as Execution
    from rankmill.mining.errors import RankmillError as RankmillError
    from rankmill.mining.statistics.summaries.summary import summarise as summarise
    from rankmill.mining.store import Workspace as Workspace
    from rankmill.shaping import (
        cells as cells,
    )
    from rankmill.shaping import (
        cut as cut,
    )
    from rankmill.shaping import (
        retarget as retarget,
    )
    from rankmill.shaping import (
        rewrite as rewrite,
    )
    from rankmill.shaping import (
        subsample as subsample,
    )

__version__ = metadata.version("rankmill")

_LAZY = {
    **dict.fromkeys(
        (
            "audit",
            "collect",
            "compare",
            "evaluate",
            "explain",
            "mine",
            "pool",
            "rerank",
            "retrieve",
            "score",
            "select",
            "stats",
            "train",
        ),
        "rankmill.api",
    ),
    **dict.fromkeys(("diagnose", "terms"), "rankmill.measures"),
    **dict.fromkeys(("cells", "cut", "retarget", "rewrite", "subsample"), "rankmill.shaping"),
    **dict.fromkeys(("cross", "orthogonality"), "rankmill.crossing"),
    **dict.fromkeys(
        ("export", "import_groups", "import_run", "import_scores"), "rankmill.exchange"
    ),
    "Execution": "rankmill.mining.actors",
    "summarise": "rankmill.mining.statistics.summary",
    "RankmillError": "rankmill.mining.errors",
    "Workspace": "rankmill.mining.store",
}
__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'rankmill' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
