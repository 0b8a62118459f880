"""Values with one canonical text form: `bm25(k1=0.9,b=0.4)` parses to a value and prints back the
same.

A `Family` holds the members of one kind (sources, teachers, statistics, …); the module of a member
is imported when the member is first named. A member is a frozen
dataclass; its fields are the parameters, declared once. The text is what recipes, the command line,
column names and manifests use. It is read by a small parser of its own, never by `eval`.

    value   = word | quoted | list | name "(" [argument {"," argument}] ")"
    argument = [parameter "="] value
    list    = "[" [value {"," value}] "]"

A value has two texts. Its *identity* is hashed and names columns: every parameter but those at
their neutral value, the one with which the member behaves as before the parameter existed. So a new
parameter changes no identity, and a changed default does. Its *display* is for people and leaves
out whatever stands at its default. A text from a user is filled up with defaults, an identity with
neutral values: `Family.stored`.
"""

from .family import Family, foreigners
from .parameters import (
    default_text,
    is_neutral,
    neutral,
    neutral_of,
    said_type,
    unless_neutral,
)
from .reader import parse
from .suggestions import nearest
from .texts import Call, Identity, same, text_of

__all__ = [
    "Call",
    "Family",
    "Identity",
    "default_text",
    "foreigners",
    "is_neutral",
    "nearest",
    "neutral",
    "neutral_of",
    "parse",
    "said_type",
    "same",
    "text_of",
    "unless_neutral",
]
