"""TOML from users: recipes, prices, machines, and the values of `--set`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rankmill.mining.errors import BadInput
from rankmill.mining.inputs.given_paths import path_given

_WHOLE = 1 << 63  # TOML's whole numbers are of 64 bits: toml.io/en/v1.0.0#integer


def read_toml(path: Path, said: str, lacking: str, do: str = "check the path") -> dict[str, Any]:
    """Read a file; raises BadInput where there is none (`lacking`), and where it is no TOML.

    `said`: what the file is called in a message, with its verb: `the recipe is`.
    """
    try:
        return tables_in(path_given(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(lacking, where=path, do=do) from error
    except (ValueError, RecursionError) as error:  # also what is not UTF-8
        raise BadInput(f"{said} not valid TOML: {error}", where=path) from error


def tables_in(text: str) -> dict[str, Any]:
    """Parse TOML; raises ValueError for what is none, whole numbers of more than 64 bits among
    it, and RecursionError for tables in tables without end."""
    tables = tomllib.loads(text)
    _check_whole(tables)
    return tables


def _check_whole(value: Any) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            _check_whole(one)
    elif isinstance(value, int) and not -_WHOLE <= value < _WHOLE:
        raise ValueError(f"the whole number {str(value)[:20]}… has more than 64 bits")
