"""Lookups that are replayed alike, replayed once and added up (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.analysis.time_bins import time_bin
from pcapkit.analysis.whatif.affected_names import BROKEN, LEAKED
from pcapkit.analysis.whatif.caching import asks_nothing_again
from pcapkit.analysis.whatif.candidates import (
    NAME_AS_IS,
    LookupReplay,
    Observations,
    answered_position,
)
from pcapkit.analysis.whatif.groups import Order
from pcapkit.analysis.whatif.replay import (
    MAX_POSITIONS,
    NOT_WALKED,
    ROWS_A_SETTING,
    WITHOUT_IDLE,
    ReplayScratch,
    replay_settings,
)
from pcapkit.analysis.whatif.rules import Walker, Walkers
from pcapkit.analysis.whatif.settings import TIMED
from pcapkit.analysis.whatif.sums import (
    AS_ASKED,
    BEGUN_SECONDS,
    IN_FULL,
    MARKED_ROWS,
    NOW,
    PLANNED_GROUPS,
    PLANNED_LOOKUPS,
    PLANNED_ROWS,
    REORDERED,
    SHORTER,
    SHORTER_GROUPS,
    SHORTER_REORDERED,
    SHORTER_ROWS,
    SHORTER_STATES,
    STATES,
    WRITTEN,
    Sums,
)
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.kernels.words import prefetch
from pcapkit.schema import ABSENT, Ids, Int, Integers, Row, Rows

_SECOND_NS = 1_000_000_000
#: How many lookups ahead memory is fetched: lookups that are alike lie apart.
_LOOKUP_AHEAD, _TRANSACTIONS_AHEAD = 8, 4
#: What PLANNED_LOOKUP can hold of queries.
_MOST_SENT = 32_767
#: Before the first query of a lookup.
_NO_POSITION = -2


class ReplayedSettings(NamedTuple):
    """The settings to replay, and which of them names are shown under."""

    rows: Rows  # SETTING; the last drop one suffix each
    timed: Integers  # those that are walked and timed, the one in force first
    in_force: int
    in_full: int  # all names in full
    ndots: Integers  # by value, from 0 on


class GroupScratch(NamedTuple):
    """What replaying one group writes to."""

    spans: Integers  # (positions): time of a lookup at each, the name as is at 0
    row_of: Integers  # (settings, and WITHOUT_IDLE more)
    time_row: Integers  # (rows): of each row, the first that takes the same time
    distinct: Integers  # (rows): rows whose times differ
    took: Integers  # (rows): of these rows, in ns
    bins: Integers  # (rows): of these rows
    state_rows: Integers  # (STATES and SHORTER_STATES): the row of each state


def group_scratch_for(settings: int, suffixes: int) -> GroupScratch:
    """Return scratch for groups under so many settings, of walks of up to so many suffixes."""
    rows = ROWS_A_SETTING * settings + WITHOUT_IDLE
    return GroupScratch(
        np.zeros(min(MAX_POSITIONS, suffixes) + 1, np.int64),
        np.zeros(settings + WITHOUT_IDLE, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros(STATES + SHORTER_STATES, np.int64),
    )


@inline_kernel
def _prefetch_lookup(observed: Observations, numbers: Integers, index: Int) -> None:
    """Begin to fetch the lookups of ``observed`` that soon follow the one at ``numbers[index]``.

    They lie anywhere, and so do their transactions and exchanges.
    """
    if index + _LOOKUP_AHEAD < numbers.shape[0]:
        prefetch(observed.lookups, np.int64(numbers[index + _LOOKUP_AHEAD]))
    if index + _TRANSACTIONS_AHEAD < numbers.shape[0]:
        following = observed.lookups[numbers[index + _TRANSACTIONS_AHEAD]]
        prefetch(observed.transactions, np.int64(following["first"]))
        prefetch(observed.transactions, np.int64(following["first"]) + 1)
        prefetch(observed.exchanges, np.int64(following["exchange"]))


@inline_kernel
def _measure_spans(lookup: Row, transactions: Rows, spans: Integers) -> None:
    """Set ``spans`` (ns) to how long ``lookup`` (LOOKUP) was at each position.

    ``transactions`` (TRANSACTION) are those of all lookups. The last of ``spans`` gets all
    positions from there on.
    """
    spans[:] = 0
    began, position = np.int64(lookup["start"]), np.int64(_NO_POSITION)
    for k in range(lookup["first"], lookup["first"] + lookup["queries"]):
        now, time = np.int64(transactions[k]["suffix"]), transactions[k]["time"]
        if now == position:
            continue
        if position != _NO_POSITION and time > began:
            spans[position - NAME_AS_IS] += time - began
            began = np.int64(time)
        position = min(now, np.int64(spans.shape[0] - 1 + NAME_AS_IS))
    spans[position - NAME_AS_IS] += max(np.int64(0), lookup["end"] - began)


@inline_kernel
def _time(row: Row, spans: Integers) -> Int:
    """Return the time (ns) of a walk, ``row`` (REPLAY), of a lookup that had such ``spans``."""
    took = np.int64(row["other_ns"])
    left = np.uint64(row["visited"])
    at = 0
    while left != 0 and at < spans.shape[0]:
        if left & np.uint64(1):
            took += spans[at]
        left >>= np.uint64(1)
        at += 1
    return took


@inline_kernel
def _add(row: Row, count: Int, took: Int, total: Row) -> None:
    """Add ``count`` equal lookups to a ``total`` (SUM or NAME_SUM).

    ``row`` (REPLAY) is what each of them sends, ``took`` (ns) the time of all together.
    """
    total["queries"] += count * row["queries"]
    total["wasted"] += count * row["wasted"]
    total["upstream"] += count * row["upstream"]
    total["time_ns"] += took
    if row["assumed"] or row["flags"] or row["reordered"]:
        total["assumed"] += count * row["assumed"]
        if row["flags"] & BROKEN:
            total["broken"] += count
        if row["flags"] & LEAKED:
            total["leaked"] += count
        if row["reordered"]:
            total["reordered"] += count


class KeepingClients(NamedTuple):
    """Whose lookups are replayed one after the other, as their resolvers keep answers."""

    walker_of: Ids  # (clients)
    base_of: Ids  # (lookups): row of ``Order.bases``, written to; none: nobody's


@kernel
def replay_groups(
    observed: Observations,
    walkers: Walkers,
    order: Order,
    keeping: KeepingClients,
    settings: ReplayedSettings,
    candidate_ids: Ids,
    scratch: tuple[ReplayScratch, GroupScratch],
    sums: Sums,
) -> None:
    """Replay all groups of ``order`` and add them to ``sums``.

    ``observed`` is the part's lookups and what is known of questions, ``walkers`` how its clients
    walk, ``keeping`` which of them take their lookups one by one, ``settings`` under what. A search
    list has as many of the last settings, which drop one suffix each, as it has suffixes.
    ``candidate_ids`` (bases, MOST_SHARED) is NOT_LOOKED_FOR everywhere, and written to, as is
    ``scratch``.
    """
    for n in range(walkers.rules.shape[0]):
        keeps_answers = walkers.rules[n]["keeps_answers"] != 0 and keeping.base_of.shape[0] > 0
        for g in range(order.walker_bounds[n], order.walker_bounds[n + 1]):
            members = order.members[order.group_bounds[g] : order.group_bounds[g + 1]]
            _prefetch_lookup(observed, order.members, order.group_bounds[g])
            base = order.group_bases[g]
            if keeps_answers:
                for number in members:
                    keeping.base_of[number] = base
                continue
            about = _About(n, g + 1, 0, candidate_ids[base], sums.names[base])
            _replay_members(observed, walkers, about, members, settings, scratch, sums)
    if keeping.base_of.shape[0] == 0:
        return
    for client in range(order.client_bounds.shape[0] - 1):
        walker = np.int64(keeping.walker_of[client])
        if walkers.rules[walker]["keeps_answers"] == 0:
            continue
        mine = order.by_client[order.client_bounds[client] : order.client_bounds[client + 1]]
        world = settings.rows.shape[0]  # of no setting
        keeps = asks_nothing_again(
            observed, walkers.rules[walker], mine, client + 1, world, scratch[0].kept
        )
        for m in range(mine.shape[0]):
            members = mine[m : m + 1]
            base = keeping.base_of[members[0]]
            number = order.group_bases.shape[0] + order.client_bounds[client] + m + 1
            of_client = client + 1 if keeps else 0
            about = _About(walker, number, of_client, candidate_ids[base], sums.names[base])
            _replay_members(observed, walkers, about, members, settings, scratch, sums)


class _About(NamedTuple):
    """Lookups that are replayed at once."""

    walker: Int  # number of it
    number: Int  # of the replay
    client: Int  # see ``LookupReplay``
    candidate_ids: Ids  # (MOST_SHARED) of their base name
    name_sums: Rows  # NAME_SUM (2), the same


@helper_kernel
def _replay_members(
    observed: Observations,
    walkers: Walkers,
    about: _About,
    members: Integers,
    settings: ReplayedSettings,
    scratch: tuple[ReplayScratch, GroupScratch],
    sums: Sums,
) -> None:
    """Replay ``members``, numbers of equal lookups of ``observed``; ``about`` says the rest.

    One of ``walkers`` walks them, under those of ``settings`` that its search list has. What they
    send is added to ``sums``; ``scratch`` is written to.
    """
    rules = walkers.rules[about.walker]
    suffixes = walkers.suffixes[rules["first"] : rules["last"]]
    rows = settings.rows[: TIMED + suffixes.shape[0]]
    mine = ReplayedSettings(
        rows, settings.timed, settings.in_force, settings.in_full, settings.ndots
    )
    lookup = observed.lookups[members[0]]
    transactions = observed.transactions[lookup["first"] : lookup["first"] + lookup["queries"]]
    replay = LookupReplay(
        observed,
        Walker(rules, suffixes, walkers.wire),
        lookup,
        transactions,
        answered_position(lookup, transactions),
        about.number,
        about.client,
        about.candidate_ids,
    )
    _replay_group(replay, members, about.name_sums, mine, scratch, sums)


@inline_kernel
def _replay_group(
    replay: LookupReplay,
    members: Integers,
    name_sums: Rows,
    settings: ReplayedSettings,
    scratch: tuple[ReplayScratch, GroupScratch],
    sums: Sums,
) -> None:
    """Do one ``replay`` for ``members`` (numbers of lookups), and add it to ``sums``.

    ``name_sums`` (NAME_SUM (2)) are those of their base name, ``settings`` what it is replayed
    under. ``scratch`` is written to.
    """
    walks, group = scratch
    observed, rows = replay.observed, walks.rows
    used = replay_settings(replay, settings.rows, walks, group.row_of)
    distinct = _find_distinct_times(rows, used, group)
    spans = group.spans[: replay.walker.suffixes.shape[0] + 1]
    count = settings.rows.shape[0]
    is_marked = False
    for s in range(count):
        row = group.row_of[s]
        is_marked = is_marked or (row != NOT_WALKED and rows[row]["flags"] != 0)
    planned = _note_states(replay.lookup, rows, settings, group, sums)
    begin = 0
    while begin < members.shape[0]:
        client = observed.lookups[members[begin]]["client"]
        for d in range(distinct):
            group.took[group.distinct[d]] = 0
        end = begin
        while end < members.shape[0] and observed.lookups[members[end]]["client"] == client:
            lookup = observed.lookups[members[end]]
            _prefetch_lookup(observed, members, end)
            _measure_spans(lookup, observed.transactions, spans)
            _add_times(lookup["start"], rows, distinct, spans, settings.timed, group, sums)
            _note_lookup(observed, lookup, rows[group.state_rows[NOW]], planned, group, sums)
            end += 1
        for s in range(count):
            row = group.row_of[s]
            if row != NOT_WALKED:
                took = group.took[group.time_row[row]]
                _add(rows[row], end - begin, took, sums.clients[client, s])
        for column, s in ((AS_ASKED, settings.in_force), (IN_FULL, settings.in_full)):
            row = group.row_of[s]
            took = group.took[group.time_row[row]]
            _add(rows[row], end - begin, took, name_sums[column])
        if is_marked:
            _note_marks(client, replay.lookup["base"], rows, group.row_of, count, sums)
        if planned >= 0:
            _note_planned(client, planned, end - begin, group, sums)
        begin = end


@inline_kernel
def _differs(row: Row, other: Row) -> bool:
    """Does one walk, ``row`` (REPLAY), send anything else than the ``other``?"""
    return bool(
        row["queries"] != other["queries"]
        or row["wasted"] != other["wasted"]
        or row["upstream"] != other["upstream"]
        or row["assumed"] != other["assumed"]
        or row["flags"] != other["flags"]
    )


@helper_kernel
def _note_states(
    lookup: Row, rows: Rows, settings: ReplayedSettings, scratch: GroupScratch, sums: Sums
) -> Int:
    """Note in ``sums`` what a lookup of a group, ``lookup`` (LOOKUP), sends in each state.

    ``rows`` (REPLAY) are its walks, and ``row_of`` of ``scratch`` which of them is that of each of
    the ``settings``; ``state_rows`` gets that of each state, NOW's where nothing differs. Returns
    the number of the group's PLANNED_GROUP, then ABSENT.
    """
    row_of, count = scratch.row_of, settings.rows.shape[0]
    now, written = row_of[settings.in_force], row_of[settings.in_full]
    other, bits = now, 0
    for n in range(settings.ndots.shape[0]):
        row = row_of[settings.ndots[n]]
        if row != now and _differs(rows[row], rows[now]):
            other = row
            bits |= 1 << n
    shorter, shorter_other = now, other
    if row_of[count] != NOT_WALKED:
        shorter = row_of[count]
    if row_of[count + 1] != NOT_WALKED:
        shorter_other = row_of[count + 1]
    is_shorter = _differs(rows[shorter], rows[now]) or _differs(rows[shorter_other], rows[other])
    for state in range(STATES + SHORTER_STATES):
        scratch.state_rows[state] = now
    if other == now and not is_shorter and not _differs(rows[written], rows[now]):
        return np.int64(ABSENT)
    number = sums.used[PLANNED_GROUPS]
    sums.used[PLANNED_GROUPS] = number + 1
    group = sums.planned_groups[number]
    group["base"] = lookup["base"]
    group["answered_by"] = lookup["answered_by"]
    group["reordered_at"] = bits
    for state in range(STATES):
        row = now if state == NOW else other if state == REORDERED else written
        sent = sums.planned_states[number, state]
        _note_sent(rows[row], sent)
    group["shorter"] = ABSENT
    if is_shorter:
        at = sums.used[SHORTER_GROUPS]
        sums.used[SHORTER_GROUPS] = at + 1
        group["shorter"] = at
        _note_sent(rows[shorter], sums.shorter_states[at, 0])
        _note_sent(rows[shorter_other], sums.shorter_states[at, 1])
    scratch.state_rows[REORDERED] = other
    scratch.state_rows[WRITTEN] = written
    scratch.state_rows[SHORTER] = shorter
    scratch.state_rows[SHORTER_REORDERED] = shorter_other
    return np.int64(number)


@inline_kernel
def _note_sent(row: Row, sent: Row) -> None:
    """Set ``sent`` (SENT) to what one walk, ``row`` (REPLAY), sends."""
    sent["queries"] = row["queries"]
    sent["wasted"] = row["wasted"]
    sent["upstream"] = row["upstream"]
    sent["assumed"] = row["assumed"]
    sent["flags"] = row["flags"]


@inline_kernel
def _note_lookup(
    observed: Observations, seen: Row, row: Row, planned: Int, scratch: GroupScratch, sums: Sums
) -> None:
    """Note in ``sums`` a lookup that was ``seen`` (LOOKUP) among those that are ``observed``.

    ``row`` (REPLAY) is what it sends now. It is of the PLANNED row that comes next, or of none
    where ``planned`` is ABSENT. ``bins`` of ``scratch`` are those of its time, and ``state_rows``
    which of them is that of each state.
    """
    number = sums.used[PLANNED_LOOKUPS]
    sums.used[PLANNED_LOOKUPS] = number + 1
    lookup = sums.planned_lookups[number]
    lookup["second"] = seen["start"] // _SECOND_NS
    lookup["row"] = sums.used[PLANNED_ROWS] if planned >= 0 else -1 - seen["client"]
    first = observed.transactions[seen["first"]]["first"]
    lookup["server"] = observed.exchanges[first]["server"]
    lookup["queries"] = min(row["queries"], np.int32(_MOST_SENT))
    lookup["upstream"] = min(row["upstream"], np.int32(_MOST_SENT))
    lookup["now"] = scratch.bins[scratch.time_row[scratch.state_rows[NOW]]]
    lookup["reordered"] = scratch.bins[scratch.time_row[scratch.state_rows[REORDERED]]]
    lookup["written"] = scratch.bins[scratch.time_row[scratch.state_rows[WRITTEN]]]
    lookup["shorter"] = scratch.bins[scratch.time_row[scratch.state_rows[SHORTER]]]
    lookup["shorter_reordered"] = scratch.bins[
        scratch.time_row[scratch.state_rows[SHORTER_REORDERED]]
    ]


@inline_kernel
def _note_planned(client: Int, group: Int, count: Int, scratch: GroupScratch, sums: Sums) -> None:
    """Note in ``sums`` that ``client`` has ``count`` lookups of the PLANNED_GROUP ``group``.

    ``took`` of ``scratch`` is their time in each row of walks, and ``state_rows`` which of them
    is that of each state.
    """
    number = sums.used[PLANNED_ROWS]
    sums.used[PLANNED_ROWS] = number + 1
    row = sums.planned[number]
    row["client"] = client
    row["group"] = group
    row["count"] = count
    for state in range(STATES):
        took = scratch.took[scratch.time_row[scratch.state_rows[state]]]
        sums.planned_times[number, state] = took
    if sums.planned_groups[group]["shorter"] >= 0:
        at = sums.used[SHORTER_ROWS]
        sums.used[SHORTER_ROWS] = at + 1
        sums.shorter_rows[at] = number
        for state in range(SHORTER_STATES):
            took = scratch.took[scratch.time_row[scratch.state_rows[SHORTER + state]]]
            sums.shorter_times[at, state] = took


@inline_kernel
def _note_marks(
    client: Int, base: Int, rows: Rows, row_of: Integers, settings: Int, sums: Sums
) -> None:
    """Note in ``sums`` how ``base`` (a name id) of ``client`` is marked under each setting.

    ``rows`` (REPLAY) are its walks, and ``row_of`` is which of them it is, for the first so many
    ``settings``.
    """
    at = sums.used[MARKED_ROWS]
    sums.used[MARKED_ROWS] = at + 1
    sums.marked[at]["client"] = client
    sums.marked[at]["base"] = base
    sums.marks[at, :] = 0
    for s in range(settings):
        if row_of[s] != NOT_WALKED:
            sums.marks[at, s] = rows[row_of[s]]["flags"]


@inline_kernel
def _find_distinct_times(rows: Rows, used: Int, scratch: GroupScratch) -> Int:
    """Find the rows that take the same time, whatever else differs; return how many differ.

    They are the first ``used`` of ``rows`` (REPLAY). What is found is in ``time_row`` and
    ``distinct`` of ``scratch``.
    """
    distinct = 0
    for r in range(used):
        scratch.time_row[r] = r
        for d in range(distinct):
            other = scratch.distinct[d]
            if (
                rows[other]["visited"] == rows[r]["visited"]
                and rows[other]["other_ns"] == rows[r]["other_ns"]
            ):
                scratch.time_row[r] = other
                break
        if scratch.time_row[r] == r:
            scratch.distinct[distinct] = r
            distinct += 1
    return distinct


@inline_kernel
def _add_times(
    start: Int,
    rows: Rows,
    distinct: Int,
    spans: Integers,
    timed: Integers,
    scratch: GroupScratch,
    sums: Sums,
) -> None:
    """Add the time of one lookup under every setting, and its queries to the second it began in.

    It began at ``start`` (ns) and has such ``spans``; ``rows`` (REPLAY) are its walks, of which
    so many are ``distinct`` in time. ``timed`` are the settings whose times ``sums`` gets;
    ``took`` of ``scratch`` gets those of all.
    """
    for d in range(distinct):
        row = scratch.distinct[d]
        took = _time(rows[row], spans)
        scratch.took[row] += took
        scratch.bins[row] = time_bin(took)
    second = start // _SECOND_NS - sums.first_second
    if 0 <= second < sums.seconds.shape[0]:
        if sums.seconds[second, timed[0]] == 0:
            sums.begun[sums.used[BEGUN_SECONDS]] = second
            sums.used[BEGUN_SECONDS] += 1
        for k in range(timed.shape[0]):
            sums.seconds[second, timed[k]] += rows[scratch.row_of[timed[k]]]["queries"]
    for k in range(timed.shape[0]):
        bin_of_row = scratch.bins[scratch.time_row[scratch.row_of[timed[k]]]]
        sums.times[bin_of_row, timed[k]] += 1
