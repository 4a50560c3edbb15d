"""A part's complete lookups, put in order for the what-if (compiled).

Lookups that are replayed alike stand together: same settings of their clients, same base name, same
questions with the same ends. For a cache they stand client by client.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pcapkit.kernels.hashing import SEED, hash_ids
from pcapkit.kernels.jit import helper_kernel, kernel

_GROUP = np.dtype(
    [
        ("shape", np.uint64),
        ("base", np.int32),
        ("walker", np.int32),
        ("at", np.int32),  # its base, as a row of ``bases``
        ("count", np.int32),
        ("place", np.int32),  # among the groups of all walkers
        ("mode", np.uint8),
        ("absolute", np.int8),
    ],
    align=True,
)
_BASE = np.dtype([("base", np.int32), ("client", np.int32)])
#: What is known of the complete lookups of one client.
COVERED = np.dtype([(key, np.int64) for key in ("lookups", "names", "queries", "first", "last")])


class Order(NamedTuple):
    """Complete lookups by client, and group by group; both in time order within that."""

    by_client: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]  # (clients + 1), of ``by_client``
    covered: npt.NDArray[Any]  # COVERED, by client
    starts: npt.NDArray[np.int64]  # of the earliest and of the latest
    bases: npt.NDArray[Any]  # distinct base names, and the last client of each
    pairs: npt.NDArray[np.int32]  # (n, 2): client, base name; each once
    groups: npt.NDArray[Any]
    ends: npt.NDArray[np.int64]  # (walkers + 1), of ``group_bases``
    group_bases: npt.NDArray[np.int32]  # rows of ``bases``, walker by walker
    group_bounds: npt.NDArray[np.int64]  # (groups + 1), of ``members``
    members: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]  # [lookups, bases, pairs, groups]


class _Room(NamedTuple):
    base_slots: npt.NDArray[np.int32]  # a row plus 1, 0 is free
    group_slots: npt.NDArray[np.int32]
    group_of: npt.NDArray[np.int32]  # of each place in ``by_client``


@kernel
def _put_in_order(lookups: Any, walker_of: Any, seed: Any, room: Any, out: Any) -> None:
    mask = np.uint64(room.base_slots.shape[0] - 1)
    size, bases, pairs, groups = 0, 0, 0, 0
    client = np.int64(0)
    for number in range(lookups.shape[0]):
        look = lookups[number]
        if not look["complete"]:
            continue
        while client < look["client"]:
            client += 1
            out.bounds[client] = size
        c = out.covered[client]
        if c["lookups"] == 0:
            c["first"] = look["start"]
            c["last"] = look["end"]
        if size == 0:
            out.starts[0] = look["start"]
            out.starts[1] = look["start"]
        out.starts[0] = min(out.starts[0], look["start"])
        out.starts[1] = max(out.starts[1], look["start"])
        c["lookups"] += 1
        c["queries"] += look["queries"]
        c["last"] = max(c["last"], look["end"])
        base, walker = look["base"], walker_of[client]
        slot = np.int64(hash_ids(base, np.int64(0), seed) & mask)
        while room.base_slots[slot] and out.bases[room.base_slots[slot] - 1]["base"] != base:
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        if room.base_slots[slot] == 0:
            out.bases[bases]["base"] = base
            out.bases[bases]["client"] = -1
            bases += 1
            room.base_slots[slot] = bases
        at = room.base_slots[slot] - 1
        if out.bases[at]["client"] != client:
            out.bases[at]["client"] = client
            out.pairs[pairs, 0] = client
            out.pairs[pairs, 1] = base
            pairs += 1
            c["names"] += 1
        slot = np.int64(hash_ids(look["shape"] ^ np.uint64(base), walker, seed) & mask)
        while room.group_slots[slot]:
            g = out.groups[room.group_slots[slot] - 1]
            if (
                g["shape"] == look["shape"]
                and g["base"] == base
                and g["walker"] == walker
                and g["mode"] == look["mode"]
                and g["absolute"] == look["absolute"]
            ):
                break
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        if room.group_slots[slot] == 0:
            g = out.groups[groups]
            g["shape"] = look["shape"]
            g["base"] = base
            g["walker"] = walker
            g["at"] = at
            g["count"] = 0
            g["mode"] = look["mode"]
            g["absolute"] = look["absolute"]
            groups += 1
            room.group_slots[slot] = groups
            out.ends[walker + 1] += 1
        room.group_of[size] = room.group_slots[slot] - 1
        out.groups[room.group_of[size]]["count"] += 1
        out.by_client[size] = number
        size += 1
    while client < out.bounds.shape[0] - 1:
        client += 1
        out.bounds[client] = size
    _sort_groups(size, groups, room, out)
    out.used[0], out.used[1], out.used[2], out.used[3] = size, bases, pairs, groups


@helper_kernel
def _sort_groups(size: Any, groups: Any, room: Any, out: Any) -> None:
    """Bring the groups of one walker, and the members of one group, together."""
    for w in range(1, out.ends.shape[0]):
        out.ends[w] += out.ends[w - 1]
    for n in range(groups):
        g = out.groups[n]
        place = out.ends[g["walker"]]
        out.ends[g["walker"]] += 1
        g["place"] = place
        out.group_bases[place] = g["at"]
        out.group_bounds[place] = g["count"]
    for w in range(out.ends.shape[0] - 1, 0, -1):
        out.ends[w] = out.ends[w - 1]
    out.ends[0] = 0
    begin = np.int64(0)
    for place in range(groups):
        count = out.group_bounds[place]
        out.group_bounds[place] = begin
        begin += count
    for n in range(size):
        place = out.groups[room.group_of[n]]["place"]
        out.members[out.group_bounds[place]] = out.by_client[n]
        out.group_bounds[place] += 1
    for place in range(groups, 0, -1):
        out.group_bounds[place] = out.group_bounds[place - 1]
    out.group_bounds[0] = 0


def put_in_order(
    lookups: npt.NDArray[Any], walker_of: npt.NDArray[np.int32], walkers: int
) -> Order:
    """Order the complete ones of some lookups; ``walker_of`` numbers how each client walks."""
    size, clients = lookups.size, walker_of.size
    slots = 1 << (2 * size).bit_length()
    room = _Room(np.zeros(slots, np.int32), np.zeros(slots, np.int32), np.empty(size, np.int32))
    out = Order(
        np.empty(size, np.int64),
        np.zeros(clients + 1, np.int64),
        np.zeros(clients, COVERED),
        np.zeros(2, np.int64),
        np.empty(size, _BASE),
        np.empty((size, 2), np.int32),
        np.empty(size, _GROUP),
        np.zeros(walkers + 1, np.int64),
        np.empty(size, np.int32),
        np.zeros(size + 1, np.int64),
        np.empty(size, np.int64),
        np.zeros(4, np.int64),
    )
    _put_in_order(lookups, walker_of, SEED, room, out)
    complete, bases, pairs, groups = out.used.tolist()
    return out._replace(
        by_client=out.by_client[:complete],
        bases=out.bases[:bases],
        pairs=out.pairs[:pairs].copy(),
        groups=out.groups[:groups],
        group_bases=out.group_bases[:groups],
        group_bounds=out.group_bounds[: groups + 1],
        members=out.members[:complete],
    )
