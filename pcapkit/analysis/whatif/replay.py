"""Replay one lookup under other settings, by its client's own resolver's rules (compiled).

The rules are those of ``resolver/models.py``; what a candidate would answer is found out by
``candidates.py``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.lookups.state import AS_IS
from pcapkit.analysis.lookups.waste import SERVICE_PROBE
from pcapkit.analysis.whatif.affected_names import marks_of
from pcapkit.analysis.whatif.caching import Kept, ask_unkept, keep_seen, kept_for
from pcapkit.analysis.whatif.candidates import (
    ANSWER_TAKEN,
    AS_IS_FIRST,
    CANDIDATE,
    IDLE,
    LISTED,
    MAX_TYPES,
    NAME_AS_IS,
    NOT_ANSWERED,
    QUERY_RANGE,
    VARIANTS_A_SUFFIX,
    WITHOUT_SUFFIX,
    WRITTEN_IN_FULL,
    CandidateScratch,
    LookupReplay,
    Questions,
    Traits,
    Variant,
    find_name,
    find_outcome,
    has_final_dot,
    is_made,
    is_never_asked,
    note_ranges,
    variant_number,
    variant_of,
    write_order,
    write_types,
)
from pcapkit.analysis.whatif.settings import AFFECTED_IN_FULL
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.names.labels import name_start
from pcapkit.resolver.models import AFTER_AS_IS, AFTER_STOP
from pcapkit.schema import ABSENT, Int, Integers, Row, Rows

MAX_POSITIONS = 62  # bits of ``visited``; Kubernetes allows 32 suffixes
#: What one lookup would have sent under one setting.
REPLAY = np.dtype(
    [
        ("queries", np.int32),
        ("wasted", np.int32),
        ("assumed", np.int32),
        ("upstream", np.int32),  # queries whose answers came, or would come, without AA
        ("flags", np.int32),
        ("reordered", np.int32),  # the name as is comes first, or last, and did not so far
        ("visited", np.uint64),  # positions asked, a bit each, see ``_position_bit``
        ("other_ns", np.int64),  # time at candidates that this lookup did not ask
    ],
    align=True,
)
#: A walk as the rules say.
_WALK = np.dtype(
    [
        ("positions", np.uint64),  # to be asked, like ``visited``
        ("hit", np.int64),  # position, NOT_ANSWERED
        ("first", np.int64),  # position
        ("steps", np.int64),  # candidates to be asked; 0: not walked so far
    ],
    align=True,
)
#: The row of a variant, and the number of the replay that it is of.
_VARIANT_ROW = np.dtype([("replay", np.int64), ("row", np.int64)])
#: Rows at most: a setting walks a lookup anew, and once more in full where that would be unsafe.
ROWS_A_SETTING = 2
#: The row of a setting under which lookups are not walked.
NOT_WALKED = -1
#: Walks without the idle suffixes: in the order in force, and in the other one.
WITHOUT_IDLE = 2
#: Rows of ``ReplayScratch.types`` and ``ReplayScratch.ends``: what is asked.
_ALL_TYPES, _WITHOUT_AAAA = 0, 1


class ReplayScratch(NamedTuple):
    """What replays write to; ``rows`` is their result."""

    candidates: CandidateScratch
    order: Integers  # (positions)
    types: Integers  # (2, MAX_TYPES)
    ends: Rows  # CANDIDATE (2, positions)
    variant_rows: Rows  # _VARIANT_ROW (variants)
    rows: Rows  # REPLAY (settings * ROWS_A_SETTING)
    in_force: Rows  # REPLAY (1): as the rules say, whatever was seen
    walk_in_force: Rows  # _WALK (1)
    kept: Kept


def scratch_for(suffixes: int, settings: int, kept: int) -> ReplayScratch:
    """Return scratch for walks of up to so many ``suffixes``, under so many ``settings``.

    ``kept`` is how many questions the resolver of any one client may keep under each setting.
    """
    return ReplayScratch(
        CandidateScratch(
            np.zeros(256, np.uint8),
            np.zeros(MAX_TYPES, np.int64),
            np.zeros(suffixes + 1, QUERY_RANGE),
        ),
        np.zeros(suffixes + 1, np.int64),
        np.zeros((2, MAX_TYPES), np.int64),
        np.zeros((2, suffixes + 1), CANDIDATE),
        np.zeros(VARIANTS_A_SUFFIX * (suffixes + WITHOUT_SUFFIX), _VARIANT_ROW),
        np.zeros(ROWS_A_SETTING * settings + WITHOUT_IDLE, REPLAY),
        np.zeros(1, REPLAY),
        np.zeros(1, _WALK),
        kept_for((settings + 1 + WITHOUT_IDLE) * kept),
    )


@inline_kernel
def _position_bit(position: Int) -> np.uint64:
    """Return the bit of a ``position`` below MAX_POSITIONS - 1: that of the name as is is 1."""
    return np.uint64(1) << np.uint64(position - NAME_AS_IS)


@helper_kernel
def _walk(
    replay: LookupReplay,
    questions: Questions,
    steps: Int,
    ends: Rows,
    scratch: ReplayScratch,
    world: Int,
    row: Row,
) -> Int:
    """Walk the first ``steps`` of the order in ``scratch``; return the position that answered.

    It is NOT_ANSWERED where none did. ``replay`` is the lookup, ``questions`` what every candidate
    is asked. ``ends`` (CANDIDATE, by position) are those that are known of these questions, and get
    others. What the walk sends is added to ``row`` (REPLAY): all of it, or what the resolver does
    not keep in such a ``world`` (number of a setting, ABSENT).
    """
    at: Int = 0
    missed_suffixes: Int = 0
    missed_as_is: Int = 0
    empty: Int = 0
    exists = False
    hit = np.int64(NOT_ANSWERED)
    asks_all = replay.walker.rules["asks_all"] != 0
    while at < steps:
        position = np.int64(scratch.order[at])
        end = ends[position - NAME_AS_IS]
        if end["replay"] != replay.number:
            end["replay"] = replay.number
            find_outcome(replay, position, questions, scratch.candidates, end)
            if replay.client > 0:
                end["name"] = find_name(replay, position, scratch.candidates.name)
        missed: Int = np.int64(end["missed"])
        no_such_type: Int = np.int64(end["empty"])
        is_sent = True
        if world < 0:
            row["queries"] += questions.asked
            row["assumed"] += end["assumed"]
            row["upstream"] += end["upstream"]
        else:
            missed, no_such_type, is_sent = ask_unkept(
                replay, questions, end, scratch.kept, world, row
            )
        if is_sent:
            row["other_ns"] += end["other_ns"]
            if position < MAX_POSITIONS - 1:
                row["visited"] |= _position_bit(position)
        after = end["after"]
        if after == ANSWER_TAKEN:
            if hit == NOT_ANSWERED:
                hit = position
                row["queries"] += questions.further
                row["upstream"] += questions.further if end["upstream"] > 0 else 0
                row["wasted"] = missed_suffixes + missed_as_is
            if not asks_all:
                return hit
        elif position != NAME_AS_IS:
            missed_suffixes += missed
        elif steps > 1:
            missed_as_is += missed
        if end["empty"] > 0 and not exists:
            exists = True  # the first name that is there: it has no such type
            empty = no_such_type if position != NAME_AS_IS else 0
        if after == AFTER_STOP:
            break
        at += 1
        if after == AFTER_AS_IS and position != NAME_AS_IS:
            while at < steps and scratch.order[at] != NAME_AS_IS:  # else it has been asked
                at += 1
            steps = min(steps, at + 1)
    if hit == NOT_ANSWERED:
        row["wasted"] = missed_suffixes - empty
    elif asks_all:
        row["wasted"] = missed_suffixes
    return hit


@inline_kernel
def _traits(replay: LookupReplay, scratch: ReplayScratch) -> Traits:
    """Return what holds for the lookup of ``replay``; ``types`` of ``scratch`` get what it asks."""
    observed, walker, lookup = replay.observed, replay.walker, replay.lookup
    transactions, rules, base = replay.transactions, walker.rules, lookup["base"]
    is_probe, takes_whole_list = False, False
    is_never_as_is = is_never_asked(replay)
    for k in range(lookup["queries"]):
        is_probe = is_probe or transactions[k]["waste_class"] == SERVICE_PROBE
        position = np.int64(transactions[k]["suffix"])
        if position == NAME_AS_IS:
            is_never_as_is = False  # what was seen beats what the rules say
        elif walker.suffixes[position]["left_out"]:
            takes_whole_list = True
    ends = observed.names.ends
    dots = np.int64(observed.labels[base]) - 1
    order = np.int64(LISTED)
    if rules["tries_as_is"] and dots >= rules["ndots"]:
        order = np.int64(AS_IS_FIRST)
    is_final = (lookup["mode"] == AS_IS and lookup["candidates"] == 1) and (
        lookup["absolute"] == 1
        or order == LISTED
        or observed.is_reverse[base] != 0
        or has_final_dot(walker, lookup, transactions, scratch.candidates.outcomes)
    )
    first_only = rules["further_types_of_hit_only"] != 0
    all_types, short_types = scratch.types[_ALL_TYPES], scratch.types[_WITHOUT_AAAA]
    count, further = write_types(lookup, transactions, first_only, False, all_types)
    short_count, short_further = count, further
    if rules["honours_no_aaaa"]:
        short_count, short_further = write_types(
            lookup, transactions, first_only, True, short_types
        )
    return Traits(
        order,
        ends[base] - name_start(ends, base) - 1,
        dots,
        lookup["answered_by"] >= 0 and observed.in_zone[lookup["answered_by"]] != 0,
        bool(is_final),
        bool(is_final or not rules["searches"] or (dots > 0 and not rules["searches_dotted"])),
        is_never_as_is,
        lookup["ambiguous"] != 0 and is_made(observed.names.arena, name_start(ends, base)),
        takes_whole_list,
        is_probe,
        Questions(all_types, count, further),
        Questions(short_types, short_count, short_further),
    )


@inline_kernel
def replay_settings(
    replay: LookupReplay, settings: Rows, scratch: ReplayScratch, row_of: Integers
) -> Int:
    """Walk the lookup of ``replay`` under all ``settings`` (SETTING); return how many walks differ.

    Settings that walk it alike share one of the rows of ``scratch``, whose number ``row_of`` gets,
    one a setting: NOT_WALKED where the setting is not about walks. Behind them come WITHOUT_IDLE
    more: walks without the suffixes under which nothing ever answers, in the order in force and in
    the other one; NOT_WALKED where these suffixes change nothing.
    """
    note_ranges(replay, scratch.candidates.ranges)
    traits = _traits(replay, scratch)
    scratch.walk_in_force[0]["steps"] = 0
    used = np.int64(0)
    for s in range(settings.shape[0]):
        row_of[s] = NOT_WALKED
        if not settings[s]["walked"]:
            continue
        variant = variant_of(settings[s], replay.walker, traits.dots, traits.in_zone)
        if traits.is_final and variant.order != WRITTEN_IN_FULL:
            # asked as is whatever the ndots: what was seen counts
            variant = Variant(
                traits.order, variant.without_aaaa, variant.by_server, variant.dropped
            )
        if replay.client > 0:
            _walk_keeping(replay, settings[s], variant, traits, scratch, used, np.int64(s))
            row_of[s] = used
            used += 1
            continue
        row = np.int64(0)
        for _ in range(2):
            known = scratch.variant_rows[variant_number(variant)]
            if known["replay"] != replay.number:
                known["replay"] = replay.number
                known["row"] = used
                _walk_variant(replay, variant, traits, scratch, used, np.int64(ABSENT))
                used += 1
            row = known["row"]
            if settings[s]["in_full"] != AFFECTED_IN_FULL or scratch.rows[row]["flags"] == 0:
                break
            # once more, as the name would be written in full
            variant = _in_full()
        row_of[s] = row
    without = row_of[settings.shape[0] : settings.shape[0] + WITHOUT_IDLE]
    without[:] = NOT_WALKED
    if replay.walker.rules["idle"] > 0:
        return _walk_without_idle(replay, traits, scratch, used, without)
    return used


@helper_kernel
def _walk_without_idle(
    replay: LookupReplay, traits: Traits, scratch: ReplayScratch, used: Int, row_of: Integers
) -> Int:
    """Walk a lookup without the idle suffixes of its list; return how many rows are used then.

    ``used`` rows of ``scratch`` are taken. ``row_of`` (WITHOUT_IDLE), all NOT_WALKED, gets those of
    walks that may differ from the ones with these suffixes.
    """
    rules, suffixes = replay.walker.rules, replay.walker.suffixes
    asks_idle = False
    for k in range(replay.lookup["queries"]):
        position = np.int64(replay.transactions[k]["suffix"])
        if position >= 0 and suffixes[position]["idle"]:
            asks_idle = True
    other = traits.order
    if traits.dots > 0 and not traits.is_final and rules["tries_as_is"]:
        other = np.int64(LISTED if traits.order == AS_IS_FIRST else AS_IS_FIRST)
    for k in range(WITHOUT_IDLE):
        order = traits.order if k == 0 else other
        world = np.int64(ABSENT)
        if replay.client > 0:
            world = np.int64(scratch.rows.shape[0] + k)  # no setting's
        if order == traits.order and not asks_idle:
            if world >= 0:
                keep_seen(replay, scratch.kept, world)
            continue
        _walk_variant(
            replay, Variant(order, False, False, np.int64(IDLE)), traits, scratch, used, world
        )
        row_of[k] = used
        used += 1
    return used


@inline_kernel
def _in_full() -> Variant:
    """Return the variant of a name that is written in full."""
    return Variant(np.int64(WRITTEN_IN_FULL), False, False, np.int64(ABSENT))


@helper_kernel
def _walk_keeping(
    replay: LookupReplay,
    setting: Row,
    variant: Variant,
    traits: Traits,
    scratch: ReplayScratch,
    number: Int,
    world: Int,
) -> None:
    """Walk a lookup whose resolver keeps answers, as :func:`_walk_variant` does.

    What it keeps depends on what it has asked so far in the ``world`` of that ``setting``
    (SETTING), so no two settings share a walk.
    """
    if setting["in_full"] == AFFECTED_IN_FULL:
        _walk_variant(replay, variant, traits, scratch, number, np.int64(ABSENT))
        if scratch.rows[number]["flags"] != 0:
            variant = _in_full()
    if variant.by_server:
        world = np.int64(ABSENT)
    _walk_variant(replay, variant, traits, scratch, number, world)


@helper_kernel
def _walk_variant(
    replay: LookupReplay,
    variant: Variant,
    traits: Traits,
    scratch: ReplayScratch,
    number: Int,
    world: Int,
) -> None:
    """Walk the lookup of ``replay``, of such ``traits``, as ``variant`` says.

    What it sends is row ``number`` of ``scratch.rows``. The walk in force is kept in ``scratch``.
    ``world`` is whose kept answers need no question, ABSENT: none.
    """
    walk, row = scratch.walk_in_force[0], scratch.rows[number]
    hit, first = walk["hit"], walk["first"]
    is_in_force = _is_in_force(variant, traits)
    if is_in_force and world >= 0:
        keep_seen(replay, scratch.kept, world)
        world = np.int64(ABSENT)
    if is_in_force and walk["steps"] > 0:
        scratch.rows[number] = scratch.in_force[0]
        _set_seen(replay.lookup, row)
    elif world < 0 and _walks_as_in_force(variant, traits, walk, scratch.in_force[0]["visited"]):
        scratch.rows[number] = scratch.in_force[0]
    else:
        _clear(row)
        if not (
            traits.is_final or variant.order == traits.order or variant.order == WRITTEN_IN_FULL
        ):
            row["reordered"] = 1
        steps = write_order(replay.walker, variant, traits, replay.answered, scratch.order)
        first = scratch.order[0]
        questions, ends = traits.questions, scratch.ends[_ALL_TYPES]
        if variant.without_aaaa:
            questions, ends = traits.without_aaaa, scratch.ends[_WITHOUT_AAAA]
        hit = _walk(replay, questions, steps, ends, scratch, world, row)
        row["flags"] = marks_of(replay, first, hit)
        is_made = traits.is_made and replay.answered != NOT_ANSWERED
        if is_made and variant.order == AS_IS_FIRST and variant.order != traits.order:
            _walk_in_full(replay, questions, ends, scratch, world, row)
        if traits.is_probe:
            row["wasted"] = 0
        if is_in_force:
            scratch.in_force[0] = row
            walk["hit"] = hit
            walk["first"] = first
            walk["steps"] = steps
            walk["positions"] = _positions(scratch.order, steps)
            _set_seen(replay.lookup, row)
    if variant.by_server and hit != NOT_ANSWERED and hit != first:
        _walk_in_server(row, first, hit, traits.questions)


@inline_kernel
def _walk_in_full(
    replay: LookupReplay,
    questions: Questions,
    ends: Rows,
    scratch: ReplayScratch,
    world: Int,
    row: Row,
) -> None:
    """Set ``row`` (REPLAY) to the walk of the full name alone, but for its flags.

    What was seen then needs no assumption. All others are those of :func:`_walk`.
    """
    flags = row["flags"]
    _clear(row)
    scratch.order[0] = replay.answered
    _walk(replay, questions, np.int64(1), ends, scratch, world, row)
    row["flags"] = flags


@inline_kernel
def _set_seen(lookup: Row, row: Row) -> None:
    """Set ``row`` (REPLAY) to what ``lookup`` (LOOKUP) sent: it beats what the rules say."""
    row["queries"] = lookup["queries"]
    row["wasted"] = lookup["wasted"]
    row["assumed"] = 0
    row["flags"] = 0


@inline_kernel
def _is_in_force(variant: Variant, traits: Traits) -> bool:
    """Is ``variant`` the walk in force of a lookup of such ``traits``?"""
    is_plain = not variant.without_aaaa and not variant.by_server
    return is_plain and variant.order == traits.order and variant.dropped == ABSENT


@inline_kernel
def _walks_as_in_force(variant: Variant, traits: Traits, walk: Row, visited: np.uint64) -> bool:
    """Is ``variant`` like the walk in force, ``walk`` (_WALK), of a lookup of such ``traits``?

    So it is where the server walks, or where a suffix is left out that the walk never came to (it
    ``visited`` others), as long as more than one candidate is left.
    """
    if walk["steps"] == 0 or variant.order != traits.order or variant.without_aaaa:
        return False
    if variant.dropped == IDLE:
        return False
    if variant.by_server:
        return True
    if variant.dropped >= MAX_POSITIONS - 1 or walk["steps"] <= 2:
        return False
    return bool((walk["positions"] & ~visited & _position_bit(variant.dropped)) != 0)


@inline_kernel
def _positions(order: Integers, steps: Int) -> np.uint64:
    """Return the first ``steps`` positions of ``order`` as bits."""
    bits = np.uint64(0)
    for k in range(steps):
        if order[k] < MAX_POSITIONS - 1:
            bits |= _position_bit(order[k])
    return bits


@inline_kernel
def _clear(row: Row) -> None:
    """Set all of ``row`` (REPLAY) to 0."""
    row["queries"] = 0
    row["wasted"] = 0
    row["assumed"] = 0
    row["upstream"] = 0
    row["visited"] = 0
    row["other_ns"] = 0
    row["reordered"] = 0
    row["flags"] = 0


@helper_kernel
def _walk_in_server(row: Row, first: Int, hit: Int, questions: Questions) -> None:
    """Autopath: the first candidate is answered with what the whole walk would find.

    ``row`` (REPLAY) is that walk, of all ``questions``, from position ``first`` to ``hit``.
    """
    row["queries"] = questions.asked + questions.further
    row["wasted"] = 0
    row["assumed"] = min(row["assumed"], questions.asked)
    row["visited"] = _position_bit(first) | _position_bit(hit)
