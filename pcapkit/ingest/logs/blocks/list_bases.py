"""The base names that lists of Kubernetes' form explain the names of a log with.

Such a list is ``<namespace>.svc.<zone>``, ``svc.<zone>``, ``<zone>``, and the name as is stands
behind it. A name that no list explains is of the longest base that it begins with: such lists often
end with suffixes of the node's (``ec2.internal``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.window import Interners
from pcapkit.kernels.hashing import find_slot, hash_ids, slot_count
from pcapkit.kernels.interning import Interner, InternerArrays, find, intern
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.schema import Array, Bytes, Hashes, Ids, Int, Integers

#: So many zones of one client's names are told apart: no cluster has as many.
_ZONES = 64
#: So many types of one candidate.
MOST_TYPES = 64
#: The place of the name as is: behind <namespace>.svc.<zone>, svc.<zone>, <zone>, and what the
#: node's own list adds.
LAST = 4
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


class Scratch(NamedTuple):
    """Memory to work in."""

    text: Bytes  # _SCRATCH_BYTES
    offsets: Integers  # _OFFSETS
    types: Integers  # MOST_TYPES
    counts: Integers  # ZONES_USED to TIMED


ZONES_USED, GROUPS, HEADS, TIMED = range(4)


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
    scratch.counts[ZONES_USED] = used


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
    arena, text, used = names.names.arena, scratch.text, scratch.counts[ZONES_USED]
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
    for zone in range(scratch.counts[ZONES_USED]):
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
def _choose_bases(names: Names, distinct: Ids, count: Int, client: Int, scratch: Scratch) -> None:
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
def find_bases(names: Names, distinct: Ids, count: Int, client: Int, scratch: Scratch) -> None:
    """Find the base of each of a client's ``distinct`` names (int32), of which there are ``count``.

    Goes in: ``names``, of which nothing is known for this ``client``; ``scratch`` is memory to
    work in. Comes out: ``base_of`` and ``zones_of`` of the names.
    """
    _find_zones(names, distinct, count, scratch)
    _note_namespaces(names, distinct, count, client, scratch)
    _choose_bases(names, distinct, count, client, scratch)


@helper_kernel
def place_in_list(names: Names, name: Int, base: Int, zones: np.uint64, scratch: Scratch) -> Int:
    """Return where a candidate stands in a Kubernetes list, the name as is behind it.

    ``zones`` has a bit for each zone that the names of its group show.
    """
    skipped = _labels(names.bases, base, scratch.offsets)
    labels = _labels(names.names, name, scratch.offsets)
    if skipped >= labels:
        return np.int64(LAST)
    for k in range(min(labels - skipped, 2)):
        if _is_svc(names.names.arena, np.int64(scratch.offsets[skipped + k])):
            return np.int64(1 - k)
    begin = scratch.offsets[skipped]
    used = scratch.counts[ZONES_USED]
    zone = _zone_number(names, begin, names.names.ends[name] - begin, used)
    shown = zone >= 0 and zones >> np.uint64(zone) & np.uint64(1) != 0
    return np.int64(2 if shown else 3)


def new_scratch(*, timed: bool) -> Scratch:
    """Return memory to work in; ``timed`` says if the lines have a clock."""
    return Scratch(
        np.zeros(_SCRATCH_BYTES, np.uint8),
        np.zeros(_OFFSETS, np.int64),
        np.zeros(MOST_TYPES, np.int64),
        np.array([0, 0, 0, timed], np.int64),
    )


def names_of(interners: Interners, distinct: Ids, lines: int) -> Names:
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
