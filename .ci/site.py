"""Hooks of MkDocs: files outside of docs/ are linked in the repository, verbs tell themselves."""

from __future__ import annotations

import inspect
import posixpath
import re
from typing import Any

LINK = re.compile(r"(\]\()((?:\.\./)+[^)#]+)")
VERBS = "<!-- verbs -->"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the text of a page with its links made whole, and the verbs in their place."""
    folder = posixpath.dirname(page.file.src_uri)

    def whole(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        if place.startswith("docs/"):
            return link[0]
        return f"{link[1]}{config.repo_url.rstrip('/')}/blob/main/{place}"

    text = LINK.sub(whole, markdown)
    return text.replace(VERBS, verbs()) if VERBS in text else text


def verbs() -> str:
    """Return a section for every verb of Python: how it is called, and what its options mean."""
    from rankmill import api

    parts = []
    for name in api.__all__:
        thing = getattr(api, name)
        if inspect.isclass(thing) or not callable(thing):
            continue
        told = inspect.cleandoc(thing.__doc__ or "")
        head, _, options = told.partition("\n\nOptions:\n")
        parts.append(
            f"## `rm.{name}`\n\n```python\nrm.{name}{_signature(thing)}\n```\n\n{_plain(head)}\n"
        )
        if options:
            rows = (line.strip().partition(": ") for line in options.splitlines() if line.strip())
            table = "\n".join(f"| `{key}` | {_cell(said)} |" for key, _, said in rows)
            parts.append(f"| option | |\n|---|---|\n{table}\n")
    return "\n".join(parts)


def _signature(thing: Any) -> str:
    parameters = inspect.signature(thing).parameters.values()
    shown = []
    for one in parameters:
        star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        default = "" if one.default is one.empty else f"={one.default!r}"
        shown.append(f"{star}{one.name}{default}")
    keywords = [n for n, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY]
    if keywords and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        shown.insert(keywords[0], "*")
    inside = ", ".join(shown)
    return f"({inside})" if len(inside) < 90 else "(\n    " + ",\n    ".join(shown) + ",\n)"


def _plain(text: str) -> str:
    """Keep what looks like a tag, a link or emphasis as it is written; link pages."""
    pieces = re.split(r"(`[^`]*`)", text)
    for n in range(0, len(pieces), 2):
        bare = re.sub(r"([\[\]*_])", r"\\\1", pieces[n].replace("<", "&lt;"))
        pieces[n] = re.sub(r"docs/([\w\\-]+)\.md", r"[\1](../\1.md)", bare)
    return "".join(pieces)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
