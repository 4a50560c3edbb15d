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
        parts = [_increments(n, c) for n, c in enumerate(curves)]
        rows = np.concatenate([np.zeros((0, 5), np.int64), *parts])
        slopes = (rows[:, 3] << _SLOPE_BITS) // rows[:, 2]
        order = np.lexsort((rows[:, 1], rows[:, 0], -(rows[:, 4] // rows[:, 2]), -slopes))
        #: curve, edits before, more edits, what they end, their value
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
        edits = [0] * len(self._curves)
        for curve, before, more, *_ in self._steps[:last].tolist():
            edits[curve] = before + more
        curve, before, more, ended, _ = self._steps[last].tolist()
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

    def bound(self, ended: int) -> int:
        """Return a number of edits such that no fewer end so many queries."""
        if ended <= 0 or not self._ended.size:
            return 0
        last = min(int(np.searchsorted(self._ended, ended)), self._ended.size - 1)
        _, _, more, gained, _ = self._steps[last].tolist()
        missing = ended - int(self._ended[last] - gained)
        return int(self._edits[last]) - more + -(-missing * more // gained)

    def frontier(
        self, queries: int, wasted: int, plan: FrontierPoint | None
    ) -> tuple[FrontierPoint, ...]:
        """Return the least that so many edits leave of so many queries; at most MOST_POINTS points.

        ``plan`` is one of them: a plan that leaves the least with its edits.
        """
        points = {0: FrontierPoint(0, queries, wasted)}
        if plan is not None:
            points[plan.edits] = plan
        if len(self._curves) == 1:
            (curve,) = self._curves
            ended = waste_of(curve.values)
            better = np.flatnonzero(ended > np.maximum.accumulate(np.append(0, ended[:-1])))
            rows = zip(better, ended[better], curve.queries[better], strict=True)
        else:
            saved = [
                int(self._curves[c].queries[before + more] - self._curves[c].queries[before])
                for c, before, more, *_ in self._steps.tolist()
            ]
            rows = zip(self._edits, self._ended, np.cumsum(saved), strict=True)
        for edits, ended_by, saved_by in rows:
            points.setdefault(
                int(edits),
                FrontierPoint(int(edits), queries - int(saved_by), wasted - int(ended_by)),
            )
        every = [points[e] for e in sorted(points)]
        kept = [
            p
            for n, p in enumerate(every)
            if n == 0 or p.wasted_queries < every[n - 1].wasted_queries
        ]
        if len(kept) <= MOST_POINTS:
            return tuple(kept)
        at = np.unique(np.linspace(0, len(kept) - 1, MOST_POINTS - 1).round().astype(np.int64))
        shown = {kept[n].edits: kept[n] for n in at.tolist()}
        if plan is not None:
            shown[plan.edits] = plan
        return tuple(shown[e] for e in sorted(shown))


def _increments(number: int, curve: Curve) -> Matrix:
    """Return the sides of a curve's concave hull: number, edits before, more, ended, value."""
    if curve.is_concave:
        values = np.diff(curve.values)
        ended = np.diff(waste_of(curve.values))
        edits = np.arange(values.size)
        keep = ended > 0
        rows = [np.full(values.size, number), edits, np.ones(values.size, np.int64), ended, values]
        out: Matrix = np.stack(rows, axis=1)[keep]
        return out
    ended_by, hull = waste_of(curve.values).tolist(), [0]
    for edits in np.flatnonzero(curve.values > UNREACHED)[1:].tolist():
        if ended_by[edits] <= ended_by[hull[-1]]:
            continue
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (ended_by[b] - ended_by[a]) * (edits - b) > (ended_by[edits] - ended_by[b]) * (
                b - a
            ):
                break
            hull.pop()
        hull.append(edits)
    sides = [
        (number, a, b - a, ended_by[b] - ended_by[a], int(curve.values[b] - curve.values[a]))
        for a, b in zip(hull, hull[1:], strict=False)
    ]
    return np.array(sides, np.int64).reshape(-1, 5)
