"""Parameters as a dataclass declares them: type, default, neutral value, and their text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from .texts import normal, same, text_of

_NEUTRAL = "neutral"
PLAIN_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "tuple": "a list",
    "None": "none",
}


def neutral(value: Any, *, default: Any = dataclasses.MISSING) -> Any:
    """Declare a parameter that a member was given later, as the field of a dataclass.

    With `value` the member behaves as before the parameter existed, and identity texts leave it
    out; it is the default unless another is given. `pieces: int = neutral(1, default=2)`. A field
    with the default None is neutral at None without saying so.
    """
    default = value if default is dataclasses.MISSING else default
    return dataclasses.field(default=default, metadata={_NEUTRAL: value})


def neutral_of(field: dataclasses.Field[Any]) -> Any:
    """Return the neutral value of a field; MISSING for one that has none."""
    if field.default is None and _NEUTRAL not in field.metadata:
        return None
    return field.metadata.get(_NEUTRAL, dataclasses.MISSING)


def is_neutral(field: dataclasses.Field[Any], value: Any) -> bool:
    """Say whether a value of a field is its neutral one, so that identity texts leave it out."""
    return _printed(field, value) == _printed(field, neutral_of(field))


def unless_neutral(**given: tuple[Any, Any]) -> dict[str, Any]:
    """Return the parameters of a stage that are not neutral: `min_grade=(given, neutral)`."""
    return {name: value for name, (value, idle) in given.items() if not same(value, idle)}


def declared(field: dataclasses.Field[Any]) -> tuple[frozenset[str], str]:
    """Return the kinds of value that a field takes, `int`, `None`, `tuple`, and a list's items."""
    text = field.type.__name__ if type(field.type) is type else str(field.type)
    text = _without_option(text.replace("typing.", ""))
    if optional := re.fullmatch(r"Optional\[(.*)\]", text):
        text = f"{optional[1]} | None"
    kinds = frozenset(part.strip().split("[")[0] for part in text.split("|"))
    items = re.search(r"tuple\[(\w+)", text)
    return kinds, items[1] if items else ""


def _without_option(text: str) -> str:
    """Return the type of `Annotated[type, Option(…)]`; another annotation as it is."""
    inner, depth = text.removeprefix("Annotated["), 0
    if inner == text:
        return text
    for at, sign in enumerate(inner):
        depth += (sign == "[") - (sign == "]")
        if sign == "," and depth == 0:
            return inner[:at]
    return inner


def said_type(field: dataclasses.Field[Any]) -> str:
    """Return what people call the type of a parameter: `a number or none`, `a list of texts`."""
    kinds, items = declared(field)
    words = [PLAIN_NAMES[kind] for kind in PLAIN_NAMES if kind in kinds]
    plural = {"int": "whole numbers", "float": "numbers", "str": "texts"}.get(items)
    said = [f"{word} of {plural}" if word == "a list" and plural else word for word in words]
    return " or ".join(said) or "a value"


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a field; MISSING where a value must be given."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def default_text(field: dataclasses.Field[Any]) -> str | None:
    """Return the default of a parameter as it is written; None where a value must be given."""
    value = default_of(field)
    return None if value is dataclasses.MISSING else _printed(field, value)


def arguments_of(value: Any, left_out: Callable[[dataclasses.Field[Any]], Any]) -> list[str]:
    """Return `parameter=value` of every parameter that differs from what may be left out."""
    said = []
    for field in dataclasses.fields(value):
        text, idle = _printed(field, getattr(value, field.name)), left_out(field)
        if idle is dataclasses.MISSING or text != _printed(field, idle):
            said.append(f"{field.name}={text}")
    return said


def _printed(field: dataclasses.Field[Any], value: Any) -> str:
    """Print a parameter: the field says that it is a float, so 2.0 is written 2."""
    kinds, items = declared(field)
    if isinstance(value, tuple | list) and items in ("int", "float"):
        return f"[{','.join(_short(v) for v in value)}]"
    return _short(value) if kinds & {"int", "float"} else text_of(normal(value))


def _short(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole and not same(value, -0.0) else text_of(value)
