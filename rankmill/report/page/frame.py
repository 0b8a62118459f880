"""What every page of ours is: one self-contained file, its title and lead, then its body."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .style import CSS


def framed(title: str, lead: Sequence[str], body: str, *, below: str = "", script: str = "") -> str:
    """Return an HTML document; `body` and `below` (what follows the lead) are HTML already.

    `script`: what makes the page handier; it says everything without.
    """
    run = f"<script>\n{script}</script>\n" if script else ""
    said = "".join(f'<p class="lead">{escape(text)}</p>' for text in lead)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="rankmill">
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
<main>
<header>
<h1>{escape(title)}</h1>
{said}
{below}</header>
{body}
<footer>Made by rankmill. This file holds everything it shows; it loads nothing.</footer>
</main>
{run}</body>
</html>
"""
