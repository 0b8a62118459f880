"""Options in errors and warnings are as who asks has them: flags in a terminal, or arguments."""

from __future__ import annotations

import ast
import re
import shutil
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import rankmill as rm
from rankmill.mining.errors import warn, wording
from rankmill.mining.options import Field, options_of
from rankmill.objects.door import speaking
from rankmill.objects.speech import in_python
from rankmill.stages import REQUESTS, Collect, Export, Score, Select
from rankmill.wording import in_quotes, in_terminal

ROOT = Path(__file__).resolve().parents[2]
OTHERS = re.compile(
    r"hf download|ray start|--shard|--merge|SLURM|unsafe-convert-pickle|--include|--revision"
)
"""What is typed elsewhere: other programs, and options that only a terminal has."""


def options(request: type[Any]) -> dict[str, Field]:
    return {one.name: one for one in options_of(request)}


@pytest.mark.parametrize(
    ("said", "request_", "terminal", "python"),
    [
        ("fill up (when_short=fill)", Select, "fill up (--when-short fill)", None),
        ("size=1 must be at least 2", Select, "--size 1 must be at least 2", "size=1 must be at"),
        ("ensemble(missing=drop_doc)", Select, "ensemble(missing=drop_doc)", "(missing=drop_doc)"),
        ("missing=drop_doc or error", Select, "--missing drop_doc or error", 'missing="drop_doc"'),
        ("missing=drop_doc or error", Score, "missing=drop_doc or error", "missing=drop_doc or"),
        ('filters=["margin(gap=0)"]', Select, "--filter 'margin(gap=0)'", "filters=["),
        ("allow_lossy=True writes it", Export, "--allow-lossy writes it", "allow_lossy=True"),
        ("allow_lossy=False", Export, "allow_lossy=False", "allow_lossy=False"),
        ("settings={…}", Export, "settings={…}", "settings={…}"),
        ("missing=N", Select, "--missing N", "missing=N"),
        ("format=foo holds none", Export, "format=foo holds none", 'format="foo" holds'),
        ("on=['no_positives=keep']", Collect, "--on 'no_positives=keep'", "on=["),
        ("format=b'x' is no text", Export, "format=b'x' is no text", "format=b'x' is"),
        ("missing=a DataFrame is", Select, "missing=a DataFrame is", "missing=a DataFrame is"),
        ("missing=ab'x' is", Select, "missing=ab'x' is", "missing=ab'x' is"),
        ("groups --size=4", Select, "groups --size=4", "size=4"),
    ],
)  # fmt: skip
def test_an_option_is_said_as_who_asks_has_it(
    said: str, request_: type[Any], terminal: str, python: str | None
) -> None:
    known = options(request_)
    assert in_terminal(said, known) == terminal
    assert in_terminal(terminal, known) == terminal
    wanted = 'fill up (when_short="fill")' if python is None else python
    assert wanted in in_python(said, request_)
    assert in_quotes(in_quotes(said, known), known) == in_quotes(said, known)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file that are no docstrings, fields of f-strings as N."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {id(n.body[0].value) for n in ast.walk(tree)
            if isinstance(n, bodies) and n.body and isinstance(n.body[0], ast.Expr)}  # fmt: skip
    parts = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for node in ast.walk(tree):
        if id(node) in docs | parts:
            continue
        if isinstance(node, ast.JoinedStr):
            said = (v.value if isinstance(v, ast.Constant) else "N" for v in node.values)
            yield node.lineno, "".join(map(str, said))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_text_of_ours_keeps_a_flag_in_python() -> None:
    left, looked_at = [], 0
    for path in sorted(
        one for room in ("mining", "training") for one in (ROOT / room).rglob("*.py")
    ):
        for line, said in texts(path):
            if "--" not in said or OTHERS.search(said):
                continue
            looked_at += 1
            if flags := re.findall(r"--[a-z][a-z-]*", in_python(said)):
                left.append(f"{path.relative_to(ROOT)}:{line}: {flags}: {said}")
    assert looked_at > 50
    assert left == []


def test_no_text_of_ours_says_an_option_in_the_words_of_both() -> None:
    """What a terminal is told of every request's options has none left as `name=value`."""
    for verb, request in REQUESTS.items():
        for option in options_of(request):
            if option.type is str and option.form == "one" and not option.option.argument:
                said = in_terminal(f"write {option.name}=value", options(request))
                assert said == f"write {option.flag} value", verb


def test_a_warning_speaks_python_behind_the_door_only() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn("say --direction trusted")
        with speaking("score", Score):
            warn("say --direction trusted")
        with wording(str.upper):
            warn("x")
    said = [str(one.message) for one in told]
    assert said == ["say --direction trusted", 'say direction="trusted"', "X"]


@pytest.mark.models
def test_the_same_error_in_both_words(
    every_kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    from rankmill import cli

    own = tmp_path / "own"
    shutil.copytree(every_kind.root, own)
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(own))
    with pytest.raises(rm.RankmillError, match=r'or fill up \(when_short="fill"\)'):
        rm.select("top", "pool", "scores", size=40)
    words = ["select", "top", "--pool", "pool", "--scores", "scores", "--size", "40"]
    monkeypatch.setattr("sys.argv", ["rankmill", *words, "--workspace", str(own)])
    with pytest.raises(SystemExit):
        cli.main()
    assert "or fill up (--when-short fill)" in capfd.readouterr().err


_MANY = re.compile(
    r" (rows|groups|documents|pairs|artifacts|files|stages|judgements|parts|students|scores|lists"
    r"|statistics|candidates|runs|systems|sources|samplers|queries)\b"
)


def plurals(source: str) -> Iterator[str]:
    """Yield each number that a text writes before a plural, whatever the number is: `1 rows`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for number, after in pairwise(node.values):
            if not (isinstance(number, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            written = ast.unparse(ast.JoinedStr([number]))
            a_count = ":," in written or "{len(" in written
            text = str(after.value)
            if a_count and _MANY.match(text):
                yield f"{node.lineno}: {written}{text}"


@pytest.mark.parametrize("folder", ["cli", "objects", "provenance", "report"])
def test_one_is_not_written_before_a_plural(folder: str) -> None:
    wrong = [
        f"{path.name}:{found}"
        for path in sorted((ROOT / "rankmill" / folder).rglob("*.py"))
        for found in plurals(path.read_text(encoding="utf-8"))
    ]
    assert wrong == [], "write counted(number, 'row'), of rankmill.mining.parts.told"


def test_a_plural_behind_a_number_is_found() -> None:
    assert len(list(plurals("f'{a.rows:,} rows  {b}'"))) == 1
    assert len(list(plurals("f'{len(a)} files'"))) == 1
    assert list(plurals("""f'{counted(a.rows, "row")}, {size} documents'""")) == []
