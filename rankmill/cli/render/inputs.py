"""What `score` prints: the scores, or the first pair as the teacher reads it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rankmill.cli import streams
from rankmill.cli.session import Session
from rankmill.mining.errors import UsageError

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.stages import Score


def tell_scores(here: Session, asked: Score, made: Artifact, *, show_input: bool) -> None:
    """Print the scores that were made."""
    here.tell(made, asked.name)


def tell_input(here: Session, asked: Score, *, show_input: bool) -> bool:
    """Print the text of the first pair with its special tokens; False where nobody asked for it."""
    if not show_input:
        return False
    if asked.name is not None:
        raise UsageError(
            f"--show-input scores nothing that could be called {asked.name!r}",
            do="leave out --name, or --show-input",
        )
    from rankmill.mining.teachers.shown import show_first_pair

    shown = show_first_pair(asked.teacher, asked.pool)
    if here.as_json:
        here.emit(asdict(shown))
        return True
    streams.tell(f"query {shown.query_id} with document {shown.doc_id}; nothing was scored")
    for one in shown.sequences:
        counts = (f"{_visible(token)} × {n}" for token, n in one.special.items())
        cut = ", the end of a text is cut" if one.cut else ""
        streams.tell(f"{one.of}: {one.tokens:,} tokens of at most {one.most:,}{cut}")
        streams.tell(f"special tokens: {', '.join(counts) or 'none'}")
        streams.tell(f"----\n{_visible(one.text)}\n----")
    for warning in shown.warnings:
        streams.tell(f"warning: {_visible(warning)}")
    return True


def _visible(text: str) -> str:
    """Return a text that a terminal prints and does not obey; line ends and tabs stay."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode()
        for sign in text
    )
