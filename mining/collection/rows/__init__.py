"""Rows of one artifact of a collection: documents and queries by ordinal, judgements by query."""

from .judgements import EXCLUDED, Qrels, check_min_grade
from .texts import (
    Corpus,
    Queries,
    Rows,
    TextTable,
    blank,
    compared,
    first_ten,
    resolve,
    strings_of,
)

__all__ = [
    "EXCLUDED",
    "Corpus",
    "Qrels",
    "Queries",
    "Rows",
    "TextTable",
    "blank",
    "check_min_grade",
    "compared",
    "first_ten",
    "resolve",
    "strings_of",
]
