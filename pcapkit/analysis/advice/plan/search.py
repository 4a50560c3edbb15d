"""Brings the curves of subjects together: the fewest edits that end so much.

Where every edit of every subject ends at most what the one before it ended, taking the best ones
first is exact. Elsewhere the curves are added exactly (dynamic programming over edits) as long as
they are small; else the best edits by their concave hulls are taken first, and the bound of that
relaxation says how far it can be from the fewest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcapkit.analysis.advice.plan.curves import UNREACHED, Curve, waste_of
from pcapkit.analysis.whatif.affected_names import Matrix
from pcapkit.model.plans import FrontierPoint

#: An exact search adds so many pairs of points at most.
_MOST_SUMS = 1_000_000
_SLOPE_BITS = 30
MOST_POINTS = 50


@dataclass(frozen=True, slots=True)
class Found:
    """The edits of each curve; no choice of fewer than ``bound`` edits ends as much."""

    edits: tuple[int, ...]
    bound: int


class Search:
    """Finds plans over some curves."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._curves = curves
        self._concave = all(c.is_concave for c in curves)
        parts = [c.sides for c in curves]
        rows = np.concatenate([np.zeros((0, 6), np.int64), *parts])
        rows[:, 0] = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
        slopes = (rows[:, 3] << _SLOPE_BITS) // rows[:, 2]
        order = np.lexsort((rows[:, 1], rows[:, 0], -(rows[:, 4] // rows[:, 2]), -slopes))
        #: curve, edits before, more edits, what they end, their value, what they save
        self._steps = rows[order]
        self._edits = np.cumsum(self._steps[:, 2])
        self._ended = np.cumsum(self._steps[:, 3])

    @property
    def most(self) -> int:
        """What all edits together end."""
        return int(self._ended[-1]) if self._ended.size else 0

    def fewest(self, wanted: int) -> Found:
        """Return the fewest edits that end ``wanted`` queries, which are at most ``most``."""
        if wanted <= 0:
            return Found((0,) * len(self._curves), 0)
        last = int(np.searchsorted(self._ended, wanted))
        done = self._steps[:last]
        edits = np.bincount(done[:, 0], done[:, 2], len(self._curves)).astype(np.int64).tolist()
        curve, before, more, ended, *_ = self._steps[last].tolist()
        missing = wanted - int(self._ended[last] - ended)
        bound = int(self._edits[last]) - more + -(-missing * more // ended)
        edits[curve] = before + more
        if self._concave:
            return Found(tuple(edits), bound)
        of = self._curves[curve]
        for fewer in range(before + 1, before + more):
            if of.values[fewer] > UNREACHED:
                gained = waste_of(of.values[fewer]) - waste_of(of.values[before])
                if gained >= missing:
                    edits[curve] = fewer
                    break
        total = sum(edits)
        if sum(min(c.values.size, total + 1) for c in self._curves) * total <= _MOST_SUMS:
            exact = self._exactly(wanted, total)
            return Found(exact, sum(exact))
        return Found(tuple(edits), bound)

    def _exactly(self, wanted: int, most: int) -> tuple[int, ...]:
        """Return the best choice of the fewest edits, which are at most ``most``."""
        best = np.full(most + 1, UNREACHED)
        best[0] = 0
        taken: list[Matrix] = []
        for curve in reversed(self._curves):
            more, which = np.full(most + 1, UNREACHED), np.zeros(most + 1, np.int64)
            for edits, value in enumerate(curve.values[: most + 1].tolist()):
                if value == UNREACHED:
                    continue
                sums = np.maximum(best[: most + 1 - edits] + value, UNREACHED)
                # of equal ones that which does more for the first subject
                better = sums >= more[edits:]
                more[edits:][better] = sums[better]
                which[edits:][better] = edits
            best = more
            taken.append(which)
        left = int(np.flatnonzero(waste_of(best) >= wanted)[0])
        out = []
        for which in reversed(taken):
            out.append(int(which[left]))
            left -= out[-1]
        return tuple(out)

    def frontier(
        self, queries: int, wasted: int, plan: FrontierPoint | None
    ) -> tuple[FrontierPoint, ...]:
        """Return the least that so many edits leave of so many queries; at most MOST_POINTS points.

        ``plan`` is one of them: a plan that leaves the least with its edits.
        """
        if len(self._curves) == 1:
            (curve,) = self._curves
            edits, saved, ended = (
                np.arange(curve.values.size),
                curve.queries,
                waste_of(curve.values),
            )
        else:
            edits, saved, ended = self._edits, np.cumsum(self._steps[:, 5]), self._ended
        if plan is not None and len(self._curves) > 1:
            at = int(np.searchsorted(edits, plan.edits))
            edits = np.insert(edits, at, plan.edits)
            saved = np.insert(saved, at, queries - plan.queries)
            ended = np.insert(ended, at, wasted - plan.wasted_queries)
        better = np.flatnonzero(ended > np.maximum.accumulate(np.append(0, ended[:-1])))
        if better.size >= MOST_POINTS:
            shown = np.linspace(0, better.size - 1, MOST_POINTS - 2).round().astype(np.int64)
            if plan is not None:
                shown = np.union1d(shown, np.flatnonzero(edits[better] == plan.edits))
            better = better[np.unique(shown)]
        columns = edits[better], queries - saved[better], wasted - ended[better]
        rows = zip(*(c.tolist() for c in columns), strict=True)
        return (FrontierPoint(0, queries, wasted), *(FrontierPoint(*row) for row in rows))
