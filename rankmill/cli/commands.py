"""Commands made from requests: options, help and conversions follow from the declared fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli.session import COMMON, CONNECTIONS, DEFAULT_WORKSPACE, Session, session
from rankmill.mining.errors import UsageError
from rankmill.mining.options import Field, Handle, Unasked, count_of, options_of
from rankmill.request import ENGINE, Request

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

Tell = Callable[..., None]
"""tell(session, request, result, **the command's own options): print what came out"""

Variants = Mapping[str, type[Request[Any]]]

_TAG = re.compile(r"\[(?=[a-z#/@])")  # where rich takes a square bracket for markup


def as_written(help: str) -> str:
    """Return a help text of which every square bracket is printed."""
    return _TAG.sub(r"\\[", help)


def command_of(
    verb: str,
    requests: Variants,
    tell: Tell,
    *,
    own: Sequence[inspect.Parameter] = (),
    check: Callable[..., bool] | None = None,
    look: Callable[..., bool] | None = None,
    help: str | None = None,
) -> Callable[..., None]:
    """Return the function of a command for typer.

    `requests`: one request, or several under the values of `--as`, whose options are united.
    `own`: options of the command line alone, handed to `tell`. `check(**said)`: called before any
    work; True ends the command there, and so does `look(session, request, **own)`, which is called
    when the inputs are there.
    """
    fields: dict[str, Field] = {}
    for request in requests.values():
        fields |= {o.name: o for o in options_of(request)} | fields
    several, sharded = len(requests) > 1, any(r.sharded for r in requests.values())

    def command(**said: Any) -> None:
        common = {name: said.pop(name) for name in (*COMMON, *CONNECTIONS) if name in said}
        if check is not None and check(**said):
            return
        mine = {parameter.name: said.pop(parameter.name) for parameter in own}
        kind = said.pop("as_") if several else next(iter(requests))
        request = _chosen(requests, kind, said)
        _refuse_missing(verb if not several else f"{verb} --as {kind}", request, said)
        with session(**common) as here:
            asked = _asked(here, request, said)
            if look is not None and look(here, asked, **mine):
                return
            made = asked.make()
            here.told.tell_found()  # before the result, which is what people read last
            tell(here, asked, made, **mine)

    ordered = sorted(fields.values(), key=lambda o: o.name in ENGINE)
    parameters = [_parameter(o, shared=several) for o in ordered if o.name != "name"]
    parameters += [_which(requests)] if several else []
    parameters += [*own, _parameter(fields["name"]), *COMMON.values()]
    parameters += CONNECTIONS.values() if sharded else ()
    return _typed(command, verb, help or next(iter(requests.values())).__doc__ or "", parameters)


def _typed(
    command: Callable[..., None], name: str, help: str, parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """Give a function the signature that typer reads; arguments stand before options."""
    function: Any = command
    function.__signature__ = inspect.Signature(
        sorted(parameters, key=lambda p: not _is_argument(p.annotation))
    )
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__name__, function.__doc__ = name, inspect.cleandoc(help)
    return command


def _is_argument(annotation: Any) -> bool:
    return type(annotation.__metadata__[0]).__name__ == "ArgumentInfo"


def flag_of(field: Field) -> str:
    """Return the long flag of an option."""
    return field.flag


def _parameter(field: Field, *, shared: bool = False) -> inspect.Parameter:
    option, many = field.option, field.form != "one"
    kind: Any = str
    if not option.count and field.form == "one" and field.type in (int, float, bool, Path):
        kind = field.type
    if many and field.type is not float:
        kind = list[str]
    default = None if field.required or field.default in ((), None) else field.default
    if isinstance(default, tuple):
        default = ",".join(f"{v:g}" for v in default)
    help = option.help
    if option.choices and option.choices[0] not in help:
        help += f" One of {', '.join(option.choices)}."
    if field.required and not option.argument and not shared:
        help += " (required)"
    help = as_written(help)
    unasked = isinstance(default, Unasked)  # left out, so that whether it was said is known
    if option.argument:
        argument = typer.Argument(
            help=help, metavar=field.name.upper(), autocompletion=_completing(field)
        )
        default = inspect.Parameter.empty if field.required else default
        annotation = _annotated(kind, argument, optional=not field.required)
    else:
        flag = flag_of(field)
        flags = [f"{flag}/--no-{flag[2:]}" if kind is bool and default else flag]
        flags += [option.flag] if option.flag and not option.flag.startswith("--") else []
        default = False if kind is bool and default is None else default
        shown: Any = f"{default}" if unasked else True
        default = None if unasked else default
        said = typer.Option(
            *flags, help=help, show_default=shown, autocompletion=_completing(field)
        )
        annotation = _annotated(kind, said, optional=default is None)
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _completing(field: Field) -> Callable[..., list[str]] | None:
    """Return what a shell asks for the values of an option: names of artifacts, or its choices."""
    if field.option.choices:
        return lambda incomplete: [
            one for one in field.option.choices if one.startswith(incomplete)
        ]
    return None if field.option.of is None else names_beginning(str(field.option.of))


def names_beginning(kinds: str | None) -> Callable[..., list[str]]:
    """Return what completes names of artifacts: of the kinds of an option (`pool or run`), None:
    of any. The last name is completed of `a,b` and of `LABEL=a+b`."""
    wanted = None if kinds is None else set(kinds.split(" or "))

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        from rankmill.mining.store import Workspace

        before = incomplete[: max(map(incomplete.rfind, ",=+")) + 1]
        place = ctx.params.get("workspace") or DEFAULT_WORKSPACE
        return [
            before + name
            for name, alias in Workspace(place).names().items()
            if name.startswith(incomplete[len(before) :]) and (not wanted or alias.kind in wanted)
        ]

    return complete


def _annotated(kind: Any, said: Any, *, optional: bool) -> Any:
    """Return the annotation that typer reads: the type, and what is said of it."""
    return Annotated[kind | None, said] if optional else Annotated[kind, said]


def _which(requests: Variants) -> inspect.Parameter:
    help = f"What it holds: {', '.join(requests)}."
    return inspect.Parameter(
        "as_",
        inspect.Parameter.KEYWORD_ONLY,
        default=next(iter(requests)),
        annotation=Annotated[str, typer.Option("--as", help=help)],
    )


def _chosen(requests: Variants, kind: str, said: dict[str, Any]) -> type[Request[Any]]:
    """Return the request of a kind; refuses options that only the others have."""
    if kind not in requests:
        raise UsageError(f"--as {kind!r} is not known", do=f"say --as {', '.join(requests)}")
    known = {o.name: o for o in options_of(requests[kind])}
    others = {o.name: o for r in requests.values() for o in options_of(r) if o.name not in known}
    for name, option in others.items():
        value = said.pop(name)
        if value not in (None, option.default, []):
            owners = [k for k, r in requests.items() if name in {o.name for o in options_of(r)}]
            raise UsageError(
                f"{flag_of(option)} is not of {kind}", do=f"it goes with --as {' or '.join(owners)}"
            )
    return requests[kind]


def _refuse_missing(verb: str, request: type[Request[Any]], said: Mapping[str, Any]) -> None:
    missing = [flag_of(o) for o in options_of(request) if o.required and said.get(o.name) is None]
    if missing:
        raise UsageError(
            f"{verb} needs {' and '.join(missing)}",
            do=f"add {' '.join(f'{flag} …' for flag in missing)}",
        )


def _asked(here: Session, request: type[Request[Any]], said: Mapping[str, Any]) -> Request[Any]:
    """Return the request that a command line means; names become handles."""
    options = {}
    for field in options_of(request):
        value = said[field.name]
        if value is None or (value == [] and not field.required):
            continue
        options[field.name] = _read(here, field, value)
    if "workspace" in {f for f in request.__dataclass_fields__}:
        options["workspace"] = here.workspace
    return request(**options, executor=here.executor)


def _read(here: Session, field: Field, value: Any) -> Any:
    if field.form == "mapping":
        return settings(value) if field.option.of is None else _labelled(here, field, value)
    if field.form == "list" and field.type is float:
        return numbers(field.name, value)
    if field.type is tuple:
        return [_pair(one) for one in value]
    if field.type is Handle and field.option.several:
        several = [_handle(here, field, name.strip()) for name in value.split(",")]
        return several if len(several) > 1 else several[0]
    if field.type is Handle:
        one = [_handle(here, field, v) for v in (value if field.form == "list" else [value])]
        return one if field.form == "list" else one[0]
    return count_of(value) if field.option.count else value


def _handle(here: Session, field: Field, text: str) -> Any:
    from rankmill.handles import handle_of  # which needs Arrow, --help does not

    return handle_of(here.workspace, field, text, flag_of(field))


def _labelled(here: Session, field: Field, texts: Sequence[str]) -> dict[str, list[Artifact]]:
    """Read `NAME` and `LABEL=NAME+NAME` into artifacts of one kind by label."""
    made: dict[str, list[Artifact]] = {}
    for text in texts:
        label, _, names = text.rpartition("=")
        label = label or names
        if label in made:
            raise UsageError(f"{label!r} is named twice", do="give each system a label of its own")
        made[label] = [_handle(here, field, name) for name in names.split("+")]
    return made


def settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` pairs of --set."""
    from rankmill.mining.names import parse

    made = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (equals and key.isidentifier()):
            raise UsageError(f"--set {pair!r} is not key=value", do="write --set layout=lists")
        if key in made:
            raise UsageError(f"--set {key} is given twice", do="keep one of the two")
        made[key] = parse(value)
    return made


def _pair(text: str) -> tuple[str, str]:
    first, colon, second = text.partition(":")
    if not colon or ":" in second:
        raise UsageError(f"{text!r} is not a pair", do="write --pair A:B")
    return first, second


def numbers(name: str, text: str) -> tuple[float, ...]:
    """Read `1,1` as two numbers."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{name}={text!r} is not a list of numbers", do="write 1,1") from error
