"""Replay the lookups of a capture and add up what they would have sent (compiled).

Lookups that are equal (same settings of their clients, same base name, same questions with the same
ends) are replayed once; only their times are their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.replay import (
    BROKEN,
    LEAKED,
    MAX_POSITIONS,
    REPLAY,
    replay_settings,
)
from pcapkit.kernels import inline_kernel, kernel

#: Sums under one setting: of a client, or of a name.
SUM = np.dtype(
    [(key, np.int64) for key in (
        "queries", "wasted", "assumed", "upstream", "broken", "leaked", "reordered", "time_ns",
    )]
)  # fmt: skip

#: The marked lookups of one base name and one client; their marks are a row of another array.
MARKED = np.dtype([("client", np.int32), ("base", np.int32)])

#: Bins of lookup times: 64 an octave from 1024 ns up, so a quantile is right within 1 %.
TIME_BINS = 64 * 32


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
        if left & np.uint64(1):
            took += spans[at]
        left >>= np.uint64(1)
        at += 1
    return took


@inline_kernel
def time_bin(nanoseconds: Any) -> Any:
    """Return the bin of a duration; see ``TIME_BINS`` and ``time_of_bin``."""
    octave = 0
    value = max(np.int64(1024), nanoseconds)
    while value >= 2048 and octave < 31:
        value >>= 1
        octave += 1
    base = np.int64(1024) << octave
    within = ((max(base, min(nanoseconds, 2 * base - 1)) - base) * 64) >> (10 + octave)
    return octave * 64 + within


def time_of_bin(number: int) -> int:
    """Return the middle of a bin, in nanoseconds."""
    octave, within = divmod(number, 64)
    return ((1024 << octave) * (129 + 2 * within)) >> 7


@inline_kernel
def _add(row: Any, count: Any, total: Any) -> None:
    """Add equal lookups to a sum, their time left out."""
    total["queries"] += count * row["queries"]
    total["wasted"] += count * row["wasted"]
    total["assumed"] += count * row["assumed"]
    total["upstream"] += count * row["upstream"]
    total["broken"] += count * (row["flags"] & BROKEN)
    total["reordered"] += count * row["reordered"]
    total["leaked"] += count * ((row["flags"] & LEAKED) >> 1)


class Sums(NamedTuple):
    """What replays are added to; ``names`` holds each base as it is and in full."""

    clients: npt.NDArray[Any]  # SUM (clients, settings and the cache)
    names: npt.NDArray[Any]  # SUM (names, 2)
    times: npt.NDArray[np.int64]  # (settings that are timed, TIME_BINS)
    seconds: npt.NDArray[np.int32]  # queries (seconds, the same settings); none without a clock
    first_second: int
    marked: npt.NDArray[Any]  # MARKED, one row a name and client
    marks: npt.NDArray[np.uint8]  # (marked, settings)
    used: npt.NDArray[np.int64]  # [marked]


class Room(NamedTuple):
    """Room in which one group is replayed: a row a setting, and a time a position."""

    rows: npt.NDArray[Any]  # REPLAY (settings)
    spans: npt.NDArray[np.int64]
    took: npt.NDArray[np.int64]  # (settings)
    bins: npt.NDArray[np.int64]  # (settings)


def room_for(settings: int, suffixes: int) -> Room:
    """Return room for groups under so many settings, of walks of so many suffixes."""
    return Room(
        np.zeros(settings, REPLAY), np.zeros(min(MAX_POSITIONS, suffixes) + 1, np.int64),
        np.zeros(settings, np.int64), np.zeros(settings, np.int64),
    )  # fmt: skip


@kernel
def replay_groups(
    facts: Any, walker: Any, lookups: Any, transactions: Any, members: Any, bounds: Any,
    settings: Any, in_force: Any, in_full: Any, work: Any, room: Any, sums: Any,
) -> None:  # fmt: skip
    """Replay groups of equal lookups and add them to ``sums``.

    ``members`` are lookup numbers, group behind group (``bounds``), each in the order of clients.
    ``in_force`` and ``in_full`` are the indexes of two settings: as it is, and all names in full.
    """
    for g in range(bounds.shape[0] - 1):
        look = lookups[members[bounds[g]]]
        mine = transactions[look["first"] : look["first"] + look["queries"]]
        replay_settings(facts, walker, look, mine, settings, g + 1, work, room.rows)
        begin = bounds[g]
        while begin < bounds[g + 1]:
            end = begin
            client = lookups[members[begin]]["client"]
            while end < bounds[g + 1] and lookups[members[end]]["client"] == client:
                end += 1
            _add_equal(
                lookups, transactions, members[begin:end], room.rows, in_force, in_full,
                room.spans, room.took, room.bins, sums,
            )  # fmt: skip
            begin = end


@inline_kernel
def _add_equal(
    lookups: Any, transactions: Any, members: Any, rows: Any, in_force: Any, in_full: Any,
    spans: Any, took: Any, bins: Any, sums: Any,
) -> None:  # fmt: skip
    """Add the equal lookups of one client."""
    count = members.shape[0]
    look = lookups[members[0]]
    client, base = look["client"], look["base"]
    harmed = False
    for s in range(rows.shape[0]):
        _add(rows[s], count, sums.clients[client, s])
        harmed = harmed or rows[s]["flags"] != 0
    _add(rows[in_force], count, sums.names[base, 0])
    _add(rows[in_full], count, sums.names[base, 1])
    if harmed:
        at = sums.used[0]
        sums.used[0] += 1
        sums.marked[at]["client"] = client
        sums.marked[at]["base"] = base
        for s in range(rows.shape[0]):
            sums.marks[at, s] = rows[s]["flags"]
    took[:] = 0
    for m in range(count):
        look = lookups[members[m]]
        _spans(look, transactions[look["first"] : look["first"] + look["queries"]], spans)
        second = look["start"] // 1_000_000_000 - sums.first_second
        timed = 0 <= second < sums.seconds.shape[0]
        for s in range(rows.shape[0]):
            like = rows[s]["like"]
            if like == s:
                each = _time(rows[s], spans)
                took[s] += each
                bins[s] = time_bin(each)
            if s < sums.times.shape[0] and rows[s]["code"] >= 0:
                sums.times[s, bins[like]] += 1
                if timed:
                    sums.seconds[second, s] += rows[s]["queries"]
    for s in range(rows.shape[0]):
        sums.clients[client, s]["time_ns"] += took[rows[s]["like"]]
    sums.names[base, 0]["time_ns"] += took[rows[in_force]["like"]]
    sums.names[base, 1]["time_ns"] += took[rows[in_full]["like"]]
