"""How the logs of several replicas lie in one another.

Replicas share a client's queries. Their logs, one after the other, are put into one another by
their times or, where there are none, by the order in which a walk asks the candidates of one name
under a Kubernetes list: ``<namespace>.svc.<zone>``, ``svc.<zone>``, ``<zone>``, the name as is.

One client's lines are grouped by the base name that such a list explains them with (see
``list_bases.py``); within a group, the log is taken from that goes on with the walk best
(:func:`join_groups`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.logs.blocks.filled import Filled
from pcapkit.ingest.logs.blocks.list_bases import (
    GROUPS,
    HEADS,
    LAST,
    MOST_TYPES,
    TIMED,
    Names,
    Scratch,
    find_bases,
    names_of,
    new_scratch,
    place_in_list,
)
from pcapkit.ingest.window import Interners
from pcapkit.kernels.jit import helper_kernel, kernel
from pcapkit.schema import Bytes, Ids, Int, Integers

#: Clocks of two nodes differ by this much.
SKEW_NS = 5_000_000


class Lines(NamedTuple):
    """The lines of a window, by number, and how they are linked."""

    names: Ids
    streams: Ids
    types: Ids
    answered: Bytes
    stamps: Integers
    resolutions: Integers
    after: Integers  # the next line of the group, -1 behind the last
    follows: Integers  # the next line of the group and stream, -1 behind the last
    first: Integers  # by group of a client: its first line
    last: Integers  # by group of a client, then by head: its last line
    heads: Integers  # of the streams of a group: the line that comes next
    head_of: Integers  # by stream: its head, as a number of the window
    distinct: Ids  # the different names of one client


@helper_kernel
def _link_groups(
    lines: Lines, order: Integers, begin: Int, end: Int, names: Names, scratch: Scratch
) -> Int:
    """Link the lines ``order[begin:end]`` of one client by base; return the number of groups."""
    groups = np.int64(0)
    before = scratch.counts[GROUPS]
    for i in range(begin, end):
        line = order[i]
        base = names.base_of[lines.names[line]]
        lines.after[line] = -1
        group = np.int64(names.group_of[base]) - before - 1
        if group < 0:
            group = groups
            groups += 1
            names.group_of[base] = before + groups
            lines.first[group] = line
        else:
            lines.after[lines.last[group]] = line
        lines.last[group] = line
    scratch.counts[GROUPS] = before + groups
    return groups


@helper_kernel
def _link_streams(lines: Lines, first: Int, names: Names, scratch: Scratch) -> Int:
    """Link the lines of a group by stream, and find their places; return how many streams."""
    zones = np.uint64(0)
    line, heads = first, np.int64(0)
    before = scratch.counts[HEADS]
    while line >= 0:
        zones |= names.zones_of[lines.names[line]]
        names.place_of[lines.names[line]] = -1
        lines.follows[line] = -1
        stream = lines.streams[line]
        head = lines.head_of[stream] - before - 1
        if head < 0:
            head = heads
            heads += 1
            lines.head_of[stream] = before + heads
            lines.heads[head] = line
        else:
            lines.follows[lines.last[head]] = line
        lines.last[head] = line
        line = lines.after[line]
    scratch.counts[HEADS] = before + heads
    line = first
    while line >= 0:
        name = np.int64(lines.names[line])
        if names.place_of[name] < 0:
            names.place_of[name] = place_in_list(names, name, names.base_of[name], zones, scratch)
        line = lines.after[line]
    return heads


@helper_kernel
def _has_type(types: Integers, count: Int, qtype: Int) -> bool:
    for k in range(count):
        if types[k] == qtype:
            return True
    return False


@helper_kernel
def _next_head(
    lines: Lines, heads: Int, names: Names, walk: tuple[Int, Int, Int, bool], scratch: Scratch
) -> tuple[Int, Int]:
    """Return (head, how well its line goes on) of the line that goes on with a walk best.

    ``walk`` is (name, place, how many of its types are in ``scratch.types``, was it answered). How
    well: 2 another type of the candidate, 1 the next one, 0 a new walk.
    """
    name, place, asked, answered = walk
    earliest, off = np.int64(0), np.int64(0)
    if scratch.counts[TIMED]:
        earliest = lines.stamps[lines.heads[0]]
        for k in range(heads):
            earliest = min(earliest, lines.stamps[lines.heads[k]])
            off = max(off, lines.resolutions[lines.heads[k]])
        off = max(off, np.int64(SKEW_NS))
    best, most, kind = np.int64(-1), np.int64(-1), np.int64(0)
    for k in range(heads):
        line = lines.heads[k]
        if scratch.counts[TIMED] and lines.stamps[line] - earliest > off:
            continue
        its_name, its_place = np.int64(lines.names[line]), names.place_of[lines.names[line]]
        its_kind = np.int64(0)
        if its_name == name and not _has_type(scratch.types, asked, lines.types[line]):
            its_kind = np.int64(2)
        elif not answered and its_name != name and its_place >= place:
            its_kind = np.int64(1)
        score = its_kind * 16 + (8 if its_kind == 2 else 8 - its_place)
        if score > most:
            best, most, kind = np.int64(k), score, its_kind
    return best, kind


@helper_kernel
def _join(lines: Lines, heads: Int, names: Names, out: Integers, at: Int, scratch: Scratch) -> Int:
    """Write a group's lines to ``out`` from ``at`` on, in the order of its walks.

    Each of its ``heads`` streams keeps its own order. Returns what is behind the last.
    """
    name, place, asked, answered = np.int64(-1), np.int64(LAST + 1), np.int64(0), False
    while heads > 0:
        walk = (name, place, asked, answered)
        head, kind = _next_head(lines, heads, names, walk, scratch)
        line = lines.heads[head]
        if kind < 2:
            answered = bool(answered and kind > 0)
            asked = np.int64(0)
        name = np.int64(lines.names[line])
        place = np.int64(names.place_of[name])
        if asked < MOST_TYPES and not _has_type(scratch.types, asked, lines.types[line]):
            scratch.types[asked] = lines.types[line]
            asked += 1
        answered = bool(answered or lines.answered[line] != 0)
        out[at] = line
        at += 1
        lines.heads[head] = lines.follows[line]
        if lines.heads[head] < 0:
            heads -= 1
            for k in range(head, heads):
                lines.heads[k] = lines.heads[k + 1]
    return at


@kernel
def join_groups(
    lines: Lines, order: Integers, ends: Integers, names: Names, out: Integers, scratch: Scratch
) -> None:
    """Put the lines of several logs into one another, client by client.

    Goes in: ``lines``; ``order`` (int64), their numbers by client, and ``ends`` (int64), where
    those of each client end in it; ``names``, with nothing found out yet. Comes out: ``out``
    (int64), the numbers in the order of the walks. ``scratch`` is memory to work in; its counts say
    if there is a clock.
    """
    begin = np.int64(0)
    for client in range(1, ends.shape[0] + 1):
        end = ends[client - 1]
        several, count = False, np.int64(0)
        for i in range(begin, end):
            several = several or lines.streams[order[i]] != lines.streams[order[begin]]
        if not several:
            for i in range(begin, end):
                out[i] = order[i]
            begin = end
            continue
        for i in range(begin, end):
            name = lines.names[order[i]]
            if names.client_of[name] != client:
                names.client_of[name] = client
                lines.distinct[count] = name
                count += 1
        find_bases(names, lines.distinct, count, client, scratch)
        groups = _link_groups(lines, order, begin, end, names, scratch)
        at: Int = np.int64(begin)
        for group in range(groups):
            # What the groups behind it begin with stays: heads and ends have places of their own.
            heads = _link_streams(lines, lines.first[group], names, scratch)
            at = _join(lines, heads, names, out, at, scratch)
        begin = end


def in_order(filled: Filled, pairs: Integers, interners: Interners, *, timed: bool) -> Integers:
    """Return the rows of the queries of several logs in the order of the walks.

    ``pairs`` are those rows as they are, each with its response behind it. Logs that lie one behind
    the other are put into one another; what tails of several logs print together stands in its
    order already, unless the times say otherwise.
    """
    streams = filled.streams[pairs]
    switches = int(np.count_nonzero(np.diff(streams)))
    if not timed and switches > np.unique(streams).size - 1:
        return pairs
    folded = interners.fold()
    count, rows = pairs.size, filled.rows
    clients = rows["client"][pairs]
    _, first, client = np.unique(clients, return_index=True, return_inverse=True)
    order = np.argsort(first[client], kind="stable")
    sizes = np.bincount(client)[np.argsort(first)]
    names = folded[rows["qname"][pairs]]
    out = np.zeros(count, np.int64)
    lines = Lines(
        np.ascontiguousarray(names, np.int32),
        np.ascontiguousarray(streams),
        rows["qtype"][pairs].astype(np.int32),
        (rows["typed_answers"][pairs + 1] > 0).astype(np.uint8),
        np.ascontiguousarray(rows["time"][pairs + 1]),
        np.ascontiguousarray(filled.resolutions[pairs]),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(int(streams.max()) + 1, np.int64),
        np.zeros(count, np.int32),
    )
    scratch = new_scratch(timed=timed)
    known = names_of(interners, np.unique(names), count)
    join_groups(lines, order, np.cumsum(sizes), known, out, scratch)
    return pairs[out]
