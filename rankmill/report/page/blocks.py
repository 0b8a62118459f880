"""What a page consists of, as plain values: the templates lay them out and decide nothing.

Texts are texts here: the templates escape them. The only mark-up among the values is that of
pictures, which this package draws itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rankmill.report.page.canvas import Look, Picture

SHOWN = 12  # a table with more rows is folded


@dataclass(frozen=True, slots=True)
class Small:
    """A second line of a cell; `mood`: gain, loss, code or nothing."""

    text: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text, and what the text is short for.

    `value` sorts the column and stands in the CSV file in full; `more` are further columns of that
    file ("low", "high", "p"). `bar`: a share between 0 and 1, drawn beneath. `color`: a dot before
    the text.
    """

    text: str
    small: Sequence[Small] = ()
    value: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)
    bar: float | None = None
    color: str = ""
    code: bool = False
    tip: str = ""

    @property
    def words(self) -> str:
        """Everything that the cell says, in one line."""
        return "; ".join([self.text, *(one.text for one in self.small if one.text)]).strip("; ")


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; numbers stand to the right."""

    title: str
    number: bool = True


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table that a click on a heading sorts, and that can be downloaded as CSV.

    The first `heads` columns name the row. `total`: a last row that stays where it is.
    """

    kind: ClassVar[str] = "table"

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    heads: int = 1
    total: Sequence[Cell] = ()
    caption: bool = True


@dataclass(frozen=True, slots=True)
class Say:
    """A paragraph beneath a heading."""

    kind: ClassVar[str] = "say"

    text: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"

    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An entry of a legend: a piece of a line, or a mark."""

    name: str
    color: str
    dashes: str = "none"
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Legend:
    """What colours, dashes and marks of the pictures below stand for."""

    kind: ClassVar[str] = "legend"

    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Panels:
    """Pictures side by side where there is room, beneath one another where there is none."""

    kind: ClassVar[str] = "panels"

    pictures: Sequence[Picture]

    @property
    def narrow(self) -> bool:
        """Whether three stand in a row: not where one would be left for a row of its own."""
        return len(self.pictures) % 3 != 1 and all(picture.narrow for picture in self.pictures)


@dataclass(frozen=True, slots=True)
class Drawing:
    """One wide picture of its own; on a narrow screen it scrolls. `svg` is mark-up of ours."""

    kind: ClassVar[str] = "drawing"

    svg: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Bullets:
    """Remarks, one per line."""

    kind: ClassVar[str] = "bullets"

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Source:
    """Text as it was written: a recipe."""

    kind: ClassVar[str] = "source"

    text: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that a click on `title` opens; `note` stands beside it, `bar` is a share of 1."""

    kind: ClassVar[str] = "fold"

    title: str
    blocks: Sequence[Block]
    note: str = ""
    bar: float | None = None


Block = DataTable | Say | Heading | Legend | Panels | Drawing | Facts | Bullets | Source | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with its heading; `key` is its anchor."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page. The first screen: the question, the answer, one picture, the caveats.

    `lead` says in a line what was compared; `first` holds the picture with its legend.
    """

    title: str
    question: str = ""
    lead: Sequence[str] = ()
    answer: Sequence[str] = ()
    caveats: Sequence[str] = ()
    first: Sequence[Block] = ()
    sections: Sequence[Section] = ()
    marks: Sequence[str] = ()


def line_samples(entries: Sequence[tuple[str, Look]]) -> list[Block]:
    """Return the legend of lines, nothing where there is none."""
    samples = []
    for name, look in entries:
        lengths = () if look.dash == "-" else look.dash[1]
        dashes = " ".join(f"{2.2 * length:g}" for length in lengths) or "none"
        samples.append(Sample(name, look.color, dashes))
    return [Legend(samples)] if samples else []


def folded(table: DataTable, say: str = "", *, always: bool = False) -> list[Block]:
    """Return a table with what is said of it, folded where it is long."""
    said: list[Block] = [Say(say)] if say else []
    if len(table.rows) <= SHOWN and not always:
        return [*said, table]
    bare = DataTable(
        table.title, table.columns, table.rows, table.heads, table.total, caption=False
    )
    return [Fold(table.title, [*said, bare], rows_said(len(table.rows)))]


def rows_said(count: int) -> str:
    """Write how long a table is."""
    return f"{count:,} row{'' if count == 1 else 's'}"
