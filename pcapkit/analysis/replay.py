"""Replay lookups under other settings, by the client's own resolver's rules (compiled).

Lookups that are equal (same settings of their clients, same base name, same questions with the same
ends) are replayed once. What a candidate would answer is taken from the lookup itself, else from
anywhere in the capture; where nothing was seen the name is taken not to exist, and its queries are
counted as assumed. The time of a candidate that was asked is its own; of others, what its question
took elsewhere, or what such questions take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.answers import AUTHORITATIVE, FORWARDED, question_key, slot_of
from pcapkit.analysis.lookups import AS_IS
from pcapkit.analysis.suffixes import Labels, join, name_start
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, UNANSWERED
from pcapkit.interning import find
from pcapkit.kernels import helper_kernel, kernel
from pcapkit.names import wire_from_text
from pcapkit.resolver import AFTER_AS_IS, AFTER_NEXT, AFTER_STOP, ResolverModel

_TYPES = 8
_LONGEST = 255
_MAX_POSITIONS = 62  # bits of ``visited``; Kubernetes allows 32 suffixes
_UNSEEN = -2  # no candidate answered

#: Marks of a replayed lookup.
BROKEN, LEAKED, ELSEWHERE = 1, 2, 4

#: Which names a setting writes with their final dots.
NONE_IN_FULL, ALL_IN_FULL = range(2)

#: A setting as kernels take it: ``ndots`` -1 is the value in force.
SETTING = np.dtype([("ndots", np.int32), ("in_full", np.int32)], align=True)

#: What one lookup would have sent under one setting.
REPLAY = np.dtype(
    [
        ("code", np.int32),  # settings of one code walk this lookup alike
        ("queries", np.int32),
        ("wasted", np.int32),
        ("assumed", np.int32),
        ("upstream", np.int32),  # queries whose answers came, or would come, without AA
        ("flags", np.int32),
        ("visited", np.uint64),  # positions asked, the name as is in bit 0
        ("other_ns", np.int64),  # time at candidates that this lookup did not ask
    ],
    align=True,
)

#: Sums of one client under one setting.
SUM = np.dtype(
    [(key, np.int64) for key in (
        "queries", "wasted", "assumed", "upstream", "broken", "leaked", "elsewhere", "time_ns",
    )]
)  # fmt: skip

#: The marked lookups of one base name and one client; their marks are a row of another array.
MARKED = np.dtype([("client", np.int32), ("base", np.int32), ("lookups", np.int32)])


class Walker(NamedTuple):
    """How some clients walk: their list as wire bytes, and their resolver's rules."""

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


def walker(
    suffixes: Sequence[Labels], model: ResolverModel, ndots: int, zones: Sequence[Labels]
) -> Walker:
    """Return how a client with this list and resolver walks."""
    tails = [wire_from_text(join(s)) for s in suffixes]
    return Walker(
        np.frombuffer(b"".join(tails), np.uint8),
        np.cumsum([len(t) for t in tails], dtype=np.int64),
        np.array([any(s[-len(z) :] == z for z in zones) for s in suffixes], np.uint8),
        model.searches, model.searches_after_as_is, model.further_types_of_hit_only,
        model.on_nodata, model.on_servfail, model.on_refused, model.on_timeout, ndots,
    )  # fmt: skip


class Facts(NamedTuple):
    """What is known of names and questions; ``inside`` marks names in the cluster domain."""

    names: Any
    labels: npt.NDArray[np.int32]
    inside: npt.NDArray[np.uint8]
    reverse: npt.NDArray[np.uint8]
    known: npt.NDArray[Any]
    typical_ns: npt.NDArray[np.int64]


@kernel
def mark_zone(arena: Any, ends: Any, count: Any, zone: Any, inside: Any) -> None:
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


@kernel
def group_equal(
    lookups: Any, walker_of: Any, whole: Any, slots: Any, first: Any, group: Any
) -> Any:
    """Number the lookups that are replayed alike; ``first[g]`` is one of them. Return how many."""
    mask = np.uint64(slots.shape[0] - 1)
    count = 0
    for m in range(whole.shape[0]):
        look = lookups[whole[m]]
        w = walker_of[look["client"]]
        h = look["shape"] ^ (np.uint64(look["base"]) * np.uint64(0x9E3779B97F4A7C15))
        h = (h ^ np.uint64(w)) * np.uint64(0xC2B2AE3D27D4EB4F)
        slot = np.int64((h ^ (h >> np.uint64(32))) & mask)
        while slots[slot] >= 0:
            other = lookups[first[slots[slot]]]
            if (
                other["shape"] == look["shape"]
                and other["base"] == look["base"]
                and walker_of[other["client"]] == w
                and other["mode"] == look["mode"]
                and other["absolute"] == look["absolute"]
            ):
                break
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        if slots[slot] < 0:
            slots[slot] = count
            first[count] = whole[m]
            count += 1
        group[m] = slots[slot]
    return count


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


