"""TOML files from users: recipes, prices, machines."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from rankmill.mining.errors import BadInput


def read_toml(path: Path, said: str, lacking: str, do: str = "check the path") -> dict[str, Any]:
    """Read a file; raises BadInput where there is none (`lacking`), and where it is no TOML.

    `said`: what the file is called in a message, with its verb: `the recipe is`.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(lacking, where=path, do=do) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{said} not valid TOML: {error}", where=path) from error
