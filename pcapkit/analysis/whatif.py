"""Replay the observed lookups under other settings, by the client's own resolver's rules.

Only complete lookups, only first transmissions. What a candidate would answer is taken from what
was seen: in the lookup itself, else anywhere in the capture. Where nothing was seen the name is
taken not to exist, and its queries are counted as assumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups import AS_IS
from pcapkit.analysis.reading import ClientReading, Readings
from pcapkit.analysis.suffixes import Labels, join, name_start
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, UNANSWERED
from pcapkit.interning import find
from pcapkit.kernels import helper_kernel, kernel
from pcapkit.model import Safety, WhatIf
from pcapkit.names import is_top_level_domain, wire_from_text
from pcapkit.resolver import AFTER_AS_IS, AFTER_NEXT, AFTER_STOP, resolver_model

NDOTS = (1, 2, 3, 4, 5)
#: The settings in the order of the rows: ndots:1 to ndots:5, then every name in full.
SETTINGS = (*(f"ndots:{n}" for n in NDOTS), "fqdn")
THIN_LOOKUPS, THIN_NAMES = 20, 5
_SHOWN = 5
_FQDN = 0  # stands where a setting has no ndots
_TYPES = 8
_LONGEST = 255

BROKEN, LEAKED, ELSEWHERE = 1, 2, 4

#: What one lookup would have sent under one setting; ``flags`` holds BROKEN, LEAKED, ELSEWHERE.
REPLAY = np.dtype(
    [
        ("queries", np.int32),
        ("wasted", np.int32),
        ("assumed", np.int32),
        ("flags", np.int32),
    ]
)


class _Walker(NamedTuple):
    """How one client walks: its list as wire bytes, and its resolver's rules."""

    tails: npt.NDArray[np.uint8]
    tail_ends: npt.NDArray[np.int64]
    in_zone: npt.NDArray[np.uint8]  # is a name under this suffix inside the cluster domain?
    searches: bool
    searches_after_as_is: bool
    further_types_of_hit_only: bool
    on_nodata: int
    on_servfail: int
    on_refused: int
    on_timeout: int
    ndots: int


@helper_kernel
def _slot(keys: Any, key: Any) -> Any:
    """Return the slot of a key, or the free one where it belongs."""
    mask = np.uint64(keys.shape[0] - 1)
    h = key * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64((h ^ (h >> np.uint64(32))) & mask)
    while keys[slot] != 0 and keys[slot] != key:
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    return slot


@helper_kernel
def _question_key(name: Any, qtype: Any) -> Any:
    return ((np.uint64(name) << np.uint64(16)) | np.uint64(qtype)) + np.uint64(1)


@kernel
def _note_answers(transactions: Any, keys: Any, outcomes: Any) -> None:
    """Note how each question was answered; an answer beats a miss, a miss silence."""
    for k in range(transactions.shape[0]):
        t = transactions[k]
        key = _question_key(t["name"], t["qtype"])
        slot = _slot(keys, key)
        new = keys[slot] == 0
        if new or t["outcome"] == ANSWER or outcomes[slot] == UNANSWERED:
            keys[slot] = key
            outcomes[slot] = t["outcome"]


@kernel
def _mark_zone(arena: Any, ends: Any, count: Any, zone: Any, inside: Any) -> None:
    """Mark the names that lie inside a zone (its wire form), or are its apex."""
    size = zone.shape[0]
    for name in range(count):
        at, stop = name_start(ends, name), ends[name]
        while at < stop - size and arena[at] != 0:
            at += np.int64(arena[at]) + 1
        if at != stop - size:
            continue
        same = True
        for j in range(size):
            same = same and arena[at + j] == zone[j]
        if same:
            inside[name] = 1


@helper_kernel
def _candidate(names: Any, walker: Any, base: Any, position: Any, scratch: Any) -> Any:
    """Return the id of base + suffix, -1 where no such name was seen."""
    if position < 0:
        return np.int64(base)
    arena, ends = names[0], names[1]
    begin = name_start(ends, base)
    length = ends[base] - begin - 1
    first = walker.tail_ends[position - 1] if position > 0 else np.int64(0)
    more = walker.tail_ends[position] - first
    if length < 0 or length + more > _LONGEST:
        return np.int64(-1)
    for k in range(length):
        scratch[k] = arena[begin + k]
    for k in range(more):
        scratch[length + k] = walker.tails[first + k]
    return find(names, scratch, 0, length + more)


