"""Turns of a chat as one prompt: the model's own chat template, rendered in Jinja's sandbox.

As transformers renders it, but without a clock: a template that writes today's date would give
other scores tomorrow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BadInput, UsageError
from ...models.folder import ModelFolder

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

_CONFIG = "tokenizer_config.json"
_FIELDS = ("{query}", "{document}")
_ODD = ' It\'s "5 < 7" & é,\n  {A} '  # what templates might escape, fold or lay out anew
_SPECIAL = tuple(f"{n}_token" for n in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))


@dataclass(frozen=True, slots=True)
class Chat:
    """A system and a user turn, and how the assistant's answer begins.

    `template` is Jinja text in place of the model's own.
    """

    user: str
    system: str = ""
    assistant: str = ""
    template: str | None = None

    def prompt(self, model: ModelFolder) -> str:
        """Return the turns as the text that the model reads, up to where it would answer.

        Raises BadInput for a model without a chat template, and for one that cannot be rendered.
        """
        return self._rendered(model, {})

    def trimmed(self, model: ModelFolder) -> tuple[str, str]:
        """Return off which ends of a query, and of a document, the template takes blanks and line
        ends, as many do at the ends of a turn: "left", "right", "both", or "" for none.

        Raises BadInput for a template that changes texts otherwise: what it makes of a text is
        known for what it was rendered with alone.
        """
        plain = self._rendered(model, {})
        ends = []
        for field in _FIELDS:
            self._check_kept(model, plain, field)
            cut = [
                side
                for side, odd in (("left", f"\n {field}"), ("right", f"{field} \n"))
                if self._rendered(model, {field: odd}) != plain.replace(field, odd)
            ]
            ends.append("both" if len(cut) == 2 else "".join(cut))
        return ends[0], ends[1]

    def _check_kept(self, model: ModelFolder, plain: str, field: str) -> None:
        """Refuse a template that changes what stands in a turn, or cuts more than blanks off it."""
        inside, outside = f"{field}{_ODD}{field}", f"\n {field} \n"
        kept = self._rendered(model, {field: inside}) == plain.replace(field, inside)
        rendered = self._rendered(model, {field: outside})
        known = (outside, outside.lstrip(), outside.rstrip(), field)
        if not kept or rendered not in {plain.replace(field, one) for one in known}:
            raise BadInput(
                f"the chat template changes the text that stands for {field}: of {inside!r} it "
                f"makes {self._rendered(model, {field: inside})!r}",
                where=model.path,
                do="write the whole text in prompt=…, or give template=… that leaves texts as they "
                "are",
            )

    def _rendered(self, model: ModelFolder, texts: Mapping[str, str]) -> str:
        """Return the turns as text, with texts in the places of some fields."""
        from jinja2 import TemplateError

        template = self.template or _template_of(model)
        system, user = (_filled(turn, texts) for turn in (self.system, self.user))
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": user})
        try:
            text = (
                _environment()
                .from_string(template)
                .render(
                    messages=turns,
                    tools=None,
                    documents=None,
                    add_generation_prompt=True,
                    **_special_tokens(model),
                )
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise BadInput(
                f"the chat template cannot be rendered: {error}",
                where=model.path,
                do="write the text out with prompt=…; some models take no system turn",
            ) from error
        return text + _filled(self.assistant, texts)


def _filled(turn: str, texts: Mapping[str, str]) -> str:
    for field, text in texts.items():
        turn = turn.replace(field, text)
    return turn


def check_turns(prompt: str | None, user: str | None, more: dict[str, str | None]) -> None:
    """Refuse turns of a chat beside a prompt, and turns without a user's; raises UsageError."""
    given = [name for name, text in more.items() if text]
    if prompt is not None and (user is not None or given):
        raise UsageError(
            f"prompt= and {', '.join(['user'] * (user is not None) + given)}= are both given",
            do="write the whole text in prompt=, or turns of a chat",
        )
    if user is None and given:
        raise UsageError(f"{', '.join(given)}= needs a user turn", do="write user=…")


def _template_of(model: ModelFolder) -> str:
    """Return the chat template that a model's folder holds."""
    beside = model.path / "chat_template.jinja"
    if beside.exists():
        return beside.read_text(encoding="utf-8")
    said = model.settings(_CONFIG).get("chat_template")
    said = said or model.settings("chat_template.json").get("chat_template")
    if isinstance(said, list):  # several by name
        named = {one["name"]: one["template"] for one in said}
        said = named.get("default")
    if not isinstance(said, str):
        raise BadInput(
            "the model has no chat template (chat_template.jinja, or in tokenizer_config.json)",
            where=model.path,
            do="write the turns out with prompt=…, or give template=… in Jinja",
        )
    return said


def _special_tokens(model: ModelFolder) -> dict[str, str]:
    """Return the special tokens that templates write by name."""
    config = model.settings("special_tokens_map.json") | model.settings(_CONFIG)
    said = {name: config.get(name) for name in _SPECIAL}
    texts = {k: v.get("content") if isinstance(v, dict) else v for k, v in said.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _environment() -> SandboxedEnvironment:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what a model is trained on; its text is kept."""

        tags = {"generation"}  # noqa: RUF012 - the library declares a set

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            body: list[nodes.Node] = parser.parse_statements(
                ("name:endgeneration",), drop_needle=True
            )
            return body

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **layout: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **layout)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    return made
