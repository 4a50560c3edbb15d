"""Two captures, or saved analyses, held against each other: what changed, and was it as promised?

Workloads never ask the same twice, so that counts say nothing: everything is per lookup and per
second, with a 95 % interval. A lookup is taken as one draw: means per lookup have a normal interval
whose variance is that between the names asked for; shares have Wilson's interval with as many
trials as lookups; lookups per second are a Poisson count; ratios are normal on the log scale (the
delta method). Where a side has fewer than 20 complete lookups, nothing is concluded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from pcapkit.batch.plan_promises import plan_promises
from pcapkit.batch.sides import Side
from pcapkit.model.clients import Client, Ndots
from pcapkit.model.comparison import Comparison, Measure, Promise, Rate, Subject
from pcapkit.model.results import Name
from pcapkit.model.settings import Change, Setting
from pcapkit.model.vocabulary import Source
from pcapkit.text import encodable

FEWEST_LOOKUPS = 20
_Z = 1.96  # 95 %
_RULE_OF_THREE = 3.0  # upper bound of a count of which none was seen
_IN_FULL = ("use_fqdn", "full_service_name")


# ---- what is counted -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Counts:
    """What one side counted of one subject; ``spread`` is by how much lookups differ (CV)."""

    lookups: int
    queries: int
    wasted: int
    duration_s: float | None
    spread: tuple[float, float]  # of queries and of wasted queries


def _spread(names: Sequence[Name], count: Callable[[Name], int]) -> float:
    """Return the coefficient of variation of a count per lookup, between names."""
    lookups = sum(n.lookups for n in names)
    mean = sum(map(count, names)) / lookups if lookups else 0.0
    if not mean:
        return 1.0
    variance = sum(n.lookups * (count(n) / n.lookups - mean) ** 2 for n in names) / lookups
    return sqrt(variance) / mean


def _overall(side: Side) -> _Counts:
    spans = [c.duration_s for c in side.captures if c.duration_s is not None]
    names = [n for n in side.names if n.lookups]
    return _Counts(
        side.complete,
        side.waste.queries - side.waste.by_class["incomplete"],
        side.waste.wasted_queries,
        sum(spans) or None,
        (_spread(names, lambda n: n.queries), _spread(names, lambda n: n.wasted_queries)),
    )


Key = tuple[str, str]  # how it is matched, and by which text


def _keys(row: Client) -> Iterator[Key]:
    namespace = f"{row.namespace}/" if row.namespace else ""
    if row.workload:
        yield "workload", f"{namespace}{row.workload}"
    if row.pod:
        yield "pod", f"{namespace}{row.pod}"
    yield "address", row.client_addr


def _match(before: Side, after: Side) -> dict[Key, tuple[list[Client], list[Client]]]:
    """Return the rows of both sides by what they share first: workload, pod, or address.

    An address that belongs to known pods on both sides is not matched: pods get new addresses, and
    addresses new pods.
    """
    known = [{k for row in side.clients for k in _keys(row)} for side in (before, after)]
    shared = known[0] & known[1]
    out: dict[Key, tuple[list[Client], list[Client]]] = defaultdict(lambda: ([], []))
    for number, side in enumerate((before, after)):
        for row in side.clients:
            key = next((k for k in _keys(row) if k in shared), None)
            if key is not None:
                out[key][number].append(row)
    both = {key: rows for key, rows in out.items() if rows[0] and rows[1]}
    named = [all(r.pod for r in rows[0] + rows[1]) for rows in both.values()]
    return {
        key: rows
        for (key, rows), is_named in zip(both.items(), named, strict=True)
        if key[0] != "address" or not is_named
    }


def _sum(rows: Sequence[Client], side: _Counts) -> _Counts:
    return _Counts(
        sum(r.lookups for r in rows),
        sum(r.queries for r in rows),
        sum(r.wasted_queries for r in rows),
        side.duration_s,
        side.spread,
    )


# ---- intervals -----------------------------------------------------------------------------------


def _mean(count: int, lookups: int, spread: float) -> tuple[Rate, float] | None:
    """Return a count per lookup, and its relative standard error."""
    if not lookups:
        return None
    value = count / lookups
    if not count:
        return Rate(0.0, 0.0, _RULE_OF_THREE / lookups), 0.0
    error = spread / sqrt(lookups)
    return Rate(value, max(0.0, value * (1 - _Z * error)), value * (1 + _Z * error)), error


def _per_second(count: int, side: _Counts, spread: float) -> tuple[Rate, float] | None:
    if not side.duration_s or not side.lookups:
        return None
    value = count / side.duration_s
    error = sqrt((1 + spread**2) / side.lookups)
    return Rate(value, max(0.0, value * (1 - _Z * error)), value * (1 + _Z * error)), error


def _share(side: _Counts) -> tuple[Rate, float] | None:
    """Wilson's interval of the wasted share, with one trial a lookup."""
    if not side.queries or not side.lookups:
        return None
    share, n = side.wasted / side.queries, side.lookups
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    error = sqrt((1 - share) / (share * n)) if share else 0.0
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half)), error