#: How a lookup is walked: the first three are the code of a replay.
_LISTED, _AS_IS_FIRST, _IN_FULL = range(3)


@helper_kernel
def _way(setting: Any, dots: Any, in_force: Any) -> Any:
    if setting["in_full"] == ALL_IN_FULL:
        return np.int32(_IN_FULL)
    ndots = in_force if setting["ndots"] < 0 else setting["ndots"]
    return np.int32(_AS_IS_FIRST if dots >= ndots else _LISTED)


@helper_kernel
def _order(walker: Any, way: Any, fixed: bool, answered: Any, order: Any) -> Any:
    """Write the positions in the order of the walk, -1 for the name as is; return how many."""
    suffixes = walker.tail_ends.shape[0]
    if way == _IN_FULL:
        order[0] = answered if answered != _UNSEEN else -1
        return 1
    if fixed or not walker.searches:
        order[0] = -1
        return 1
    if way == _AS_IS_FIRST:
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
def _ask(
    facts: Any, walker: Any, look: Any, mine: Any, position: Any, types: Any, kinds: Any,
    events: Any, scratch: Any, out: Any,
) -> Any:  # fmt: skip
    """Ask one candidate for every type; return whether any has an answer."""
    name = np.int64(-2)  # not looked for
    answer, unseen = False, False
    slowest = np.int64(0)
    for k in range(kinds):
        outcome = np.int64(-1)
        for j in range(look["queries"]):
            if mine[j]["suffix"] == position and mine[j]["qtype"] == types[k]:
                outcome = np.int64(mine[j]["outcome"])
        own = outcome >= 0
        if name == -2:
            name = _candidate(facts.names, walker, look["base"], position, scratch)
        inside = walker.in_zone[position] if position >= 0 else facts.inside[look["base"]]
        authoritative = inside != 0
        took = facts.typical_ns[AUTHORITATIVE if inside else FORWARDED]
        if name >= 0:
            key = question_key(name, types[k])
            seen = facts.known[slot_of(facts.known, key)]
            if seen["key"] == key:
                outcome = outcome if own else np.int64(seen["outcome"])
                authoritative = seen["aa"] != 0
                if seen["responses"] > 0:
                    took = seen["time_ns"] // seen["responses"]
        if outcome < 0:
            outcome = np.int64(NXDOMAIN)
            out["assumed"] += 1
        unseen = unseen or not own
        slowest = max(slowest, took)
        out["upstream"] += 0 if authoritative else 1
        events[k] = outcome
        answer = answer or outcome == ANSWER
    out["queries"] += kinds
    if position < _MAX_POSITIONS:
        out["visited"] |= np.uint64(1) << np.uint64(position + 1)
    if unseen:
        out["other_ns"] += slowest
    return answer


@helper_kernel
def _replay(
    facts: Any, walker: Any, look: Any, mine: Any, order: Any, steps: Any, types: Any, kinds: Any,
    extra: Any, events: Any, scratch: Any, out: Any,
) -> Any:  # fmt: skip
    """Walk ``order``; return the position that answered, or _UNSEEN."""
    at = 0
    missed_suffixes, missed_as_is = 0, 0
    while at < steps:
        position = np.int64(order[at])
        if _ask(facts, walker, look, mine, position, types, kinds, events, scratch, out):
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
    return np.int64(_UNSEEN)


@helper_kernel
def _types(look: Any, mine: Any, types: Any) -> Any:
    """Write the types asked of every candidate; return how many, and how many more of the hit."""
    kinds, distinct = 0, 0
    for k in range(look["queries"]):
        again = False
        for j in range(k):
            again = again or mine[j]["qtype"] == mine[k]["qtype"]
        distinct += 0 if again else 1
        if mine[k]["name"] == mine[0]["name"] and kinds < _TYPES:
            types[kinds] = mine[k]["qtype"]
            kinds += 1
    return kinds, distinct


@helper_kernel
def _flags(facts: Any, walker: Any, look: Any, first: Any, hit: Any, answered: Any) -> Any:
    """Compare the position that would answer with the one that did."""
    if answered == _UNSEEN:
        return 0
    flags = 0
    if hit == _UNSEEN:
        flags |= BROKEN
    elif hit != answered:
        flags |= ELSEWHERE
    outside = not (walker.in_zone[first] if first >= 0 else facts.inside[look["base"]])
    if outside and facts.inside[look["answered_by"]]:
        flags |= LEAKED
    return flags


