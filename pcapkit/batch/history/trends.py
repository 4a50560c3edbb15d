"""Is it getting worse? Each workload of the newest run against its own nights before.

Nights differ more than their lookups explain: other traffic, other pods. So how much they differ
is taken from the history itself, a workload at a time, and what the newest night should say is a
prediction interval with Student's t, on logarithms of queries per lookup. Weekends are not
modelled: where they differ, the interval is as wide as they make it.

An alarm allows for everything that is looked at: the chances of a false one in a night, over all
workloads and families, are those of ``_ALL``, ``_WORKLOADS`` and ``_WASTE`` together (Bonferroni).
All workloads together are one subject, each with a weight of its own, so that a night with more
lookups of one of them is no regression. Beside the night itself, the last three nights are judged
together: a small regression that stays is found by those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import NormalDist

from pcapkit.batch.history.intervals import (
    Sample,
    Usual,
    log_rate,
    t_quantile,
    usual,
    usual_of_each,
    wilson,
)
from pcapkit.batch.history.runs import History
from pcapkit.batch.history.timeline import Key, Point, Timeline, timeline
from pcapkit.model.audits import AuditRow
from pcapkit.model.comparison import Rate
from pcapkit.model.trends import Change

#: Fewer points than this say nothing of how nights differ.
FEWEST_POINTS = 4
#: A night with fewer complete lookups of a workload says nothing of it (as in ``compare``).
FEWEST_LOOKUPS = 20
#: How many points before the newest are its history: four weeks.
WINDOW = 28
_TOGETHER = 3  # the last nights that are judged together
_ALL, _WORKLOADS, _WASTE = 0.01, 0.02, 0.01
_OF_NIGHT, _OF_SEVERAL = 0.8, 0.2  # how the chance is shared between the two tests
_LEAST_GROWTH = 0.02  # less is no regression, however sure it is
#: Share of queries that is wasted: worth no mention, and worth some. Of a workload's own queries,
#: and of a whole run's where it is a family of names.
_QUIET, _NOTEWORTHY = 0.02, 0.05
_QUIET_FAMILY, _NOTEWORTHY_FAMILY = 0.01, 0.02
_FEWEST_WASTED = 20
#: A family is new waste where it is this many times what families took that were new before.
_BEYOND_NOVELTY = 1.5
#: By how much nights are taken to differ where too few say it (relative).
_UNKNOWN_SPREAD = 0.1
_DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Subject:
    """The points of a workload that have lookups enough, the newest apart.

    ``known`` is what those before usually say, ``earlier`` the same without the last ones, which
    are judged together with the newest; None where they are too few.
    """

    key: Key
    before: list[Point]
    now: Point
    known: Usual | None = None
    earlier: Usual | None = None

    @property
    def can_be_judged(self) -> bool:
        return len(self.before) >= FEWEST_POINTS and self.now.lookups >= FEWEST_LOOKUPS


def judge(history: History, rows: Sequence[AuditRow], *, days: int = 7) -> tuple[Change, ...]:
    """Return what became of each workload of an audit, against the history.

    The first row is of all workloads together; those of workloads follow in order of their names,
    then families of names that are new waste. ``rows`` may be in the history already; ``days`` is
    how far back ``since_days`` looks. Empty where the history has no night before.
    """
    line = timeline(history, rows)
    subjects = _known(sorted(_subjects(line), key=lambda s: tuple(t or "" for t in s.key)))
    if not any(s.before for s in subjects) and len(line.nights) <= len(line.newest):
        return ()
    tested = sum(s.can_be_judged for s in subjects)
    # Of one workload alone, it and all of them are the same question.
    of_all, each = _ALL, _WORKLOADS / max(tested, 1)
    if tested == 1:
        of_all = each = _ALL + _WORKLOADS
    out = [_all_together(line, subjects, of_all)] if subjects else []
    named = sum(s.key[1] is not None for s in subjects)
    families = list(_new_families(line))
    z = NormalDist().inv_cdf(1 - _WASTE / max(1, named + len(families)))
    out += [_workload(line, s, each, z, days) for s in subjects]
    out += [change for f in families if (change := _family(line, f, z)) is not None]
    return tuple(out)


def _subjects(line: Timeline) -> Iterator[_Subject]:
    for key, points in line.points.items():
        newest = [p for p in points if p.night in line.newest]
        if not newest:
            continue
        now = newest[-1]
        enough = (p for p in points if p.lookups >= FEWEST_LOOKUPS and p.queries)
        yield _Subject(key, [p for p in enough if p.night < now.night][-WINDOW:], now)


def _known(subjects: Sequence[_Subject]) -> list[_Subject]:
    """Return subjects with what their nights usually say, which is estimated of all together."""
    judged = [n for n, s in enumerate(subjects) if s.can_be_judged]
    samples = [[_sample(p) for p in subjects[n].before] for n in judged]
    out = list(subjects)
    for number, known in zip(judged, usual_of_each(samples), strict=True):
        out[number] = replace(out[number], known=known)
    long = [n for n in judged if len(subjects[n].before) >= FEWEST_POINTS + _TOGETHER - 1]
    samples = [[_sample(p) for p in subjects[n].before[: 1 - _TOGETHER]] for n in long]
    for number, known in zip(long, usual_of_each(samples), strict=True):
        out[number] = replace(out[number], earlier=known)
    return out


def _sample(point: Point) -> Sample:
    return Sample(log_rate(point.queries, point.lookups), point.lookups)


# ---- queries of a lookup -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judgement:
    expected: Rate | None
    change: Rate | None
    verdict: str
    reason: str


_NOTHING = _Judgement(None, None, "too_little_history", "")


def _judged(
    known: Usual, earlier: Usual | None, last: Sequence[Sample], chance: float
) -> _Judgement:
    """Hold the last of some nights against what is ``known``, all of them against ``earlier``."""
    now = last[-1]
    change = known.interval(known.excess([now]))
    expected = Rate(*(exp(now.value) / (1 + c) for c in (change.value, change.high, change.low)))
    verdict = "less" if change.high < 0 else "more" if change.low > 0 else "no_change_shown"
    reason = ""
    if _grew(known, [now], chance * _OF_NIGHT):
        reason = f"a lookup sends {change.value:.1%} more queries than in the nights before"
    elif earlier is not None and _grew(earlier, last, chance * _OF_SEVERAL):
        grown = exp(earlier.excess(last)[0]) - 1
        reason = (
            f"in the last {len(last)} nights a lookup sends {grown:.1%} more queries than in those "
            "before"
        )
    return _Judgement(expected, change, verdict, reason)


def _grew(known: Usual, last: Sequence[Sample], chance: float) -> bool:
    excess, deviation = known.excess(last)
    limit = t_quantile(chance, known.freedom) * deviation
    return excess > max(limit, log(1 + _LEAST_GROWTH))


def _all_together(line: Timeline, subjects: Sequence[_Subject], chance: float) -> Change:
    """Judge all workloads that can be judged as one, each with its weight."""
    judged = [s for s in subjects if s.can_be_judged]
    lookups = sum(s.now.lookups for s in subjects)
    queries = sum(s.now.queries for s in subjects)
    wasted = sum(s.now.wasted for s in subjects)
    found = _NOTHING
    if judged:
        # The weight of a workload is what it would send tonight if nothing had changed.
        weighted = [(s, s.known.mean) for s in judged if s.known is not None]
        by_night: dict[int, list[tuple[Point, float, float]]] = {}
        for subject, mean in weighted:
            weight = subject.now.lookups * exp(mean)
            for point in (*subject.before, subject.now):
                night = -1 if point is subject.now else point.night
                by_night.setdefault(night, []).append((point, mean, weight))
        now = _common(by_night.pop(-1))
        before = [_common(by_night[night]) for night in sorted(by_night)[-WINDOW:]]
        if len(before) >= FEWEST_POINTS:
            cut = 1 - _TOGETHER
            earlier = usual(before[:cut]) if len(before) >= FEWEST_POINTS - cut else None
            found = _judged(usual(before), earlier, [*before[cut:], now], chance)
    value = queries / lookups if lookups else None
    expected = None
    if found.change is not None and value:
        low, high = 1 + found.change.low, 1 + found.change.high
        expected = Rate(value / (1 + found.change.value), value / high, value / low)
    return Change(
        "all",
        *(None, None, None, None),
        points=len({p.night for s in judged for p in s.before}),
        lookups=lookups,
        value=value,
        expected=expected,
        change=found.change,
        since_last=None,
        since_days=None,
        days=0,
        share=wilson(wasted, queries, lookups) if queries else None,
        verdict=found.verdict,
        regressed=bool(found.reason),
        new_waste=False,
        reason=found.reason and f"all workloads together: {found.reason}",
        can_be_new=_judged_night(line) >= FEWEST_POINTS and lookups >= FEWEST_LOOKUPS,
    )


def _common(points: Sequence[tuple[Point, float, float]]) -> Sample:
    """Return by how much workloads together are above their means in one night."""
    total = sum(weight for _, _, weight in points)
    value = sum(weight * (_sample(p).value - mean) for p, mean, weight in points) / total
    return Sample(value, sum(p.lookups for p, _, _ in points))


def _workload(line: Timeline, subject: _Subject, chance: float, z: float, days: int) -> Change:
    namespace, workload, address = subject.key
    now, before = subject.now, subject.before
    found = _NOTHING
    if subject.known is not None:
        last = [_sample(p) for p in (*before[1 - _TOGETHER :], now)]
        found = _judged(subject.known, subject.earlier, last, chance)
    at = line.nights[now.night].time
    older = [p for p in before if at - line.nights[p.night].time >= days * _DAY_NS - _DAY_NS // 2]
    waste = "" if workload is None else _new_waste(line, subject, z)
    kind = "client" if workload is None else "workload"
    return Change(
        kind,
        namespace,
        workload,
        address,
        None,
        points=len(before),
        lookups=now.lookups,
        value=now.queries / now.lookups if now.lookups else None,
        expected=found.expected,
        change=found.change,
        since_last=_since(before[-1:], now, subject.known),
        since_days=_since(older[-1:], now, subject.known),
        days=days,
        share=wilson(now.wasted, now.queries, now.lookups) if now.queries else None,
        verdict=found.verdict,
        regressed=bool(found.reason),
        new_waste=bool(waste),
        reason="; ".join(filter(None, (found.reason, waste))),
        can_be_new=workload is not None and _can_be_new(line, subject),
    )


def _since(before: Sequence[Point], now: Point, known: Usual | None) -> Rate | None:
    """Return the change since a point, and by how much two such points differ by chance."""
    if not before or now.lookups < FEWEST_LOOKUPS or not now.queries:
        return None
    known = known or Usual(0.0, 0.0, _UNKNOWN_SPREAD**2, 1.0, FEWEST_POINTS - 1)
    old = before[0]
    deviation = sqrt(known.spread(old.lookups) ** 2 + known.spread(now.lookups) ** 2)
    return known.interval((_sample(now).value - _sample(old).value, deviation))


# ---- new waste -----------------------------------------------------------------------------------


def _new_waste(line: Timeline, subject: _Subject, z: float) -> str:
    """Return why a workload is new waste, or nothing.

    One that no night has had is new as well, once there are nights enough to say so.
    """
    now = subject.now
    if not _can_be_new(line, subject) or now.wasted < _FEWEST_WASTED:
        return ""
    most = max((p.share for p in subject.before), default=0.0)
    if most >= _QUIET or wilson(now.wasted, now.queries, now.lookups, z).low < _NOTEWORTHY:
        return ""
    was = f"at most {most:.1%} in any night before" if subject.before else "not seen before"
    return f"new waste: {now.share:.1%} of its queries, {was}"


def _can_be_new(line: Timeline, subject: _Subject) -> bool:
    """Are there nights before, and lookups, enough to say that waste is new?"""
    nights = subject.before if subject.before else line.nights[: subject.now.night]
    return len(nights) >= FEWEST_POINTS and subject.now.lookups >= FEWEST_LOOKUPS


def _judged_night(line: Timeline) -> int:
    return max(line.newest, default=0)


def _new_families(line: Timeline) -> Iterator[str]:
    """Yield families of the newest night that were quiet in all nights before."""
    number = _judged_night(line)
    if number < FEWEST_POINTS or not line.newest:
        return
    for family in sorted(line.nights[number].families):
        if _most(line, family, number) < _QUIET_FAMILY:
            yield family


def _most(line: Timeline, family: str, before: int) -> float:
    """Return the largest share of a night's queries that a family wasted, in the nights before."""
    return max(
        (_family_share(line, family, n) for n in range(max(0, before - WINDOW), before)),
        default=0.0,
    )


