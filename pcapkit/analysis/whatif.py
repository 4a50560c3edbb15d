"""Replay the observed lookups under other settings, by the client's own resolver's rules.

Only complete lookups, only first transmissions. What a candidate would answer is taken from what
was seen: in the lookup itself, else anywhere in the capture. Where nothing was seen the name is
taken not to exist under a suffix, and its queries are counted as assumed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pcapkit.analysis.reading import ClientReading, Labels, Lookup
from pcapkit.codes import ANSWER, NXDOMAIN, UNANSWERED
from pcapkit.model import Safety, WhatIf
from pcapkit.resolver import AFTER_NEXT, AFTER_STOP, ResolverModel, resolver_model

NDOTS = (1, 2, 3, 4, 5)
THIN_LOOKUPS, THIN_NAMES = 20, 5
_SHOWN = 5

Answers = dict[Labels, dict[int, int]]


@dataclass(slots=True)
class Replay:
    """What one lookup would have sent."""

    queries: int = 0
    wasted: int = 0
    assumed: int = 0
    resolved: bool = False
    answered_by: Labels | None = None
    first_leaks: bool = False


@dataclass(slots=True)
class _Sum:
    queries: int = 0
    wasted: int = 0
    leaked: int = 0
    broken: int = 0
    assumed: int = 0
    lookups: int = 0
    names: set[Labels] = field(default_factory=set)
    broken_names: set[str] = field(default_factory=set)
    leaked_names: set[str] = field(default_factory=set)
    other_names: set[str] = field(default_factory=set)


def seen_answers(readings: Iterable[ClientReading]) -> Answers:
    """Collect how each name was answered, by type; an answer beats a miss."""
    out: Answers = {}
    for reading in readings:
        for lookup in reading.lookups:
            for t in lookup.transactions:
                known = out.setdefault(t.candidate, {})
                if t.outcome == ANSWER or known.get(t.qtype, UNANSWERED) == UNANSWERED:
                    known[t.qtype] = t.outcome
    return out


def order_of(
    base: Labels, search: Sequence[Labels], ndots: int, model: ResolverModel, *, absolute: bool
) -> list[Labels]:
    """Return the candidates in order, as the model would walk them were all to fail."""
    if absolute or not model.searches:
        return [base]
    listed = [base + s for s in search]
    if ndots == 0 and not model.ndots_zero_searches:
        return [base]
    if len(base) - 1 >= ndots:
        return [base, *listed] if model.searches_after_as_is else [base]
    return [*listed, base]


def replay(
    lookup: Lookup, order: Sequence[Labels], model: ResolverModel, seen: Answers
) -> Replay:
    """Walk ``order`` with the outcomes that were seen; see the module's first lines."""
    mine: dict[Labels, dict[int, int]] = defaultdict(dict)
    for t in lookup.transactions:
        mine[t.candidate][t.qtype] = t.outcome
    types = _walk_types(lookup, model)
    extra = len({t.qtype for t in lookup.transactions}) - len(types)
    out = Replay()
    at = 0
    while at < len(order):
        name = order[at]
        events = []
        for qtype in types:
            known = mine.get(name, {}).get(qtype)
            if known is None:
                known = seen.get(name, {}).get(qtype)
            if known is None:
                known = NXDOMAIN
                out.assumed += 1
            events.append(known)
        out.queries += len(types)
        if ANSWER in events:
            out.queries += extra
            out.resolved, out.answered_by = True, name
            return _waste(out, order, at, len(types))
        after = model.after(events)
        if after == AFTER_STOP:
            break
        at = at + 1 if after == AFTER_NEXT else max(at + 1, len(order) - 1)
    return _waste(out, order, min(at, len(order) - 1), len(types))


def _walk_types(lookup: Lookup, model: ResolverModel) -> list[int]:
    """Return the types asked of every candidate; some tools ask more of the name that hit."""
    first = [t.qtype for t in lookup.transactions if t.candidate == lookup.candidates[0]]
    return first[:1] if model.further_types_of_hit_only else first


def _waste(out: Replay, order: Sequence[Labels], last: int, types: int) -> Replay:
    missed = last if out.resolved else last + 1
    base = min(order, key=len)
    for name in order[:missed]:
        if name != base or out.resolved:
            out.wasted += types
    return out


