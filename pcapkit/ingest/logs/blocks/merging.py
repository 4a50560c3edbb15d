"""How the logs of several replicas lie in one another.

Replicas share a client's queries. Their logs, one after the other, are put into one another by
their times or, where there are none, by the order in which a walk asks the candidates of one name
under a Kubernetes list: ``<namespace>.svc.<zone>``, ``svc.<zone>``, ``<zone>``, the name as is.

One client's lines are grouped by the base name that such a list explains them with; within a group,
the log is taken from that goes on with the walk best (:func:`join_groups`). A name that no list
explains is of the longest base that it begins with: such lists often end with suffixes of the
node's (``ec2.internal``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.logs.blocks.filled import Filled
from pcapkit.ingest.window import Interners
from pcapkit.kernels.hashing import find_slot, hash_ids, slot_count
from pcapkit.kernels.interning import Interner, InternerArrays, find, intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.schema import Array, Bytes, Hashes, Ids, Int, Integers

#: Clocks of two nodes differ by this much.
SKEW_NS = 5_000_000
#: So many zones of one client's names are told apart: no cluster has as many.
_ZONES = 64
_TYPES = 64  # of one candidate
_LAST = 4  # behind <namespace>.svc.<zone>, svc.<zone>, <zone>, and what the node's own list adds
_NAME_BYTES = 256
_NONE = -1


#: What is put together from labels, at most; what is longer is no name.
_SCRATCH_BYTES = 1024
_OFFSETS = 128  # labels of a name, and its root
_SVC = 4  # so many labels ``svc`` of one name are looked at


class Names(NamedTuple):
    """The names of a window, and what is found out about them for one client.

    Clients are numbered from 1; what has another number is of a client before.
    """

    names: InternerArrays
    bases: InternerArrays  # what is left of a name without a suffix: labels, and a root
    client_of: Ids  # by name
    base_of: Ids  # by name
    zones_of: Hashes  # by name: a bit for each zone that it shows
    place_of: Ids  # by name: in its group; -1 until it is asked
    explains: Ids  # by base: the client some name of which it explains
    group_of: Ids  # by base: the group, as a number from 1 within the window
    under: Hashes  # a hash table: for which (base, zone, client) some namespace is asked
    zones: Array  # int64, (_ZONES, 2): a name that shows a zone, and where in it the zone begins


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


class Scratch(NamedTuple):
    """Memory to work in."""

    text: Bytes  # _SCRATCH_BYTES
    offsets: Integers  # _OFFSETS
    types: Integers  # _TYPES
    counts: Integers  # _ZONES_USED to _TIMED


_ZONES_USED, _GROUPS, _HEADS, _TIMED = range(4)


@inline_kernel
def _begin(names: InternerArrays, name: Int) -> Int:
    return np.int64(names.ends[name - 1]) if name > 0 else np.int64(0)


@helper_kernel
def _labels(names: InternerArrays, name: Int, offsets: Integers) -> Int:
    """Write where the labels of ``name`` begin in the arena, and its root, to ``offsets``.

    Returns how many labels there are.
    """
    at, end, count = _begin(names, name), names.ends[name], np.int64(0)
    while at < end and names.arena[at] != 0 and count < _OFFSETS - 1:
        offsets[count] = at
        count += 1
        at += 1 + np.int64(names.arena[at])
    offsets[count] = min(at, end - 1)
    return count


@inline_kernel
def _is_svc(arena: Bytes, at: Int) -> bool:
    """Is the label at ``at``, which is whole, ``svc``?"""
    return bool(
        arena[at] == 3 and arena[at + 1] == 115 and arena[at + 2] == 118 and arena[at + 3] == 99
    )


@helper_kernel
def _is_same(arena: Bytes, left: Int, right: Int, size: Int) -> bool:
    for k in range(size):
        if arena[left + k] != arena[right + k]:
            return False
    return True


@helper_kernel
def _precedes(names: InternerArrays, left: Int, right: Int) -> bool:
    """Does name ``left`` stand before ``right``, label by label as bytes?"""
    arena, a, b = names.arena, _begin(names, left), _begin(names, right)
    while arena[a] != 0 and arena[b] != 0:
        m, n = np.int64(arena[a]), np.int64(arena[b])
        for k in range(1, min(m, n) + 1):
            if arena[a + k] != arena[b + k]:
                return bool(arena[a + k] < arena[b + k])
        if m != n:
            return bool(m < n)
        a += 1 + m
        b += 1 + n
    return bool(arena[a] == 0 and arena[b] != 0)


@helper_kernel
def _zone_number(names: Names, begin: Int, size: Int, used: Int) -> Int:
    """Return the number of the zone in ``size`` bytes of the arena from ``begin`` on, or _NONE."""
    for k in range(used):
        name, start = names.zones[k, 0], names.zones[k, 1]
        if names.names.ends[name] - start == size:
            if _is_same(names.names.arena, start, begin, size):
                return np.int64(k)
    return np.int64(_NONE)


@helper_kernel
def _find_zones(names: Names, distinct: Ids, count: Int, scratch: Scratch) -> None:
    """Collect the zones behind ``svc`` in a client's names, in the order of their first names."""
    used, arena = np.int64(0), names.names.arena
    for i in range(count):
        name = np.int64(distinct[i])
        labels = _labels(names.names, name, scratch.offsets)
        found = np.int64(0)
        for k in range(1, labels - 1):
            if found == _SVC or not _is_svc(arena, scratch.offsets[k]):
                continue
            found += 1
            begin = scratch.offsets[k + 1]
            zone = _zone_number(names, begin, names.names.ends[name] - begin, used)
            if zone == _NONE and used < _ZONES:
                names.zones[used, 0], names.zones[used, 1] = name, begin
                used += 1
            elif zone >= 0 and _precedes(names.names, name, names.zones[zone, 0]):
                names.zones[zone, 0], names.zones[zone, 1] = name, begin
    for k in range(1, used):  # few: sorted by insertion
        name, begin = names.zones[k, 0], names.zones[k, 1]
        j = k
        while j > 0:
            other, start = names.zones[j - 1, 0], names.zones[j - 1, 1]
            earlier = begin < start if other == name else _precedes(names.names, name, other)
            if not earlier:
                break
            names.zones[j, 0], names.zones[j, 1] = other, start
            j -= 1
        names.zones[j, 0], names.zones[j, 1] = name, begin
    scratch.counts[_ZONES_USED] = used