def _family_share(line: Timeline, family: str, number: int) -> float:
    night = line.nights[number]
    point = night.families.get(family)
    return point.wasted / night.queries if point is not None and night.queries else 0.0


def _novelty(line: Timeline, before: int) -> float:
    """Return the largest share that a family wasted in a night when it was new."""
    largest = 0.0
    for number in range(max(FEWEST_POINTS, before - WINDOW), before):
        for family in line.nights[number].families:
            share = _family_share(line, family, number)
            if share > largest and _most(line, family, number) < _QUIET_FAMILY:
                largest = share
    return largest


def _family(line: Timeline, family: str, z: float) -> Change | None:
    """Return a family that is new waste."""
    number = _judged_night(line)
    night = line.nights[number]
    point = night.families[family]
    if point.wasted < _FEWEST_WASTED or night.lookups < FEWEST_LOOKUPS or not night.queries:
        return None
    share = wilson(point.wasted, night.queries, night.lookups)
    low = wilson(point.wasted, night.queries, night.lookups, z).low
    if low < _NOTEWORTHY_FAMILY or share.value < _BEYOND_NOVELTY * _novelty(line, number):
        return None
    most = _most(line, family, number)
    return Change(
        "family",
        *(None, None, None, family),
        points=min(number, WINDOW),
        lookups=point.lookups,
        value=point.queries / point.lookups if point.lookups else None,
        expected=None,
        change=None,
        since_last=None,
        since_days=None,
        days=0,
        share=share,
        verdict="no_change_shown",
        regressed=False,
        new_waste=True,
        reason=f"new waste: {share.value:.1%} of all queries, at most {most:.1%} in any night "
        "before",
    )
