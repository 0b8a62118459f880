"""What judges students and runs: evaluations, and comparisons of them. No verb follows on these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rankmill.mining.parts.told import counted
from rankmill.objects.base import Object, short

if TYPE_CHECKING:
    import polars


class Evaluation(Object, kind="evaluation"):
    """A value of each measure for every judged query."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that were taken."""
        return tuple(self.parameters["measures"])

    @property
    def means(self) -> dict[str, float]:
        """The mean of each measure over the judged queries, of a risk over those that have one."""
        from rankmill.training.evaluation import Evaluation as Read

        return Read(self).means()

    @property
    def source(self) -> str:
        """What was judged: the canonical text of the run's source."""
        return self.metadata["source"]

    @property
    def trained_on(self) -> list[str]:
        """The ids of judged queries that a student behind the run was trained on: its figures on
        these say little of new queries."""
        from rankmill.mining.collection.rows import Queries
        from rankmill.training.evaluation import Evaluation as Read

        return Queries(self.input("run").input("queries")).ids(Read(self).trained_on)

    def about(self) -> str:
        """Return what was judged, by which measures, on how many queries."""
        said = " ".join(self.measures)
        return f"{said} of {short(self.source)}, split {self.split}, {self.asked}"

    @property
    def per_query(self) -> polars.DataFrame:
        """A row for every judged query: its id, its text and each measure's value."""
        return self.to_polars()


class Comparison(Object, kind="comparison"):
    """Paired differences of systems, with tests adjusted over the family: a row for each pair."""

    def about(self) -> str:
        """Return what was compared, and how many pairs there are."""
        return f"{self.parameters['measure']}, {counted(self.rows, 'pair')}"
