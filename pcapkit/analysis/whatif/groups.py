"""A part's complete lookups, put in order for the what-if (compiled).

Lookups that are replayed alike stand together: same settings of their clients, same base name, same
questions with the same ends. For a cache they stand client by client.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.kernels.hashing import SEED, find_slot, hash_ids, slot_count
from pcapkit.kernels.jit import helper_kernel, inline_kernel, kernel
from pcapkit.schema import ABSENT, Ids, Int, Integers, Row, Rows

#: Lookups that are replayed alike.
_GROUP = np.dtype(
    [
        ("shape", np.uint64),
        ("base", np.int32),
        ("walker", np.int32),
        ("base_row", np.int32),  # its row of ``Order.bases``
        ("count", np.int32),
        ("number", np.int32),  # among the groups of all walkers, put in order
        ("mode", np.uint8),
        ("absolute", np.int8),
    ],
    align=True,
)
_BASE = np.dtype([("base", np.int32), ("client", np.int32)])
#: What is known of the complete lookups of one client.
COVERED = np.dtype([(key, np.int64) for key in ("lookups", "names", "queries", "first", "last")])
#: Indexes of ``Order.used``.
_LOOKUPS, _BASES, _PAIRS, _GROUPS = range(4)


class Order(NamedTuple):
    """Complete lookups by client, and group by group; both in time order within that.

    Bounds of something are where it begins in that array, and, one row more, where the last ends.
    """

    by_client: Integers  # numbers of lookups
    client_bounds: Integers  # of ``by_client``
    bases: Rows  # _BASE: distinct base names, and the last client of each
    pairs: Ids  # (n, 2): client, base name; each once
    walker_bounds: Integers  # of ``group_bases``
    group_bases: Ids  # rows of ``bases``, walker by walker
    group_bounds: Integers  # of ``members``
    members: Integers  # numbers of lookups
    used: Integers  # (4): lookups, bases, pairs, groups


class _Scratch(NamedTuple):
    """What ordering needs; slots of hash tables hold a row plus 1, 0 is free."""

    base_slots: Ids
    group_slots: Ids
    groups: Rows  # _GROUP
    group_of: Ids  # the group of each row of ``Order.by_client``
    covered: Rows  # COVERED, by client: added to


@inline_kernel
def _base_ends_search(entry: Int, key: tuple[Rows, Int]) -> bool:
    """Is ``entry`` of a hash table free, or the row of the base name of ``key`` (rows, base)?"""
    bases, base = key
    return bool(entry == 0 or bases[entry - 1]["base"] == base)


@inline_kernel
def _group_ends_search(entry: Int, key: tuple[Rows, Row, Int]) -> bool:
    """Is ``entry`` free, or the group of the lookup and walker of ``key`` (rows, both)?"""
    groups, lookup, walker = key
    if entry == 0:
        return True
    group = groups[entry - 1]
    return bool(
        group["shape"] == lookup["shape"]
        and group["base"] == lookup["base"]
        and group["walker"] == walker
        and group["mode"] == lookup["mode"]
        and group["absolute"] == lookup["absolute"]
    )


@inline_kernel
def _base_row(base: Int, client: Int, seed: np.uint64, scratch: _Scratch, out: Order) -> Int:
    """Return the row of ``out.bases`` of ``base`` (a name id), a new one where there is none.

    Where ``client`` has not asked for it so far, the pair is noted in ``out``. ``seed`` is that of
    the tables in ``scratch``.
    """
    slots = scratch.base_slots
    slot = find_slot(slots, hash_ids(base, 0, seed), _base_ends_search, (out.bases, base))
    if slots[slot] == 0:
        new = out.used[_BASES]
        out.bases[new]["base"] = base
        out.bases[new]["client"] = ABSENT
        out.used[_BASES] = new + 1
        slots[slot] = new + 1
    row = slots[slot] - 1
    if out.bases[row]["client"] != client:
        out.bases[row]["client"] = client
        pair = out.used[_PAIRS]
        out.pairs[pair, 0] = client
        out.pairs[pair, 1] = base
        out.used[_PAIRS] = pair + 1
        scratch.covered[client]["names"] += 1
    return np.int64(row)


@inline_kernel
def _group_row(
    lookup: Row, walker: Int, base_row: Int, seed: np.uint64, scratch: _Scratch, out: Order
) -> Int:
    """Return the _GROUP row in ``scratch`` of ``lookup`` (LOOKUP), a new one where there is none.

    ``walker`` is the number of its client's, ``base_row`` the row of its base name. ``seed`` is
    that of the tables in ``scratch``. New ones are counted in ``out``.
    """
    slots = scratch.group_slots
    h = hash_ids(lookup["shape"] ^ np.uint64(lookup["base"]), walker, seed)
    slot = find_slot(slots, h, _group_ends_search, (scratch.groups, lookup, walker))
    if slots[slot] == 0:
        new = out.used[_GROUPS]
        group = scratch.groups[new]
        group["shape"] = lookup["shape"]
        group["base"] = lookup["base"]
        group["walker"] = walker
        group["base_row"] = base_row
        group["count"] = 0
        group["mode"] = lookup["mode"]
        group["absolute"] = lookup["absolute"]
        out.used[_GROUPS] = new + 1
        slots[slot] = new + 1
        out.walker_bounds[walker + 1] += 1
    return np.int64(slots[slot] - 1)


@inline_kernel
def _cover(lookup: Row, covered: Row) -> None:
    """Add one ``lookup`` (LOOKUP) to what is ``covered`` (COVERED) of its client."""
    is_first = covered["lookups"] == 0
    covered["lookups"] += 1
    covered["queries"] += lookup["queries"]
    covered["first"] = lookup["start"] if is_first else min(covered["first"], lookup["start"])
    covered["last"] = lookup["end"] if is_first else max(covered["last"], lookup["end"])


@kernel
def _put_in_order(
    lookups: Rows,
    block: tuple[Int, Int],
    walker_of: Ids,
    seed: np.uint64,
    scratch: _Scratch,
    out: Order,
) -> None:
    """Put the complete ones of ``lookups`` (LOOKUP), client by client, in order: fill ``out``.

    Only those of one ``block`` (its number, and how many there are) are taken. ``walker_of`` is the
    number of each client's walker, ``seed`` that of the hash tables in ``scratch``.
    """
    size = 0
    client = np.int64(0)
    for number in range(lookups.shape[0]):
        lookup = lookups[number]
        if not lookup["complete"] or lookup["base"] % block[1] != block[0]:
            continue
        while client < lookup["client"]:
            client += 1
            out.client_bounds[client] = size
        _cover(lookup, scratch.covered[client])
        base_row = _base_row(lookup["base"], client, seed, scratch, out)
        group = _group_row(lookup, walker_of[client], base_row, seed, scratch, out)
        scratch.group_of[size] = group
        scratch.groups[group]["count"] += 1
        out.by_client[size] = number
        size += 1
    while client < out.client_bounds.shape[0] - 1:
        client += 1
        out.client_bounds[client] = size
    out.used[_LOOKUPS] = size
    _sort_groups(scratch, out)


@helper_kernel
def _sort_groups(scratch: _Scratch, out: Order) -> None:
    """Bring the groups of one walker, and the members of one group, together in ``out``.

    ``scratch`` holds the groups, and the group of each row of ``out.by_client``. A counting sort,
    twice: bounds hold first counts, then where the next one goes, and at last where each begins.
    """
    groups = out.used[_GROUPS]
    for w in range(1, out.walker_bounds.shape[0]):
        out.walker_bounds[w] += out.walker_bounds[w - 1]
    for n in range(groups):
        group = scratch.groups[n]
        number = out.walker_bounds[group["walker"]]
        out.walker_bounds[group["walker"]] += 1
        group["number"] = number
        out.group_bases[number] = group["base_row"]
        out.group_bounds[number] = group["count"]
    for w in range(out.walker_bounds.shape[0] - 1, 0, -1):
        out.walker_bounds[w] = out.walker_bounds[w - 1]
    out.walker_bounds[0] = 0
    begin = np.int64(0)
    for number in range(groups):
        count = out.group_bounds[number]
        out.group_bounds[number] = begin
        begin += count
    for n in range(out.used[_LOOKUPS]):
        number = scratch.groups[scratch.group_of[n]]["number"]
        out.members[out.group_bounds[number]] = out.by_client[n]
        out.group_bounds[number] += 1
    for number in range(groups, 0, -1):
        out.group_bounds[number] = out.group_bounds[number - 1]
    out.group_bounds[0] = 0


def put_in_order(
    lookups: Rows, walker_of: Ids, walkers: int, covered: Rows, block: tuple[int, int]
) -> Order:
    """Order the complete ones of some lookups; ``walker_of`` numbers how each client walks.

    Only those of one ``block``, see ``Readings.blocks``, are taken, and added to what is
    ``covered`` (COVERED) of each client.
    """
    size, clients = lookups.size, walker_of.size
    if block[1] > 1:
        size = int(np.count_nonzero(lookups["base"] % block[1] == block[0]))
    slots = slot_count(size)
    scratch = _Scratch(
        np.zeros(slots, np.int32),
        np.zeros(slots, np.int32),
        np.empty(size, _GROUP),
        np.empty(size, np.int32),
        covered,
    )
    out = Order(
        np.empty(size, np.int64),
        np.zeros(clients + 1, np.int64),
        np.empty(size, _BASE),
        np.empty((size, 2), np.int32),
        np.zeros(walkers + 1, np.int64),
        np.empty(size, np.int32),
        np.zeros(size + 1, np.int64),
        np.empty(size, np.int64),
        np.zeros(4, np.int64),
    )
    _put_in_order(lookups, block, walker_of, SEED, scratch, out)
    complete, bases, pairs, groups = out.used.tolist()
    return out._replace(
        by_client=out.by_client[:complete],
        bases=out.bases[:bases],
        pairs=out.pairs[:pairs],
        group_bases=out.group_bases[:groups],
        group_bounds=out.group_bounds[: groups + 1],
        members=out.members[:complete],
    )