@inline_kernel
def _is_under(entry: np.uint64, key: tuple[np.uint64]) -> bool:
    """Is the slot with ``entry`` free, or that of ``key``?"""
    return bool(entry == 0 or entry == key[0])


@inline_kernel
def _under_key(base: Int, zone: Int, client: Int) -> np.uint64:
    """Return a base under a zone for a client as one number, never 0."""
    return np.uint64(client) << np.uint64(38) | np.uint64(base) << np.uint64(6) | np.uint64(zone)


@helper_kernel
def _under_slot(names: Names, key: np.uint64) -> Int:
    """Return the slot of ``key`` in ``names.under``, or the free one for it."""
    h = hash_ids(np.int64(key), 0, names.names.seed[0])
    return find_slot(names.under, h, _is_under, (key,))


@helper_kernel
def _put_prefix(names: InternerArrays, name: Int, stop: Int, text: Bytes) -> Int:
    """Write the labels of ``name`` up to ``stop`` of the arena to ``text``; return their bytes."""
    begin = _begin(names, name)
    for k in range(stop - begin):
        text[k] = names.arena[begin + k]
    return np.int64(stop - begin)


@helper_kernel
def _note_namespaces(
    names: Names, distinct: Ids, count: Int, client: Int, scratch: Scratch
) -> None:
    """Note for which bases some namespace of a zone is asked, and which zones a name shows."""
    arena, text, used = names.names.arena, scratch.text, scratch.counts[_ZONES_USED]
    for i in range(count):
        name = np.int64(distinct[i])
        labels = _labels(names.names, name, scratch.offsets)
        found, shown = np.int64(0), np.uint64(0)
        for k in range(1, labels - 1):
            if found == _SVC or not _is_svc(arena, scratch.offsets[k]):
                continue
            found += 1
            begin = scratch.offsets[k + 1]
            zone = _zone_number(names, begin, names.names.ends[name] - begin, used)
            if zone < 0:
                continue
            shown |= np.uint64(1) << np.uint64(zone)
            size = _put_prefix(names.names, name, scratch.offsets[k - 1], text)
            text[size] = 0
            base = intern(names.bases, text, 0, size + 1)
            key = _under_key(base, zone, client)
            names.under[_under_slot(names, key)] = key
        names.zones_of[name] = shown


