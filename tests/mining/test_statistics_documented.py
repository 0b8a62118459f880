"""docs/statistics.md names every statistic, strategy, filter, cut and target, and every reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rankmill.mining.derive import CUTS, TARGETS
from rankmill.mining.selection import FILTERS, STRATEGIES
from rankmill.mining.statistics import STATISTICS
from rankmill.mining.statistics.base import REASONS
from rankmill.mining.statistics.compat import COMPAT

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", [STATISTICS, COMPAT, STRATEGIES, FILTERS, CUTS, TARGETS])
def test_every_member_has_its_line(family):
    listed = set(re.findall(r"^\| `(\w+)", TEXT, flags=re.MULTILINE))
    assert set(family.names()) - listed == set()


def test_every_line_is_a_member():
    listed = set(re.findall(r"^\| `(\w+)", TEXT, flags=re.MULTILINE))
    known = {n for f in (STATISTICS, COMPAT, STRATEGIES, FILTERS, CUTS, TARGETS) for n in f.names()}
    assert listed - known == set()


def test_every_reason_is_named():
    assert [reason for reason in REASONS.values() if f"`{reason}`" not in TEXT] == []
