"""Verbs and methods made from requests: signature, help and conversions follow from the fields.

A verb takes names wherever it takes handles, runs where it is told, and returns objects. A method
is a verb with one option filled by the object that it belongs to.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

from rankmill.handles import handles_in, workspace_at
from rankmill.mining.options import options_of
from rankmill.objects.base import as_object
from rankmill.objects.door import bound, check_arguments, speaking
from rankmill.objects.examples import EXAMPLES
from rankmill.objects.misplaced import telling_misplaced
from rankmill.objects.own_parts import parts_in
from rankmill.objects.showing import showing
from rankmill.request import ENGINE, Request

Made = TypeVar("Made")
Requested = type[Request[Any]]

_PLACE = inspect.Parameter(
    "workspace",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation="Workspace | str | Path | None",
)
_PROGRESS = inspect.Parameter(
    "progress", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="bool | None"
)
_HELP = {
    "workspace": "Where names are looked for; default: where the other handles are, else "
    "$RANKMILL_WORKSPACE, else ./rankmill-work.",
    "progress": "Show how it gets on; default: in a notebook.",
}


@overload
def verb(request: Requested) -> Callable[..., Any]: ...


@overload
def verb(request: Requested, made: type[Made]) -> Callable[..., Made]: ...


def verb(request: Requested, made: Any = Any) -> Callable[..., Any]:
    """Make the function that performs a request; its signature is that of the request.

    `made`: the class of what it returns, for people and type checkers.
    """

    def perform(*args: Any, **kwargs: Any) -> Any:
        return performed(request, request.verb, signature, args, kwargs)

    signature = signature_of(request)
    said, returned = _documented(request, ()), getattr(made, "__name__", "Any")
    return _dressed(perform, signature, request.verb, said, returned)


def performed(
    request: Requested,
    called: str,
    signature: inspect.Signature,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    filled: Mapping[str, Any] | None = None,
) -> Any:
    """Perform a request with the arguments of a call; `filled` are options that it says itself."""
    with speaking(called, request):
        given = bound(called, signature, args, kwargs) | dict(filled or {})
        check_arguments(signature, given, ("workspace", "progress", "executor"))
        workspace, progress = given.pop("workspace", None), given.pop("progress", None)
        place = None if workspace is None else workspace_at(workspace)
        if "workspace" in request.__dataclass_fields__:
            given["workspace"] = workspace_at(place)
        executor = given.pop("executor", None)
        with telling_misplaced(request, called, given, filled or {}, place):
            meant = handles_in(options_of(request), parts_in(request.verb, given), place)
            asked = request(**meant)
        with showing(executor, progress) as shown:
            return as_object(replace(asked, executor=shown).make())


def signature_of(request: Requested, without: Sequence[str] = ()) -> inspect.Signature:
    """Return the request's signature with plain types, but for some options; those of every stage
    stand last."""
    signature = inspect.signature(request)
    last = (*ENGINE, "workspace", "name", "executor")
    left_out = (*without, _PLACE.name)
    options = [p for p in signature.parameters.values() if p.name not in left_out]
    options = [p.replace(annotation=_plain(p.annotation)) for p in options]
    ordered = sorted(
        (*options, _PLACE, _PROGRESS), key=lambda p: (_turn(p), p.name in (*last, "progress"))
    )
    return signature.replace(parameters=ordered, return_annotation=inspect.Signature.empty)


def _turn(parameter: inspect.Parameter) -> int:
    """Order by kind, and of those that stand by place the required ones first."""
    keyword = parameter.kind is parameter.KEYWORD_ONLY
    return int(parameter.kind) * 2 + (not keyword and parameter.default is not parameter.empty)


def _plain(annotation: str) -> str:
    """Return `int` of `Annotated[int, Option(…)]`, as it is written; a handle may be a name."""
    node = ast.parse(annotation, mode="eval").body
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        assert isinstance(node.slice, ast.Tuple)
        return _or_name(ast.unparse(node.slice.elts[0]))
    return annotation


def _or_name(written: str) -> str:
    if "| str" in written:
        return written
    for handle in ("Artifact", "Collection"):
        written = written.replace(handle, f"{handle} | str")
    return written


def _dressed(
    function: Any,
    signature: inspect.Signature,
    name: str,
    said: str,
    returned: str,
    of: str = "",
) -> Any:
    function.__signature__ = signature.replace(return_annotation=returned)
    function.__name__, function.__qualname__ = name, f"{of}.{name}" if of else name
    function.__doc__ = said
    function.__module__ = "rankmill.api" if not of else __name__
    return function


def _documented(request: Requested, without: Sequence[str], key: str = "") -> str:
    """Return the request's help without its command lines, an example and a line per option."""
    said = inspect.cleandoc(request.__doc__ or "").split("Example: rankmill")[0].rstrip()
    example = EXAMPLES.get(key or request.verb)
    shown = ["Example:", *(f"    {line}" for line in example.splitlines()), ""] if example else []
    lines = [
        f"    {o.name}: {o.option.help}" + _unit(o.option.unit)
        for o in sorted(options_of(request), key=lambda o: o.name in (*ENGINE, "name"))
        if o.name not in without
    ]
    lines += [f"    {name}: {help}" for name, help in _HELP.items()]
    return "\n".join([said, "", *shown, "Options:", *lines])


def _unit(unit: str | None) -> str:
    return f" ({unit})" if unit else ""


# ---- methods -------------------------------------------------------------------------------------


def method(
    request: Requested,
    field: str,
    *,
    also: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    gathers: bool = False,
) -> Any:
    """Make a method of an object from a request: the object is what `field` says.

    `also`: by option the role of the input that fills it. `without`: options that have no meaning
    where the object is given. `gathers`: the object and any number of others are the list.
    """
    return _Method(request, field, dict(also or {}), tuple(without), gathers)


@dataclass(frozen=True)
class _Method:
    """What `method` returns: the class that it is written in takes its function."""

    request: Requested
    field: str
    also: Mapping[str, str]
    without: tuple[str, ...]
    gathers: bool

    def __set_name__(self, owner: type, name: str) -> None:
        returned = _RETURNED.fullmatch(owner.__annotations__[name])
        assert returned is not None, f"{owner.__name__}.{name} is not declared as Callable[..., X]"
        setattr(owner, name, self._function(owner.__name__, name, returned[1]))

    def _function(self, owner: str, name: str, returned: str) -> Any:
        request, called = self.request, f"{owner.lower()}.{name}"
        left_out = (self.field, *self.also, *self.without)
        options = signature_of(request, left_out)

        def perform(own: Any, /, *args: Any, **kwargs: Any) -> Any:
            filled: dict[str, Any] = {self.field: own}
            if self.gathers:
                filled, args = {self.field: [own, *args]}, ()
            filled |= {option: own.input(role) for option, role in self.also.items()}
            return performed(request, called, options, args, kwargs, filled)

        own = inspect.Parameter(owner.lower(), inspect.Parameter.POSITIONAL_ONLY)
        others = list(options.parameters.values())
        if self.gathers:
            others.insert(0, inspect.Parameter("others", inspect.Parameter.VAR_POSITIONAL))
        whole = options.replace(parameters=[own, *others])
        said = _documented(request, left_out, called)
        return _dressed(perform, whole, name, said, returned, owner)


_RETURNED = re.compile(r"Callable\[\.\.\., (.*)\]")
