"""The charts of a report one by one, for notebooks and slides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from pcapkit.errors import UsageError
from pcapkit.files import atomic_write
from pcapkit.model.results import Results
from pcapkit.report.html.drawing import Drawn
from pcapkit.report.html.pictures import draw, figure_of


class Chart:
    """One chart: a notebook shows it, ``save`` writes it, ``figure`` is matplotlib's."""

    def __init__(self, analysis: Results, name: str) -> None:
        self._analysis, self._name = analysis, name
        if (figure := figure_of(analysis, name)) is None:
            raise UsageError(f"nothing to draw: this capture has no chart {name!r}")
        self.figure: Figure = figure

    def __repr__(self) -> str:
        return f"<Chart {self._name}: {self.alt}>"

    def _drawn(self, *, png: bool = False) -> Drawn:
        return draw(self._analysis, png=png, only=(self._name,))[0]

    @property
    def alt(self) -> str:
        """What the chart shows, for those who cannot see it."""
        return self._drawn().alt

    def _repr_svg_(self) -> str:
        return self._drawn().svg

    def save(self, path: str | Path) -> None:
        """Write a PNG file, as a whole, as the report's: on white. Raises InputError."""
        drawn = self._drawn(png=True).png
        assert drawn is not None
        atomic_write(Path(path), drawn)


@dataclass(frozen=True, slots=True)
class Plots:
    """Draws the charts of an analysis; each raises UsageError where there is nothing to draw."""

    _analysis: Results

    def plan(self) -> Chart:
        """Draw what is left after each step of the plan."""
        return Chart(self._analysis, "plan")

    def what_if(self) -> Chart:
        """Draw the queries that each ndots would send."""
        return Chart(self._analysis, "ndots-settings")

    def waste(self) -> Chart:
        """Draw all queries by waste class."""
        return Chart(self._analysis, "waste-by-class")

    def names(self) -> Chart:
        """Draw the names that waste most."""
        return Chart(self._analysis, "worst-names")

    def clients(self) -> Chart:
        """Draw clients by their queries and their share of waste."""
        return Chart(self._analysis, "clients")

    def chain(self) -> Chart:
        """Draw the lookup that wasted most, candidate by candidate."""
        return Chart(self._analysis, "chain")

    def timeline(self) -> Chart:
        """Draw queries and waste over time."""
        return Chart(self._analysis, "timeline")

    def latency(self) -> Chart:
        """Draw how long lookups took, with and without their waste."""
        return Chart(self._analysis, "latency")
