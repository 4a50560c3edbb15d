"""The waste of each workload over the last nights, as the index of an audit shows it."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, stdev

from pcapkit.batch.history.intervals import t_quantile, wilson
from pcapkit.batch.history.runs import History
from pcapkit.batch.history.timeline import Key, Point, Timeline, timeline
from pcapkit.batch.history.trends import FEWEST_LOOKUPS, FEWEST_POINTS, WINDOW
from pcapkit.model.audits import AuditRow, Trend, TrendPoint
from pcapkit.model.comparison import Rate

_CHANCE = 0.05  # of a change that is none, over all workloads together


def trend_rows(history: History, rows: Sequence[AuditRow]) -> tuple[Trend, ...]:
    """Return the trend of each workload of an audit, those that waste most now first.

    ``rows`` may be in the history already. A change is better or worse where it is more than the
    lookups, and the nights before, explain by chance for any of the workloads.
    """
    line = timeline(history, rows)
    found = []
    for key, points in line.points.items():
        if any(p.night in line.newest for p in points):
            counted = [p for p in points if p.queries and p.lookups]
            if counted and counted[-1].night in line.newest:
                found.append((key, counted))
    found.sort(key=lambda f: (-f[1][-1].wasted, tuple(t or "" for t in f[0])))
    chance = _CHANCE / max(1, len(found))
    return tuple(_trend(line, key, points, chance) for key, points in found)


def _trend(line: Timeline, key: Key, points: Sequence[Point], chance: float) -> Trend:
    shown = tuple(_point(line, p) for p in points[-WINDOW:])
    *before, now = points
    if not before:
        is_first = set(range(now.night)) <= line.newest  # then all workloads are new
        return Trend(*key, shown, None, None, None, "unknown" if is_first else "new")
    change = _change(before, now, 0.05)
    verdict = "unknown"
    if min(before[-1].lookups, now.lookups) >= FEWEST_LOOKUPS:
        sure = _change(before, now, chance)
        verdict = "worse" if sure.low > 0 else "better" if sure.high < 0 else "same"
    return Trend(*key, shown, change.value, change.low, change.high, verdict)


def _point(line: Timeline, point: Point) -> TrendPoint:
    share = wilson(point.wasted, point.queries, point.lookups)
    time = line.nights[point.night].time
    return TrendPoint(time, share.value, share.low, share.high, point.queries)


def _change(before: Sequence[Point], now: Point, chance: float) -> Rate:
    """Return the change of a share since the point before, with its interval.

    Newcombe's (1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method
    10), widened by how much the shares of the nights before differ.
    """
    z = NormalDist().inv_cdf(1 - chance / 2)
    old, new = (wilson(p.wasted, p.queries, p.lookups, z) for p in (before[-1], now))
    nights = 0.0
    last = [p.share for p in before[-WINDOW:] if p.lookups >= FEWEST_LOOKUPS]
    if len(last) >= FEWEST_POINTS:
        nights = t_quantile(chance / 2, len(last) - 1) * stdev(last) * sqrt(2)
    value = new.value - old.value
    low = sqrt((new.value - new.low) ** 2 + (old.high - old.value) ** 2 + nights**2)
    high = sqrt((new.high - new.value) ** 2 + (old.value - old.low) ** 2 + nights**2)
    return Rate(value, max(-1.0, value - low), min(1.0, value + high))
