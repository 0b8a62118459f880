"""The report: plain values in (`content`), one self-contained HTML file out (`write_report`)."""

from __future__ import annotations

from pathlib import Path

from rankmill.report.content import Report

__all__ = ["Report", "write_report"]


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page to `path` and return it; the same report gives the same bytes.

    Raises RankmillError (store/files.py) when the disk refuses.
    """
    from rankmill.mining.store import files
    from rankmill.report.html import page  # matplotlib stays unloaded until a page is made

    text = page(report)
    with files.replacing(Path(path)) as stream:
        stream.write(text)
    return Path(path)
