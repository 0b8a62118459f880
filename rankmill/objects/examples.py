"""An example of every verb and method, as help shows it; each is tried against the signature."""

from __future__ import annotations

EXAMPLES: dict[str, str] = {}