def _measure(
    what: str, before: tuple[Rate, float] | None, after: tuple[Rate, float] | None, enough: bool
) -> Measure:
    if before is None or after is None:
        return Measure(what, before and before[0], after and after[0], None, "too_little_data")
    (old, old_error), (new, new_error) = before, after
    change = None
    if old.value and new.value:
        middle, half = log(new.value / old.value), _Z * sqrt(old_error**2 + new_error**2)
        change = Rate(*(exp(x) - 1 for x in (middle, middle - half, middle + half)))
    elif old.value:
        change = Rate(-1.0, -1.0, min(0.0, new.high / old.value - 1))
    if not enough:
        verdict = "too_little_data"
    elif change is None:
        verdict = "more" if new.low > old.high else "no_change_shown"
    else:
        verdict = "less" if change.high < 0 else "more" if change.low > 0 else "no_change_shown"
    return Measure(what, old, new, change, verdict)


def _measures(before: _Counts, after: _Counts) -> tuple[Measure, ...]:
    enough = min(before.lookups, after.lookups) >= FEWEST_LOOKUPS

    def both(what: str, of: Callable[[_Counts], tuple[Rate, float] | None]) -> Measure:
        return _measure(what, of(before), of(after), enough)

    return (
        both("queries_per_lookup", lambda s: _mean(s.queries, s.lookups, s.spread[0])),
        both("wasted_per_lookup", lambda s: _mean(s.wasted, s.lookups, s.spread[1])),
        both("wasted_share", _share),
        both("lookups_per_second", lambda s: _per_second(s.lookups, s, 0.0)),
        both("queries_per_second", lambda s: _per_second(s.queries, s, s.spread[0])),
    )


# ---- promises ------------------------------------------------------------------------------------


def _in_force(rows: Sequence[Client]) -> Ndots | None:
    """Return the ndots of some rows, where all have one value."""
    return rows[0].ndots if len({row.ndots.value for row in rows}) == 1 else None


def _promised(before: Side, addresses: Sequence[str | None], was: int, now: int) -> float | None:
    """Return by how much the what-if said the queries would change."""
    sums = {was: 0, now: 0}
    for row in before.what_if:
        if row.client_addr in addresses and row.ndots in sums:
            sums[row.ndots] += row.queries
    return sums[now] / sums[was] - 1 if sums[was] and sums[now] else None


def _ndots_promise(
    before: Side, subject: Subject, sides: tuple[Sequence[Client], Sequence[Client]]
) -> Promise | None:
    old, new = (_in_force(rows) for rows in sides)
    if old is None or new is None:
        return None
    addresses = [None] if subject.subject is None else [r.client_addr for r in sides[0]]
    advised = {
        r.ndots
        for r in before.recommendations
        if r.code == "set_ndots"
        and r.ndots is not None
        and (None in addresses or set(r.clients) & set(addresses))
    }
    who = subject.subject or "all clients"
    proven = new.source != Source.ASSUMED or not new.low <= old.value <= new.high
    if new.value == old.value or not proven:
        if not advised:
            return None
        promised = _promised(before, addresses, old.value, min(advised))
        setting = Setting(Change.NDOTS, min(advised))
        return Promise(who, setting, True, promised, None, "not_applied")
    promised = _promised(before, addresses, old.value, new.value)
    measure = subject.measure("queries_per_lookup")
    verdict = "too_little_data"
    if promised is not None and measure.change is not None and measure.verdict != verdict:
        verdict = "kept" if measure.change.low <= promised else "not_kept"
    setting = Setting(Change.NDOTS, new.value)
    return Promise(who, setting, new.value in advised, promised, measure.change, verdict)


def _name_promises(before: Side, after: Side) -> Iterator[Promise]:
    """Names that should be written in full: is their waste gone?"""
    for advice in before.recommendations:
        if advice.code not in _IN_FULL:
            continue
        name = advice.target
        full = {n.fqdn for n in before.names if n.base_name == name and n.fqdn}
        old, new = (
            [n for n in side.names if n.base_name == name or n.fqdn in full]
            for side in (before, after)
        )
        counts = [
            (sum(n.lookups for n in rows), sum(n.wasted_queries for n in rows))
            for rows in (old, new)
        ]
        (lookups, wasted), (lookups_now, wasted_now) = counts
        measured, verdict = None, "too_little_data"
        if lookups and wasted and lookups_now:
            change = (wasted_now / lookups_now) / (wasted / lookups) - 1
            measured = Rate(change, change, change)
            verdict = "kept" if not wasted_now else "not_applied" if change >= 0 else "not_kept"
        yield Promise(name, Setting(Change.FQDN), True, -1.0, measured, verdict)


def compare(before: Side, after: Side, *, names: tuple[str, str]) -> Comparison:
    """Compare two analyses; ``names`` is how to call them."""
    totals = _overall(before), _overall(after)
    whole = Subject(None, "all", totals[0].lookups, totals[1].lookups, _measures(*totals))
    subjects, promises = [whole], []
    matched = _match(before, after)
    for (how, text), sides in sorted(matched.items()):
        counts = _sum(sides[0], totals[0]), _sum(sides[1], totals[1])
        subject = Subject(text, how, counts[0].lookups, counts[1].lookups, _measures(*counts))
        subjects.append(subject)
        promises.append(_ndots_promise(before, subject, sides))
    if not matched:
        promises.append(_ndots_promise(before, whole, (before.clients, after.clients)))
    promises += _name_promises(before, after)
    names = encodable(names[0]), encodable(names[1])
    warnings = [
        f"{name}: {w}" for name, of in zip(names, (before, after), strict=True) for w in of.warnings
    ]
    if not matched and before.clients and after.clients:
        warnings.append("no client is on both sides: give --pods, so that workloads are compared")
    return Comparison(
        *names,
        after.waste.share,
        tuple(subjects),
        tuple(p for p in promises if p),
        plan_promises(before, after, subjects),
        tuple(warnings),
    )