@helper_kernel
def _after(walker: Any, outcomes: Any, count: Any) -> Any:
    """What the resolver does after a candidate without an answer."""
    unanswered, refused, failed, empty = False, False, False, False
    for k in range(count):
        o = outcomes[k]
        unanswered = unanswered or o == UNANSWERED
        refused = refused or o == REFUSED
        failed = failed or not (o == NODATA or o == NXDOMAIN)
        empty = empty or o == NODATA
    if unanswered:
        return int(walker.on_timeout)
    if refused:
        return int(walker.on_refused)
    if failed:
        return int(walker.on_servfail)
    return int(walker.on_nodata) if empty else AFTER_NEXT


@helper_kernel
def _order(
    walker: Any, dots: Any, ndots: Any, fixed: bool, answered: Any, order: Any
) -> Any:
    """Write the positions in the order of the walk, -1 for the name as is; return how many."""
    suffixes = walker.tail_ends.shape[0]
    if ndots == _FQDN:
        order[0] = answered
        return 1
    if fixed or not walker.searches:
        order[0] = -1
        return 1
    if dots >= ndots:
        order[0] = -1
        if not walker.searches_after_as_is:
            return 1
        for p in range(suffixes):
            order[p + 1] = p
        return suffixes + 1
    for p in range(suffixes):
        order[p] = p
    order[suffixes] = -1
    return suffixes + 1


@helper_kernel
def _replay(
    names: Any, walker: Any, look: Any, mine: Any, keys: Any, seen: Any, order: Any, steps: Any,
    types: Any, kinds: Any, extra: Any, answered: Any, scratch: Any, events: Any, out: Any,
) -> Any:  # fmt: skip
    """Walk ``order`` with the outcomes that were seen; return the position that answered, or -2."""
    at = 0
    missed_suffixes, missed_as_is = 0, 0
    while at < steps:
        position = np.int64(order[at])
        name = np.int64(-2)
        answer = False
        for k in range(kinds):
            outcome = np.int64(-1)
            for j in range(look["queries"]):
                if mine[j]["suffix"] == position and mine[j]["qtype"] == types[k]:
                    outcome = np.int64(mine[j]["outcome"])
            if outcome < 0:
                if name == -2:
                    name = _candidate(names, walker, look["base"], position, scratch)
                if name >= 0:
                    key = _question_key(name, types[k])
                    slot = _slot(keys, key)
                    if keys[slot] == key:
                        outcome = np.int64(seen[slot])
            if outcome < 0:
                outcome = np.int64(NXDOMAIN)
                out["assumed"] += 1
            events[k] = outcome
            answer = answer or outcome == ANSWER
        out["queries"] += kinds
        if answer:
            out["queries"] += extra
            out["wasted"] = (missed_suffixes + missed_as_is) * kinds
            return position
        if position >= 0 and steps > 1:
            missed_suffixes += 1
        elif steps > 1:
            missed_as_is += 1
        after = _after(walker, events, kinds)
        if after == AFTER_STOP:
            break
        at = max(at + 1, steps - 1) if after == AFTER_AS_IS else at + 1
    out["wasted"] = missed_suffixes * kinds
    return np.int64(-2)


