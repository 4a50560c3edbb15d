"""Replay one lookup under other settings, by its client's own resolver's rules (compiled).

The rules are those of ``resolver/models.py``; what a candidate would answer is found out by
``candidates.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.state import AS_IS
from pcapkit.analysis.whatif.candidates import (
    CANDIDATE,
    LONGEST,
    MAX_TYPES,
    SEEN,
    ask,
    note_seen,
    what_follows,
)
from pcapkit.analysis.whatif.rules import MOST_SHARED
from pcapkit.analysis.whatif.settings import ALL_IN_FULL, CLUSTER_IN_FULL, HARMED_IN_FULL
from pcapkit.codes import QTYPE_NUMBERS
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.names.labels import name_start
from pcapkit.resolver.models import AFTER_AS_IS, AFTER_STOP

_PROBE = WASTE_CLASSES.index("service_probe")
_A, _AAAA = QTYPE_NUMBERS["A"], QTYPE_NUMBERS["AAAA"]
MAX_POSITIONS = 62  # bits of ``visited``; Kubernetes allows 32 suffixes
_UNSEEN = -2  # no candidate answered
#: Marks of a replayed lookup. DOUBTFUL: harmed if the application wrote the short form of a name
#: that answered at once, unharmed if it wrote it in full.
BROKEN, LEAKED, ELSEWHERE, DOUBTFUL = 1, 2, 4, 8
#: What one lookup would have sent under one setting.
REPLAY = np.dtype(
    [
        ("queries", np.int32),
        ("wasted", np.int32),
        ("assumed", np.int32),
        ("upstream", np.int32),  # queries whose answers came, or would come, without AA
        ("flags", np.int32),
        ("reordered", np.int32),  # the name as is comes first, or last, and did not so far
        ("visited", np.uint64),  # positions asked, the name as is in bit 0
        ("other_ns", np.int64),  # time at candidates that this lookup did not ask
    ],
    align=True,
)
#: How a lookup is walked: part of the code of a replay.
_LISTED, _AS_IS_FIRST, _IN_FULL = range(3)
_NO_AAAA, _AUTOPATH, _DROP = 4, 8, 16
#: ``code % WAYS`` is the order in which the candidates are asked.
WAYS = _NO_AAAA
_ROW_BITS = 8  # a lookup has fewer rows than that
#: Rows at most: a setting walks a lookup anew, and once more in full where that would do harm.
ROWS_A_SETTING = 2


@inline_kernel
def _code(setting: Any, walker: Any, dots: Any, inside: Any) -> Any:
    """Return what decides how a lookup is walked under a setting."""
    rules = walker.rules
    ndots = rules["ndots"] if setting["ndots"] < 0 else np.int64(setting["ndots"])
    code = _AS_IS_FIRST if rules["tries_as_is"] and dots >= ndots else _LISTED
    if setting["in_full"] == ALL_IN_FULL or (setting["in_full"] == CLUSTER_IN_FULL and inside):
        code = _IN_FULL
    if setting["no_aaaa"] and rules["honours_no_aaaa"]:
        code += _NO_AAAA
    if setting["autopath"] and code == _LISTED:
        code += _AUTOPATH
    if setting["drop"] < walker.tails.shape[0]:
        code += _DROP * (setting["drop"] + 1)
    return code


@helper_kernel
def _order(
    walker: Any,
    size: Any,
    never_listed: Any,
    never_as_is: Any,
    whole_list: Any,
    code: Any,
    answered: Any,
    order: Any,
) -> Any:
    """Write the positions in the order of the walk, -1 for the name as is; return how many.

    ``size`` are the bytes of the base name without its root. ``whole_list``: suffixes that the
    resolver leaves out were asked all the same.
    """
    rules, way = walker.rules, code % WAYS
    order[0] = -1
    as_is = 0 if never_as_is else 1
    if way == _IN_FULL:
        order[0] = answered if answered != _UNSEEN else -1
        return 1 if order[0] >= 0 else as_is
    if never_listed:
        return as_is
    at = 0
    if way == _AS_IS_FIRST:
        at = as_is
        if not rules["searches_after_as_is"]:
            return at
    for p in range(walker.tails.shape[0]):
        if p == code // _DROP - 1 or (walker.tails[p]["left_out"] and not whole_list):
            continue
        if size + walker.tails[p]["size"] > LONGEST:
            if rules["abandons_too_long"]:
                break
            continue
        order[at] = p
        at += 1
    if way == _LISTED and rules["tries_as_is"] and as_is:
        order[at] = -1
        at += 1
    return at


@helper_kernel
def _is_never_asked(facts: Any, walker: Any, base: Any) -> Any:
    """Does a name end in the domain that the resolver sends no name of?"""
    first, size = walker.rules["never_asked"], walker.rules["never_asked_size"]
    arena, end = facts.names[0], facts.names[1][base]
    if first < 0 or end - name_start(facts.names[1], base) <= size:
        return False
    for k in range(size):
        if arena[end - size + k] != walker.wire[first + k]:
            return False
    return True


@inline_kernel
def _walk(
    facts: Any,
    walker: Any,
    look: Any,
    mine: Any,
    answered: Any,
    steps: Any,
    types: Any,
    kinds: Any,
    extra: Any,
    ends: Any,
    turn: Any,
    found: Any,
    work: Any,
    out: Any,
) -> Any:
    """Walk ``work.order``; return the position that answered, or _UNSEEN."""
    at, missed_suffixes, missed_as_is, empty = 0, 0, 0, 0
    exists = False
    hit = np.int64(_UNSEEN)
    asks_all = walker.rules["asks_all"] != 0
    while at < steps:
        position = np.int64(work.order[at])
        end = ends[position + 1]
        if end["turn"] != turn:
            end["turn"] = turn
            ask(facts, walker, look, mine, answered, position, types, kinds, turn, found, work, end)
        out["queries"] += kinds
        out["assumed"] += end["assumed"]
        out["upstream"] += end["upstream"]
        out["other_ns"] += end["other_ns"]
        if position < MAX_POSITIONS - 1:
            out["visited"] |= np.uint64(1) << np.uint64(position + 1)
        after = end["after"]
        if after < 0:
            if hit == _UNSEEN:
                hit = position
                out["queries"] += extra
                out["wasted"] = missed_suffixes + missed_as_is
            if not asks_all:
                return hit
        elif position >= 0 and steps > 1:
            missed_suffixes += end["missed"]
        elif steps > 1:
            missed_as_is += end["missed"]
        if end["empty"] > 0 and not exists:
            exists = True  # the first name that is there: it has no such type
            empty = end["empty"] if position >= 0 and steps > 1 else 0
        if after == AFTER_STOP:
            break
        if after == AFTER_AS_IS and position >= 0:
            if work.order[steps - 1] >= 0:  # the name as is has been asked
                break
            at = max(at + 1, steps - 1)
        else:
            at += 1
    if hit == _UNSEEN:
        out["wasted"] = missed_suffixes - empty
    elif asks_all:
        out["wasted"] = missed_suffixes
    return hit


@helper_kernel
def _is_final(walker: Any, look: Any, mine: Any, events: Any) -> Any:
    """Was a name that failed alone, as is, written with a final dot? Else the list had followed."""
    rules = walker.rules
    if look["answered_by"] >= 0 or look["queries"] > MAX_TYPES or walker.tails.shape[0] == 0:
        return False
    if not (rules["searches"] and rules["searches_dotted"] and rules["searches_after_as_is"]):
        return False
    for k in range(look["queries"]):
        events[k] = mine[k]["outcome"]
    return what_follows(rules, events, look["queries"]) != AFTER_STOP


@helper_kernel
def _types(look: Any, mine: Any, first_only: bool, no_aaaa: bool, types: Any) -> Any:
    """Write the types asked of every candidate; return how many, and how many more of the hit.

    ``first_only``: the others follow once there is a hit; AAAA does after A, though none was seen.
    """
    kinds, distinct = 0, 0
    for k in range(look["queries"]):
        qtype = mine[k]["qtype"]
        if no_aaaa and qtype == _AAAA:
            continue
        again = False
        for j in range(k - 1, -1, -1):
            if mine[j]["qtype"] == qtype:
                again = True
                break
        distinct += 0 if again else 1
        if mine[k]["name"] == mine[0]["name"] and kinds < MAX_TYPES:
            types[kinds] = qtype
            kinds += 1
    if first_only:
        kinds = min(kinds, 1)
        if look["answered_by"] < 0 and distinct == 1 and types[0] == _A:
            distinct = 2
    return kinds, max(0, distinct - kinds)


@inline_kernel
def _flags(facts: Any, walker: Any, look: Any, first: Any, hit: Any, answered: Any) -> Any:
    """Compare the position that would answer with the one that did."""
    if answered == _UNSEEN:
        return 0
    flags = 0
    if hit == _UNSEEN:
        flags |= BROKEN
    elif hit != answered:
        flags |= ELSEWHERE
    inside = walker.tails[first]["in_zone"] if first >= 0 else facts.inside[look["base"]]
    if inside == 0 and facts.inside[look["answered_by"]]:
        flags |= LEAKED
    if flags and look["ambiguous"]:
        if np.int64(facts.labels[look["answered_by"]]) - 1 >= walker.rules["ndots"]:
            return DOUBTFUL
    return flags


class Work(NamedTuple):
    """Room that replays write to; ``ends`` are two rows a position: all types, and no AAAA."""

    scratch: npt.NDArray[np.uint8]
    order: npt.NDArray[np.int64]
    types: npt.NDArray[np.int64]  # (2, MAX_TYPES)
    events: npt.NDArray[np.int64]
    ends: npt.NDArray[Any]  # CANDIDATE (2, positions)
    seen: npt.NDArray[Any]  # SEEN (positions)
    codes: npt.NDArray[np.int64]  # turn and row of each code
    rows: npt.NDArray[Any]  # REPLAY
    in_force: npt.NDArray[Any]  # REPLAY (1): the walk as the rules say, whatever was seen
    found: npt.NDArray[np.int32]  # (bases, MOST_SHARED): candidates, see ``_candidate``


def work_for(suffixes: int, settings: int, bases: int) -> Work:
    """Return room for walks of up to so many suffixes, under so many settings."""
    return Work(
        np.zeros(256, np.uint8),
        np.zeros(suffixes + 1, np.int64),
        np.zeros((2, MAX_TYPES), np.int64),
        np.zeros(MAX_TYPES, np.int64),
        np.zeros((2, suffixes + 1), CANDIDATE),
        np.zeros(suffixes + 1, SEEN),
        np.zeros(_DROP * (suffixes + 1), np.int64),
        np.zeros(ROWS_A_SETTING * settings, REPLAY),
        np.zeros(1, REPLAY),
        np.zeros((bases, MOST_SHARED), np.int32),
    )


@inline_kernel
def _walks_as_in_force(code: Any, way: Any, plain: Any, ordered: Any, steps: Any) -> Any:
    """Is this the walk in force, though the server walks, or a suffix is left out of the list?

    ``plain`` is that walk, of so many ``steps`` at the positions ``ordered``. Without a suffix that
    it never came to, it is the same as long as more than one step is left.
    """
    if code % _DROP == way + _AUTOPATH:
        return True
    if code % _DROP != way or code // _DROP >= MAX_POSITIONS or steps <= 2:
        return False
    left = ordered & ~plain["visited"]
    return left >> np.uint64(code // _DROP) & np.uint64(1) != 0


@inline_kernel
def replay_settings(
    facts: Any,
    walker: Any,
    look: Any,
    mine: Any,
    settings: Any,
    turn: Any,
    found: Any,
    work: Any,
    like: Any,
) -> Any:
    """Walk one lookup under all settings; those that walk it alike are one row of ``work.rows``.

    ``like`` gets the row of each setting, -1 where it is not walked; returns how many rows there
    are. ``turn`` is a number from 1 that no other lookup was replayed with; ``found`` see
    ``_candidate``.
    """
    rules = walker.rules
    answered, probe = np.int64(_UNSEEN), False
    never_as_is = _is_never_asked(facts, walker, look["base"])
    whole_list = False
    for k in range(look["queries"]):
        t = mine[k]
        if t["suffix"] >= 0:
            whole_list = whole_list or walker.tails[t["suffix"]]["left_out"] != 0
        else:
            never_as_is = False  # what was seen beats what the rules say
        if look["answered_by"] >= 0 and t["name"] == look["answered_by"]:
            answered = np.int64(t["suffix"])
        probe = probe or t["waste_class"] == _PROBE
        note_seen(work.seen, np.int64(t["suffix"]), k, turn)
    inside = look["answered_by"] >= 0 and facts.inside[look["answered_by"]] != 0
    ends = facts.names[1]
    size = ends[look["base"]] - name_start(ends, look["base"]) - 1
    dots = np.int64(facts.labels[look["base"]]) - 1
    way = _AS_IS_FIRST if rules["tries_as_is"] and dots >= rules["ndots"] else _LISTED
    alone = look["mode"] == AS_IS and look["candidates"] == 1
    fixed = alone and (
        look["absolute"] == 1
        or way == _LISTED
        or facts.reverse[look["base"]] != 0
        or _is_final(walker, look, mine, work.events)
    )
    one = rules["further_types_of_hit_only"] != 0
    kinds, extra = _types(look, mine, one, False, work.types[0])
    kinds_a, extra_a = kinds, extra
    if rules["honours_no_aaaa"]:
        kinds_a, extra_a = _types(look, mine, one, True, work.types[1])
    never_listed = fixed or not rules["searches"] or (dots > 0 and not rules["searches_dotted"])
    plain, plain_hit, plain_first = work.in_force[0], np.int64(_UNSEEN), np.int64(-1)
    plain_steps, ordered = np.int64(-1), np.uint64(0)
    used = np.int64(0)
    for s in range(settings.shape[0]):
        like[s] = -1
        if not settings[s]["walked"]:
            continue
        code = np.int64(_code(settings[s], walker, dots, inside))
        if fixed and code % WAYS != _IN_FULL:
            code += way - code % WAYS  # asked as is whatever the ndots: what was seen counts
        at = np.int64(0)
        for _ in range(2):  # once more in full where the first way would do harm
            if work.codes[code] >> _ROW_BITS == turn:
                at = work.codes[code] & ((1 << _ROW_BITS) - 1)
            else:
                at = used
                used += 1
                work.codes[code] = (turn << _ROW_BITS) | at
                row = work.rows[at]
                hit, first = plain_hit, plain_first
                if plain_steps >= 0 and _walks_as_in_force(code, way, plain, ordered, plain_steps):
                    work.rows[at] = plain
                else:
                    _clear(row)
                    row["reordered"] = 0 if fixed or code % WAYS in (way, _IN_FULL) else 1
                    steps = _order(
                        walker,
                        size,
                        never_listed,
                        never_as_is,
                        whole_list,
                        code,
                        answered,
                        work.order,
                    )
                    first = work.order[0]
                    short = 1 if code & _NO_AAAA else 0
                    n, more = kinds, extra
                    if short:
                        n, more = kinds_a, extra_a
                    hit = _walk(
                        facts,
                        walker,
                        look,
                        mine,
                        answered,
                        steps,
                        work.types[short],
                        n,
                        more,
                        work.ends[short],
                        turn,
                        found,
                        work,
                        row,
                    )
                    row["flags"] = _flags(facts, walker, look, first, hit, answered)
                    if probe:
                        row["wasted"] = 0
                if code == way:  # what was seen beats what the rules say
                    work.in_force[0] = row
                    plain_hit, plain_first, plain_steps = hit, first, steps
                    ordered = _positions(work.order, steps)
                    row["queries"] = look["queries"]
                    row["wasted"] = look["wasted"]
                    row["assumed"] = 0
                    row["flags"] = 0
                if code & _AUTOPATH and hit != _UNSEEN and hit != first:
                    _walk_in_server(row, first, hit, kinds, extra)
            if settings[s]["in_full"] != HARMED_IN_FULL or work.rows[at]["flags"] == 0:
                break
            code = np.int64(_IN_FULL)
        like[s] = at
    return used


@inline_kernel
def _positions(order: Any, steps: Any) -> Any:
    """Return the positions of a walk as bits, the name as is in bit 0."""
    out = np.uint64(0)
    for k in range(steps):
        if order[k] < MAX_POSITIONS - 1:
            out |= np.uint64(1) << np.uint64(order[k] + 1)
    return out


@inline_kernel
def _clear(row: Any) -> None:
    row["queries"] = 0
    row["wasted"] = 0
    row["assumed"] = 0
    row["upstream"] = 0
    row["visited"] = 0
    row["other_ns"] = 0
    row["reordered"] = 0
    row["flags"] = 0


@helper_kernel
def _walk_in_server(row: Any, first: Any, hit: Any, kinds: Any, extra: Any) -> None:
    """Autopath: the first candidate is answered with what the whole walk would find."""
    row["queries"] = kinds + extra
    row["wasted"] = 0
    row["assumed"] = min(row["assumed"], kinds)
    row["visited"] = (np.uint64(1) << np.uint64(first + 1)) | (np.uint64(1) << np.uint64(hit + 1))
