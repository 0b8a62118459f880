"""What type checkers and editors read of verbs and methods is what they are when they run."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from signatures import CLASSES, PLACE, methods, written

from rankmill import api
from rankmill.objects import kinds
from rankmill.stages import REQUESTS

STUB = ast.parse(PLACE.read_text(encoding="utf-8"))
FUNCTIONS = {one.name: one for one in STUB.body if isinstance(one, ast.FunctionDef)}
METHODS = {
    (of.name.removesuffix("Verbs"), one.name): one
    for of in STUB.body
    if isinstance(of, ast.ClassDef)
    for one in of.body
    if isinstance(one, ast.FunctionDef)
}


def declared(function: ast.FunctionDef, without: int = 0) -> dict[str, tuple[bool, Any]]:
    """Return what a stub says of each parameter: whether it is taken by name only, its default."""
    said = function.args
    placed = [*said.posonlyargs, *said.args][without:]
    missing: list[Any] = [inspect.Parameter.empty] * (len(placed) - len(said.defaults))
    defaults = [*missing, *(ast.literal_eval(one) for one in said.defaults)]
    made = {one.arg: (False, default) for one, default in zip(placed, defaults, strict=True)}
    for one, default in zip(said.kwonlyargs, said.kw_defaults, strict=True):
        value = inspect.Parameter.empty if default is None else ast.literal_eval(default)
        made[one.arg] = (True, value)
    return made


def there(signature: inspect.Signature, without: int = 0) -> dict[str, tuple[bool, Any]]:
    return {
        one.name: (one.kind is one.KEYWORD_ONLY, one.default)
        for one in list(signature.parameters.values())[without:]
        if one.kind is not one.VAR_POSITIONAL
    }


@pytest.mark.parametrize("verb", REQUESTS)
def test_a_verb_has_the_options_that_it_is_said_to_have(verb: str) -> None:
    function = FUNCTIONS[verb]
    signature = inspect.signature(getattr(api, verb))
    assert declared(function) == there(signature)
    assert function.returns is not None
    said, is_ = ast.unparse(function.returns), signature.return_annotation
    assert is_ in ("Any", said)
    assert ast.get_docstring(function)


@pytest.mark.parametrize("name", CLASSES)
def test_a_method_has_the_options_that_it_is_said_to_have(name: str) -> None:
    own = dict(methods(getattr(kinds, name)))
    assert {method for of, method in METHODS if of == name} == own.keys()
    for method in own:
        function = METHODS[name, method]
        signature = inspect.signature(getattr(getattr(kinds, name), method))
        assert declared(function, 1) == there(signature, 1)
        assert function.returns is not None
        assert ast.unparse(function.returns) == signature.return_annotation


def test_the_file_is_the_one_that_is_written() -> None:
    """`python tests/signatures.py` writes it anew."""
    assert ast.dump(ast.parse(written())) == ast.dump(STUB)
