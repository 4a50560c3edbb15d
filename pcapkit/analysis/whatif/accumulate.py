"""Lookups that are replayed alike, replayed once and added up (compiled)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.whatif.replay import (
    BROKEN,
    LEAKED,
    MAX_POSITIONS,
    ROWS_A_SETTING,
    replay_settings,
)
from pcapkit.analysis.whatif.rules import Walker
from pcapkit.analysis.whatif.settings import TIMED
from pcapkit.analysis.whatif.sums import time_bin
from pcapkit.kernels.jit import inline_kernel, kernel


@inline_kernel
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
        position = min(here, np.int64(spans.shape[0] - 2))
    spans[position + 1] += max(np.int64(0), look["end"] - began)


@inline_kernel
def _time(row: Any, spans: Any) -> Any:
    took = np.int64(row["other_ns"])
    left = np.uint64(row["visited"])
    at = 0
    while left != 0:
        took += spans[at] * np.int64(left & np.uint64(1))
        left >>= np.uint64(1)
        at += 1
    return took


@inline_kernel
def _add(row: Any, count: Any, took: Any, total: Any) -> None:
    """Add equal lookups, and the time of all of them, to a sum."""
    total["queries"] += count * row["queries"]
    total["wasted"] += count * row["wasted"]
    total["upstream"] += count * row["upstream"]
    total["time_ns"] += took
    if row["assumed"] or row["flags"] or row["reordered"]:
        total["assumed"] += count * row["assumed"]
        total["broken"] += count * (row["flags"] & BROKEN)
        total["reordered"] += count * row["reordered"]
        total["leaked"] += count * ((row["flags"] & LEAKED) >> 1)


class Room(NamedTuple):
    """Room in which one group is replayed: a time a row of the walks, and a span a position."""

    spans: npt.NDArray[np.int64]
    like: npt.NDArray[np.int64]  # row of each setting
    lasts_like: npt.NDArray[np.int64]  # of each row, the first that takes the same time
    distinct: npt.NDArray[np.int64]  # rows whose times differ
    took: npt.NDArray[np.int64]  # of these rows
    bins: npt.NDArray[np.int64]
    timed: npt.NDArray[np.int64]  # settings that are walked and timed, the one in force first


def room_for(settings: npt.NDArray[Any], timed: int, suffixes: int) -> Room:
    """Return room for groups under these settings, of walks of up to so many suffixes."""
    rows = ROWS_A_SETTING * settings.size
    lasts_like, distinct, took, bins = (np.zeros(rows, np.int64) for _ in range(4))
    return Room(
        np.zeros(min(MAX_POSITIONS, suffixes) + 1, np.int64),
        np.zeros(settings.size, np.int64),
        lasts_like,
        distinct,
        took,
        bins,
        np.flatnonzero(settings["walked"][:timed]),
    )


@kernel
def replay_groups(
    facts: Any,
    walkers: Any,
    ends: Any,
    lookups: Any,
    transactions: Any,
    members: Any,
    bounds: Any,
    bases: Any,
    settings: Any,
    in_force: Any,
    in_full: Any,
    work: Any,
    room: Any,
    sums: Any,
) -> None:
    """Replay groups of equal lookups and add them to ``sums``.

    ``members`` are lookup numbers, group behind group (``bounds``), each in the order of clients;
    the groups of one walker behind those of another (``ends``). ``bases`` are rows of
    ``sums.names``, one a group. ``in_force`` and ``in_full`` are the indexes of two settings: as it
    is, and all names in full. The last settings drop one suffix each; a list has as many of them as
    it has suffixes.
    """
    for n in range(walkers.rules.shape[0]):
        rules = walkers.rules[n]
        walker = Walker(rules, walkers.tails[rules["first"] : rules["last"]], walkers.wire)
        suffixes = walker.tails.shape[0]
        mine = settings[: TIMED + suffixes]
        spans = room.spans[: suffixes + 1]
        for g in range(ends[n], ends[n + 1]):
            _replay_group(
                facts,
                walker,
                lookups,
                transactions,
                members[bounds[g] : bounds[g + 1]],
                bases[g],
                mine,
                in_force,
                in_full,
                g + 1,
                spans,
                work,
                room,
                sums,
            )


@inline_kernel
def _replay_group(
    facts: Any,
    walker: Any,
    lookups: Any,
    transactions: Any,
    members: Any,
    base: Any,
    settings: Any,
    in_force: Any,
    in_full: Any,
    turn: Any,
    spans: Any,
    work: Any,
    room: Any,
    sums: Any,
) -> None:
    look = lookups[members[0]]
    mine = transactions[look["first"] : look["first"] + look["queries"]]
    used = replay_settings(
        facts, walker, look, mine, settings, turn, work.found[base], work, room.like
    )
    distinct, harmed = _distinct_times(work.rows, used, room), False
    for s in range(settings.shape[0]):
        harmed = harmed or (room.like[s] >= 0 and work.rows[room.like[s]]["flags"] != 0)
    begin = 0
    while begin < members.shape[0]:
        client = lookups[members[begin]]["client"]
        for d in range(distinct):
            room.took[room.distinct[d]] = 0
        end = begin
        while end < members.shape[0] and lookups[members[end]]["client"] == client:
            _add_times(lookups[members[end]], transactions, distinct, spans, work.rows, room, sums)
            end += 1
        for s in range(settings.shape[0]):
            if room.like[s] >= 0:
                took = room.took[room.lasts_like[room.like[s]]]
                _add(work.rows[room.like[s]], end - begin, took, sums.clients[client, s])
        for column, s in ((0, in_force), (1, in_full)):
            took = room.took[room.lasts_like[room.like[s]]]
            _add(work.rows[room.like[s]], end - begin, took, sums.names[base, column])
        if harmed:
            at = sums.used[0]
            sums.used[0] += 1
            sums.marked[at]["client"] = client
            sums.marked[at]["base"] = look["base"]
            sums.marks[at, :] = 0
            for s in range(settings.shape[0]):
                if room.like[s] >= 0:
                    sums.marks[at, s] = work.rows[room.like[s]]["flags"]
        begin = end


@inline_kernel
def _distinct_times(rows: Any, used: Any, room: Any) -> Any:
    """Find the rows that take the same time, whatever else differs; return how many differ."""
    distinct = 0
    for r in range(used):
        room.lasts_like[r] = r
        for d in range(distinct):
            other = room.distinct[d]
            if (
                rows[other]["visited"] == rows[r]["visited"]
                and rows[other]["other_ns"] == rows[r]["other_ns"]
            ):
                room.lasts_like[r] = other
                break
        if room.lasts_like[r] == r:
            room.distinct[distinct] = r
            distinct += 1
    return distinct


@inline_kernel
def _add_times(
    look: Any, transactions: Any, distinct: Any, spans: Any, rows: Any, room: Any, sums: Any
) -> None:
    """Add the time of one lookup under every setting, and the second it began in."""
    _spans(look, transactions[look["first"] : look["first"] + look["queries"]], spans)
    for d in range(distinct):
        r = room.distinct[d]
        each = _time(rows[r], spans)
        room.took[r] += each
        room.bins[r] = time_bin(each)
    second = look["start"] // 1_000_000_000 - sums.first_second
    if 0 <= second < sums.seconds.shape[0]:
        if sums.seconds[second, room.timed[0]] == 0:
            sums.begun[sums.used[1]] = second
            sums.used[1] += 1
        for k in range(room.timed.shape[0]):
            s = room.timed[k]
            sums.seconds[second, s] += rows[room.like[s]]["queries"]
    for k in range(room.timed.shape[0]):
        s = room.timed[k]
        sums.times[room.bins[room.lasts_like[room.like[s]]], s] += 1