@helper_kernel
def _is_asked(names: Names, text: Bytes, size: Int, client: Int) -> bool:
    """Does a client ask for the name in ``text[:size]``?"""
    if size >= _NAME_BYTES:
        return False
    name = find(names.names, text, 0, size)
    return bool(name >= 0 and names.client_of[name] == client)


@helper_kernel
def _count_under(
    names: Names, name: Int, stop: Int, zone: Int, client: Int, scratch: Scratch
) -> Int:
    """Count the candidates of a Kubernetes list that a client asks for under a base and a zone.

    The base is the labels of ``name`` up to ``stop`` of the arena.
    """
    text, arena = scratch.text, names.names.arena
    size = _put_prefix(names.names, name, stop, text)
    text[size] = 0
    count = np.int64(1) if _is_asked(names, text, size + 1, client) else np.int64(0)
    base = find(names.bases, text, 0, size + 1)
    if base >= 0:
        key = _under_key(base, zone, client)
        count += 1 if names.under[_under_slot(names, key)] == key else 0
    start = names.zones[zone, 1]
    length = names.names.ends[names.zones[zone, 0]] - start
    for k in range(length):
        text[size + k] = arena[start + k]
    count += 1 if _is_asked(names, text, size + length, client) else 0
    text[size], text[size + 1], text[size + 2], text[size + 3] = 3, 115, 118, 99
    for k in range(length):
        text[size + 4 + k] = arena[start + k]
    count += 1 if _is_asked(names, text, size + 4 + length, client) else 0
    return count


@helper_kernel
def _best_base(names: Names, name: Int, client: Int, scratch: Scratch) -> Int:
    """Return where the base ends that explains ``name`` best, in the arena; _NONE without one."""
    offsets, ends = scratch.offsets, names.names.ends
    labels = _labels(names.names, name, offsets)
    best = np.int64(_NONE)
    most: Int = np.int64(1)
    for zone in range(scratch.counts[_ZONES_USED]):
        start = names.zones[zone, 1]
        length = ends[names.zones[zone, 0]] - start
        within = np.int64(-1)  # labels in front of the zone
        for k in range(labels):
            if ends[name] - offsets[k] == length:
                if _is_same(names.names.arena, offsets[k], start, length):
                    within = np.int64(k)
        tried = np.int64(0)
        if within > 0:
            tried = within
            if _is_svc(names.names.arena, offsets[within - 1]):
                shorter = max(within - 2, np.int64(0))
                count = _count_under(names, name, offsets[shorter], zone, client, scratch)
                if count > most:
                    best, most = np.int64(offsets[shorter]), count
                tried = within - 1
            count = _count_under(names, name, offsets[tried], zone, client, scratch)
            if count > most:
                best, most = np.int64(offsets[tried]), count
        count = _count_under(names, name, offsets[labels], zone, client, scratch)
        if count > most:
            best, most = np.int64(offsets[labels]), count
    return best


@helper_kernel
def _base(names: Names, name: Int, stop: Int, text: Bytes, add: bool) -> Int:
    """Return the number of the base that is the labels of ``name`` up to ``stop``, or _NONE."""
    size = _put_prefix(names.names, name, stop, text)
    text[size] = 0
    return intern(names.bases, text, 0, size + 1) if add else find(names.bases, text, 0, size + 1)


@helper_kernel
def _find_bases(names: Names, distinct: Ids, count: Int, client: Int, scratch: Scratch) -> None:
    """Find the base of each name of a client."""
    for i in range(count):
        name = np.int64(distinct[i])
        stop = _best_base(names, name, client, scratch)
        base: Int = np.int64(_NONE)
        if stop >= 0:
            base = _base(names, name, stop, scratch.text, True)
            names.explains[base] = client
        names.base_of[name] = base
    for i in range(count):
        name = np.int64(distinct[i])
        if names.base_of[name] >= 0:
            continue
        labels = _labels(names.names, name, scratch.offsets)
        found: Int = np.int64(_NONE)
        for k in range(labels - 1, 0, -1):
            base = _base(names, name, scratch.offsets[k], scratch.text, False)
            if base >= 0 and names.explains[base] == client:
                found = base
                break
        if found < 0:
            found = _base(names, name, scratch.offsets[labels], scratch.text, True)
        names.base_of[name] = found


