"""Replay one lookup under other settings, by its client's own resolver's rules (compiled).

The rules are those of ``resolver.py``. What a candidate would answer is taken from the lookup
itself, else from anywhere in the capture; where nothing was seen the name is taken not to exist,
and its queries are counted as assumed. The time of a candidate that was asked is its own; of
others, what its question took elsewhere, or what such questions take.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.answers import AUTHORITATIVE, FORWARDED, question_key, slot_of
from pcapkit.analysis.suffixes import Labels, join, name_start
from pcapkit.analysis.transactions import AA_HIDDEN
from pcapkit.analysis.walks import AS_IS
from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, QTYPE_NUMBERS, REFUSED, UNANSWERED
from pcapkit.interning import find
from pcapkit.kernels import helper_kernel, inline_kernel
from pcapkit.model import WASTE_CLASSES
from pcapkit.names import wire_from_text
from pcapkit.resolver import (
    ABANDON,
    AFTER_AS_IS,
    AFTER_NEXT,
    AFTER_STOP,
    ResolverConfig,
    ResolverModel,
    gives_up_s,
)

MAX_TYPES = 8
_PROBE = WASTE_CLASSES.index("service_probe")
_AAAA, _PTR = QTYPE_NUMBERS["AAAA"], QTYPE_NUMBERS["PTR"]
_LONGEST = 255
MAX_POSITIONS = 62  # bits of ``visited``; Kubernetes allows 32 suffixes
_UNSEEN = -2  # no candidate answered

#: Marks of a replayed lookup. DOUBTFUL: harmed if the application wrote the short form of a name
#: that answered at once, unharmed if it wrote it in full.
BROKEN, LEAKED, ELSEWHERE, DOUBTFUL = 1, 2, 4, 8

#: Which names a setting writes with their final dots; HARMED are those that its ndots would harm.
NONE_IN_FULL, ALL_IN_FULL, CLUSTER_IN_FULL, HARMED_IN_FULL = range(4)

#: A setting as kernels take it: ``ndots`` -1 is the value in force, ``drop`` a position of the
#: search list or -1.
SETTING = np.dtype(
    [
        ("ndots", np.int32),
        ("in_full", np.int32),
        ("drop", np.int32),
        ("no_aaaa", np.uint8),
        ("autopath", np.uint8),
        ("walked", np.uint8),  # 0: another kernel fills its sums
    ],
    align=True,
)

#: What one lookup would have sent under one setting.
REPLAY = np.dtype(
    [
        ("code", np.int32),  # settings of one code walk this lookup alike
        ("queries", np.int32),
        ("wasted", np.int32),
        ("assumed", np.int32),
        ("upstream", np.int32),  # queries whose answers came, or would come, without AA
        ("flags", np.int32),
        ("like", np.int32),  # the first setting with this code
        ("reordered", np.int32),  # the name as is comes first, or last, and did not so far
        ("visited", np.uint64),  # positions asked, the name as is in bit 0
        ("other_ns", np.int64),  # time at candidates that this lookup did not ask
    ],
    align=True,
)

#: How one candidate of a lookup ends; the same whatever asks it, so it is found out once.
CANDIDATE = np.dtype(
    [
        ("turn", np.int64),  # of the lookup that this was found for
        ("after", np.int32),  # AFTER_..., -1: its answer is taken
        ("assumed", np.int32),
        ("upstream", np.int32),
        ("missed", np.int32),  # questions that the name, or the type, does not exist for
        ("empty", np.int32),  # of these, NODATA
        ("other_ns", np.int64),  # what it would take, 0 where the lookup asked it
    ],
    align=True,
)


class Walker(NamedTuple):
    """How some clients walk: their list as wire bytes, and their resolver's rules."""

    tails: npt.NDArray[np.uint8]
    tail_ends: npt.NDArray[np.int64]
    in_zone: npt.NDArray[np.uint8]  # is a name under this suffix inside the cluster domain?
    searches: bool
    searches_after_as_is: bool
    searches_dotted: bool
    tries_as_is: bool
    asks_all: bool
    further_types_of_hit_only: bool
    on_nodata: int
    on_servfail: int
    on_refused: int
    on_timeout: int
    abandons_too_long: bool
    nxdomain_of_one_is_absence: bool
    failure_of_one_is_failure: bool
    honours_no_aaaa: bool
    silence_ns: int  # until a silent candidate is given up
    error_ns: int  # the same of SERVFAIL and REFUSED
    ndots: int


