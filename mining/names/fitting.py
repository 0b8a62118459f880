"""Values as read, made what a parameter is declared to hold, or refused."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import UsageError
from .parameters import PLAIN_NAMES, declared
from .texts import Call, Spelled, normal, plain, text_of

_UNFIT = object()


def fit_to(field: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """Fit a parsed value to the declared type of its parameter, or refuse with the value."""
    kinds, items = declared(field)
    if isinstance(value, tuple) and "tuple" in kinds:
        fitted = tuple(_fit(frozenset({items}), v) for v in value)
        if _UNFIT not in fitted:
            return fitted
        number = next(i for i, v in enumerate(fitted) if v is _UNFIT)
        raise UsageError(
            f"{field.name}: {text_of(value[number])} is not {PLAIN_NAMES[items]}", where=where
        )
    fitted = _fit(kinds, value)
    if fitted is not _UNFIT:
        return fitted
    received = f"{field.name}={text_of(value)}"
    if kinds <= {"tuple", "None"}:
        sample = {"int": "[1,2]", "float": "[0.5,2]"}.get(items, f"[{text_of(value)},…]")
        raise UsageError(
            f"{received} is not a list",
            where=where,
            do=f"{field.name}= takes a list, such as {field.name}={sample}",
        )
    wanted = [name for kind, name in PLAIN_NAMES.items() if kind in kinds]
    raise UsageError(f"{received} is not {' or '.join(wanted)}", where=where)


def placeholder_of(field: dataclasses.Field[Any]) -> str:
    """Return a parameter as it is written where it is missing."""
    return f"{field.name}={'[a,b]' if 'tuple' in declared(field)[0] else '…'}"


def _fit(kinds: frozenset[str], value: Any) -> Any:
    """Return a single value as one of the kinds has it, or _UNFIT."""
    if not kinds & PLAIN_NAMES.keys():
        return normal(value)
    given, spelled = value, value.text if isinstance(value, Spelled) else None
    value = plain(value)
    if value is None and "None" in kinds:
        return None
    if isinstance(value, bool) and "bool" in kinds:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and kinds & {"int", "float"}:
        return _number(kinds, value)
    if "str" in kinds:
        if isinstance(value, str):
            return value
        if isinstance(value, Call):
            return str(given)  # a nested value kept as its text
        if spelled is not None or type(value) in (int, float):
            return spelled or text_of(value)  # a run may be called 42, or 12e4
    if isinstance(value, tuple) and "tuple" in kinds:
        return value
    return _UNFIT


def _number(kinds: frozenset[str], value: int | float) -> Any:
    if type(value) is float and "float" not in kinds:
        return int(value) if value.is_integer() else _UNFIT
    if type(value) is int and "int" not in kinds:
        return float(value) if abs(value) < 10**308 else _UNFIT
    return value
