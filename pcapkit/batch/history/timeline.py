"""Runs laid out in time: one point a workload and night, each capture in one of them only.

A folder that grows is audited as a whole every night, so that runs repeat what earlier ones found.
A capture belongs to the first run that had it, with what the last run says of it. It is known again
by the times of its packets and their number; without a clock, by its paths. A point is what one run
had first, of captures that end on one UTC day. So thirty nights that are audited at once are thirty
points, and a run that found nothing new is none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pcapkit.batch.history.runs import History, Run, day_of, run_of
from pcapkit.model.audits import AuditRow, Workload

Key = tuple[str | None, str | None, str | None]  #: namespace, workload, address


@dataclass(slots=True)
class Point:
    """Complete lookups, their queries and wasted queries of one subject in one night."""

    night: int  #: index in ``Timeline.nights``
    lookups: int = 0
    queries: int = 0
    wasted: int = 0

    def add(self, lookups: int, queries: int, wasted: int) -> None:
        """Count more."""
        self.lookups += lookups
        self.queries += queries
        self.wasted += wasted

    @property
    def share(self) -> float:
        """Wasted queries over queries, 0 without any."""
        return self.wasted / self.queries if self.queries else 0.0


@dataclass(slots=True)
class Night:
    """What one run had first, of one UTC day; ``time`` is its latest packet."""

    run: str
    day: str
    time: int
    families: dict[str, Point] = field(default_factory=dict)
    lookups: int = 0
    queries: int = 0


@dataclass(slots=True)
class Timeline:
    """Nights in order of time, and the points of each workload in the order of its nights.

    ``newest`` are the nights of the run that is judged, the last ones of a history alone.
    """

    nights: list[Night]
    points: dict[Key, list[Point]]
    newest: frozenset[int]


def timeline(history: History, rows: Sequence[AuditRow] | None = None) -> Timeline:
    """Lay out a history, and the rows of an audit that may be in it already.

    Runs of days after that of the audit are left out.
    """
    runs = list(history.runs)
    if rows is not None:
        current = run_of(rows)
        known = next((run for run in runs if run.name == current.name), current)
        runs = [r for r in runs if r.name != current.name and r.day <= known.day]
        runs.append(Run(known.name, known.time, current.rows, known.number))
    return _laid_out(runs)


def own_rows(history: History, run: Run) -> tuple[AuditRow, ...]:
    """Return the rows of captures that a run had first; all of its rows where it had none."""
    earlier = set()
    for other in history.runs:
        if other.name == run.name:
            break
        earlier |= {capture for capture, _ in _captures(other)}
    return tuple(row for capture, row in _captures(run) if capture not in earlier) or run.rows


_Capture = tuple[object, ...]


def _captures(run: Run) -> Iterator[tuple[_Capture, AuditRow]]:
    """Yield the rows of a run, each with what its capture is known again by, also when renamed.

    Captures of one run that are alike in that, as copies are, are told apart by their order.
    """
    times: Counter[_Capture] = Counter()
    for row in run.rows:
        capture: _Capture = row.first_time, row.last_time, row.packets
        if row.first_time is None:
            capture = row.paths or (row.path,), row.packets, row.queries, row.lookups
        times[capture] += 1
        yield (*capture, times[capture]), row


def _laid_out(runs: Sequence[Run]) -> Timeline:
    first: dict[_Capture, int] = {}
    latest: dict[_Capture, tuple[tuple[bool, int, int], AuditRow]] = {}
    for number, run in enumerate(runs):
        for capture, row in _captures(run):
            if row.error is not None:
                continue
            first.setdefault(capture, number)
            # Of runs over the same captures, the one that knows more workloads tells more.
            rank = (
                number == len(runs) - 1,
                run.time,
                sum(w.workload is not None for w in row.workloads),
            )
            if capture not in latest or latest[capture][0] <= rank:
                latest[capture] = rank, row
    grouped: dict[tuple[int, str], list[AuditRow]] = defaultdict(list)
    for capture, (_, row) in latest.items():
        number = first[capture]
        moment = runs[number].time if row.last_time is None else row.last_time
        grouped[number, day_of(moment)].append(row)
    places = []
    for (number, day), rows in grouped.items():
        moment = max(runs[number].time if r.last_time is None else r.last_time for r in rows)
        places.append((moment, number, day, rows))
    last = {capture for capture, _ in _captures(runs[-1])} if runs else set()
    judged = max((first[c] for c in last if c in first), default=None)
    # What is judged comes last, also where captures of an earlier night have come late.
    places.sort(key=lambda p: (p[1] == judged, *p[:3]))
    out = Timeline([], {}, frozenset(n for n, p in enumerate(places) if p[1] == judged))
    for moment, number, day, rows in places:
        _add(out, Night(runs[number].name, day, moment), rows)
    return out


def _add(out: Timeline, night: Night, rows: Iterable[AuditRow]) -> None:
    number = len(out.nights)
    out.nights.append(night)
    for row in rows:
        night.lookups += row.complete_lookups
        night.queries += row.complete_queries
        for family in row.families:
            point = night.families.setdefault(family.family, Point(number))
            point.add(family.lookups, family.queries, family.wasted_queries)
        for workload in row.workloads:
            points = out.points.setdefault(key_of(workload), [])
            if not points or points[-1].night != number:
                points.append(Point(number))
            points[-1].add(
                workload.complete_lookups, workload.complete_queries, workload.wasted_queries
            )


def key_of(workload: Workload) -> Key:
    """Return by what a workload is known again: its name, or the address in place of it."""
    if workload.workload is not None:
        return workload.namespace, workload.workload, None
    return workload.namespace, None, workload.client_addr
