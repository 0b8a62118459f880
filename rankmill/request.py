"""What a request is: a frozen record of one stage's options, each declared once.

A request is a dataclass whose fields say everything about an option: name, type and default as in
any dataclass; help, unit, limits and an example in the `Option` of its annotation. The command line
(`rankmill.cli.commands`), the verbs of Python (`rankmill.api`) and the sections of recipes
(`rankmill.study.recipe`) are made from these fields. The requests themselves: `rankmill.stages`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from rankmill.mining.errors import UsageError, extras_told
from rankmill.mining.options import Option, check_options, check_outputs

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.store import Artifact

Made = TypeVar("Made")
ENGINE = ("device", "batch_tokens", "attention")
"""Options that say where and how models run; no stage is told them, see `OnDevice`."""


@dataclass(frozen=True)
class Request(ABC, Generic[Made]):
    """The options that every stage has. `make` does the work, or finds it done.

    `executor` says where it runs (None: in this process); it never changes a result.
    """

    verb: ClassVar[str]  # what the function in Python is called
    command: ClassVar[str] = ""  # the command, where it is not called like the verb
    panel: ClassVar[str] = "Stage by stage"  # under which heading the command stands
    stored: ClassVar[bool] = True  # makes an artifact, which can have a name
    sharded: ClassVar[bool] = True  # takes --workers: its work is cut into shards
    alone: ClassVar[str] = ""  # why it takes none, and what to use, where it does not

    _: KW_ONLY
    name: Annotated[str | None, Option("Alias for the result.", flag="-n")] = None
    executor: Execution | None = None

    def __post_init__(self) -> None:
        check_options(self)

    @abstractmethod
    def perform(self) -> Made:
        """Return the result of the stage."""

    def running(self) -> AbstractContextManager[None]:
        """Return the block in which the stage is performed: where and how its models run."""
        return nullcontext()

    def make(self) -> Made:
        """Perform the stage and give its result the alias asked for."""
        if self.name is not None and not self.stored:
            raise UsageError(
                f"{self.verb} makes no artifact that could be called {self.name!r}",
                do="leave out name",
            )
        check_outputs(self)
        from rankmill.asked import kept
        from rankmill.mining.store.aliases import check_name
        from rankmill.mining.store.ledger import asked_by

        if self.name is not None:
            check_name(self.name)  # now, not after hours
        with extras_told(), self.running(), asked_by(kept(self)):
            made = self.perform()
        if self.name is not None:
            self.alias(made, self.name)
        return made

    def alias(self, made: Any, name: str) -> None:
        """Name the result; several results get names made of this one."""
        artifact = getattr(made, "artifact", made)
        artifact.workspace.alias(name, artifact)

    @property
    def where(self) -> Execution:
        """The executor, that of this process when none was given."""
        from rankmill.mining.actors import INLINE, Execution

        if not isinstance(self.executor, Execution | None):
            raise UsageError(
                f"executor={self.executor!r} is no Execution", do="write rm.Execution(workers=2)"
            )
        return INLINE if self.executor is None else self.executor

    def given(self, *without: str) -> dict[str, Any]:
        """Return the options by name, but for `without`, the alias, the executor and those that
        say where models run."""
        left_out = {"name", "executor", *ENGINE, *without}
        names = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        return {name: getattr(self, name) for name in names}

    def given_to(self, other: type[Request[Any]]) -> dict[str, Any]:
        """Return the options that another request has too, and the executor, as its keywords."""
        shared = {f.name for f in dataclasses.fields(other)} & set(self.given())
        return {name: getattr(self, name) for name in shared} | {"executor": self.executor}


@dataclass(frozen=True)
class OnDevice:
    """The option of a request that runs a model: on which device."""

    _: KW_ONLY
    device: Annotated[
        str, Option("Where models run: auto (a GPU if there is one), cpu, cuda, or cuda:1 for one.")
    ] = "auto"

    def running(self: Any) -> AbstractContextManager[None]:
        """Return the block in which models run as asked; refuses a device that is not there.

        A request that asks for nothing runs as the one that makes it.
        """
        from rankmill.mining.devices import Engine, check_engine, using

        asked = Engine(**{name: getattr(self, name) for name in ENGINE if hasattr(self, name)})
        if asked == Engine():
            return nullcontext()
        check_engine(asked, self.where.workers or int(self.where.ray_address is not None))
        return using(asked)


@dataclass(frozen=True)
class RunsModels(OnDevice):
    """The options of a request that runs a model forward: on which device, and how."""

    _: KW_ONLY
    batch_tokens: Annotated[
        int | None,
        Option(
            "Of a forward pass; default: what suits the device. Changing it can change last bits.",
            unit="tokens",
            least=64,
        ),
    ] = None
    attention: Annotated[
        str,
        Option(
            "auto: on a GPU in 16 bits one call for all texts; sdpa: one for each length.",
            choices=("auto", "sdpa"),
        ),
    ] = "auto"


def named_of(artifact: Artifact, name: str) -> Artifact:
    """Give an artifact an alias and return it."""
    artifact.workspace.alias(name, artifact)
    return artifact