@helper_kernel
def _place(names: Names, name: Int, base: Int, zones: np.uint64, scratch: Scratch) -> Int:
    """Return where a candidate stands in a Kubernetes list, the name as is behind it.

    ``zones`` has a bit for each zone that the names of its group show.
    """
    skipped = _labels(names.bases, base, scratch.offsets)
    labels = _labels(names.names, name, scratch.offsets)
    if skipped >= labels:
        return np.int64(_LAST)
    for k in range(min(labels - skipped, 2)):
        if _is_svc(names.names.arena, np.int64(scratch.offsets[skipped + k])):
            return np.int64(1 - k)
    begin = scratch.offsets[skipped]
    used = scratch.counts[_ZONES_USED]
    zone = _zone_number(names, begin, names.names.ends[name] - begin, used)
    shown = zone >= 0 and zones >> np.uint64(zone) & np.uint64(1) != 0
    return np.int64(2 if shown else 3)


@helper_kernel
def _link_groups(
    lines: Lines, order: Integers, begin: Int, end: Int, names: Names, scratch: Scratch
) -> Int:
    """Link the lines ``order[begin:end]`` of one client by base; return the number of groups."""
    groups = np.int64(0)
    before = scratch.counts[_GROUPS]
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
    scratch.counts[_GROUPS] = before + groups
    return groups


@helper_kernel
def _link_streams(lines: Lines, first: Int, names: Names, scratch: Scratch) -> Int:
    """Link the lines of a group by stream, and find their places; return how many streams."""
    zones = np.uint64(0)
    line, heads = first, np.int64(0)
    before = scratch.counts[_HEADS]
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
    scratch.counts[_HEADS] = before + heads
    line = first
    while line >= 0:
        name = np.int64(lines.names[line])
        if names.place_of[name] < 0:
            names.place_of[name] = _place(names, name, names.base_of[name], zones, scratch)
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
    if scratch.counts[_TIMED]:
        earliest = lines.stamps[lines.heads[0]]
        for k in range(heads):
            earliest = min(earliest, lines.stamps[lines.heads[k]])
            off = max(off, lines.resolutions[lines.heads[k]])
        off = max(off, np.int64(SKEW_NS))
    best, most, kind = np.int64(-1), np.int64(-1), np.int64(0)
    for k in range(heads):
        line = lines.heads[k]
        if scratch.counts[_TIMED] and lines.stamps[line] - earliest > off:
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
    name, place, asked, answered = np.int64(-1), np.int64(_LAST + 1), np.int64(0), False
    while heads > 0:
        walk = (name, place, asked, answered)
        head, kind = _next_head(lines, heads, names, walk, scratch)
        line = lines.heads[head]
        if kind < 2:
            answered = bool(answered and kind > 0)
            asked = np.int64(0)
        name = np.int64(lines.names[line])
        place = np.int64(names.place_of[name])
        if asked < _TYPES and not _has_type(scratch.types, asked, lines.types[line]):
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
        _find_zones(names, lines.distinct, count, scratch)
        _note_namespaces(names, lines.distinct, count, client, scratch)
        _find_bases(names, lines.distinct, count, client, scratch)
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
    scratch = Scratch(
        np.zeros(_SCRATCH_BYTES, np.uint8),
        np.zeros(_OFFSETS, np.int64),
        np.zeros(_TYPES, np.int64),
        np.array([0, 0, 0, timed], np.int64),
    )
    known = _known(interners, np.unique(names), count)
    join_groups(lines, order, np.cumsum(sizes), known, out, scratch)
    return pairs[out]


def _known(interners: Interners, distinct: Ids, lines: int) -> Names:
    """Return the names of a window of so many lines, with space for what is found out."""
    arrays = interners.names.arrays
    begins = np.where(distinct > 0, arrays.ends[distinct - 1], 0)
    size = int((arrays.ends[distinct] - begins).sum())
    most = (_SVC + 2) * distinct.size
    bases = Interner()
    bases.reserve(most, (_SVC + 2) * (size + distinct.size))
    count = len(interners.names)
    return Names(
        arrays,
        bases.arrays,
        np.zeros(count, np.int32),
        np.zeros(count, np.int32),
        np.zeros(count, np.uint64),
        np.zeros(count, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(slot_count(_SVC * lines), np.uint64),
        np.zeros((_ZONES, 2), np.int64),
    )