@helper_kernel
def _replay_settings(
    facts: Any, walker: Any, look: Any, mine: Any, settings: Any, order: Any, types: Any,
    events: Any, scratch: Any, rows: Any,
) -> None:  # fmt: skip
    """Fill one row a setting for one lookup; settings that walk it alike are walked once."""
    kinds, distinct = _types(look, mine, types)
    answered = np.int64(_UNSEEN)
    for k in range(look["queries"]):
        if look["answered_by"] >= 0 and mine[k]["name"] == look["answered_by"]:
            answered = np.int64(mine[k]["suffix"])
    if walker.further_types_of_hit_only:
        kinds = min(kinds, 1)
    dots = np.int64(facts.labels[look["base"]]) - 1
    alone = look["mode"] == AS_IS and look["candidates"] == 1
    fixed = alone and (
        look["absolute"] == 1 or dots < walker.ndots or facts.reverse[look["base"]] != 0
    )
    for s in range(settings.shape[0]):
        code = _way(settings[s], dots, walker.ndots)
        alike = -1
        for k in range(s):
            if rows[k]["code"] == code:
                alike = k
                break
        if alike >= 0:
            rows[s] = rows[alike]
            continue
        row = rows[s]
        row["code"] = code
        row["queries"] = 0
        row["wasted"] = 0
        row["assumed"] = 0
        row["upstream"] = 0
        row["visited"] = 0
        row["other_ns"] = 0
        steps = _order(walker, code, fixed, answered, order)
        hit = _replay(
            facts, walker, look, mine, order, steps, types, kinds, max(0, distinct - kinds),
            events, scratch, row,
        )  # fmt: skip
        row["flags"] = _flags(facts, walker, look, order[0], hit, answered)


@helper_kernel
def _spans(look: Any, mine: Any, spans: Any) -> None:
    """Set how long the lookup was at each position, the name as is at 0."""
    spans[:] = 0
    began, position = np.int64(look["start"]), np.int64(-2)
    for k in range(look["queries"]):
        here = np.int64(mine[k]["suffix"])
        if here == position:
            continue
        if position >= -1 and mine[k]["time"] > began:
            spans[position + 1] += mine[k]["time"] - began
            began = np.int64(mine[k]["time"])
        position = min(here, np.int64(_MAX_POSITIONS - 1))
    spans[position + 1] += max(np.int64(0), look["end"] - began)


@kernel
def replay_groups(
    facts: Any, walker: Any, lookups: Any, transactions: Any, members: Any, bounds: Any,
    settings: Any, sums: Any, marked: Any, marks: Any, used: Any,
) -> None:  # fmt: skip
    """Replay groups of equal lookups and add them to ``sums[client, setting]``.

    ``members`` are lookup numbers, group behind group (``bounds``), each in the order of clients;
    lookups that a setting harms are appended to ``marked`` and ``marks``, counted in ``used``.
    """
    scratch = np.zeros(256, np.uint8)
    order = np.zeros(walker.tail_ends.shape[0] + 1, np.int64)
    types, events = np.zeros(_TYPES, np.int64), np.zeros(_TYPES, np.int64)
    rows = np.zeros(settings.shape[0], REPLAY)
    spans = np.zeros(_MAX_POSITIONS + 1, np.int64)
    for g in range(bounds.shape[0] - 1):
        look = lookups[members[bounds[g]]]
        mine = transactions[look["first"] : look["first"] + look["queries"]]
        _replay_settings(
            facts, walker, look, mine, settings, order, types, events, scratch, rows
        )
        harmed = False
        for s in range(settings.shape[0]):
            harmed = harmed or rows[s]["flags"] != 0
        client = np.int64(-1)
        for m in range(bounds[g], bounds[g + 1]):
            look = lookups[members[m]]
            _spans(look, transactions[look["first"] : look["first"] + look["queries"]], spans)
            if harmed and look["client"] != client:
                new = marked[used[0]]
                new["client"] = look["client"]
                new["base"] = look["base"]
                for s in range(settings.shape[0]):
                    marks[used[0], s] = rows[s]["flags"]
                used[0] += 1
            client = np.int64(look["client"])
            if harmed:
                marked[used[0] - 1]["lookups"] += 1
            for s in range(settings.shape[0]):
                _add(rows[s], spans, sums[client, s])


@helper_kernel
def _add(row: Any, spans: Any, total: Any) -> None:
    total["queries"] += row["queries"]
    total["wasted"] += row["wasted"]
    total["assumed"] += row["assumed"]
    total["upstream"] += row["upstream"]
    total["broken"] += row["flags"] & BROKEN
    total["leaked"] += (row["flags"] & LEAKED) >> 1
    total["elsewhere"] += (row["flags"] & ELSEWHERE) >> 2
    took = np.int64(row["other_ns"])
    left = np.uint64(row["visited"])
    at = 0
    while left != 0:
        if left & np.uint64(1):
            took += spans[at]
        left >>= np.uint64(1)
        at += 1
    total["time_ns"] += took