@kernel
def replay_client(
    names: Any, labels: Any, inside: Any, reverse: Any, walker: Any, lookups: Any, members: Any,
    transactions: Any, settings: Any, keys: Any, seen: Any, out: Any,
) -> None:  # fmt: skip
    """Fill ``out[lookup, setting]`` for the lookups numbered in ``members``."""
    scratch = np.zeros(256, np.uint8)
    order = np.zeros(walker.tail_ends.shape[0] + 1, np.int64)
    types = np.zeros(_TYPES, np.int64)
    events = np.zeros(_TYPES, np.int64)
    for m in range(members.shape[0]):
        look = lookups[members[m]]
        mine = transactions[look["first"] : look["first"] + look["queries"]]
        kinds, distinct, answered = 0, 0, np.int64(-2)
        for k in range(look["queries"]):
            again = False
            for j in range(k):
                again = again or mine[j]["qtype"] == mine[k]["qtype"]
            distinct += 0 if again else 1
            if mine[k]["name"] == mine[0]["name"] and kinds < _TYPES:
                types[kinds] = mine[k]["qtype"]
                kinds += 1
            if look["answered_by"] >= 0 and mine[k]["name"] == look["answered_by"]:
                answered = np.int64(mine[k]["suffix"])
        if walker.further_types_of_hit_only:
            kinds = min(kinds, 1)
        dots = np.int64(labels[look["base"]]) - 1
        alone = look["mode"] == AS_IS and look["candidates"] == 1
        fixed = alone and (look["absolute"] == 1 or dots < walker.ndots or reverse[look["base"]])
        for s in range(settings.shape[0]):
            row = out[members[m], s]
            full = answered if answered > -2 else np.int64(-1)
            steps = _order(walker, dots, settings[s], fixed, full, order)
            hit = _replay(
                names, walker, look, mine, keys, seen, order, steps, types, kinds,
                max(0, distinct - kinds), answered, scratch, events, row,
            )  # fmt: skip
            if answered == -2:
                continue
            if hit == -2:
                row["flags"] |= BROKEN
            elif hit != answered:
                row["flags"] |= ELSEWHERE
            outside = not inside[look["base"]]
            if order[0] >= 0:
                outside = not walker.in_zone[order[0]]
            if outside and inside[look["answered_by"]]:
                row["flags"] |= LEAKED


@dataclass(slots=True)
class _Sum:
    """One setting over some lookups."""

    queries: int
    wasted: int
    assumed: int
    lookups: int
    names: int
    flagged: dict[int, tuple[int, list[str]]] = field(default_factory=dict)


def _walker(reading: ClientReading, zones: Sequence[Labels]) -> _Walker:
    model = resolver_model(reading.resolver.model)
    suffixes = reading.search.suffixes
    tails = [wire_from_text(join(s)) for s in suffixes]
    return _Walker(
        np.frombuffer(b"".join(tails), np.uint8),
        np.cumsum([len(t) for t in tails], dtype=np.int64),
        np.array([any(s[-len(z) :] == z for z in zones) for s in suffixes], np.uint8),
        model.searches, model.searches_after_as_is, model.further_types_of_hit_only,
        model.on_nodata, model.on_servfail, model.on_refused, model.on_timeout,
        reading.ndots.value,
    )  # fmt: skip


def _zone_marks(r: Readings, zones: Sequence[Labels]) -> npt.NDArray[np.uint8]:
    arena, ends = r.names.names.arrays[:2]
    inside = np.zeros(r.labels.size, np.uint8)
    for zone in zones:
        wire = np.frombuffer(wire_from_text(join(zone)), np.uint8)
        _mark_zone(arena, ends, inside.size, wire, inside)
    return inside


def replays(r: Readings, zones: Sequence[Labels]) -> npt.NDArray[Any]:
    """Return REPLAY rows, (lookups, settings); those of incomplete lookups stay empty."""
    out = np.zeros((r.lookups.size, len(SETTINGS)), REPLAY)
    size = 1 << max(4, (2 * r.transactions.size).bit_length())
    keys, seen = np.zeros(size, np.uint64), np.zeros(size, np.uint8)
    _note_answers(r.transactions, keys, seen)
    inside, reverse = _zone_marks(r, zones), _zone_marks(r, [("arpa",)])
    settings = np.array([*NDOTS, _FQDN], np.int64)
    whole = np.flatnonzero(r.lookups["complete"])
    whole = whole[np.argsort(r.lookups["client"][whole], kind="stable")]
    bounds = np.searchsorted(r.lookups["client"][whole], np.arange(len(r.clients) + 1))
    for i, reading in enumerate(r.clients):
        replay_client(
            r.names.names.arrays, r.labels, inside, reverse, _walker(reading, zones), r.lookups,
            whole[bounds[i] : bounds[i + 1]], r.transactions, settings, keys, seen, out,
        )  # fmt: skip
    return out


