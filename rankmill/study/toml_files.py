"""TOML from users: recipes, prices, machines, and the values of `--set`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rankmill.mining.errors import BadInput
from rankmill.mining.inputs.bounds.guards import TOML_BYTES, read_whole, reason
from rankmill.mining.inputs.given_paths import path_given

MOST_PARTS = 200
_PART = r"""(?:"[^"\n]{0,200}"|'[^'\n]{0,200}'|[\w-]{1,200})"""
_LONG_KEY = re.compile(rf"(?<![\w.-])(?:{_PART}\s*\.\s*){{{MOST_PARTS}}}")
"""Python's parser takes a time that is quadratic in the parts of a key."""
_WHOLE = 1 << 63  # TOML's whole numbers are of 64 bits: toml.io/en/v1.0.0#integer


def read_toml(path: Path, said: str, lacking: str, do: str = "check the path") -> dict[str, Any]:
    """Read a file; raises BadInput where there is none (`lacking`), and where it is no TOML.

    `said`: what the file is called in a message, with its verb: `the recipe is`.
    """
    try:
        path_given(path).lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise BadInput(lacking, where=path, do=do) from error
    data = read_whole(path_given(path), TOML_BYTES, do)
    try:
        return tables_in(data.decode())
    except (ValueError, RecursionError) as error:  # also what is not UTF-8
        do = "write it as TOML: https://toml.io"
        raise BadInput(f"{said} not valid TOML: {reason(error)}", where=path, do=do) from error


def tables_in(text: str) -> dict[str, Any]:
    """Parse TOML; raises ValueError for what is none, whole numbers of more than 64 bits among
    it, and RecursionError for tables in tables without end."""
    if _LONG_KEY.search(text):
        raise ValueError(f"a key has more than {MOST_PARTS} parts between dots")
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
