"""A recipe that was read: its values, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankmill.study.blends import BLENDS, SamplerBlend, is_blend
from rankmill.study.recipe.labels import written_out


@dataclass(frozen=True, slots=True)
class Domain:
    """An evaluation set: a split of the recipe's collection (in-domain) or of another."""

    collection: str | None = None
    split: str = "test"
    first_stage: str | None = None


@dataclass(frozen=True)
class Recipe:
    """A study of samplers on one collection.

    `options[section]` are the request's options as keywords; `other` holds by label the teachers
    that statistics compare the teacher with; `trains` says whether students are trained at all.
    `where` is the file that it was read from, for errors.
    """

    where: str
    name: str
    title: str
    collection: str
    seed: int
    teacher: str
    sources: Mapping[str, str]
    samplers: Mapping[str, str]
    cut: str | None
    other: Mapping[str, str]
    trains: bool
    losses: Mapping[str, str]
    seeds: Sequence[int]
    redraw: bool
    target: str | None
    first_stage: str
    retrieve: bool
    domains: Mapping[str, Domain]
    options: Mapping[str, Mapping[str, Any]]
    written: Mapping[str, Any]

    def option(self, section: str, key: str) -> Any:
        """Return one option of a section."""
        return self.options[section][key]

    @property
    def strategies(self) -> dict[str, str]:
        """The samplers that draw groups: all but the blends."""
        return {name: text for name, text in self.samplers.items() if not is_blend(text)}

    def blend(self, sampler: str) -> SamplerBlend | None:
        """Return what a sampler blends; None for one that draws its own groups."""
        text = self.samplers[sampler]
        return BLENDS.parse(text) if is_blend(text) else None

    def parts(self, sampler: str) -> dict[str, float]:
        """Return whose groups a sampler's students see, and the share of the examples of each:
        names of samplers, or of groups of the workspace."""
        blend = self.blend(sampler)
        return {sampler: 1.0} if blend is None else blend.shares

    @property
    def borrowed(self) -> list[str]:
        """The names of groups of the workspace that blends name."""
        parts = [part for sampler in self.samplers for part in self.parts(sampler)]
        return [name for name in dict.fromkeys(parts) if name not in self.samplers]

    def source(self, name: str) -> str:
        """Return the full text of a named source, sources it is made of written out."""
        return written_out(self.sources[name], self.sources, (name,))

    def first_stage_of(self, domain: str) -> str:
        """Return the full text of the first stage of a domain."""
        named = self.domains[domain].first_stage or self.first_stage
        return self.source(named) if named in self.sources else named

    def in_domain(self, domain: str) -> bool:
        """Say whether a domain's collection is the one that students are trained on."""
        return self.domains[domain].collection in (None, self.collection)

    @property
    def measured(self) -> list[str]:
        """The measures: those named, and Judged@k with the cutoff of the first."""
        named = self.option("evaluate", "measures").split()
        cutoff = named[0].rpartition("@")[2] if named else ""
        judged = f"Judged@{cutoff if cutoff.isdigit() else 10}"
        return named if any(m.startswith("Judged@") for m in named) else [*named, judged]

    @property
    def student(self) -> str:
        """What is trained."""
        return str(self.options["train"]["student"])