@lru_cache(maxsize=1 << 10)
def walker(
    suffixes: tuple[Labels, ...], model: ResolverModel, ndots: int, zones: tuple[Labels, ...]
) -> Walker:
    """Return how a client with this list and resolver walks."""
    tails = [wire_from_text(join(s)) for s in suffixes]
    silence = int(gives_up_s(model, ResolverConfig((), (), ndots, (), "")) * 1e9)
    return Walker(
        np.frombuffer(b"".join(tails), np.uint8),
        np.cumsum([len(t) for t in tails], dtype=np.int64),
        np.array([any(s[-len(z) :] == z for z in zones) for s in suffixes], np.uint8),
        model.searches, model.searches_after_as_is, model.searches_dotted, model.tries_as_is,
        model.asks_all, model.further_types_of_hit_only, model.on_nodata, model.on_servfail,
        model.on_refused, model.on_timeout, model.on_too_long == ABANDON,
        model.nxdomain_of_one_is_absence, model.failure_of_one_is_failure,
        "no-aaaa" in model.options, silence, silence if model.waits_on_errors else 0, ndots,
    )  # fmt: skip


class Facts(NamedTuple):
    """What is known of names and questions; ``inside`` marks names in the cluster domain."""

    rows: npt.NDArray[Any]  # EXCHANGE
    names: Any
    labels: npt.NDArray[np.int32]
    inside: npt.NDArray[np.uint8]
    reverse: npt.NDArray[np.uint8]
    known: npt.NDArray[Any]
    typical_ns: npt.NDArray[np.int64]


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
    """What the resolver does after a candidate; -1 where its answer is taken."""
    answered, unanswered, refused, failed = False, False, False, False
    empty, absent = False, False
    for k in range(count):
        o = outcomes[k]
        answered = answered or o == ANSWER
        unanswered = unanswered or o == UNANSWERED
        refused = refused or o == REFUSED
        failed = failed or not (o == ANSWER or o == NODATA or o == NXDOMAIN)
        empty = empty or o == NODATA
        absent = absent or o == NXDOMAIN
    if answered and not (
        (absent and walker.nxdomain_of_one_is_absence)
        or (failed and walker.failure_of_one_is_failure)
    ):
        return -1
    if unanswered:
        return int(walker.on_timeout)
    if refused:
        return int(walker.on_refused)
    if failed:
        return int(walker.on_servfail)
    if absent and walker.nxdomain_of_one_is_absence:
        return AFTER_NEXT
    return int(walker.on_nodata) if empty else AFTER_NEXT


#: How a lookup is walked: part of the code of a replay.
_LISTED, _AS_IS_FIRST, _IN_FULL = range(3)
_NO_AAAA, _AUTOPATH, _DROP = 4, 8, 16
#: ``code % WAYS`` is the order in which the candidates are asked.
WAYS = _NO_AAAA
_SETTING_BITS = 8  # there are fewer settings than that


@inline_kernel
def _code(setting: Any, walker: Any, dots: Any, inside: Any) -> Any:
    """Return what decides how a lookup is walked under a setting."""
    ndots = walker.ndots if setting["ndots"] < 0 else np.int64(setting["ndots"])
    code = _AS_IS_FIRST if dots >= ndots else _LISTED
    if setting["in_full"] == ALL_IN_FULL or (setting["in_full"] == CLUSTER_IN_FULL and inside):
        code = _IN_FULL
    if setting["no_aaaa"] and walker.honours_no_aaaa:
        code += _NO_AAAA
    if setting["autopath"] and code == _LISTED:
        code += _AUTOPATH
    if setting["drop"] < walker.tail_ends.shape[0]:
        code += _DROP * (setting["drop"] + 1)
    return code


@helper_kernel
def _order(
    facts: Any, walker: Any, base: Any, code: Any, fixed: bool, answered: Any, order: Any
) -> Any:  # fmt: skip
    """Write the positions in the order of the walk, -1 for the name as is; return how many."""
    way = code % WAYS
    order[0] = -1
    if way == _IN_FULL:
        order[0] = answered if answered != _UNSEEN else -1
        return 1
    dots = np.int64(facts.labels[base]) - 1
    if fixed or not walker.searches or (dots > 0 and not walker.searches_dotted):
        return 1
    at = 0
    if way == _AS_IS_FIRST:
        at = 1
        if not walker.searches_after_as_is:
            return at
    ends = facts.names[1]
    size = ends[base] - name_start(ends, base) - 1
    for p in range(walker.tail_ends.shape[0]):
        first = walker.tail_ends[p - 1] if p > 0 else np.int64(0)
        if p == code // _DROP - 1:
            continue
        if size + walker.tail_ends[p] - first > _LONGEST:
            if walker.abandons_too_long:
                break
            continue
        order[at] = p
        at += 1
    if way == _LISTED and walker.tries_as_is:
        order[at] = -1
        at += 1
    return at


