"""Turns of a chat as one prompt: the model's own chat template, rendered in Jinja's sandbox.

As transformers renders it, but without a clock: a template that writes today's date would give
other scores tomorrow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BadInput, UsageError
from ...models.folder import ModelFolder

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

_CONFIG = "tokenizer_config.json"
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
        from jinja2 import TemplateError

        template = self.template or _template_of(model)
        turns = [{"role": "system", "content": self.system}] if self.system else []
        turns.append({"role": "user", "content": self.user})
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
        return text + self.assistant


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
