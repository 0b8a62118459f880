"""A preset as a value: `teacher(qwen3-reranker,model=PATH)` is the plain value it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ...errors import BadInput, UsageError
from ...models.folder import resolve
from ...names import nearest
from ...options import Option
from ...parts.costs import FORWARD
from ...parts.parameters import COMPUTE, MODEL
from ..base import TEACHERS
from .table import PRESETS, Entry


@TEACHERS.register("teacher", FORWARD)
@dataclass(frozen=True, slots=True)
class Preset:
    """A published teacher by the name of its preset: prompt, words, formula and length.

    `model` is the checkpoint. Its scores are those of the plain value that `plain` returns, under
    the same fingerprint. `instruction`: for those that take one. `max_length` None: as published.
    """

    preset: Annotated[
        str, Option("The published teacher: `rankmill list teachers` names them.", example="minilm")
    ]
    model: Annotated[str, MODEL]
    instruction: Annotated[
        str | None, Option("What is looked for, for teachers that can be told.")
    ] = None
    max_length: Annotated[
        int | None, Option("Most tokens read; default: as published.", unit="tokens")
    ] = None
    compute: Annotated[str, COMPUTE] = "float32"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"unknown preset {self.preset!r}", do=nearest(self.preset, PRESETS))
        if self.instruction is not None and not self._entry.takes_instruction:
            able = [name for name, entry in PRESETS.items() if entry.takes_instruction]
            raise UsageError(
                f"{self.preset} takes no instruction", do=f"those do: {', '.join(able)}"
            )
        self._written_out()

    def plain(self) -> Any:
        """Return the value that this one stands for.

        Raises BadInput for an unusable model, and for one of another architecture.
        """
        model = resolve(self.model)
        if not set(model.heads) & set(self._entry.heads):
            fitting = [name for name, entry in PRESETS.items() if {*entry.heads} & {*model.heads}]
            also = f"use the preset {' or '.join(fitting)}, or " if fitting else ""
            raise BadInput(
                f"{self.preset} is {' or '.join(self._entry.heads)}, "
                f"this checkpoint {' or '.join(model.heads) or 'names no architecture'}",
                where=model.path / "config.json",
                do=f"{also}give the checkpoint of the preset",
            )
        return self._written_out()

    @property
    def _entry(self) -> Entry:
        return PRESETS[self.preset]

    def _written_out(self) -> Any:
        entry = self._entry
        given: dict[str, Any] = {"model": self.model, "compute": self.compute}
        max_length = self.max_length or entry.max_length
        instruction = self.instruction or entry.instruction
        prompt = entry.instructed if instruction and entry.instructed else entry.prompt
        member = TEACHERS.member(entry.kind)
        if entry.kind == "cross_encoder":
            told = prompt.replace("{instruction}", instruction or "")
            return member(**given, max_length=max_length, prompt=told)
        given |= {"prompt": prompt, "yes": entry.yes}
        if entry.kind == "seq2seq":
            return member(**given, no=entry.no, max_length=max_length)
        share = max_length * 3 // 4 if entry.shared and max_length else None
        return member(
            **given,
            no=entry.no,
            max_length=max_length,
            instruction=instruction,
            query_length=share,
            apart=entry.shared,
        )