@inline_kernel
def _ask(
    facts: Any, walker: Any, look: Any, mine: Any, answered: Any, position: Any, types: Any,
    kinds: Any, work: Any, out: Any,
) -> None:  # fmt: skip
    """Find out how one candidate ends when it is asked for every type."""
    inside = walker.in_zone[position] if position >= 0 else facts.inside[look["base"]]
    unseen, answer = False, False
    slowest = np.int64(0)
    name = np.int64(-2)  # not looked for
    out["assumed"] = 0
    out["upstream"] = 0
    out["missed"] = 0
    out["empty"] = 0
    for k in range(kinds):
        outcome, took = np.int64(-1), np.int64(0)
        authoritative = inside != 0
        for j in range(look["queries"]):
            if mine[j]["suffix"] == position and mine[j]["qtype"] == types[k]:
                outcome = np.int64(mine[j]["outcome"])
                if mine[j]["response"] >= 0:
                    shown = facts.rows[mine[j]["response"]]["aa"]
                    authoritative = authoritative if shown == AA_HIDDEN else shown == 1
        if outcome < 0:
            unseen = True
            took = facts.typical_ns[AUTHORITATIVE if inside else FORWARDED]
            if name == -2:
                name = _candidate(facts.names, walker, look["base"], position, work.scratch)
            if name >= 0:
                key = question_key(name, types[k])
                seen = facts.known[slot_of(facts.known, key)]
                if seen["key"] == key:
                    outcome = np.int64(seen["outcome"])
                    if seen["aa"] != AA_HIDDEN:
                        authoritative = seen["aa"] == 1
                    if seen["responses"] > 0:
                        took = seen["time_ns"] // seen["responses"]
        if outcome < 0:
            outcome = np.int64(NXDOMAIN)
            out["assumed"] += 1
        if outcome == UNANSWERED:
            took = np.int64(walker.silence_ns)
        elif outcome > NXDOMAIN:
            took = max(took, np.int64(walker.error_ns))
        slowest = max(slowest, took)
        out["upstream"] += 0 if authoritative else 1
        if types[k] != _PTR and (outcome == NXDOMAIN or outcome == NODATA):
            out["missed"] += 1
            out["empty"] += 1 if outcome == NODATA else 0
        work.events[k] = outcome
        answer = answer or outcome == ANSWER
    out["other_ns"] = slowest if unseen else 0
    out["after"] = _after(walker, work.events, kinds)
    if not unseen and position == answered and answer:
        out["after"] = -1  # whatever the rules say, it was taken


@inline_kernel
def _replay(
    facts: Any, walker: Any, look: Any, mine: Any, answered: Any, steps: Any, types: Any,
    kinds: Any, extra: Any, ends: Any, turn: Any, work: Any, out: Any,
) -> Any:  # fmt: skip
    """Walk ``work.order``; return the position that answered, or _UNSEEN."""
    at, missed_suffixes, missed_as_is, empty = 0, 0, 0, 0
    exists = False
    hit = np.int64(_UNSEEN)
    while at < steps:
        position = np.int64(work.order[at])
        end = ends[position + 1]
        if end["turn"] != turn:
            end["turn"] = turn
            _ask(facts, walker, look, mine, answered, position, types, kinds, work, end)
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
            if not walker.asks_all:
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
    elif walker.asks_all:
        out["wasted"] = missed_suffixes
    return hit


@helper_kernel
def _is_final(walker: Any, look: Any, mine: Any, events: Any) -> Any:
    """Was a name that failed alone, as is, written with a final dot? Else the list had followed."""
    if look["answered_by"] >= 0 or look["queries"] > MAX_TYPES or walker.tail_ends.shape[0] == 0:
        return False
    if not (walker.searches and walker.searches_dotted and walker.searches_after_as_is):
        return False
    for k in range(look["queries"]):
        events[k] = mine[k]["outcome"]
    return _after(walker, events, look["queries"]) != AFTER_STOP


@helper_kernel
def _types(look: Any, mine: Any, first_only: bool, no_aaaa: bool, types: Any) -> Any:
    """Write the types asked of every candidate; return how many, and how many more of the hit."""
    kinds, distinct = 0, 0
    for k in range(look["queries"]):
        if no_aaaa and mine[k]["qtype"] == _AAAA:
            continue
        again = False
        for j in range(k):
            again = again or mine[j]["qtype"] == mine[k]["qtype"]
        distinct += 0 if again else 1
        if mine[k]["name"] == mine[0]["name"] and kinds < MAX_TYPES:
            types[kinds] = mine[k]["qtype"]
            kinds += 1
    if first_only:
        kinds = min(kinds, 1)
    return kinds, max(0, distinct - kinds)


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
    if flags and look["ambiguous"]:
        if np.int64(facts.labels[look["answered_by"]]) - 1 >= walker.ndots:
            return DOUBTFUL
    return flags


