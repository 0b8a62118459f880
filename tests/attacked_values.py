"""Values of a report with an attack in every text: mark-up that would run a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

ATTACK = (
    "</script></style></title></svg>--><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
)


def attacked(value: Any) -> Any:
    """Return a value of a report with the attack in every text that it holds."""
    if isinstance(value, str):
        return value + ATTACK
    if is_dataclass(value) and not isinstance(value, type):
        told = {f.name: attacked(getattr(value, f.name)) for f in fields(value)}
        return replace(value, **told)
    if isinstance(value, Mapping):
        return {attacked(k): attacked(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(attacked(one) for one in value)
    return value
