"""Recipes: one TOML file says the whole way; unknown keys are refused with the nearest name.

The sections of a recipe are requests (`rankmill.stages`): their keys, types, defaults and limits
are the options declared there, without those that the study itself fills in. Beside them a section
has a few keys of its own, in `SECTIONS`. Sources, samplers, losses and domains have short names of
the recipe's own. A source may use another by its short name (`fusion = "rrf(of=[bm25,dense])"`),
a sampler names the source whose ranks it draws from (`bm25 = "uniform(source=bm25,last=50)"`), and
a blend the samplers whose groups it mixes (`mixed = "blend(of=[bm25,random],weights=[3,1])"`).
"""

from rankmill.study.recipe.labels import cut_with_labels, with_labels, written_out
from rankmill.study.recipe.reading import (
    builtin,
    load,
    own_of,
    recipe_of,
    refuse_unknown,
    tables_of,
)
from rankmill.study.recipe.sections import DOMAIN, REQUIRED, SECTIONS, STUDY, TOP, Key, Section
from rankmill.study.recipe.value import Domain, Recipe

__all__ = [
    "DOMAIN",
    "REQUIRED",
    "SECTIONS",
    "STUDY",
    "TOP",
    "Domain",
    "Key",
    "Recipe",
    "Section",
    "builtin",
    "cut_with_labels",
    "load",
    "own_of",
    "recipe_of",
    "refuse_unknown",
    "tables_of",
    "with_labels",
    "written_out",
]