class Work(NamedTuple):
    """Room that replays write to; ``ends`` are two rows a position: all types, and no AAAA."""

    scratch: npt.NDArray[np.uint8]
    order: npt.NDArray[np.int64]
    types: npt.NDArray[np.int64]  # (2, MAX_TYPES)
    events: npt.NDArray[np.int64]
    ends: npt.NDArray[Any]  # CANDIDATE (2, positions)
    codes: npt.NDArray[np.int64]  # turn and first setting of each code


def work_for(suffixes: int) -> Work:
    """Return room for walks of so many suffixes."""
    return Work(
        np.zeros(256, np.uint8), np.zeros(suffixes + 1, np.int64),
        np.zeros((2, MAX_TYPES), np.int64), np.zeros(MAX_TYPES, np.int64),
        np.zeros((2, suffixes + 1), CANDIDATE), np.zeros(_DROP * (suffixes + 1), np.int64),
    )  # fmt: skip


@inline_kernel
def replay_settings(
    facts: Any, walker: Any, look: Any, mine: Any, settings: Any, turn: Any, work: Any, rows: Any
) -> None:
    """Fill one row a setting for one lookup; settings that walk it alike are walked once.

    ``turn`` is a number from 1 that no other lookup was replayed with.
    """
    answered = np.int64(_UNSEEN)
    for k in range(look["queries"]):
        if look["answered_by"] >= 0 and mine[k]["name"] == look["answered_by"]:
            answered = np.int64(mine[k]["suffix"])
    inside = look["answered_by"] >= 0 and facts.inside[look["answered_by"]] != 0
    dots = np.int64(facts.labels[look["base"]]) - 1
    alone = look["mode"] == AS_IS and look["candidates"] == 1
    fixed = alone and (
        look["absolute"] == 1
        or dots < walker.ndots
        or facts.reverse[look["base"]] != 0
        or _is_final(walker, look, mine, work.events)
    )
    one = walker.further_types_of_hit_only
    kinds, extra = _types(look, mine, one, False, work.types[0])
    kinds_a, extra_a = _types(look, mine, one, True, work.types[1])
    probe = False
    for k in range(look["queries"]):
        probe = probe or mine[k]["waste_class"] == _PROBE
    way = _LISTED if dots < walker.ndots else _AS_IS_FIRST
    for s in range(settings.shape[0]):
        row = rows[s]
        if not settings[s]["walked"]:
            _clear(row, -1, s)
            continue
        code = _code(settings[s], walker, dots, inside)
        for _ in range(2):  # once more in full where the first way would do harm
            if work.codes[code] >> _SETTING_BITS == turn:
                rows[s] = rows[work.codes[code] & ((1 << _SETTING_BITS) - 1)]
            else:
                work.codes[code] = (turn << _SETTING_BITS) | s
                _clear(row, code, s)
                row["reordered"] = 0 if fixed or code % WAYS in (way, _IN_FULL) else 1
                steps = _order(facts, walker, look["base"], code, fixed, answered, work.order)
                short = 1 if code & _NO_AAAA else 0
                n, more = kinds, extra
                if short:
                    n, more = kinds_a, extra_a
                hit = _replay(
                    facts, walker, look, mine, answered, steps, work.types[short], n, more,
                    work.ends[short], turn, work, row,
                )  # fmt: skip
                row["flags"] = _flags(facts, walker, look, work.order[0], hit, answered)
                if probe:
                    row["wasted"] = 0
                if code == way:  # what was seen beats what the rules say
                    row["queries"] = look["queries"]
                    row["wasted"] = look["wasted"]
                    row["assumed"] = 0
                    row["flags"] = 0
                if code & _AUTOPATH and hit != _UNSEEN and hit != work.order[0]:
                    _walk_in_server(row, work.order[0], hit, kinds, extra)
            if settings[s]["in_full"] != HARMED_IN_FULL or row["flags"] == 0:
                break
            code = _IN_FULL


@inline_kernel
def _clear(row: Any, code: Any, number: Any) -> None:
    row["code"] = code
    row["like"] = number
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
    row["visited"] = (np.uint64(1) << np.uint64(first + 1)) | (
        np.uint64(1) << np.uint64(hit + 1)
    )