def _setting(
    total: _Sum, lookup: Lookup, order: Sequence[Labels], model: ResolverModel, seen: Answers,
    zones: Sequence[Labels],
) -> None:  # fmt: skip
    result = replay(lookup, order, model, seen)
    text = ".".join(lookup.base)
    total.lookups += 1
    total.names.add(lookup.base)
    total.queries += result.queries
    total.wasted += result.wasted
    total.assumed += result.assumed
    if lookup.answered_by is None:
        return
    if not result.resolved:
        total.broken += 1
        total.broken_names.add(text)
    elif result.answered_by != lookup.answered_by:
        total.other_names.add(text)
    inside = any(lookup.answered_by[-len(z) :] == z for z in zones)
    outside = not any(order[0][-len(z) :] == z for z in zones)
    if inside and outside:
        total.leaked += 1
        total.leaked_names.add(text)


def _is_fixed(lookup: Lookup, ndots: int) -> bool:
    """Would this lookup send the same under any ndots?

    Names with a final dot do, and so do reverse lookups, which resolvers do not search. A name
    asked as is although it has fewer dots than ndots can only have had a final dot.
    """
    if lookup.mode != "as_is" or len(lookup.candidates) > 1:
        return False
    return bool(
        lookup.absolute or len(lookup.base) - 1 < ndots or lookup.base[-1:] == ("arpa",)
    )


def what_if(
    readings: Sequence[ClientReading], zones: Sequence[Labels], address: Callable[[int], str]
) -> tuple[WhatIf, ...]:
    """One row per setting for all clients together, then per client."""
    seen = seen_answers(readings)
    everything: dict[str, _Sum] = defaultdict(_Sum)
    rows: list[WhatIf] = []
    in_force: Counter[str] = Counter()
    for reading in readings:
        mine: dict[str, _Sum] = defaultdict(_Sum)
        model = resolver_model(reading.resolver.model)
        suffixes = reading.search.suffixes
        for lookup in reading.lookups:
            if not lookup.complete:
                continue
            fixed = _is_fixed(lookup, reading.ndots.value)
            fqdn = lookup.answered_by or lookup.base
            for total in (mine, everything):
                for n in NDOTS:
                    order = order_of(lookup.base, suffixes, n, model, absolute=fixed)
                    _setting(total[f"ndots:{n}"], lookup, order, model, seen, zones)
                _setting(total["fqdn"], lookup, [fqdn], model, seen, zones)
        now = f"ndots:{reading.ndots.value}"
        in_force[now] += 1
        client = address(reading.client)
        rows += [_row(client, s, t, now, reading.resolver.model) for s, t in mine.items()]
    usual = in_force.most_common(1)[0][0] if len(in_force) == 1 else ""
    return tuple([_row(None, s, t, usual, "") for s, t in everything.items()] + rows)


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more"
                                         if len(listed) > _SHOWN else "")  # fmt: skip


def _row(client: str | None, setting: str, t: _Sum, now: str, model: str) -> WhatIf:
    ndots = int(setting.split(":")[1]) if setting.startswith("ndots:") else None
    reasons = []
    safety = Safety.SAFE
    if t.broken:
        safety = Safety.UNSAFE
        reasons.append(f"would no longer resolve: {_some(t.broken_names)}")
    if t.other_names:
        safety = Safety.UNSAFE
        reasons.append(f"would be answered by another name: {_some(t.other_names)}")
    collisions = {n for n in t.leaked_names if _collides(n)}
    if collisions:
        safety = Safety.UNSAFE
        reasons.append(f"asked as is first, under a real top-level domain: {_some(collisions)}")
    soft = []
    if t.leaked:
        soft.append(f"cluster names asked upstream first: {_some(t.leaked_names)}")
    if t.assumed:
        soft.append(f"{t.assumed} queries rest on answers that the capture does not show")
    if t.lookups < THIN_LOOKUPS or len(t.names) < THIN_NAMES:
        soft.append(f"thin capture: {t.lookups} lookups of {len(t.names)} names")
    if model == "unknown":
        soft.append("the resolver is not known; glibc's rules are assumed")
    if soft and safety is Safety.SAFE:
        safety = Safety.REVIEW
    return WhatIf(
        client, setting, ndots, t.queries, t.wasted, t.leaked, t.broken, t.assumed,
        setting == now, safety, tuple(reasons + soft),
    )  # fmt: skip


def _collides(name: str) -> bool:
    from publicsuffixlist import PublicSuffixList

    labels = name.split(".")
    if len(labels) < 2:
        return False
    global _LIST
    if _LIST is None:
        _LIST = PublicSuffixList(accept_unknown=False)
    return bool(_LIST.publicsuffix(labels[-1]))


_LIST = None

