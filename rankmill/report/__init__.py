"""The report: an outcome in, plain values (`content`), one self-contained HTML file out."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rankmill.mining.inputs.given_paths import path_given
from rankmill.report.content import Report

if TYPE_CHECKING:
    from rankmill.study.outcome import Outcome

__all__ = ["Report", "report_outcome", "write_report"]


def report_outcome(outcome: Outcome, path: Path) -> None:
    """Write the report of an outcome, unless the one that stands there is about the same."""
    if path.is_file() and outcome.key in path.read_text(encoding="utf-8", errors="replace"):
        return
    from rankmill.report.gather import report_of

    write_report(path, report_of(outcome))


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page to `path` and return it; the same report gives the same bytes.

    Raises RankmillError (store/files) when the disk refuses.
    """
    from rankmill.mining.store import files
    from rankmill.report.page.run import page  # matplotlib stays unloaded until a page is made

    text = page(report)
    place = path_given(path)
    with files.replacing(place) as stream:
        stream.write(text)
    return place


class _Verb(ModuleType):
    """`rankmill.report` is this folder, and the verb too: `rm.report(ran, "report.html")`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Write a report: `rankmill.api.report`."""
        api = importlib.import_module("rankmill.api")  # which stands on this folder
        return api.report(*args, **kwargs)


sys.modules[__name__].__class__ = _Verb