def _sums(r: Readings, table: npt.NDArray[Any], members: npt.NDArray[Any]) -> list[_Sum]:
    """Add the rows of some lookups up, one sum a setting."""
    part = table[members]
    bases = r.lookups["base"][members]
    names = int(np.unique(bases).size)
    sums = []
    for s in range(len(SETTINGS)):
        rows = part[:, s]
        total = _Sum(
            int(rows["queries"].sum()), int(rows["wasted"].sum()), int(rows["assumed"].sum()),
            members.size, names,
        )  # fmt: skip
        if rows["flags"].any():
            for flag in (BROKEN, LEAKED, ELSEWHERE):
                hit = (rows["flags"] & flag) != 0
                if hit.any():
                    found = np.unique(bases[hit]).tolist()
                    total.flagged[flag] = (
                        int(hit.sum()), sorted(join(r.names.labels(n)) for n in found)
                    )
        sums.append(total)
    return sums


def what_if(
    r: Readings, zones: Sequence[Labels], address: Callable[[int], str]
) -> tuple[WhatIf, ...]:
    """One row per setting for all clients together, then per client."""
    table = replays(r, zones)
    whole = np.flatnonzero(r.lookups["complete"])
    if not whole.size:
        return ()
    by_client = whole[np.argsort(r.lookups["client"][whole], kind="stable")]
    bounds = np.searchsorted(r.lookups["client"][by_client], np.arange(len(r.clients) + 1))
    in_force: Counter[str] = Counter()
    rows: list[WhatIf] = []
    models = set()
    for i, reading in enumerate(r.clients):
        now = f"ndots:{reading.ndots.value}"
        in_force[now] += 1
        models.add(reading.resolver.model)
        mine = by_client[bounds[i] : bounds[i + 1]]
        if mine.size:
            client, model = address(reading.client), reading.resolver.model
            rows += [
                _row(client, s, t, now, model)
                for s, t in zip(SETTINGS, _sums(r, table, mine), strict=True)
            ]
    usual = next(iter(in_force)) if len(in_force) == 1 else ""
    everyone = models.pop() if len(models) == 1 else ""
    together = zip(SETTINGS, _sums(r, table, whole), strict=True)
    return tuple([_row(None, s, t, usual, everyone) for s, t in together] + rows)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _row(client: str | None, setting: str, t: _Sum, now: str, model: str) -> WhatIf:
    ndots = int(setting.split(":")[1]) if setting.startswith("ndots:") else None
    broken, broken_names = t.flagged.get(BROKEN, (0, []))
    leaked, leaked_names = t.flagged.get(LEAKED, (0, []))
    _, other_names = t.flagged.get(ELSEWHERE, (0, []))
    hard, soft = [], []
    if broken:
        hard.append(f"would no longer resolve: {_some(broken_names)}")
    if other_names:
        hard.append(f"would be answered by another name: {_some(other_names)}")
    if collisions := [n for n in leaked_names if _collides(n)]:
        hard.append(f"asked as is first, under a real top-level domain: {_some(collisions)}")
    if leaked:
        soft.append(f"cluster names asked upstream first: {_some(leaked_names)}")
    if t.assumed:
        soft.append(f"{t.assumed} queries rest on answers that the capture does not show")
    if t.lookups < THIN_LOOKUPS or t.names < THIN_NAMES:
        soft.append(f"thin capture: {t.lookups} lookups of {t.names} names")
    if model == "unknown" and ndots is not None:
        soft.append("the resolver is not known; glibc's rules are assumed")
    safety = Safety.UNSAFE if hard else Safety.REVIEW if soft else Safety.SAFE
    return WhatIf(
        client, setting, ndots, t.queries, t.wasted, leaked, broken, t.assumed, setting == now,
        safety, tuple(hard + soft),
    )  # fmt: skip


def _collides(name: str) -> bool:
    """Is the last label of a name that would be asked as is a real top-level domain?"""
    labels = name.split(".")
    return len(labels) > 1 and is_top_level_domain(labels[-1])
