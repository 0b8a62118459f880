"""What docs/teachers.md writes: the values between its backticks."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "teachers.md").read_text(encoding="utf-8")
KINDS = ("teacher", "cross_encoder", "causal_lm", "seq2seq", "bi_encoder")
SPANS = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))
VALUES = sorted(span for span in SPANS if span.startswith(tuple(f"{kind}(" for kind in KINDS)))
